"""Scoring a student: greedy, one sample a question; by its own choice, and with each strategy forced."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from siked_core.contracts import Attempt, Selector
from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.finished import Finished
from siked_core.records import Problem, Sampling, Status, Verdict
from siked_core.run import Run
from siked_core.scorecard import Score, Scorecard, StrategyScore
from siked_core.stages.generate import EVALUATIONS, draw, key_of, student_wants
from siked_core.stages.prepare import first_problem, problems
from siked_core.stages.rollout import open_student
from siked_core.stages.verify import verdicts_of, verify

Answered = tuple[Problem, dict[str, Any]]
"""A problem, and the judged answer to it."""


def evaluate(run: Run, student: str, dataset: str, split: str) -> Scorecard:
    """Score one student on one split.

    The student's answer is what the run's selector makes of its attempts; by default it names its own strategy.

    Raises:
        RunError: there is no such student, or a verifier failed on some of its answers.
    """
    recipe = run.recipe.evaluation
    selector: Selector = run.registry.create("selector", recipe.selector.name, recipe.selector.options)
    asked = set(selector.plan(run.recipe.strategy_names))
    if recipe.forced:
        asked |= set(run.recipe.strategy_names)
    asked.add(None)
    order: list[str | None] = [None, *(name for name in run.recipe.strategy_names if name in asked)]
    strategies = [run.strategies[name] if name else None for name in order]
    pool = f"{EVALUATIONS}/{student}/{dataset}-{split}"
    stage = f"evaluate {student} on {dataset} {split}"
    path = run.path / "scorecards" / f"{student}.{dataset}-{split}.json"
    sampling = Sampling(max_tokens=recipe.max_tokens)
    with closing(open_student(run, student)) as generator:
        first = student_wants(run.format, strategies, [first_problem(run, split, dataset)], 1)
        keys = [key_of(run, item, sampling, generator) for item in first]
        finished = Finished(run, stage, pools=[pool], files=[path], given=keys)
        if (outcome := finished.outcome()) is not None:
            return Scorecard.from_dict(outcome)
        known = problems(run, split, dataset)
        draw(
            run,
            pool,
            student_wants(run.format, strategies, known, 1),
            stage=stage,
            generator=generator,
            sampling=sampling,
            source="student",
            round=_round_of(student),
        )
    summary = verify(run, pool, dataset, split)
    if summary.set_aside:
        raise RunError(f"{summary.set_aside:,} samples of {pool} could not be judged, so {student} cannot be scored.")
    card = _score(run, student, dataset, split, known, selector, pool)
    write_text(path, json.dumps(card.as_dict(), indent=2, ensure_ascii=False) + "\n")
    finished.keep(card.as_dict())
    return card


def _score(
    run: Run, student: str, dataset: str, split: str, known: tuple[Problem, ...], selector: Selector, pool: str
) -> Scorecard:
    by_request = _by_request(run, pool)
    names = run.recipe.strategy_names
    chosen = _chosen(known, by_request, selector, names)
    strategies = []
    for name in names:
        mine = [(problem, row) for problem, row in chosen if row["strategy"] == name]
        forced = [(one, by_request[one.id, name]) for one in known if (one.id, name) in by_request]
        strategies.append(
            StrategyScore(
                name,
                _total(mine),
                len(mine) / len(known),
                _total(forced) if forced else None,
                _by_family(mine),
                _by_family(forced),
            )
        )
    return Scorecard(
        student=student,
        dataset=dataset,
        split=split,
        score=_total(chosen),
        strategies=tuple(strategies),
        families=_by_family(chosen),
        untagged=sum(row["strategy"] is None for _, row in chosen),
        statuses=dict(Counter(row["status"] for _, row in chosen).most_common()),
    )


def right_answers(run: Run, student: str, dataset: str, split: str) -> dict[Problem, bool]:
    """Whether each answer of a student that has been scored is right: what its scorecard counts.

    Raises:
        RunError: some of its answers have no verdict by the present verifiers.
    """
    choice = run.recipe.evaluation.selector
    selector: Selector = run.registry.create("selector", choice.name, choice.options)
    pool = f"{EVALUATIONS}/{student}/{dataset}-{split}"
    known = problems(run, split, dataset)
    try:
        chosen = _chosen(known, _by_request(run, pool), selector, run.recipe.strategy_names)
    except KeyError:
        raise RunError(f"Some answers in {pool} of {run.path} are not judged. Run `siked evaluate` again.") from None
    return {problem: _right(row) for problem, row in chosen}


def _by_request(run: Run, pool: str) -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(row["problem_id"], row["requested"]): row for row in verdicts_of(run, pool).iter_rows(named=True)}


def _chosen(
    known: tuple[Problem, ...],
    by_request: Mapping[tuple[str, str | None], dict[str, Any]],
    selector: Selector,
    strategies: Sequence[str],
) -> list[Answered]:
    """The answer that the selector gives to each problem."""
    plan = selector.plan(strategies)
    chosen = []
    for problem in known:
        rows = [by_request[problem.id, requested] for requested in plan]
        chosen.append((problem, rows[selector.select([_attempt(row) for row in rows])]))
    return chosen


def _total(answered: list[Answered]) -> Score:
    return Score(sum(_right(row) for _, row in answered), len(answered))


def _by_family(answered: list[Answered]) -> dict[str, Score]:
    """The score of each family, by name; problems without one are in none."""
    families: dict[str, list[Answered]] = {}
    for problem, row in answered:
        if problem.family:
            families.setdefault(problem.family, []).append((problem, row))
    return {family: _total(families[family]) for family in sorted(families)}


def _right(row: dict[str, Any]) -> bool:
    return bool(row["status"] == Status.CORRECT.value)


def _attempt(row: dict[str, Any]) -> Attempt:
    """What a selector may see of a row: that there is an answer and which, not whether it is right."""
    status = Status(row["status"])
    if status in (Status.CORRECT, Status.WRONG):
        status = Status.ANSWERED
    return Attempt(row["requested"], row["strategy"], Verdict(status, row["answer"], row["why"]), row["logprob"])


def _round_of(student: str) -> int:
    return int(student.removeprefix("round-")) if student.startswith("round-") else 0
