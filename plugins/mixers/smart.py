"""The first choice, corrected where it fails, after SMART (Liu et al. 2024, arXiv 2410.16128).

SMART has a model try a strategy and, where that fails, another one; a strategy that succeeds then is taught as the
first choice for that question. A student's target here begins with the strategy's tag, so a row of the strategy that
succeeded is itself such a relabelled example: question -> this strategy, at once.

For each question, the first choice is the strategy of the student's first free sample of the round. Where that
sample is right, the student's rows of that strategy are taken. Where it is wrong, or named no strategy, those of
another strategy that succeeded are: the one with the highest pass rate, then the one that was right first, then the
recipe's order. Where only further samples under the first choice succeeded, their rows are. A question that the student
does not solve at all has the teacher's rows, unless `teacher` is false; SMART has no teacher after its warm-up.

Departures: supervised fine-tuning on the successes instead of a policy gradient, and the better of several retries
rather than a sampled one. Retries are free samples after the first, and forced ones: `rollout.mode: both` tries every
strategy on every question; with `free` a retry is whatever else the student happened to choose; `forced` knows no first
choice and is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from siked_core import MixContext, MixingPolicy, Options, RecipeError, Status, hookimpl

if TYPE_CHECKING:
    import polars as pl


class SmartOptions(Options):
    teacher: bool = Field(True, description="take the teacher's rows of questions that the student does not solve")


class Smart(MixingPolicy):
    """The student's first choice where it succeeds, else the strategy that did (SMART); needs free samples."""

    name = "smart"
    options_type: ClassVar[type[Options]] = SmartOptions

    def check_recipe(self, strategies: Sequence[str], mode: str) -> None:
        if mode == "forced":
            raise RecipeError(
                "The mixing policy 'smart' corrects the strategy that the student chooses by itself, and with "
                "rollout.mode=forced it never chooses. Use both (free samples, and every strategy as a retry) or free."
            )

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        """The student's rows of each question's one strategy, then the teacher's of unsolved questions."""
        import polars as pl

        student = candidates.filter(pl.col("source") == "student")
        teacher = candidates.filter(pl.col("source") == "teacher")
        if context.round == 0:
            return teacher
        first = first_choices(context)
        succeeded = first.filter(pl.col("status") == Status.CORRECT.value).select("problem_id", "strategy")
        failed = student.join(succeeded, on="problem_id", how="anti", maintain_order="left")
        kept = student.join(succeeded, on=["problem_id", "strategy"], how="semi", maintain_order="left")
        retried = failed.join(_best_retry(failed, first, context.strategies), on=["problem_id", "strategy"], how="semi",
                              maintain_order="left")  # fmt: skip
        unsolved = teacher.join(student, on="problem_id", how="anti", maintain_order="left")
        return pl.concat([kept, retried, *([unsolved] if self.options.teacher else [])])


def first_choices(context: MixContext) -> pl.DataFrame:
    """Each question's first free sample of this round: `problem_id`, `strategy` (null: it named none), `status`."""
    import polars as pl

    free = context.attempts.filter(
        (pl.col("source") == "student") & (pl.col("round") == context.round) & pl.col("requested").is_null()
    )
    first = free.sort("draw", "key").unique("problem_id", keep="first", maintain_order=True)
    return first.select("problem_id", "strategy", "status")


def _best_retry(failed: pl.DataFrame, first: pl.DataFrame, strategies: Sequence[str]) -> pl.DataFrame:
    """One strategy for each question whose first choice failed: `problem_id`, `strategy`."""
    import polars as pl

    places = {name: place for place, name in enumerate(strategies)}
    place = pl.col("strategy").cast(pl.String).replace_strict(places, return_dtype=pl.Int32)
    choices = first.select("problem_id", chosen=pl.col("strategy").cast(pl.String))
    retries = failed.join(choices, on="problem_id", how="left", maintain_order="left")
    again = (pl.col("strategy").cast(pl.String) == pl.col("chosen")).fill_null(False)
    order = retries.sort(again, -pl.col("pass_rate"), "draw", place)
    return order.unique("problem_id", keep="first", maintain_order=True).select("problem_id", "strategy")


@hookimpl
def siked_mixing_policies() -> list[type[MixingPolicy]]:
    return [Smart]
