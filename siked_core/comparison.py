"""Two runs side by side: their recipes, what they worked on, what they spent, how their students did."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from siked_core.errors import RunError
from siked_core.loop import report
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.paired import Paired
from siked_core.recipe import differences
from siked_core.records import Problem
from siked_core.run import Run
from siked_core.scorecard import Score
from siked_core.spending import Spent, by_stage
from siked_core.stages.evaluate import right_answers
from siked_core.stages.prepare import loaded
from siked_core.stages.teach import POOL
from siked_core.stages.verify import summarise, verdicts_of

Both = Mapping[str, Any]
"""{"a": ..., "b": ...}; None on the side that has no such thing."""


@dataclass(frozen=True, slots=True)
class PairedScore:
    """Two students on the problems that both runs put to them."""

    student_a: str
    student_b: str
    dataset: str
    split: str
    paired: Paired

    def as_dict(self) -> dict[str, Any]:
        names = {"student_a": self.student_a, "student_b": self.student_b}
        return {**names, "dataset": self.dataset, "split": self.split, **self.paired.as_dict()}


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A student of the same name in both runs, on one split."""

    student: str
    dataset: str
    split: str
    a: Score | None
    b: Score | None

    def as_dict(self) -> dict[str, Any]:
        scores = {side: score.as_dict() if score else None for side, score in (("a", self.a), ("b", self.b))}
        return {"student": self.student, "dataset": self.dataset, "split": self.split, **scores}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two runs have in common and where they differ."""

    runs: Both
    """Their directories."""
    recipe: tuple[str, ...]
    """Lines "key: A's -> B's"."""
    chosen: Both
    """The student that each run chose."""
    data: Mapping[str, Both]
    """"DATASET-SPLIT" -> problems of each, and how many are in both ("shared")."""
    pools: Mapping[str, Both]
    """Pool -> samples, correct ones, problems with a correct one ("solved"), and the first two by strategy."""
    spent: Mapping[str, Both]
    """Kind of stage ("teach", "rollout", "train", ...) -> tokens_in, tokens_out, cost (in the recipe's currency),
    seconds. Of "train", tokens_in counts the prompts and targets that all students were trained on."""
    accuracies: tuple[Accuracy, ...]
    paired: tuple[PairedScore, ...]
    """The chosen students on test splits, and students of one name on every split that both runs scored."""
    notes: tuple[str, ...]
    """What could not be compared, and why."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "runs": dict(self.runs),
            "recipe": list(self.recipe),
            "chosen": dict(self.chosen),
            "data": {name: dict(both) for name, both in self.data.items()},
            "pools": {name: dict(both) for name, both in self.pools.items()},
            "spent": {name: dict(both) for name, both in self.spent.items()},
            "accuracies": [one.as_dict() for one in self.accuracies],
            "paired": [one.as_dict() for one in self.paired],
            "notes": list(self.notes),
        }


def compare(a: Run, b: Run) -> Comparison:
    """Set two runs side by side. Neither is changed, and neither need be finished."""
    chosen = {"a": chosen_student(a), "b": chosen_student(b)}
    cards_a, cards_b = _scores(a), _scores(b)
    notes: list[str] = []
    return Comparison(
        runs={"a": str(a.path), "b": str(b.path)},
        recipe=tuple(differences(a.recipe, b.recipe)),
        chosen=chosen,
        data=_data(a, b),
        pools=_side_by_side(_pools(a), _pools(b)),
        spent=_side_by_side(_spent(a), _spent(b)),
        accuracies=tuple(
            Accuracy(*name, cards_a.get(name), cards_b.get(name)) for name in dict.fromkeys((*cards_a, *cards_b))
        ),
        paired=tuple(_paired(a, b, chosen, notes)),
        notes=tuple(notes),
    )


def _side_by_side(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, Both]:
    return {name: {"a": a.get(name), "b": b.get(name)} for name in dict.fromkeys((*a, *b))}


def chosen_student(run: Run) -> str | None:
    """The student that a finished run chose."""
    found = report(run)
    return f"round-{found['chosen_round']}" if found else None


