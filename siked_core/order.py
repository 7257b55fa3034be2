"""The order in which training takes its rows: decided by the seed and the epoch alone.

Rows of like length stand together, so that there is little padding. transformers' own sampler for that is not used, for
two reasons. It draws its order from torch's global stream, so a training that is resumed in the middle of an epoch
goes on with another order than it had begun; here an epoch's order is the same however often it is begun. And it goes
from long rows to short ones, again and again: a student then learns the tags of the strategies with short rationales
last, and chooses them. Here the groups of like length follow one another at random.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from siked_core.keys import digest, seed_of

STRETCH = 50
"""Groups among whose rows those of like length are put together."""


def in_order(trainer: type[Any], lengths: Sequence[int], group: int, seed: int) -> type[Any]:
    """A trainer that takes rows in this order.

    Args:
        trainer: a `transformers.Trainer` class.
        lengths: tokens of each row.
        group: rows of an optimiser step, which are to be of like length.
    """
    from torch import Generator, randperm
    from torch.utils.data import Sampler

    class EpochOrder(Sampler):  # type: ignore[misc]
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __len__(self) -> int:
            return len(lengths)

        def __iter__(self) -> Iterator[int]:
            generator = Generator()
            generator.manual_seed(seed_of(digest([seed, self.epoch])))
            drawn = randperm(len(lengths), generator=generator).tolist()
            stretch = STRETCH * group
            near = [row for start in range(0, len(drawn), stretch)
                    for row in sorted(drawn[start : start + stretch], key=lengths.__getitem__)]  # fmt: skip
            whole = len(near) // group
            order = [*randperm(whole, generator=generator).tolist(), whole]  # what is no whole group comes last
            return iter(row for place in order for row in near[place * group : (place + 1) * group])

    class Ordered(trainer):  # type: ignore[misc]
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return EpochOrder()

    return Ordered
