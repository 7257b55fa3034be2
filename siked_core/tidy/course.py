"""Tables of a run's course: what each round was trained on, what each stage took, and what had been predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from siked_core.pool import read_parquet
from siked_core.quoted import against, step_of
from siked_core.records import Status
from siked_core.run import Run
from siked_core.simulate import divergence
from siked_core.spending import QUOTE, by_stage
from siked_core.tidy.scored import in_order, round_of

if TYPE_CHECKING:
    import polars as pl

MIXTURES: dict[str, str] = {
    "mixture": '"round-0", "combined", ...',
    "round": "its round; null for a baseline's",
    "strategy": "of the rows",
    "source": "teacher or student",
    "rows": "so many",
    "weight": "sum of their weights in the loss",
    "share": "of all rows of the mixture",
}
ROUNDS: dict[str, str] = {
    "round": "0, 1, 2, ...",
    "rows": "of its mixture",
    "alpha": "the teacher's share of the rows (SIKeD, section 3)",
    "alpha_by_weight": "the teacher's share of all weight",
    "kl": "KL(strategies of the mixture, by weight ‖ strategies of the student's own correct samples of that round), "
    "in nats; null in round 0, and where it is infinite",
}
STAGES: dict[str, str] = {
    "stage": "as the manifest names it",
    "kind": '"teach", "verify", "mix", "train", "rollout", "evaluate", "quote", ...',
    "round": "that it belongs to; null for test splits and baselines",
    "samples": "drawn",
    "tokens_in": "of prompts",
    "tokens_out": "of completions",
    "cost": "in the recipe's currency",
    "seconds": "of work on the wall clock",
}
PREDICTIONS: dict[str, str] = {
    "round": "null for what belongs to none",
    "step": '"teach", "rollout", "train", "evaluate", "test", ...',
    "quantity": "tokens_in, tokens_out, cost, seconds or bytes",
    "expected": "what the quote said",
    "low": "lower end of the quote's interval",
    "high": "upper end",
    "actual": "what it was",
    "inside": "whether that lies in the interval",
}


def mixtures(run: Run) -> pl.DataFrame:
    """What students were trained on. Columns: `MIXTURES`.

    Raises:
        RunError: a mixture is damaged.
    """
    import polars as pl

    schema = {"mixture": pl.String, "round": pl.Int64, "strategy": pl.String, "source": pl.String, "rows": pl.Int64}
    parts = [pl.DataFrame(schema={**schema, "weight": pl.Float64, "share": pl.Float64})]
    for path in sorted((run.path / "mixtures").glob("*.parquet"), key=lambda path: in_order(path.stem)):
        counted = (
            read_parquet(path)
            .group_by("strategy", "source")
            .agg(rows=pl.len().cast(pl.Int64), weight=pl.col("weight").sum().cast(pl.Float64))
            .sort("strategy", "source")
            .with_columns(
                mixture=pl.lit(path.stem),
                round=pl.lit(round_of(path.stem), dtype=pl.Int64),
                share=pl.col("rows") / pl.col("rows").sum(),
            )
        )
        parts.append(counted.select(*MIXTURES))
    return pl.concat(parts)


def rounds(mixtures: pl.DataFrame, attempts: pl.DataFrame) -> pl.DataFrame:
    """The teacher's share of each round's mixture, and how far that is from what the student does by itself.

    Columns: `ROUNDS`.
    """
    import polars as pl

    right = attempts.filter(
        (pl.col("status") == Status.CORRECT.value) & pl.col("pool").cast(pl.String).str.starts_with("round-")
    )
    rows: list[dict[str, Any]] = []
    for (number,), mixture in mixtures.filter(pl.col("round").is_not_null()).group_by("round", maintain_order=True):
        of_teacher = mixture.filter(pl.col("source") == "teacher")
        total, weight = mixture.get_column("rows").sum(), mixture.get_column("weight").sum()
        by_strategy = mixture.group_by("strategy").agg(pl.col("weight").sum()).iter_rows()
        mine = right.filter(pl.col("round") == number).group_by(pl.col("strategy").cast(pl.String)).agg(pl.len())
        own = {str(strategy): int(count) for strategy, count in mine.iter_rows()}
        shares = {strategy: part / weight for strategy, part in by_strategy} if weight else {}
        rows.append(
            {
                "round": number,
                "rows": total,
                "alpha": of_teacher.get_column("rows").sum() / total if total else None,
                "alpha_by_weight": of_teacher.get_column("weight").sum() / weight if weight else None,
                "kl": divergence(shares, own) if number else None,
            }
        )
    schema = {"round": pl.Int64, "rows": pl.Int64, **dict.fromkeys(("alpha", "alpha_by_weight", "kl"), pl.Float64)}
    return pl.DataFrame(rows, schema=schema)


def stages(run: Run) -> pl.DataFrame:
    """What each stage drew and took. Columns: `STAGES`."""
    import polars as pl

    rows = []
    for stage, one in by_stage(run.path, run.recipe).items():
        step = step_of(stage)
        rows.append(
            {
                "stage": stage,
                "kind": QUOTE if stage.startswith(f"{QUOTE}:") else stage.partition(" ")[0],
                "round": step[0] if step else None,
                "samples": one.samples,
                "tokens_in": one.tokens_in,
                "tokens_out": one.tokens_out,
                "cost": float(one.cost),
                "seconds": float(one.seconds),
            }
        )
    texts = dict.fromkeys(("stage", "kind"), pl.String)
    figures = {**texts, "cost": pl.Float64, "seconds": pl.Float64}
    return pl.DataFrame(rows, schema={name: figures.get(name, pl.Int64) for name in STAGES})


def predictions(run: Run) -> pl.DataFrame:
    """What the run's quote expected beside what it took; empty where it was not quoted. Columns: `PREDICTIONS`."""
    import polars as pl

    other = {"round": pl.Int64, "step": pl.String, "quantity": pl.String, "inside": pl.Boolean}
    schema = {name: other.get(name, pl.Float64) for name in PREDICTIONS}
    rows = [{name: line[name] for name in schema} for line in against(run.path, run.recipe)]
    return pl.DataFrame(rows, schema=schema, strict=False)
