"""Filling a pool: what teaching, rollouts and evaluation share.

A sample that the pool already has is not drawn again, unless it was cut off at a lower limit of tokens than now holds.
The chunks are cut over all samples that are wanted, so a run that was interrupted cuts them in the same places as one
that was not. Where an error or an interruption ends a chunk early, the completions that it had are kept. A chunk is not
begun where it could take the run past one of its caps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from siked_core.contracts import Generator, Request, Strategy
from siked_core.errors import PluginError, RunError
from siked_core.format import StudentFormat
from siked_core.imported import with_imported
from siked_core.keys import sample_key, seed_of
from siked_core.meter import Meter, prompt_limit
from siked_core.pool import read_parquet, write_parquet
from siked_core.records import Completion, Problem, Prompt, Sampling, Source
from siked_core.run import Run
from siked_core.stages.turns import MOST_TURNS, Turns, answered, turns_of
from siked_core.stand_ins import OPENING

if TYPE_CHECKING:
    import polars as pl


EVALUATIONS = "evaluations"
"""Pools under this name hold evaluations: `evaluations/STUDENT/DATASET-SPLIT`."""


def is_evaluation(pool: str) -> bool:
    """Whether a pool's verdicts score a student."""
    return pool.startswith(f"{EVALUATIONS}/")


def split_of(run: Run, pool: str) -> tuple[str, str]:
    """The data set and split whose questions a pool answers."""
    if not is_evaluation(pool):
        return run.recipe.dataset.name, "train"
    dataset, _, split = pool.rpartition("/")[2].rpartition("-")
    return dataset, split


Cell = tuple[str, str | None]
"""A problem's id, and the strategy that is asked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A sample that a stage wants to have."""

    problem: Problem
    strategy: Strategy | None
    prompt: Prompt
    draw: int
    turns: Turns | None = None
    """What is asked after the first prompt; None: nothing."""

    @property
    def cell(self) -> Cell:
        """What it is a sample of."""
        return self.problem.id, self.strategy.name if self.strategy else None


def teacher_wants(run: Run, generator: Generator, problems: Sequence[Problem], samples: int) -> list[Wanted]:
    """What is asked of a teacher: each problem under each strategy of the run, so many times. One that writes from a
    solution writes it down in one turn."""
    return [
        Wanted(problem, strategy, prompt, draw, turns)
        for strategy in run.strategies.values()
        for problem in problems
        for prompt in [strategy.teacher_prompt(problem)]
        for turns in [turns_of(strategy, problem, generator, run.recipe.reasoning)]
        for draw in range(samples)
    ]


def student_wants(
    format: StudentFormat,
    strategies: Sequence[Strategy | None],
    problems: Sequence[Problem],
    samples: int,
) -> list[Wanted]:
    """What is asked of a student: each problem under each strategy (None: it chooses), so many times."""
    return [
        Wanted(
            problem,
            strategy,
            format.prompt(strategy.student_question(problem), strategy.name)
            if strategy
            else format.prompt(problem.question),
            draw,
        )
        for strategy in strategies
        for problem in problems
        for draw in range(samples)
    ]


def draw(
    run: Run,
    pool: str,
    wanted: Sequence[Wanted],
    *,
    stage: str,
    generator: Generator,
    sampling: Sampling,
    source: Source,
    round: int,
) -> None:
    """Draw the samples that a pool lacks, a shard for each batch. The generator is left open.

    Args:
        stage: what the run's manifest and whoever watches know it by.
        round: written into the rows.

    Raises:
        CapReached: the next chunk might take the run past one of its caps. What was drawn is in the pool.
    """
    import polars as pl

    with run.timed(stage) as notes, run.reporter.stage(stage, len(wanted), "samples") as progress:
        keys = [key_of(run, item, sampling, generator) for item in wanted]
        present = run.pool(pool).settled(sampling.max_tokens)
        meter = Meter(run, stage)
        drawn = 0
        for start in range(0, len(wanted), generator.chunk_size):
            chunk = range(start, min(start + generator.chunk_size, len(wanted)))
            missing = [i for i in chunk if keys[i] not in present]
            if missing:
                if not drawn:
                    meter.learn(pool)
                _stay_below_caps(meter, [wanted[i] for i in missing], sampling, source, stage)
                if not drawn:
                    generator.open()
            progress.advance(len(chunk) - len(missing))
            requests = [_request(wanted[i], keys[i]) for i in chunk] if missing else []
            for batch in _batches(generator, requests):
                lacking = [place for place in sorted(batch) if keys[chunk[place]] not in present]
                if not lacking:
                    continue
                completions: dict[int, Completion] = {}
                whole = False
                try:
                    asked = [requests[place] for place in lacking]
                    turns = [wanted[chunk[place]].turns for place in lacking]
                    for number, completion in answered(generator, asked, turns, sampling):
                        completions[lacking[number]] = completion  # finished, also where this raises
                        progress.advance()
                    whole = True
                finally:
                    if whole or not generator.batch_sensitive:
                        rows = [
                            _row(keys[i], wanted[i], completions[place], sampling, source, round, run.format)
                            for place, i in enumerate(chunk)
                            if place in completions
                        ]
                        run.pool(pool).append(rows)
                        meter.add(rows, source)
            drawn += len(missing)
        write_parquet(pl.DataFrame({"key": keys}, schema={"key": pl.String}), run.wanted(pool))
        notes["worked"] = drawn > 0
        there = f", {len(wanted) - drawn:,} were there" if drawn < len(wanted) else ""
        progress.finish(f"{drawn:,} samples{there}")


