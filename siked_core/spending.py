"""What a run has spent: tokens and their price from the samples on disk, hours from the manifest.

Nothing is kept up beside those, so the figures are right after a kill, a resume or a repair, and nothing can be
counted twice. A pool that is as it was when it was counted is not counted again (`keep_counts`). A quote's pilot, whose
samples lie in `RUN/quote`, counts as well. What a fork took over from another run was paid for there. A row's source
says who is paid: the teacher, the student, or, of what a verifier was replied (`siked_core.stages.replies`), the
language model that it asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core.errors import RecipeError
from siked_core.files import content_of, write_text
from siked_core.hint import HINTED
from siked_core.keys import digest
from siked_core.manifest import read_manifest, recalled, remember, write_manifest
from siked_core.pool import SAMPLES, Pool, read_parquet
from siked_core.recipe import Recipe
from siked_core.recipe_choice import PluginChoice
from siked_core.recipe_spending import STUDENT, Price
from siked_core.store import place_of

if TYPE_CHECKING:
    import polars as pl

    from siked_core.run import Run

QUOTE = "quote"
"""The folder of a run in which a quote's pilot works; see `siked_core.pilot`."""
JUDGES = "judges"
"""Pools under this name, `judges/POOL`, hold what language models replied that were asked to judge a pool."""
TAKEN_OVER = "taken_over"
"""The manifest's entry for what a fork found in the run that it was made from: pool -> source -> counts."""
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Spent:
    """Samples, what they took, and the time that it took."""

    samples: int = 0
    tokens_in: int = 0
    """Of prompts."""
    tokens_out: int = 0
    """Of completions."""
    cost: float = 0.0
    """In the recipe's currency."""
    seconds: float = 0.0
    """Of work, on the wall clock."""

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.samples + other.samples,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.cost + other.cost,
            self.seconds + other.seconds,
        )


def priced_as(recipe: Recipe, source: str) -> str:
    """The name under which `prices.models` prices a source of samples."""
    if source != "teacher":
        return STUDENT if source == "student" else source
    return _named(recipe.teacher.generator)


def _named(generator: PluginChoice) -> str:
    """A generator's model, or else its name; of one that has another's work done elsewhere (`ray`), that one's."""
    if "model" in generator.options:
        return str(generator.options["model"])
    inner = generator.options.get("generator")
    if isinstance(inner, str) or (isinstance(inner, Mapping) and "name" in inner):
        return _named(PluginChoice.model_validate(inner))
    return generator.name


def judges(recipe: Recipe) -> list[str]:
    """The language models that the recipe's verifiers ask, known by the options that such a verifier has for its
    generator: `generator` and `generator_options`."""
    found = []
    for choice in recipe.verifiers.values():
        options = choice.options.get("generator_options")
        model = options.get("model") if isinstance(options, Mapping) else None
        found.append(model or choice.options.get("generator"))
    return [str(model) for model in dict.fromkeys(found) if model]


def price(recipe: Recipe, source: str) -> Price | None:
    """What a source's tokens cost; None is free."""
    return recipe.prices.models.get(priced_as(recipe, source))


def free(recipe: Recipe) -> list[str]:
    """Who is free, for want of a price."""
    return [priced_as(recipe, source) for source in _sources(recipe) if price(recipe, source) is None]


def is_priced(recipe: Recipe) -> bool:
    """Whether anyone has a price."""
    return len(free(recipe)) < len(_sources(recipe))


def _sources(recipe: Recipe) -> list[str]:
    return ["teacher", "student", *judges(recipe)]


def cost(recipe: Recipe, source: str, tokens_in: float, tokens_out: float) -> float:
    """What so many tokens cost, in the recipe's currency."""
    found = price(recipe, source)
    return (tokens_in * found.input + tokens_out * found.output) / MILLION if found else 0.0


def check_caps(recipe: Recipe) -> None:
    """A cap on the cost can be reached.

    Raises:
        RecipeError: nothing has a price.
    """
    names = free(recipe)
    if recipe.caps.cost is not None and not is_priced(recipe):
        neither = " nor ".join(f"'{name}'" for name in names)
        priced = ", ".join(sorted(recipe.prices.models)) or "none"
        raise RecipeError(
            f"caps.cost (--max-cost) caps nothing, for neither {neither} has a price. Give "
            f"one with prices.models, e.g. --set 'prices.models={{{names[0]}: {{input: 0.6, output: 0.8}}}}'; "
            f"priced: {priced}."
        )


def spent(run: Path, recipe: Recipe) -> Spent:
    """What a run has spent so far, altogether."""
    return sum(by_stage(run, recipe).values(), Spent())


def by_stage(run: Path, recipe: Recipe) -> dict[str, Spent]:
    """Stage -> what it has spent; what a quote's pilot did is under "quote: STAGE"."""
    found = dict(_stages(run, recipe))
    pilot = run / QUOTE
    if (pilot / "manifest.json").exists():
        found |= {f"{QUOTE}: {stage}": one for stage, one in _stages(pilot, recipe)}
    return found


