"""What the columns of a run's tables mean: table -> column -> meaning, in the order in which a table has them.

Shares and rates are between 0 and 1, times in seconds, log-probabilities in nats. A strategy is "(no tag)" where none
was named. `docs/python.md` has these lines too (`docs/make_table_tables.py`).
"""

from __future__ import annotations

_SCORE = {
    "correct": "right answers",
    "total": "answers that were judged",
    "accuracy": "the share of right ones; null where none was judged",
    "low": "the lower end of its 95 % interval (Wilson)",
    "high": "the upper end",
}
_OF_STUDENT = {
    "student": "round-0, combined, only-cot, ...",
    "round": "its round; null for a student that is no round's",
}
_QUESTIONS = {"dataset": "the data set", "split": "validation, on which rounds are chosen, or test"}
_FAMILY = {"family": "of the problem; empty where the data set tells none apart"}
_POOL = {"pool": "teacher, round-1, ..., or evaluations/STUDENT/DATASET-SPLIT"}
_DRAWN_BY = {**_POOL, "strategy": "the strategy that was used"}
_KEY = {"key": "what the sample is known by: `siked why RUN KEY` tells all of it"}
_PROBLEM = {"problem_id": "the problem"}
_DRAWN = {
    "requested": "the strategy that was asked for; null where the student chose",
    "strategy": "the strategy that was used",
    "source": "teacher or student",
    "round": "the round that it was drawn in; 0 for the teacher",
    "draw": "0, 1, 2, ... among the samples of one prompt",
}
_TOKENS = {
    "prompt_tokens": "tokens of the prompt",
    "completion_tokens": "tokens of the completion",
    "logprob": "sum over the completion's tokens; null where it is not known",
}
_STATUS = {"status": "the verdict: correct, wrong, crashed, ...; null while there is none"}

COLUMNS: dict[str, dict[str, str]] = {
    "rounds": {
        "round": "0 is the warm-up on the teacher's samples",
        "student": "the student's name: round-0, round-1, ...",
        "chosen": "whether the finished run chose this round's student",
        **_SCORE,
        "samples": "samples that have a verdict: the teacher's in round 0, the student's own after it",
        "samples_correct": "those that a verifier accepted",
        "problems": "problems that were sampled",
        "problems_solved": "those with a correct sample",
        "rows": "rows of the mixture that the student is trained on",
        "alpha": "the teacher's share of them",
        "alpha_by_weight": "the teacher's share of their weight in the loss",
        "kl": "KL(strategies of the mixture, by weight ‖ strategies of the student's own correct samples of that "
        "round), in nats; null in round 0, and where it is infinite",
        "training_tokens": "tokens of prompts and targets that this round trained on, over all epochs",
        "untagged": "validation questions to which the student names no strategy",
        "seconds": "what the round's stages took",
    },
    "scores": {
        **_OF_STUDENT,
        **_QUESTIONS,
        "chosen": "whether the finished run chose this student",
        "strategy": "the strategy that the row is about; null: whatever was used",
        "way": "answer: as the selector has it; chosen: of those, the answers by this strategy; forced: all questions, "
        "when told to use it; own choice: as the student itself chooses; oracle: if any strategy, forced, is right",
        "family": "the problems' family; null: all of them",
        **_SCORE,
    },
    "samples": {
        **_KEY,
        **_POOL,
        **_PROBLEM,
        **_FAMILY,
        "question": "the problem's text",
        "gold": "the right answer; empty where none is known",
        **_DRAWN,
        "text": "as it was written, without the prompt",
        "rationale": "its canonical form; null where it could not be read",
        **_STATUS,
        "answer": "what was found in it: what a program printed, what equations solve to, or what a text states",
        "why": "the verdict's reason in a line, where there is one",
        "finish_reason": "stop, length (cut off at its limit of tokens) or refused",
        **_TOKENS,
        "mixtures": "the students that were trained on it",
    },
    "mixtures": {
        "student": "the student that is trained on it",
        "key": "the sample",
        **_PROBLEM,
        "strategy": "the strategy",
        "source": "teacher or student",
        "round": "the round that the sample was drawn in; 0 for the teacher",
        "weight": "of its loss",
        "rationale": "what is trained on",
    },
    "questions": {
        **_OF_STUDENT,
        **_QUESTIONS,
        **_PROBLEM,
        **_FAMILY,
        "question": "its text",
        "gold": "the right answer",
        "strategy": "the strategy of the answer that was given",
        "answer": "the answer; empty where there is none",
        "status": "the verdict",
        "right": "whether it is the right one",
        "own": "whether the student's own choice, greedy, is right",
        "forced": "strategy -> whether it is right when it is forced, as a list of structs (strategy, right)",
    },
    "attempts": {
        **_POOL,
        **_KEY,
        **_PROBLEM,
        **_FAMILY,
        **_DRAWN,
        **_STATUS,
        "rationale_hash": "equal for equal rationales; null where the text could not be read",
        **_TOKENS,
    },
    "yields": {
        **_DRAWN_BY,
        "samples": "that have a verdict",
        "correct": "of these",
        "share": "correct of samples",
        "low": "the lower end of its 95 % interval (Wilson)",
        "high": "the upper end",
    },
    "verdicts": {
        **_DRAWN_BY,
        "status": "the verdict",
        "samples": "with this verdict",
        "share": "of the samples of this pool and strategy that have a verdict",
    },
    "composition": {
        **_OF_STUDENT,
        "strategy": "of the rows",
        "source": "teacher or student",
        "rows": "so many in its mixture",
        "weight": "sum of their weights in the loss",
        "share": "of all rows of the mixture",
    },
    "shares": {
        **_OF_STUDENT,
        **_QUESTIONS,
        "family": "the problems' family; null: all of them",
        "strategy": "by which it answered",
        "by": "own choice, or the selector that chose",
        "questions": "so many answered by this strategy",
        "total": "questions of this family",
        "share": "questions of total",
        "correct": "of these questions, those answered rightly; null where that is not known",
    },
    "solvability": {
        "questions": "training: the samples that mixtures are made of; validation: what a student is scored on",
        "who": "teacher, or the student; of training, round-1 is the pool that was drawn in round 1",
        "round": "0 for the teacher",
        **_PROBLEM,
        **_FAMILY,
        "strategy": "under which it was tried",
        "samples": "so many times; 1 on validation, greedily",
        "correct": "of these",
        "pass_rate": "correct of samples",
    },
    "solved": {
        "questions": "training or validation",
        "who": "teacher, or the student",
        "round": "0 for the teacher",
        "family": "of the problems; empty where the data set tells none apart",
        "strategy": "under which they were tried",
        "problems": "that were tried",
        "solved": "those with at least one right sample",
        "share": "solved of problems",
        "pass_rate": "mean over the problems of correct samples of all",
    },
    "stages": {
        "stage": "as the manifest names it",
        "kind": "teach, verify, mix, train, rollout, evaluate, quote, ...",
        "round": "that it belongs to; null for test splits and baselines",
        "samples": "drawn",
        "tokens_in": "of prompts",
        "tokens_out": "of completions",
        "cost": "in the recipe's currency",
        "seconds": "of work on the wall clock",
    },
    "predictions": {
        "round": "null for what belongs to none",
        "step": "teach, rollout, train, evaluate, test, ...",
        "quantity": "tokens_in, tokens_out, cost, seconds or bytes",
        "expected": "what the quote said",
        "low": "the lower end of the quote's interval",
        "high": "the upper end",
        "actual": "what it was",
        "inside": "whether that lies in the interval",
    },
}
