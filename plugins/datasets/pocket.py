"""The pocket world's problems: drawn, not read, so they need no file and no network.

A problem follows from (seed, split, index); a question's own text decides its split, so the splits are disjoint
whatever the seeds and sizes. `siked_plugins.pocket.world` has the families.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import ClassVar

from pydantic import Field, field_validator

from siked_core import DataError, Dataset, Loaded, Options, hookimpl
from siked_plugins.pocket.sketch import Difficulty
from siked_plugins.pocket.world import FAMILIES, SPLITS, problems


class PocketOptions(Options):
    seed: int = Field(1, description="another seed gives other problems")
    train: int = Field(400, ge=1, description="training problems")
    validation: int = Field(200, ge=1, description="validation problems")
    test: int = Field(300, ge=1, description="test problems")
    difficulty: Difficulty = Field(Difficulty.MEDIUM, description="easy, medium or hard")
    families: tuple[str, ...] = Field(tuple(FAMILIES), min_length=1, description="which kinds of problems, in turn")

    @field_validator("families")
    @classmethod
    def _known(cls, families: tuple[str, ...]) -> tuple[str, ...]:
        for family in families:
            if family not in FAMILIES:
                raise ValueError(f"there is no family '{family}' (there are: {', '.join(FAMILIES)})")
        if len(set(families)) < len(families):
            raise ValueError("a family is named twice")
        return families


class PocketWorld(Dataset):
    """Word problems of many families, drawn by seed, each with a worked solution; needs no file and no network."""

    name = "pocket"
    licence = "apache-2.0"
    options_type: ClassVar[type[Options]] = PocketOptions

    def splits(self) -> tuple[str, ...]:
        return SPLITS

    def load(self, split: str, limit: int | None = None) -> Loaded:
        """Draw a split.

        Raises:
            DataError: there is no such split.
        """
        sizes: Mapping[str, int] = {name: getattr(self.options, name) for name in SPLITS}
        for name in SPLITS:
            if name == split:
                size = sizes[name] if limit is None else min(limit, sizes[name])
                drawn = problems(self.options.seed, name, self.options.families, self.options.difficulty)
                return Loaded(tuple(islice(drawn, size)))
        raise DataError(f"The data set 'pocket' has no split '{split}'. It has {', '.join(SPLITS)}.")


@hookimpl
def siked_datasets() -> list[type[Dataset]]:
    return [PocketWorld]
