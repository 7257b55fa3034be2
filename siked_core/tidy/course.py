"""Tables of a run's course: what each round came to, what each stage took, and what had been predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from siked_core.loop import report
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.quoted import against, step_of
from siked_core.records import Status
from siked_core.run import Run
from siked_core.simulate import divergence
from siked_core.spending import QUOTE, by_stage
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.drawn import of_training
from siked_core.tidy.scored import figures_of, round_of, scorecards

if TYPE_CHECKING:
    import polars as pl


def rounds(run: Run, composition: pl.DataFrame, attempts: pl.DataFrame) -> pl.DataFrame:
    """A row for each round that has begun; what it has not come to is null. Columns: `COLUMNS["rounds"]`.

    Args:
        composition: the run's (`siked_core.tidy.composition`).
        attempts: the run's (`siked_core.tidy.attempts`).

    Raises:
        RunError: a scorecard is damaged.
        ModelError: a student's folder is.
    """
    import polars as pl

    found = report(run)
    seconds: dict[int, float] = {}
    for stage, one in by_stage(run.path, run.recipe).items():
        if (step := step_of(stage)) and step[0] is not None:
            seconds[step[0]] = seconds.get(step[0], 0.0) + float(one.seconds)
    drawn, mixed, scored = _drawn(attempts), _mixed(composition, attempts), _scored(run)
    rows = [
        {
            "round": number,
            "student": f"round-{number}",
            "chosen": found is not None and number == found["chosen_round"],
            **scored.get(number, {}),
            **drawn.get(number, {}),
            **mixed.get(number, {}),
            "training_tokens": _training_tokens(run, f"round-{number}"),
            "seconds": seconds.get(number),
        }
        for number in sorted({*drawn, *mixed, *scored})
    ]
    floats = dict.fromkeys(("accuracy", "low", "high", "alpha", "alpha_by_weight", "kl", "seconds"), pl.Float64)
    other = {**floats, "student": pl.String, "chosen": pl.Boolean}
    columns = COLUMNS["rounds"]
    return pl.DataFrame(
        [{name: row.get(name) for name in columns} for row in rows],
        schema={name: other.get(name, pl.Int64) for name in columns},
    )


def _drawn(attempts: pl.DataFrame) -> dict[int, dict[str, Any]]:
    """What each round's own pool gave."""
    import polars as pl

    right = pl.col("status") == Status.CORRECT.value
    counted = (
        of_training(attempts)
        .group_by(pl.col("pool").cast(pl.String))
        .agg(
            samples=pl.len(),
            samples_correct=right.sum(),
            problems=pl.col("problem_id").n_unique(),
            problems_solved=pl.col("problem_id").filter(right).n_unique(),
        )
    )
    found: dict[int, dict[str, Any]] = {}
    for row in counted.iter_rows(named=True):
        pool = row.pop("pool")
        number = 0 if pool == "teacher" else round_of(pool)
        if number is not None:
            found[number] = row
    return found


def _mixed(composition: pl.DataFrame, attempts: pl.DataFrame) -> dict[int, dict[str, Any]]:
    """The teacher's share of each round's mixture, and how far that is from what the student does by itself."""
    import polars as pl

    right = attempts.filter(
        (pl.col("status") == Status.CORRECT.value) & pl.col("pool").cast(pl.String).str.starts_with("round-")
    )
    found: dict[int, dict[str, Any]] = {}
    for (number,), mixture in composition.filter(pl.col("round").is_not_null()).group_by("round"):
        of_teacher = mixture.filter(pl.col("source") == "teacher")
        total, weight = mixture.get_column("rows").sum(), mixture.get_column("weight").sum()
        by_strategy = mixture.group_by("strategy").agg(pl.col("weight").sum()).iter_rows()
        mine = right.filter(pl.col("round") == number).group_by(pl.col("strategy").cast(pl.String)).agg(pl.len())
        own = {str(strategy): int(count) for strategy, count in mine.iter_rows()}
        shares = {strategy: part / weight for strategy, part in by_strategy} if weight else {}
        found[int(str(number))] = {
            "rows": total,
            "alpha": of_teacher.get_column("rows").sum() / total if total else None,
            "alpha_by_weight": of_teacher.get_column("weight").sum() / weight if weight else None,
            "kl": divergence(shares, own) if number else None,
        }
    return found


def _scored(run: Run) -> dict[int, dict[str, Any]]:
    """What each round's student got on validation."""
    return {
        number: {**figures_of(card.score), "untagged": card.untagged}
        for card in scorecards(run)
        if card.split == "validation" and card.dataset == run.recipe.dataset.name
        if (number := round_of(card.student)) is not None
    }


def _training_tokens(run: Run, student: str) -> int | None:
    folder = run.student(student)
    return int(read_side_file(folder)["training_tokens"]) if (folder / SIDE_FILE).exists() else None


def stages(run: Run) -> pl.DataFrame:
    """What each stage drew and took. Columns: `COLUMNS["stages"]`."""
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
    return pl.DataFrame(rows, schema={name: figures.get(name, pl.Int64) for name in COLUMNS["stages"]})


def predictions(run: Run) -> pl.DataFrame:
    """What the run's quote expected beside what it took; empty where it was not quoted.

    Columns: `COLUMNS["predictions"]`.
    """
    import polars as pl

    other = {"round": pl.Int64, "step": pl.String, "quantity": pl.String, "inside": pl.Boolean}
    schema = {name: other.get(name, pl.Float64) for name in COLUMNS["predictions"]}
    rows = [{name: line[name] for name in schema} for line in against(run.path, run.recipe)]
    return pl.DataFrame(rows, schema=schema, strict=False)
