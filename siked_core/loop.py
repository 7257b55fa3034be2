"""SIKeD: self-guided iterative knowledge distillation (arXiv 2410.18574), whole.

    teacher pool -> warm-up -> [ rollout -> verify -> mix -> train -> evaluate ] until it stops paying

It departs from the published code where reviewers found it wanting: the round is chosen, and the loop stopped, on a
validation split; the test split is scored once, at the end, for the chosen round and for the baselines. "Combined",
the published baseline that is trained on all strategies of the teacher's pool, is the student of round 0.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from siked_core.card import write_card
from siked_core.files import write_text
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.preflight import look_over
from siked_core.quoted import against
from siked_core.recipe import StoppingRecipe
from siked_core.run import Run
from siked_core.scorecard import MixtureSummary, PoolSummary, RoundReport, RunReport, Scorecard
from siked_core.spending import document, keep_counts
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import COMBINED, mix
from siked_core.stages.prepare import contaminated, excluded, first_problem
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.train import train


def distill(run: Run) -> RunReport:
    """Run the loop from wherever it stands to its end, and report."""
    look_over(run)
    for choice in (run.recipe.dataset, *run.recipe.evaluate):
        first_problem(run, "test", choice.name)  # read now: a missing file should not surface hours later
    rounds = [_round(run, 0)]
    stopped = f"the limit of {run.recipe.stopping.rounds} rounds was reached"
    for number in range(1, run.recipe.stopping.rounds + 1):
        rounds.append(_round(run, number))
        reason = stop_reason([one.validation.score.accuracy for one in rounds], run.recipe.stopping)
        if reason:
            stopped = reason
            break
    best = max(rounds, key=lambda one: (one.validation.score.accuracy, -one.round))
    report = RunReport(
        run=str(run.path),
        rounds=tuple(rounds),
        chosen_round=best.round,
        stopped=stopped,
        test=tuple(_test(run, best.round, sum(one.training_tokens for one in rounds))),
        student=str(run.student(best.student)),
        excluded=excluded(run),
        contaminated=contaminated(run),
        training_tokens=_training_tokens(run, rounds),
    )
    write_card(run.student(best.student), run.recipe, [card for card in report.test if card.student == best.student])
    keep_counts(run)
    spending = {**document(run.path, run.recipe), "quoted": against(run.path, run.recipe)}
    report = replace(report, spending=spending)
    write_text(run.path / "report.json", json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n")
    run.finish()
    return report


def stop_reason(accuracies: list[float], rule: StoppingRecipe) -> str | None:
    """Why to stop after these validation accuracies (between 0 and 1, round 0 first), or None to go on.

    A round pays if it beats the best one before it by `min_gain` points; `patience` rounds in a row that do not
    end the loop.
    """
    unpaid = 0
    best = accuracies[0]
    for accuracy in accuracies[1:]:
        unpaid = 0 if 100 * (accuracy - best) >= rule.min_gain - 1e-9 else unpaid + 1
        best = max(best, accuracy)
    if unpaid < rule.patience:
        return None
    rounds = "round" if rule.patience == 1 else f"{rule.patience} rounds"
    return f"validation accuracy rose by less than {rule.min_gain:g} points in the last {rounds}"


def report(run: Run) -> dict[str, Any] | None:
    """What a finished run found (`RunReport.as_dict`), or None while it is not finished."""
    path = run.path / "report.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _round(run: Run, number: int) -> RoundReport:
    student = f"round-{number}"
    pool: PoolSummary = teach(run) if number == 0 else rollout(run, number)
    mixture: MixtureSummary = mix(run, number)
    folder = train(run, number)
    validation = evaluate(run, student, run.recipe.dataset.name, "validation")
    stages = run.manifest["stages"]
    mine = ("teach", "verify teacher") if number == 0 else (f"rollout {student}", f"verify {student}")
    names = (*mine, f"train {student}", f"evaluate {student} on {run.recipe.dataset.name} validation")
    return RoundReport(
        round=number,
        student=student,
        pool=pool,
        mixture=mixture,
        training_tokens=read_side_file(folder)["training_tokens"],
        validation=validation,
        seconds={name.split()[0]: stages[name]["seconds"] for name in names if name in stages},
    )


def _test(run: Run, best: int, tokens: int) -> list[Scorecard]:
    """Score the chosen round and the baselines on the test splits: once, now that nothing is chosen any more."""
    students = [f"round-{best}", *(["round-0"] if best != 0 else []), *_baselines(run, tokens)]
    sets = [run.recipe.dataset.name, *(choice.name for choice in run.recipe.evaluate)]
    return [evaluate(run, student, dataset, "test") for student in students for dataset in dict.fromkeys(sets)]


def _baselines(run: Run, tokens: int) -> list[str]:
    """Train the students that the recipe asks for besides the rounds'; `tokens` is what all rounds took."""
    which = run.recipe.baselines
    if which == "none":
        return []
    budget = None if which == "single" else tokens
    students = []
    if budget is not None:
        mix(run, 0, COMBINED)
        train(run, 0, COMBINED, tokens=budget)
        students.append(COMBINED)
    if which != "combined" and len(run.recipe.strategies) > 1:
        for strategy in run.recipe.strategy_names:
            student = f"only-{strategy}"
            mix(run, 0, student)
            train(run, 0, student, tokens=budget)
            students.append(student)
    return students


def _training_tokens(run: Run, rounds: list[RoundReport]) -> dict[str, int]:
    """What each student was trained on up to now: a round continues from those before it, a baseline from the base."""
    tokens = {}
    for place, one in enumerate(rounds):
        earlier = rounds[:place] if run.recipe.training.start == "continue" else []
        tokens[one.student] = sum(each.training_tokens for each in (*earlier, one))
    others = sorted(path.parent for path in run.student("round-0").parent.glob(f"*/{SIDE_FILE}"))
    return tokens | {
        path.name: read_side_file(path)["training_tokens"] for path in others if not path.name.startswith("round-")
    }
