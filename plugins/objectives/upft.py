"""UPFT: unsupervised prefix fine-tuning (Ji et al. 2025, arXiv 2503.02875).

The student is trained on the first t tokens of one sample of each question that nothing has filtered: where solutions
begin, right and wrong ones agree.

Departures: the questions and strategies are those of the mixture, so one that no sample solves has no row. With
`unfiltered`, the text of a row is replaced by the first sample that its source drew of that problem and strategy in
that round, whatever its verdict; without, it is the verified one. The prefix comes after the strategy's tag, and has no
end of turn unless it is the whole text. `whole` keeps some rows whole, so that a student that has never ended an answer
learns to; t is not known to us for small students, so it has to be given.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from siked_core import Objective, ObjectiveContext, Options, TrainingExample, TrainingRow, hookimpl
from siked_plugins.objectives.layout import layout_of, tag_of

if TYPE_CHECKING:
    import polars as pl


class UpftOptions(Options):
    tokens: int = Field(ge=1, description="t: so many tokens of a rationale are learnt")
    unfiltered: bool = Field(True, description="the first sample of a problem and strategy, whatever its verdict")
    whole: float = Field(0.0, ge=0, le=1, description="share of the rows that are learnt to their end")


class PrefixFineTuning(Objective):
    """UPFT: the loss is on the first tokens of a sample that nothing has filtered."""

    name = "upft"
    options_type = UpftOptions

    @property
    def reads_samples(self) -> bool:
        return bool(self.options.unfiltered)

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """One example per row, in order."""
        texts = _first_texts(context.samples()) if self.options.unfiltered else {}
        return [self._cut(_replaced(row, texts.get(row.key)), context) for row in rows]

    def shown(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """Of the verified text: only a run's samples tell which is the first."""
        return [self._cut(row, context) for row in rows]

    def _cut(self, row: TrainingRow, context: ObjectiveContext) -> TrainingExample:
        example: TrainingExample = context.tokenize(row)
        length = len(example.input_ids)
        if random.Random(f"{context.seed} {row.key} {row.target}").random() >= self.options.whole:
            layout = layout_of(row, example, context.tokenizer)
            if layout.start + self.options.tokens < layout.end:
                length = layout.start + self.options.tokens
        weights = () if row.weight == 1.0 else (row.weight,) * length
        return replace(example, input_ids=example.input_ids[:length], labels=example.labels[:length], weights=weights)


def _replaced(row: TrainingRow, text: str | None) -> TrainingRow:
    """The row with another text behind its tag."""
    if text is None or not text.strip():
        return row
    tag = tag_of(row)
    written = text.lstrip()
    if tag.strip() and written.startswith(tag.strip()):  # the student wrote its own tag
        written = written[len(tag.strip()) :].lstrip("\r\n")
    return replace(row, target=tag + written, rationale=written) if written.strip() else row


def _first_texts(samples: pl.DataFrame) -> dict[str, str]:
    """Sample -> the text of the first one of its problem, strategy, source and round: as its strategy reads it, or as
    it was written where it cannot be read."""
    import polars as pl

    cell = ["problem_id", "strategy", "source", "round"]
    known = samples.filter(pl.col("strategy").is_not_null()).sort("draw", "key")
    first = known.unique(cell, keep="first", maintain_order=True).select(*cell, first=pl.coalesce("rationale", "text"))
    return dict(known.join(first, on=cell, how="left").select("key", "first").iter_rows())


@hookimpl
def siked_objectives() -> list[type[Objective]]:
    return [PrefixFineTuning]