def document(run: Path, recipe: Recipe) -> dict[str, Any]:
    """The same as plain values: what stands in `report.json` and in `siked runs --json`."""
    stages = by_stage(run, recipe)
    return {
        "currency": recipe.prices.currency,
        "free": free(recipe),
        "total": asdict(sum(stages.values(), Spent())),
        "stages": {stage: asdict(one) for stage, one in stages.items()},
    }


def written(run: Path, pool: str) -> pl.DataFrame:
    """A row for each completion in a pool that was paid for, with nothing but its counts. One that was drawn again
    under a higher token limit was paid for twice; one that was brought in from a file, elsewhere.

    Raises:
        RunError: a shard is damaged.
    """
    columns = ("key", "problem_id", "max_tokens", "requested", "source", "prompt_tokens", "completion_tokens")
    rows = Pool(place_of(run) / "pools" / pool, SAMPLES).scan(columns).collect()
    table = rows.unique(["key", "max_tokens"], keep="first", maintain_order=True)
    brought_in = run / "imports" / f"{pool}.parquet"
    return table.join(read_parquet(brought_in).select("key"), on="key", how="anti") if brought_in.exists() else table


def keep_changes(run: Run) -> None:
    """Store what a command may change in a run: prices and caps. For a fork, note what it took over."""
    manifest = run.manifest
    recipe = run.recipe.model_dump(mode="json")
    if manifest["recipe"] != recipe:
        manifest = {**manifest, "recipe": recipe}
        write_text(run.path / "recipe.yaml", run.recipe.to_yaml())
    taken = {} if run.resumed else {pool: _counts(run.path, pool, manifest) for pool in pools(run.path)}
    if taken and TAKEN_OVER not in manifest:
        manifest = {**manifest, TAKEN_OVER: taken}
    if manifest != run.manifest:
        write_manifest(run.path, manifest)


def _stages(run: Path, recipe: Recipe) -> Iterator[tuple[str, Spent]]:
    manifest = read_manifest(run)
    seconds = {stage: float(entry.get("seconds", 0.0)) for stage, entry in manifest["stages"].items()}
    tokens = {stage_of(pool): _pool_spent(run, pool, recipe, manifest) for pool in pools(run)}
    for stage in dict.fromkeys([*seconds, *tokens]):
        yield stage, tokens.get(stage, Spent()) + Spent(seconds=seconds.get(stage, 0.0))


def keep_counts(run: Run) -> None:
    """Count the samples of every pool, and keep that in the manifest, so that a pool to which nothing is added is
    counted once."""
    manifest = run.manifest
    for pool in pools(run.path):
        rests_on = _counted(run.path, pool)
        if recalled(manifest, f"count {pool}", rests_on) is None:
            remember(run.path, f"count {pool}", rests_on, _count(run.path, pool))


def _counted(run: Path, pool: str) -> str:
    """A digest of what is counted of a pool: its shards, by name and size, and which samples were brought in."""
    brought_in = run / "imports" / f"{pool}.parquet"
    return digest([(place_of(run) / "pools" / pool).sizes(), content_of(brought_in)])


def _pool_spent(run: Path, pool: str, recipe: Recipe, manifest: Mapping[str, Any]) -> Spent:
    total = Spent()
    taken = manifest.get(TAKEN_OVER, {})
    for source, counts in _counts(run, pool, manifest).items():
        before = taken.get(pool, {}).get(source, {"samples": 0, "tokens_in": 0, "tokens_out": 0})
        samples, inside, out = (max(0, counts[name] - before[name]) for name in ("samples", "tokens_in", "tokens_out"))
        total += Spent(samples, inside, out, cost(recipe, source, inside, out))
    return total


def _counts(run: Path, pool: str, manifest: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    known = recalled(manifest, f"count {pool}", _counted(run, pool))
    return _count(run, pool) if known is None else known


def _count(run: Path, pool: str) -> dict[str, dict[str, int]]:
    import polars as pl

    table = written(run, pool).group_by("source", maintain_order=True)
    sums = table.agg(
        pl.len(), pl.col("prompt_tokens").cast(pl.Int64).sum(), pl.col("completion_tokens").cast(pl.Int64).sum()
    )
    return {
        source: {"samples": samples, "tokens_in": inside, "tokens_out": out}
        for source, samples, inside, out in sums.iter_rows()
    }


def pools(run: Path) -> list[str]:
    """The names of a run's pools."""
    names = (place_of(run) / "pools").names()
    return sorted({name.rpartition("/")[0] for name in names if name.endswith(".parquet")})


def stage_of(pool: str) -> str:
    """The stage that fills a pool, as the manifest names it."""
    if pool == "teacher":
        return "teach"
    kind, _, rest = pool.partition("/")
    if kind == JUDGES:
        return f"verify {rest}"
    if kind == HINTED:
        return f"rationalise {rest}"
    if kind != "evaluations":
        return f"rollout {pool}"
    student, _, split = rest.partition("/")
    return f"evaluate {student} on {' '.join(split.rsplit('-', 1))}"
