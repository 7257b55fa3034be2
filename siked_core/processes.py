"""The processes that train together, as each of them sees the others: torch's process group, where there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def count() -> int:
    """How many train together."""
    import torch.distributed as group

    return group.get_world_size() if group.is_available() and group.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the one that reports, and writes what is written once."""
    import torch.distributed as group

    return count() == 1 or group.get_rank() == 0


def of_first(find: Callable[[], T]) -> T:
    """What the first process finds, in each of them. What the first one raises, it raises alone.

    Every process must call this at the same place.
    """
    import torch.distributed as group

    if count() == 1:
        return find()
    found: list[Any] = [find() if is_first() else None]
    group.broadcast_object_list(found, src=0)
    return found[0]  # type: ignore[no-any-return]


def wait_for_all() -> None:
    """Go on when every process has come here."""
    import torch.distributed as group

    if count() > 1:
        group.barrier()


def end() -> None:
    """Leave the group."""
    import torch.distributed as group

    if count() > 1:
        group.destroy_process_group()
