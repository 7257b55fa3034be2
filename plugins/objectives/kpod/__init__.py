"""KPOD: keypoint-based progressive chain-of-thought distillation (Feng et al. 2024, ICML, arXiv 2405.16064).

Before a student is trained, three things are computed from the mixture and the student as it then is: how much each
token of a rationale matters for the answer (`weigher`), how hard each step is for the student (`difficulty`), and
which leading steps of which rationale are given rather than learnt in which epoch (`schedule`). The loss of stage t is
-sum_i sum_{j >= start of step c_i(t) + 1} w_j log P(r_j | r_<j, x), w the raw weight, plus the answer's.

Departures: the paper has chains of thought and a stated answer. Here every strategy takes part: a program or a system
of equations is split by lines and states no answer, so all of it is rationale, and all of its tokens weigh 1. What is
not in a step (the strategy's tag, which is the choice among strategies; a stated answer; the end of the turn) has
weight 1 in every epoch. The weights do not make up for the tokens that are given: as in the paper, early epochs have
less loss. In a later round of siked all is computed anew, from that round's mixture and the student that it starts
from. One epoch has no schedule.
The modules say what else the paper leaves open, and what is done there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from siked_core import Objective, ObjectiveContext, Options, TrainingExample, TrainingRow, hookimpl

if TYPE_CHECKING:
    from siked_plugins.objectives.kpod import store


class KpodOptions(Options):
    mask_loss: float = Field(0.5, ge=0, description="what L_m, the number of tokens that are kept, counts in the loss")
    start_share: float = Field(0.3, ge=0, le=1, description="C0 / B: the difficulty that is learnt from the start")
    power: float = Field(0.5, ge=0, description="p: how the budget of difficulty grows")
    stages: float = Field(0.5, gt=0, le=1, description="T / epochs: from then on whole rationales are learnt")
    diversity: float = Field(12.0, ge=0, description="beta: what the spread over clusters of questions counts")
    clusters: int = Field(5, ge=1, description="clusters of questions")
    width: int = Field(64, ge=4, multiple_of=4, description="of the token-weight module (not published)")
    updates: int = Field(400, ge=0, description="of the token-weight module (not published)")
    batch: int = Field(16, ge=1, description="rationales in such an update (not published)")
    learning_rate: float = Field(2e-3, gt=0, description="of the token-weight module (not published)")
    temperature: float = Field(1.0, gt=0, description="of its Gumbel-softmax (not published)")
    warm_up: float = Field(
        0.75, ge=0, le=1, description="share of its updates that train the predictor (not published)"
    )
    by_line: tuple[str, ...] = Field(("pot", "eot"), description="strategies whose steps are lines, not sentences")


class KeypointProgressive(Objective):
    """KPOD: tokens weigh what they matter for the answer, and steps are learnt from the last to the first."""

    name = "kpod"
    options_type = KpodOptions

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """One example per row, in order, with weights for every epoch; plain where a rationale has no step or the row
        is longer than `context.max_length` (it is left out anyway)."""
        from siked_plugins.objectives.kpod import store

        plain = [context.tokenize(row) for row in rows]
        part = [
            place
            for place, row in enumerate(rows)
            if row.rationale and row.problem is not None and len(plain[place].input_ids) <= context.max_length
        ]
        found = store.read(context.folder)
        if not all(store.mark_of(rows[place]) in found for place in part):
            found = self._compute([rows[place] for place in part], [plain[place] for place in part], context)
        return [_weighted(row, one, found.get(store.mark_of(row))) for row, one in zip(rows, plain, strict=True)]

    def shown(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """With the weights that were computed for a training; the plain row where it had no such row."""
        from siked_plugins.objectives.kpod import store

        found = store.read(context.folder)
        return [_weighted(row, context.tokenize(row), found.get(store.mark_of(row))) for row in rows]

    def draw(self, folder: Path, file: Path) -> None:
        """The budget and what is learnt of it, epoch by epoch, and the weights of some rationales."""
        from siked_plugins.objectives.kpod.picture import draw

        draw(folder, file)

    def _compute(
        self, rows: Sequence[TrainingRow], plain: Sequence[TrainingExample], context: ObjectiveContext
    ) -> dict[str, store.Planned]:
        from siked_plugins.objectives.kpod import store
        from siked_plugins.objectives.kpod.plan import plan

        table, summary = plan(rows, plain, self.options, context)
        if context.folder is not None:
            store.write(context.folder, table, summary)
        return store.planned(store.framed(table))


def _weighted(row: TrainingRow, example: TrainingExample, planned: store.Planned | None) -> TrainingExample:
    """The example with the weights of every epoch, each (T,)."""
    before = (row.weight,) * len(example.input_ids)
    if planned is None or not planned.step:
        return example if row.weight == 1.0 else replace(example, weights=before)
    end = planned.start + len(planned.step)
    epochs: list[tuple[float, ...]] = []
    for given in planned.given:
        tokens = zip(planned.step, planned.weight, strict=True)
        learnt = tuple(0.0 if step < given else weight * row.weight for step, weight in tokens)
        epochs.append((*before[: planned.start], *learnt, *before[end:]))
    while len(epochs) > 1 and epochs[-1] == epochs[-2]:
        epochs.pop()
    return replace(example, epoch_weights=tuple(epochs)) if len(epochs) > 1 else replace(example, weights=epochs[0])


@hookimpl
def siked_objectives() -> list[type[Objective]]:
    return [KeypointProgressive]
