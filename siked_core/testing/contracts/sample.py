"""A sample of the pocket world to test with, and rationales of it under the strategies that there are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from siked_core.bank import Shot
from siked_core.contracts import MixtureRow, Strategy
from siked_core.records import Problem
from siked_core.registry import Registry
from siked_core.testing.contracts.contract import installed


@cache
def pocket_sample(count: int = 8, registry: Registry | None = None) -> tuple[Problem, ...]:
    """Word problems of the embedded world, with gold answers and worked solutions; always the same ones.

    Raises:
        PluginError: the data set `pocket` is switched off.
    """
    made = (registry or installed()).create("dataset", "pocket", {"train": max(count, 1)})
    problems: tuple[Problem, ...] = made.load("train", limit=count).problems
    return problems


@cache
def ready_strategies(registry: Registry | None = None) -> dict[str, Strategy]:
    """Every strategy that is installed and can be made without options. Made once: reading banks takes a while."""
    plugins = registry or installed()
    found: dict[str, Strategy] = {}
    for name in plugins.names("strategy"):
        kind = plugins.get("strategy", name)
        if not any(field.is_required() for field in kind.options_type.model_fields.values()):
            found[name] = plugins.create("strategy", name)
    return found


def shots_of(strategy: Strategy) -> tuple[Shot, ...]:
    """A strategy's worked examples; none where one without a bank writes its teacher's prompt itself."""
    kind = type(strategy)
    if not hasattr(kind, "bank_path") and kind.teacher_prompt is not Strategy.teacher_prompt:
        return ()
    return strategy.bank.shots


def sample_rows(
    strategies: Mapping[str, Strategy], registry: Registry | None = None, count: int = 8
) -> list[MixtureRow]:
    """What a mixture of the pocket sample holds: the teacher's and the student's solution of each problem under every
    strategy that can write it down."""
    rows: list[MixtureRow] = []
    for problem in pocket_sample(count, registry):
        for name, strategy in strategies.items():
            written = strategy.demonstrate(problem.solution) if problem.solution is not None else None
            if written is None:
                continue
            for source, round_ in (("teacher", 0), ("student", 1)):
                key = f"{len(rows):032x}"
                rows.append(MixtureRow(key, problem, name, source, round_, written, 1.0 + len(rows) % 3 / 2))
    return rows
