"""Keys and values of a batch, with room for those to come: plain layers of a `transformers` cache.

transformers' own layer copies all that it holds for every token that is written, and again whenever a row ends. Here a
token is put into its place, and a row that ends has its place taken by the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

ROOM = 64
"""Tokens that room is made for at once."""


def spread(cache: Any, index: Any) -> None:
    """Have a cache hold its rows at these places, (B,), in this order, and make room in its plain layers.

    Layers of another kind (sliding windows, recurrences) keep their own ways.
    """
    from transformers.cache_utils import DynamicLayer

    for place, layer in enumerate(cache.layers):
        if type(layer) is DynamicLayer and layer.is_initialized:
            own = index.to(layer.keys.device)  # a model may be spread over several
            cache.layers[place] = _layer()(layer.keys[own], layer.values[own])
        else:
            layer.batch_select_indices(index)


def without(ended: Sequence[int], rows: int) -> list[int]:
    """The places that stay when rows end, those at the end of the batch in the places of those that ended.

    >>> without([1, 2], rows=6)
    [0, 5, 4, 3]
    """
    kept = list(range(rows))
    for place in sorted(ended, reverse=True):
        kept[place] = kept[-1]
        kept.pop()
    return kept


def keep(cache: Any, kept: Sequence[int], device: Any) -> None:
    """Have a cache hold these rows alone, as `without` orders them."""
    import torch

    moves = [(to, source) for to, source in enumerate(kept) if to != source]
    to, source = torch.tensor(moves, dtype=torch.long).reshape(-1, 2).unbind(1)
    index = torch.tensor(kept, device=device)
    for layer in cache.layers:
        if isinstance(layer, _layer()):
            layer.move(to, source, len(kept))
        else:
            layer.batch_select_indices(index)


@lru_cache
def _layer() -> Any:
    from transformers.cache_utils import DynamicLayer

    class Roomy(DynamicLayer):  # type: ignore[misc]
        """`keys` and `values`, each (B, H, T, D), are views of what is filled of two larger tensors."""

        def __init__(self, keys: Any, values: Any) -> None:
            super().__init__()
            self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
            self.keys, self.values, self._whole = keys, values, (keys, values)

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            rows, _, filled, _ = self.keys.shape
            columns = filled + key_states.shape[-2]
            if columns > self._whole[0].shape[-2]:
                self._whole = _with_room(self.keys, columns + ROOM), _with_room(self.values, columns + ROOM)
            self.keys, self.values = (whole[:rows, :, :columns] for whole in self._whole)
            self.keys[:, :, filled:] = key_states
            self.values[:, :, filled:] = value_states
            return self.keys, self.values

        def move(self, to: Any, source: Any, rows: int) -> None:
            for held in (self.keys, self.values):
                held[to] = held[source]
            self.keys, self.values = self.keys[:rows], self.values[:rows]

    return Roomy


def _with_room(held: Any, columns: int) -> Any:
    rows, heads, filled, size = held.shape
    whole = held.new_empty((rows, heads, columns, size))
    whole[:, :, :filled] = held
    return whole
