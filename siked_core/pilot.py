"""A small copy of a run, on some of its problems: what a quote measures.

It works in `RUN/quote` and takes the same stages as the run does. The teacher's samples and their verdicts go into the
run's own pool: a sample's key knows nothing of how many problems there are, so the run finds them there and does not
pay for them again. Everything that comes from the pilot's student, which is not the run's, stays in the pilot's folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from siked_core.hint import hinted
from siked_core.manifest import FORMAT, read_manifest, write_manifest
from siked_core.pool import Pool
from siked_core.recipe import Recipe
from siked_core.recipe_storage import StorageRecipe
from siked_core.reporting import Reporter
from siked_core.run import Run
from siked_core.spending import JUDGES, QUOTE

SHARED = tuple(pool for one in ("teacher", hinted("teacher")) for pool in (one, f"{JUDGES}/{one}"))
"""The pools that a pilot fills for its run."""


@dataclass
class Pilot(Run):
    """A run on a few problems of another one."""

    parent: Run = field(kw_only=True)

    def pool(self, name: str) -> Pool:
        return self.parent.pool(name) if name in SHARED else super().pool(name)

    def verdicts(self, name: str) -> Pool:
        return self.parent.verdicts(name) if name in SHARED else super().verdicts(name)


def open_pilot(run: Run, problems: int, reporter: Reporter) -> Pilot:
    """The pilot of a run, on so many of its problems.

    They are chosen as `data.limit` chooses them: the pilot's are among the run's.
    """
    pilot = Pilot(run.path / QUOTE, _small(run.recipe, problems), run.registry, reporter, parent=run)
    earlier = read_manifest(pilot.path, missing_ok=True)
    recipe = pilot.recipe.model_dump(mode="json")
    if earlier.get("recipe") != recipe:
        stages = earlier.get("stages", {})
        write_manifest(pilot.path, {"format": FORMAT, "finished": False, "recipe": recipe, "stages": stages})
    return pilot


def _small(recipe: Recipe, problems: int) -> Recipe:
    data = recipe.data

    def fewer(limit: int | None) -> int:
        return min(problems, limit or problems)

    changes = {"limit": fewer(data.limit), "validation_limit": fewer(data.validation_limit)}
    return recipe.model_copy(
        update={
            "data": data.model_copy(update=changes),
            "storage": StorageRecipe(),  # what is the pilot's own is in its folder
            "training": recipe.training.model_copy(update={"tokens_per_round": None}),
            "rollout": recipe.rollout.model_copy(  # they are too few to be dealt
                update={"problems": "all", "problems_per_round": None, "warm_up_problems": None}
            ),
        }
    )
