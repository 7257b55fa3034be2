"""What every mixing policy must do."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from siked_core.contracts import MixContext, MixingPolicy
from siked_core.errors import RecipeError
from siked_core.ledger import PLACE, candidates
from siked_core.mixing import OpenedPolicy, open_policy
from siked_core.recipe import Recipe, resolve
from siked_core.recipe_choice import PluginChoice
from siked_core.testing.contracts.contract import Contract, shown
from siked_core.testing.ledgers import toy_attempts, toy_questions

if TYPE_CHECKING:
    import polars as pl

STRATEGIES = ("cot", "pot", "l2m")
MODES = ("both", "forced", "free")
MANY = 100_000
"""Rows of a large table."""
MANY_S = 60.0
"""Processor time for it; relational lines take a hundredth of that."""


@dataclass(frozen=True)
class _Table:
    """What a policy is tried with."""

    what: str
    attempts: pl.DataFrame
    """Every sample so far."""
    round: int
    told: pl.DataFrame | None = None
    """Those beside them that were written with the answer told."""


class MixingPolicyContract(Contract):
    """Chooses among the rows that it is offered, weighs them soundly, and does so again."""

    plugin: type[MixingPolicy]

    def test_it_returns_only_rows_that_it_was_offered_once_each(self) -> None:
        """Every chosen row is a candidate, with its key, and is chosen once; no column is lost and none but `weight`
        is added."""
        for table in self._tables():
            rows, chosen = self._mixed(table)
            keys = chosen.get_column("key").to_list() if "key" in chosen.columns else None
            if keys is None or not set(rows.columns) <= set(chosen.columns) <= {*rows.columns, "weight"}:
                self.check(
                    False,
                    f"{table.what}: the columns are {', '.join(chosen.columns)} rather than {', '.join(rows.columns)}",
                    "Drop what a join has added, and keep the candidates' columns; only `weight` may be new.",
                )
            strange = set(keys or ()) - set(rows.get_column("key"))
            self.check(
                not strange,
                f"{table.what}: {len(strange)} keys were not offered, such as {shown(min(strange, default=0))}",
                "Choose rows of `candidates`; those of `context.attempts` are there to be counted only.",
            )
            self.check(
                len(keys or ()) == len(set(keys or ())),
                f"{table.what}: it returned {len(keys or ())} rows of which only {len(set(keys or ()))} differ",
                "A join has repeated rows: join with a table that has each cell once, or use how='semi'.",
            )

    def test_weights_are_finite_and_not_negative(self) -> None:
        """A row's `weight`, where there is one, is a finite number of 0 or more."""
        for table in self._tables():
            _, chosen = self._mixed(table)
            if "weight" in chosen.columns:
                bad = [
                    weight
                    for weight in chosen.get_column("weight")
                    if weight is None or not (math.isfinite(weight) and weight >= 0)
                ]
                self.check(
                    not bad,
                    f"{table.what}: {len(bad)} of {chosen.height} weights are such as {shown(bad[:1])}",
                    "Look for a division by nothing and for nulls of a join: fill_null(1.0).",
                )

    def test_the_tables_that_it_is_given_stay_as_they_are(self) -> None:
        """It changes neither `candidates` nor `context.attempts`: others read them after it."""
        for table in self._tables():
            rows, attempts = self._candidates(table), table.attempts
            kept, kept_attempts = rows.clone(), attempts.clone()
            self._policy().mix(rows, self._context(table))
            self.check(
                rows.equals(kept) and rows.columns == kept.columns and attempts.equals(kept_attempts),
                f"{table.what}: a table was changed in place",
                "Use with_columns, which makes a new table, rather than insert_column or an assignment.",
            )

    def test_the_same_rows_are_chosen_for_the_same_seed(self) -> None:
        """The same candidates, attempts and seed give the same rows and weights in the same order."""
        for table in self._tables():
            _, one = self._mixed(table)
            _, other = self._mixed(table)
            self.check(
                one.equals(other),
                f"{table.what}: two choices of the same policy differ",
                "Seed what you draw with context.seed, and give joins and group_by maintain_order.",
            )

    def test_an_empty_table_is_left_empty(self) -> None:
        """Where there is no candidate it returns no row, and does not raise."""
        for name, attempts in (
            ("no samples", toy_attempts(0, STRATEGIES)),
            ("wrong ones only", toy_attempts(3, STRATEGIES, right=0.0)),
        ):
            for round_ in (0, 1):
                _, chosen = self._mixed(_Table(name, attempts, round_))
                self.check(
                    chosen.is_empty(),
                    f"{name}, round {round_}: it returned {chosen.height} rows",
                    "Choose rows of `candidates` only.",
                )

    def test_it_says_which_rows_it_asks_for(self) -> None:
        """`earlier_rounds` and `hinted` are True or False, and say the same when the policy is made again."""
        one, other = self.made(), self.made()
        for name in ("earlier_rounds", "hinted"):
            said, again = getattr(one, name), getattr(other, name)
            self.check(
                isinstance(said, bool) and said == again,
                f"its {name} is {shown(said)}",
                "Write it as a property that returns True or False, by the options alone.",
            )

    def test_a_large_table_takes_no_long_time(self) -> None:
        """100,000 rows are chosen from within a minute of processor time."""
        attempts = toy_attempts(MANY // (4 * len(STRATEGIES)), STRATEGIES, rounds=1, draws=6, right=0.75)
        started = time.process_time()
        rows, _ = self._mixed(_Table("a large table", attempts, 1))
        took = time.process_time() - started
        self.check(
            took < MANY_S,
            f"{rows.height:,} candidates took {took:.0f} s",
            "Write joins, windows and group_by rather than loops over rows.",
        )

    # What these use

    def _tables(self) -> list[_Table]:
        import polars as pl

        some = toy_attempts(12, STRATEGIES, rounds=2, draws=3)
        teachers, students = (some.filter(pl.col("source") == name) for name in ("teacher", "student"))
        told = toy_attempts(15, STRATEGIES, rounds=2, draws=2, seed=1).with_columns(key=pl.format("told-{}", "key"))
        return [
            _Table("the warm-up", teachers, 0),
            _Table("a round", some, 1),
            _Table("a second round", some, 2),
            _Table("no student was right", teachers, 1),
            _Table("no teacher", students, 1),
            _Table("one problem", some.filter(pl.col("problem_id") == "p3"), 1),
            _Table("all right", toy_attempts(5, STRATEGIES, right=1.0), 1),
            _Table("a warm-up, some with the answer told", teachers, 0, told),
            _Table("a round, some with the answer told", some, 1, told),
            _Table("right with the answer told alone", toy_attempts(12, STRATEGIES, right=0.0), 1, told),
        ]

    def _mixed(self, table: _Table) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The candidates, and what was chosen of them."""
        rows, policy = self._candidates(table), self._policy()
        chosen = self.tried(
            f"{table.what}: mix of {rows.height} candidates",
            lambda: policy.mix(rows, self._context(table)),
            "Any table with the columns of siked_core.ledger.COLUMNS must do: also an empty one, one without a "
            "student's rows, one whose `hinted` rows have no pass_rate, and problem and strategy as categories.",
        )
        return rows, chosen

    def _policy(self) -> OpenedPolicy:
        self.made()
        for mode in MODES:
            choice = PluginChoice(name=self.plugin.name, options=dict(self.options))
            try:
                return open_policy(choice, _recipe(mode), self.plugins)
            except RecipeError:
                if mode == MODES[-1]:
                    raise
        raise AssertionError("there is no mode")

    def _candidates(self, table: _Table) -> pl.DataFrame:
        """As a run offers them: those that the student wrote with the answer told, to a policy that asks for them."""
        import polars as pl

        policy = self._policy()
        rows = candidates(table.attempts, table.round, None, policy.earlier_rounds)
        if table.told is None:
            return rows
        told = table.told if policy.hinted else table.told.filter(pl.col("source") == "teacher")
        told = told.with_columns(pass_rate=pl.lit(None, pl.Float64))
        more = candidates(told, table.round, None, policy.earlier_rounds).with_columns(hinted=pl.lit(True))
        return pl.concat([rows, more.join(rows, on=[*PLACE, "rationale_hash"], how="anti", maintain_order="left")])

    def _context(self, table: _Table) -> MixContext:
        questions = table.attempts if table.told is None else table.told
        return MixContext(table.round, STRATEGIES, table.attempts, seed=7, questions=lambda: toy_questions(questions))


@cache
def _recipe(mode: str) -> Recipe:
    return resolve(preset="pocket", changes={"strategies": list(STRATEGIES), "rollout.mode": mode})
