"""The order in which training takes its rows: decided by the seed and the epoch alone.

Rows of like length stand together, so that there is little padding. transformers' own sampler for that is not used, for
two reasons. It draws its order from torch's global stream, so a training that is resumed in the middle of an epoch
goes on with another order than it had begun; here an epoch's order is the same however often it is begun. And it goes
from long rows to short ones, again and again: a student then learns the tags of the strategies with short rationales
last, and chooses them. Here the groups of like length follow one another at random.

Of several processes each takes its share of the very same groups: the batches of the order are dealt in turn
(accelerate's `BatchSamplerShard`). Where the last ones of an epoch do not go round, accelerate would train again on the
epoch's first rows; here an epoch is filled up with rows that hold nothing and have no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from siked_core.keys import digest, seed_of

STRETCH = 6
"""Groups among whose rows those of like length are put together. Of many, a group of few rows is nearly of one
strategy and one kind of problem, from which a student learns less; with 6 it learnt as from a random order, and there
is little more padding (docs/performance.md)."""


@dataclass(frozen=True)
class Order:
    """The order of a training's rows, epoch by epoch.

    Args:
        lengths: tokens of each row.
        group: rows of an optimiser step, which are to be of like length.
        seed: decides the order, with the epoch.
        at_once: rows of one batch of every process: an epoch is filled up to whole ones. 1 where there is one process,
            whose last batch may be shorter.
    """

    lengths: Sequence[int]
    group: int
    seed: int
    at_once: int = 1

    @property
    def missing(self) -> int:
        """So many rows fill an epoch up."""
        return -len(self.lengths) % self.at_once

    @property
    def steps(self) -> int:
        """Optimiser steps of an epoch."""
        return -(-len(self.lengths) // self.group)

    def of_epoch(self, epoch: int) -> list[int]:
        """The places of the rows in this epoch, each once, without what fills it up."""
        from torch import Generator, randperm

        generator = Generator()
        generator.manual_seed(seed_of(digest([self.seed, epoch])))
        drawn = randperm(len(self.lengths), generator=generator).tolist()
        stretch = STRETCH * self.group
        near = [row for start in range(0, len(drawn), stretch)
                for row in sorted(drawn[start : start + stretch], key=self.lengths.__getitem__)]  # fmt: skip
        whole = len(near) // self.group
        order = [*randperm(whole, generator=generator).tolist(), whole]  # what is no whole group comes last
        return [row for place in order for row in near[place * self.group : (place + 1) * self.group]]

    def tokens(self, steps: int) -> int:
        """Tokens of all rows that so many optimiser steps have taken."""
        epochs, more = divmod(steps, self.steps)
        rest = self.of_epoch(epochs)[: more * self.group] if more else []
        return epochs * sum(self.lengths) + sum(self.lengths[row] for row in rest)


def in_order(trainer: type[Any], order: Order) -> type[Any]:
    """A trainer that takes rows in this order, and to fill an epoch up the row that comes after them.

    Args:
        trainer: a `transformers.Trainer` class.
    """
    from torch.utils.data import Sampler

    class EpochOrder(Sampler):  # type: ignore[misc]
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(order.lengths) + order.missing

        def __iter__(self) -> Iterator[int]:
            return iter([*order.of_epoch(self.epoch), *[len(order.lengths)] * order.missing])

    class Ordered(trainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return EpochOrder()

    return Ordered