def _batches(generator: Generator, requests: Sequence[Request]) -> Sequence[Sequence[int]]:
    """How a chunk is divided.

    Raises:
        PluginError: the generator leaves a request out, or names one twice.
    """
    if not generator.batch_sensitive or not requests:
        return [range(len(requests))]
    batches = generator.batches(requests)
    if sorted(place for batch in batches for place in batch) != list(range(len(requests))):
        raise PluginError(f"The generator '{generator.name}' divides {len(requests):,} requests into other ones.")
    return batches


def _stay_below_caps(meter: Meter, wanted: Sequence[Wanted], sampling: Sampling, source: Source, stage: str) -> None:
    expected = meter.expect(
        [item.strategy.name if item.strategy else None for item in wanted],
        [prompt_limit(item.prompt) for item in wanted],
        sampling.max_tokens,
        source,
        [MOST_TURNS if item.turns else 1 for item in wanted],
    )
    meter.check(expected, f"the next {len(wanted):,} samples of `{stage}`")


def _request(item: Wanted, key: str) -> Request:
    return Request(item.problem, item.strategy, item.prompt, item.draw, seed_of(key))


def key_of(run: Run, item: Wanted, sampling: Sampling, generator: Generator) -> str:
    """What a sample that is wanted is known by."""
    turns = item.turns.fingerprint if item.turns else ""
    return sample_key(item.problem, item.strategy, item.prompt, item.draw, sampling, generator, run.recipe.seed, turns)


def _row(
    key: str,
    item: Wanted,
    completion: Completion,
    sampling: Sampling,
    source: Source,
    round: int,
    format: StudentFormat,
) -> dict[str, Any]:
    requested = item.strategy.name if item.strategy else None
    return {
        "key": key,
        "problem_id": item.problem.id,
        "requested": requested,
        "strategy": requested or format.split(completion.text)[0],
        "source": source,
        "round": round,
        "draw": item.draw,
        "max_tokens": sampling.max_tokens,
        **asdict(completion),
    }


def samples_of(run: Run, name: str) -> pl.DataFrame:
    """The samples of a pool that the present recipe asks for, in its order.

    The strategy that a student chose is read anew: a recipe with other strategies knows other tags.

    Raises:
        RunError: the pool has not been filled.
    """
    wanted = with_imported(run, name, wanted_of(run, name))
    samples = wanted.join(run.pool(name).read(), on="key", how="inner", maintain_order="left")
    return samples.with_columns(strategy=used_strategy(run.format)[1])


def wanted_of(run: Run, name: str) -> pl.DataFrame:
    """The keys of what the present recipe asks of a pool, in its order.

    Raises:
        RunError: the pool has not been filled.
    """
    path = run.wanted(name)
    if not path.exists():
        known = sorted(
            p.relative_to(run.path / "wanted").with_suffix("").as_posix() for p in path.parent.glob("*.parquet")
        )
        raise RunError(
            f"The run {run.path} has no pool '{name}' yet (it has {', '.join(known) or 'none'}). "
            "Run `siked teach` or `siked rollout` first."
        )
    return read_parquet(path)


def used_strategy(format: StudentFormat) -> tuple[str, pl.Expr]:
    """The strategy that was asked for, or else the one that the text begins with; and the column that tells the latter:
    the text's opening, where every tag fits into it."""
    import polars as pl

    tags = format.tags()
    column = "opening" if all(len(tag) <= OPENING for tag in tags.values()) else "text"
    start = pl.col(column).str.strip_chars_start()
    chosen = pl.lit(None, dtype=pl.String)
    for strategy, tag in reversed(tags.items()):
        chosen = pl.when(start.str.starts_with(tag)).then(pl.lit(strategy)).otherwise(chosen)
    return column, pl.coalesce("requested", chosen)
