"""Scoring a student: greedy, one sample a question; by its own choice, and with each strategy forced."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from siked_core.contracts import Attempt, Selector
from siked_core.errors import RunError
from siked_core.pool import write_text
from siked_core.records import Problem, Sampling, Status, Verdict
from siked_core.run import Run
from siked_core.scorecard import Score, Scorecard, StrategyScore
from siked_core.stages.generate import EVALUATIONS, draw, student_wants
from siked_core.stages.prepare import problems
from siked_core.stages.rollout import open_student
from siked_core.stages.verify import verdicts_of, verify


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
    known = problems(run, split, dataset)
    pool = f"{EVALUATIONS}/{student}/{dataset}-{split}"
    sampling = Sampling(max_tokens=recipe.max_tokens)
    wanted = student_wants(run.format, [run.strategies[name] if name else None for name in order], known, 1)
    generator = open_student(run, student)
    draw(
        run,
        pool,
        wanted,
        stage=f"evaluate {student} on {dataset} {split}",
        generator=generator,
        sampling=sampling,
        source="student",
        round=_round_of(student),
    )
    summary = verify(run, pool, dataset, split)
    if summary.set_aside:
        raise RunError(f"{summary.set_aside:,} samples of {pool} could not be judged, so {student} cannot be scored.")
    card = _score(run, student, dataset, split, known, selector, pool)
    path = run.path / "scorecards" / f"{student}.{dataset}-{split}.json"
    write_text(path, json.dumps(card.as_dict(), indent=2, ensure_ascii=False) + "\n")
    return card


def _score(
    run: Run, student: str, dataset: str, split: str, known: tuple[Problem, ...], selector: Selector, pool: str
) -> Scorecard:
    by_request: dict[tuple[str, str | None], dict[str, Any]] = {
        (row["problem_id"], row["requested"]): row for row in verdicts_of(run, pool).iter_rows(named=True)
    }
    names = run.recipe.strategy_names
    plan = selector.plan(names)
    chosen: list[tuple[Problem, dict[str, Any]]] = []
    for problem in known:
        rows = [by_request[problem.id, requested] for requested in plan]
        chosen.append((problem, rows[selector.select([_attempt(row) for row in rows])]))
    strategies = []
    for name in names:
        mine = [_right(row) for _, row in chosen if row["strategy"] == name]
        forced = [_right(by_request[problem.id, name]) for problem in known if (problem.id, name) in by_request]
        strategies.append(
            StrategyScore(
                name,
                Score(sum(mine), len(mine)),
                len(mine) / len(known),
                Score(sum(forced), len(forced)) if forced else None,
            )
        )
    families = sorted({problem.family for problem in known if problem.family})
    return Scorecard(
        student=student,
        dataset=dataset,
        split=split,
        score=Score(sum(_right(row) for _, row in chosen), len(known)),
        strategies=tuple(strategies),
        families={family: _family(chosen, family) for family in families},
        untagged=sum(row["strategy"] is None for _, row in chosen),
        statuses=dict(Counter(row["status"] for _, row in chosen).most_common()),
    )


def _family(chosen: list[tuple[Problem, dict[str, Any]]], family: str) -> Score:
    mine = [_right(row) for problem, row in chosen if problem.family == family]
    return Score(sum(mine), len(mine))


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
