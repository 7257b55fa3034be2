"""EDIT: learning from what tells a right rationale from a wrong one (Dai et al. 2024, arXiv 2405.19737).

A right and a wrong rationale of the same problem are aligned token by token by their edits; only the tokens that differ
carry loss: the right one's with weight +1, the wrong one's with -0.025, which makes them less likely.

Departures: the pairs are those that the run has (the paper has a teacher write them, alike but for a slip). Of the
wrong, readable samples of a row's problem and strategy, the teacher's and the student's, that one is taken that is most
like the right rationale. The alignment is `difflib`'s longest matching blocks. A row without such a partner, or that
has no token of its own beside the partner's, is a plain row: all of its target has the weight 1, as in `sft`; so have
the strategy's tag and the end of the turn, which say what is chosen and where it ends, of no pair's row (`others`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from pydantic import Field

from siked_core import Objective, ObjectiveContext, Options, TrainingExample, TrainingRow, hookimpl
from siked_plugins.objectives.layout import layout_of, tag_of
from siked_plugins.objectives.wrong import Rationales, wrong_rationales


class EditOptions(Options):
    right: float = Field(1.0, ge=0, description="weight of the right rationale's tokens that differ")
    wrong: float = Field(-0.025, le=0, description="weight of the wrong rationale's tokens that differ")
    others: float = Field(0.0, ge=0, description="weight of all other tokens of a right row's target")
    candidates: int = Field(8, ge=1, description="wrong samples of a problem and strategy that are compared")


class Edit(Objective):
    """EDIT: the loss is on the tokens by which right and wrong rationales of one problem differ."""

    name = "edit"
    options_type = EditOptions

    @property
    def reads_samples(self) -> bool:
        return True

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """An example per row, in order; behind all of them, one for each wrong partner that has tokens of its own."""
        return self._made(rows, context, wrong_rationales(context.samples()))

    def shown(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """Plain rows: only a run's samples tell what they would be paired with."""
        return self._made(rows, context, {})

    def _made(self, rows: Sequence[TrainingRow], context: ObjectiveContext, wrong: Rationales) -> list[TrainingExample]:
        right, partners = [], []
        with context.stage("edit: pair", len(rows), "rows") as progress:
            for row in rows:
                plain = context.tokenize(row)
                problem = row.problem.id if row.problem is not None else ""
                pair = self._pair(row, plain, wrong.get((problem, row.strategy), []), context)
                right.append(pair[0])
                partners += pair[1:]
                progress.advance()
            progress.finish(f"{len(partners):,} of {len(rows):,} rows have a wrong partner")
        return right + partners

    def _pair(
        self, row: TrainingRow, plain: TrainingExample, wrong: Sequence[str], context: ObjectiveContext
    ) -> list[TrainingExample]:
        """The row's example, and its partner's."""
        best: tuple[float, TrainingExample, list[int], list[int]] | None = None
        if not wrong:
            return [_weighed(plain, {}, row.weight)]
        mine = layout_of(row, plain, context.tokenizer)
        for text in wrong[: self.options.candidates]:
            other_row = replace(row, target=tag_of(row) + text, rationale=text)
            other = context.tokenize(other_row)
            theirs = layout_of(other_row, other, context.tokenizer)
            if len(other.input_ids) > context.max_length:
                continue
            ours, its = plain.input_ids[mine.start : mine.end], other.input_ids[theirs.start : theirs.end]
            matcher = SequenceMatcher(None, ours, its, autojunk=False)
            if best is None or matcher.ratio() > best[0]:
                only_right, only_wrong = differing(ours, its)
                places = [mine.start + at for at in only_right], [theirs.start + at for at in only_wrong]
                best = (matcher.ratio(), other, *places)
        if best is None or not best[2]:
            return [_weighed(plain, {}, row.weight)]
        _, other, at_right, at_wrong = best
        weights = dict.fromkeys(at_right, self.options.right * row.weight)
        pair = [_weighed(plain, weights, self.options.others * row.weight)]
        if at_wrong and self.options.wrong:
            pair.append(_weighed(other, dict.fromkeys(at_wrong, self.options.wrong * row.weight), 0.0))
        return pair


def differing(right: Sequence[int], wrong: Sequence[int]) -> tuple[list[int], list[int]]:
    """The places of the tokens that are in no matching block: the right rationale's, and the wrong one's."""
    only_right: list[int] = []
    only_wrong: list[int] = []
    for kind, begin, end, other_begin, other_end in SequenceMatcher(None, right, wrong, autojunk=False).get_opcodes():
        if kind != "equal":
            only_right += range(begin, end)
            only_wrong += range(other_begin, other_end)
    return only_right, only_wrong


def _weighed(example: TrainingExample, weights: dict[int, float], others: float) -> TrainingExample:
    """The example with these weights at these places and `others` at the rest. What weighs nothing has no label, so
    that it does not count among the tokens that are learnt."""
    every = tuple(weights.get(place, others) for place in range(len(example.labels)))
    if all(math.isclose(weight, 1.0) for weight in every):
        return example
    labels = tuple(label if weight else -100 for label, weight in zip(example.labels, every, strict=True))
    return replace(example, labels=labels, weights=every)


@hookimpl
def siked_objectives() -> list[type[Objective]]:
    return [Edit]
