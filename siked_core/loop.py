"""SIKeD: self-guided iterative knowledge distillation (arXiv 2410.18574), whole.

    teacher pool -> warm-up -> [ rollout -> verify -> mix -> train -> evaluate ] until it stops paying

It departs from the published code where reviewers found it wanting: the round is chosen, and the loop stopped, on a
validation split; the test split is scored once, at the end, for the chosen round and for the baselines. "Combined",
the published baseline that is trained on all strategies of the teacher's pool, is the student of round 0.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from siked_core.card import CARD, facts_of, write_card
from siked_core.diversity import Diversity, alarms
from siked_core.files import write_text
from siked_core.finished import Finished
from siked_core.hint import hinted
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.preflight import look_over
from siked_core.quoted import against
from siked_core.rehearsal import rehearse_once
from siked_core.run import Run
from siked_core.scorecard import (
    ORIGINAL,
    MixtureSummary,
    Perplexity,
    PoolSummary,
    RoundReport,
    RunReport,
    Scorecard,
)
from siked_core.spending import document, keep_counts, spent, stage_of
from siked_core.stages.ability import perplexity
from siked_core.stages.answers import pools_of
from siked_core.stages.diversity import diversity
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import COMBINED, mix
from siked_core.stages.prepare import contaminated, excluded, first_problem
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.stopping import base_of, gains, rounds_before, stop_reason, validation_of
from siked_core.tracked import ROUND, SPENT, round_values
from siked_core.trackers import tracking


def distill(run: Run) -> RunReport:
    """Run the loop from wherever it stands to its end, and report."""
    with tracking(run):
        return _distill(run)


def _distill(run: Run) -> RunReport:
    look_over(run)
    for choice in (run.recipe.dataset, *run.recipe.evaluate):
        first_problem(run, "test", choice.name)  # read now: a missing file should not surface hours later
    rehearse_once(run)
    perplexity(run)
    rounds = [_round(run, 0)]
    stopped = f"the limit of {run.recipe.stopping.rounds} rounds was reached"
    for number in range(1, run.recipe.stopping.rounds + 1):
        rounds.append(_round(run, number, rounds[-1]))
        reason = stop_reason(validation_of(run, number + 1), run.recipe.stopping)
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
        perplexity=_perplexity(run, rounds),
    )
    _card(run, best.student, report)
    keep_counts(run)
    spending = {**document(run.path, run.recipe), "quoted": against(run.path, run.recipe)}
    report = replace(report, spending=spending)
    write_text(run.path / "report.json", json.dumps(report.as_dict(), indent=2, ensure_ascii=False) + "\n")
    run.finish()
    return report


def report(run: Run) -> dict[str, Any] | None:
    """What a finished run found (`RunReport.as_dict`), or None while it is not finished."""
    path = run.path / "report.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _round(run: Run, number: int, before: RoundReport | None = None) -> RoundReport:
    student = f"round-{number}"
    pool: PoolSummary = teach(run) if number == 0 else rollout(run, number)
    mixture: MixtureSummary = mix(run, number)
    folder = train(run, number)
    validation = evaluate(run, student, run.recipe.dataset.name, "validation")
    perplexity(run, student)
    stages = run.manifest["stages"]
    drawn = ("teacher",) if number == 0 else (student,)
    mine = [name for one in (*drawn, *map(hinted, drawn)) for name in (stage_of(one), f"verify {one}")]
    scored = [stage_of(pool) for pool in pools_of(run, student, run.recipe.dataset.name, "validation")]
    seconds: dict[str, float] = {}
    for name in (*mine, f"train {student}", *scored):
        kind = name.split()[0]
        seconds[kind] = seconds.get(kind, 0.0) + stages.get(name, {}).get("seconds", 0.0)
    varied = diversity(run, number, pool, validation.choices)
    found = alarms(before.diversity if before else Diversity(), varied, len(run.recipe.strategies), run.recipe.alarms)
    for alarm in found:
        run.reporter.warn(f"{student} may be collapsing: {alarm}.")
    report = RoundReport(
        round=number,
        student=student,
        pool=pool,
        mixture=mixture,
        training_tokens=read_side_file(folder)["training_tokens"],
        validation=validation,
        seconds=seconds,
        base=base_of(run, number) if number else None,
        gain=gains(validation_of(run, number + 1))[-1] if number else None,
        diversity=varied,
        alarms=tuple(found),
    )
    _write_down(run, report)
    return report


def _write_down(run: Run, report: RoundReport) -> None:
    """Keep a round's figures, and what had been spent when it ended, for whoever tracks the run."""
    if run.journal is None:
        return
    run.journal.figures(ROUND, report.round, round_values(report.as_dict()))
    if not run.journal.knows(SPENT, report.round):
        total = spent(run.path, run.recipe)
        run.journal.figures(SPENT, report.round, {name: float(value) for name, value in asdict(total).items()})


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


def _card(run: Run, student: str, report: RunReport) -> None:
    """Write the chosen student's model card, unless it is there and tells what it would."""
    folder = run.student(student)
    cards = [card for card in report.test if card.student == student]
    finished = Finished(
        run,
        f"card {student}",
        pools=[pool for card in cards for pool in pools_of(run, student, card.dataset, card.split)],
        files=[folder / CARD],
        given=[[card.as_dict() for card in cards], {name: one.as_dict() for name, one in report.perplexity.items()}],
    )
    if finished.outcome() is None:
        write_card(folder, facts_of(run, student, perplexity=report.perplexity))
        finished.keep({})


def _perplexity(run: Run, rounds: list[RoundReport]) -> dict[str, Perplexity]:
    """Of the original student and of each round's, all measured before; empty where the recipe asks for none."""
    students = [ORIGINAL, *(one.student for one in rounds)]
    return {student: found for student in students if (found := perplexity(run, student)) is not None}


def _training_tokens(run: Run, rounds: list[RoundReport]) -> dict[str, int]:
    """What each student was trained on up to now: a round continues from those before it, a baseline from the base."""
    tokens = {}
    for one in rounds:
        earlier = rounds_before(run, one.round) if run.recipe.training.start == "continue" else []
        tokens[one.student] = one.training_tokens + sum(rounds[number].training_tokens for number in earlier)
    others = sorted(path.parent for path in run.student("round-0").parent.glob(f"*/{SIDE_FILE}"))
    return tokens | {
        path.name: read_side_file(path)["training_tokens"] for path in others if not path.name.startswith("round-")
    }