def _data(a: Run, b: Run) -> dict[str, Both]:
    def questions(run: Run) -> dict[str, set[tuple[str, str]]]:
        return {name: {(one.question, one.answer) for one in part.problems} for name, part in loaded(run).items()}

    mine, theirs = questions(a), questions(b)
    return {
        name: {
            "a": len(mine[name]) if name in mine else None,
            "b": len(theirs[name]) if name in theirs else None,
            "shared": len(mine.get(name, set()) & theirs.get(name, set())),
        }
        for name in dict.fromkeys((*mine, *theirs))
    }


# What was drawn and spent


def _names(run: Run) -> list[str]:
    """The pools of training problems that are whole: "teacher", "round-1", ..."""
    names = [path.stem for path in (run.path / "wanted").glob("*.parquet")]
    return sorted(names, key=lambda name: (name != POOL, len(name), name))


def _pools(run: Run) -> dict[str, dict[str, Any]]:
    counts = {}
    for name in _names(run):
        found = summarise(verdicts_of(run, name), 0)
        counts[name] = {
            "samples": found.samples,
            "correct": found.correct,
            "solved": found.problems_solved,
            "by_strategy": {strategy: dict(each) for strategy, each in found.by_strategy.items()},
        }
    return counts


def _spent(run: Run) -> dict[str, dict[str, float]]:
    """What was spent, by kind of stage; all that was ever drawn counts, wanted by the present recipe or not."""
    kinds: dict[str, Spent] = {}
    for stage, one in by_stage(run.path, run.recipe).items():
        kind = stage.removeprefix("quote: ").split()[0]
        kinds[kind] = kinds.get(kind, Spent()) + one
    spent = {
        kind: {"tokens_in": one.tokens_in, "tokens_out": one.tokens_out, "cost": one.cost, "seconds": one.seconds}
        for kind, one in sorted(kinds.items())
    }
    for path in run.student("round-0").parent.glob(f"*/{SIDE_FILE}"):
        train = spent.setdefault("train", {"tokens_in": 0, "tokens_out": 0, "cost": 0.0, "seconds": 0.0})
        train["tokens_in"] += int(read_side_file(path.parent)["training_tokens"])
    return spent


# How the students did

Scored = tuple[str, str, str]
"""Student, data set, split."""


def _scores(run: Run) -> dict[Scored, Score]:
    found = {}
    for path in sorted((run.path / "scorecards").glob("*.json")):
        card = json.loads(path.read_text(encoding="utf-8"))
        found[card["student"], card["dataset"], card["split"]] = Score.from_dict(card["score"])
    return found


def _paired(a: Run, b: Run, chosen: Both, notes: list[str]) -> Iterator[PairedScore]:
    mine, theirs = _scores(a), _scores(b)
    wanted = [
        ((chosen["a"], dataset, split), (chosen["b"], dataset, split))
        for student, dataset, split in mine
        if student == chosen["a"] and split == "test"
    ]
    wanted += [(name, name) for name in mine]
    for left, right in dict.fromkeys(wanted):
        if left not in mine or right not in theirs:
            continue
        try:
            answers_a, answers_b = answers_by_question(a, left), answers_by_question(b, right)
        except RunError as error:
            notes.append(str(error))
            continue
        shared = answers_a.keys() & answers_b.keys()
        if shared:
            counts = Counter((answers_a[one], answers_b[one]) for one in shared)
            paired = Paired(counts[True, True], counts[True, False], counts[False, True], counts[False, False])
            yield PairedScore(left[0], right[0], left[1], left[2], paired)
        else:
            notes.append(f"{left[0]} and {right[0]} were asked different {left[1]} {left[2]} questions.")


def answers_by_question(run: Run, scored: Scored) -> dict[tuple[str, str], bool]:
    """Whether each answer is right, by question and gold answer: ids may mean other problems in another run."""
    answers: dict[Problem, bool] = right_answers(run, *scored)
    return {(problem.question, problem.answer): right for problem, right in answers.items()}
