"""Scoring a student: by what its selector makes of its attempts, by its own choice, and with each strategy forced.

Answers are greedy, one a question, but for those that a selector wants at a temperature. The bound that a choice of
strategy can reach is told too: a question counts for the oracle if any strategy, forced, answers it rightly.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

from siked_core.asking import asking
from siked_core.contracts import Wish
from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.finished import Finished
from siked_core.paired import Paired
from siked_core.records import Problem
from siked_core.results import Result, results_file, results_of, scorecard_file, write_results
from siked_core.run import Run
from siked_core.scorecard import ORACLE, OWN_CHOICE, Score, Scorecard, StrategyScore
from siked_core.spending import stage_of
from siked_core.stages.answers import (
    OWN,
    Question,
    Row,
    is_right,
    learn,
    pools_of,
    questions,
    sampling_of,
    select,
    selector_of,
)
from siked_core.stages.evidence import NO_TAG
from siked_core.stages.generate import Wanted, draw, key_of, student_wants
from siked_core.stages.prepare import first_problem, problems
from siked_core.stages.rollout import open_student
from siked_core.stages.verify import verify

Answered = tuple[Problem, Row]
"""A problem, and the judged answer to it."""


def evaluate(run: Run, student: str, dataset: str, split: str) -> Scorecard:
    """Score one student on one split.

    The student's answer is what the run's selector makes of its attempts; by default it names its own strategy. What a
    selector learns, it learns from this student on the validation split of the run's own data set.

    Raises:
        RunError: there is no such student, or a verifier failed on some of its answers.
    """
    selector, plan = selector_of(run, student)
    home = (run.recipe.dataset.name, "validation")
    learnt: Mapping[str, float] | None = {}
    if selector.learns:
        learnt = None if (dataset, split) == home else evaluate(run, student, *home).learnt
    pools = pools_of(run, student, dataset, split)
    card_file, details = (file(run, student, dataset, split) for file in (scorecard_file, results_file))
    with asking(run, open_student(run, student)) as generator:
        first = [first_problem(run, split, dataset)]
        keys = [
            key_of(run, item, sampling_of(run, wishes), generator)
            for wishes in pools.values()
            for item in _wants(run, wishes, first)
        ]
        stage = f"evaluate {student} on {dataset} {split}"
        finished = Finished(run, stage, pools=list(pools), files=[card_file, details], given=[keys, learnt])
        if (outcome := finished.outcome()) is not None:
            return Scorecard.from_dict(outcome)
        known = problems(run, split, dataset)
        for pool, wishes in pools.items():
            draw(
                run,
                pool,
                _wants(run, wishes, known),
                stage=stage_of(pool),
                generator=generator,
                sampling=sampling_of(run, wishes),
                source="student",
                round=_round_of(student),
            )
    for pool in pools:
        summary = verify(run, pool, dataset, split)
        if summary.set_aside:
            raise RunError(
                f"{summary.set_aside:,} samples of {pool} could not be judged, so {student} cannot be scored."
            )
    asked = questions(run, plan, pools, known)
    chosen = select(selector, asked, learnt)
    learnt = learn(selector, asked) if learnt is None else learnt
    card = _score(run, (student, dataset, split), selector.name, asked, chosen, learnt)
    write_results(details, _results(run, asked, chosen))
    write_text(card_file, json.dumps(card.as_dict(), indent=2, ensure_ascii=False) + "\n")
    finished.keep(card.as_dict())
    return card


def right_answers(run: Run, student: str, dataset: str, split: str) -> dict[Problem, bool]:
    """Whether each answer of a student that has been scored is right: what its scorecard counts.

    Raises:
        RunError: it has not been scored there.
    """
    right = {one.problem_id: one.right for one in results_of(run, student, dataset, split)}
    known = problems(run, split, dataset)
    if right.keys() != {problem.id for problem in known}:
        raise RunError(f"{student} of {run.path} was scored on other questions of {dataset} {split}. Score it again.")
    return {problem: right[problem.id] for problem in known}


def _wants(run: Run, wishes: Sequence[Wish], known: Sequence[Problem]) -> list[Wanted]:
    """What is asked of a student for one pool: strategy by strategy, each problem so many times."""
    samples: dict[str | None, int] = {}
    for wish in wishes:
        samples[wish.strategy] = max(samples.get(wish.strategy, 0), wish.draw + 1)
    return [
        item
        for name, count in samples.items()
        for item in student_wants(run.format, [run.strategies[name] if name else None], known, count)
    ]


def _score(
    run: Run,
    scored: tuple[str, str, str],
    selector: str,
    asked: Sequence[Question],
    chosen: Sequence[Answered],
    learnt: Mapping[str, float],
) -> Scorecard:
    names = run.recipe.strategy_names
    forced = {name: [(one.problem, one.rows[Wish(name)]) for one in asked if Wish(name) in one.rows] for name in names}
    strategies = []
    for name in names:
        mine = [(problem, row) for problem, row in chosen if row["strategy"] == name]
        strategies.append(
            StrategyScore(
                name,
                _total(mine),
                len(mine) / len(chosen),
                _total(forced[name]) if forced[name] else None,
                _by_family(mine),
                _by_family(forced[name]),
            )
        )
    student, dataset, split = scored
    own = [one.rows[OWN] for one in asked]
    right = [is_right(row) for _, row in chosen]
    policies = {OWN_CHOICE: [is_right(row) for row in own]}
    policies |= {name: [is_right(row) for _, row in rows] for name, rows in forced.items() if rows}
    if all(forced.values()):
        policies[ORACLE] = [any(each) for each in zip(*(policies[name] for name in names), strict=True)]
    return Scorecard(
        student=student,
        dataset=dataset,
        split=split,
        score=_total(chosen),
        strategies=tuple(strategies),
        families=_by_family(chosen),
        untagged=sum(row["strategy"] is None for row in own),
        statuses=dict(Counter(row["status"] for _, row in chosen).most_common()),
        selector=selector,
        choices=dict(Counter(row["strategy"] or NO_TAG for row in own).most_common()),
        policies={name: Paired.of(right, other) for name, other in policies.items()},
        learnt=learnt,
    )


def _results(run: Run, asked: Sequence[Question], chosen: Sequence[Answered]) -> list[Result]:
    forced = [Wish(name) for name in run.recipe.strategy_names]
    return [
        Result(
            problem.id,
            is_right(row),
            row["strategy"],
            row["answer"],
            row["status"],
            is_right(one.rows[OWN]),
            {wish.strategy: is_right(one.rows[wish]) for wish in forced if wish in one.rows if wish.strategy},
        )
        for one, (problem, row) in zip(asked, chosen, strict=True)
    ]


def _total(answered: Sequence[Answered]) -> Score:
    return Score(sum(is_right(row) for _, row in answered), len(answered))


def _by_family(answered: Sequence[Answered]) -> dict[str, Score]:
    """The score of each family, by name; problems without one are in none."""
    families: dict[str, list[Answered]] = {}
    for problem, row in answered:
        if problem.family:
            families.setdefault(problem.family, []).append((problem, row))
    return {family: _total(families[family]) for family in sorted(families)}


def _round_of(student: str) -> int:
    return int(student.removeprefix("round-")) if student.startswith("round-") else 0
