"""A run's rationales as a clean data set: Parquet files and a card that `datasets.load_dataset` opens.

What is exported are samples of training problems. Answers to validation and test questions are exported only where
they are asked for, into files of their own, so that nobody trains on them by accident.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from siked_core.dataset_card import Facts, Yield, dataset_card, public_name
from siked_core.errors import RunError
from siked_core.files import unwritable
from siked_core.hint import HINTED, hinted, is_hinted
from siked_core.imported import imported
from siked_core.pool import read_parquet
from siked_core.records import Status
from siked_core.run import Run
from siked_core.spending import pools
from siked_core.stages.generate import EVALUATIONS, split_of
from siked_core.stages.prepare import make_dataset, problems
from siked_core.stages.teach import POOL
from siked_core.stages.verify import verdicts_of
from siked_core.stopping import base_of

if TYPE_CHECKING:
    import polars as pl

What = Literal["correct", "all", "mixture"]
COLUMNS: dict[str, str] = {
    "key": "the sample's key: `siked why RUN KEY` tells the rest",
    "dataset": "the data set that the problem is from",
    "problem_id": "the problem",
    "family": "its class within the data set; empty where there is none",
    "question": "the question",
    "gold": "the gold answer; empty where there is none",
    "strategy": "the strategy of the rationale; null where a student wrote no known tag",
    "requested": "the strategy that was asked for; null where a student chose",
    "source": "teacher or student",
    "generator": "who wrote it: the teacher's model or name, or the student of a round",
    "round": "0 for the teacher; otherwise the round that it was drawn in",
    "draw": "0, 1, 2, ... among the samples of one prompt",
    "hinted": "whether whoever wrote it had been told the answer",
    "rationale": "the rationale, as its strategy reads it; null where it could not be read",
    "completion": "what was written, to the letter; null unless all samples were exported",
    "answer": "the answer that the verifier found",
    "status": "the verdict: correct, wrong, unreadable, ...",
    "why": "the verdict in one line, where there is something to say",
    "verifier": "the verifier that judged",
    "copies": "samples that the row stands for: identical rationales of one problem, strategy and source",
    "pass_rate": "share of correct samples among those of its problem, strategy, source, round and generator; null "
    "where the answer was told",
    "weight": "its weight in the loss; null unless a mixture was exported",
    "prompt_tokens": "tokens of the prompt",
    "completion_tokens": "tokens of the completion",
    "finish_reason": "stop; length where the completion was cut off; refused where a server would not write it",
    "logprob": "sum of the completion's token log-probabilities (nats); null where not known",
    "licence": "the licence of its data set, or the one that was given for the whole; empty where not known",
}
SAME = ("dataset", "split", "evaluated", "problem_id", "strategy", "source", "hinted")
"""Identical rationales that agree in these are one row; `evaluated` is the student of an evaluation."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    what: What
    rows: int
    problems: int
    by_strategy: Mapping[str, int]
    by_status: Mapping[str, int]
    evaluations: int
    """Rows that answer validation and test questions; in none of the other counts."""
    licence: str
    """Empty where it is not known."""
    files: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def export(
    run: Run,
    folder: Path,
    what: What = "correct",
    round: int | None = None,
    licence: str | None = None,
    evaluations: bool = False,
) -> Exported:
    """Write the data set into a folder that does not exist yet, or is empty: whole, or not at all.

    Args:
        what: "correct": the distinct correct rationales. "all": every judged sample. "mixture": the rows that a
            round's student was trained on.
        round: only the samples that were drawn in this round (0: the teacher's). Of mixtures: which; the latest
            where it is not given.
        licence: of the whole; by default each data set's own, where it is known.
        evaluations: also the answers to validation and test questions, in files of their own.

    Raises:
        RunError: the folder holds something, there is nothing to export, or the disk refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists and is not empty. Export into a new folder.")
    samples = _joined(run, _pools(run, None if what == "mixture" else round), licence)
    rows = _mixture(run, samples, round) if what == "mixture" else _chosen(samples, what)
    if rows.is_empty():
        raise RunError(f"The run {run.path} has nothing to export: no sample of it is {what}.")
    answers = _chosen(_joined(run, _evaluation_pools(run), licence), what) if evaluations else rows.clear()
    tables = {f"data/{name or 'no-tag'}.parquet": part for (name,), part in rows.group_by("strategy")}
    tables |= {f"evaluations/{split}.parquet": part for (split,), part in answers.group_by("split")}
    tables = {place: tables[place].select(*COLUMNS) for place in sorted(tables)}
    own = _licence(run, run.recipe.dataset.name, licence)
    card = dataset_card(
        Facts(
            recipe=run.recipe,
            what=what,
            licence=own,
            verifiers={name: run.verifier_of(name)[0] for name in run.strategies},
            yields=tuple(_yields(samples.filter(~samples["hinted"]))),
            statuses=_counts(samples, "status"),
            generators=_counts(rows, "generator"),
            rows={place: frame.height for place, frame in tables.items()},
        ),
        COLUMNS,
    )
    _write(folder, tables, card)
    return Exported(
        what=what,
        rows=rows.height,
        problems=rows.get_column("problem_id").n_unique(),
        by_strategy=_counts(rows, "strategy"),
        by_status=_counts(rows, "status"),
        evaluations=answers.height,
        licence=own,
        files=("README.md", *tables),
    )


# Which samples


def _pools(run: Run, round: int | None) -> list[str]:
    names = [
        POOL,
        *sorted((name for name in pools(run.path) if name.startswith("round-")), key=lambda name: int(name[6:])),
    ]
    if round is not None:
        names = [POOL if round == 0 else f"round-{round}"]
    return [pool for name in names for pool in (name, hinted(name)) if run.wanted(pool).exists()]


def _evaluation_pools(run: Run) -> list[str]:
    root = run.path / "wanted"
    found = (root / EVALUATIONS).rglob("*.parquet")
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in found)


def _mixture(run: Run, samples: pl.DataFrame, round: int | None) -> pl.DataFrame:
    """The rows of a mixture in the columns of `samples`."""
    made = sorted(int(path.stem[6:]) for path in (run.path / "mixtures").glob("round-*.parquet"))
    if not made or (round is not None and round not in made):
        asked = "mixture" if round is None else f"mixture of round {round}"
        there = f"it has those of rounds {', '.join(map(str, made))}" if made else "it has none"
        raise RunError(f"The run {run.path} has no {asked} ({there}). Run `siked mix` first.")
    chosen = read_parquet(run.mixture(f"round-{made[-1] if round is None else round}"))
    # What transforms made of a rationale is what the student was trained on.
    own = ["weight", "rationale"] if "merged" in chosen.columns else ["weight"]
    return chosen.select("key", *own).join(samples.drop(own), on="key", how="inner", maintain_order="left")


def _chosen(samples: pl.DataFrame, what: What) -> pl.DataFrame:
    import polars as pl

    if what == "all":
        return samples.with_columns(copies=pl.lit(1, pl.UInt32), completion=pl.col("text"))
    same = [*SAME, "rationale"]
    correct = samples.filter(pl.col("status") == Status.CORRECT.value)
    return correct.unique(same, keep="first", maintain_order=True)


def _joined(run: Run, pools: list[str], licence: str | None) -> pl.DataFrame:
    """The judged samples of pools with all that is said of them, by problem; all of `COLUMNS`, and text and split."""
    import polars as pl

    teachers = {key: teacher or "imported" for key, teacher in imported(run).select("key", "teacher").iter_rows()}
    parts = [_of_pool(run, pool, teachers, licence) for pool in pools]
    if not parts:
        raise RunError(f"The run {run.path} holds no such samples yet. Run `siked teach` or `siked import` first.")
    table = pl.concat(parts)
    copies = pl.len().over([*SAME, "rationale"])
    return table.with_columns(
        pass_rate=pl.when(~pl.col("hinted")).then(
            (pl.col("status") == Status.CORRECT.value).mean().over([*SAME, "round", "generator"])
        ),
        copies=pl.when(pl.col("rationale").is_null()).then(pl.lit(1, pl.UInt32)).otherwise(copies),
        completion=pl.lit(None, pl.String),
        weight=pl.lit(None, pl.Float64),
    ).sort("dataset", "place", "strategy", "round", "draw", "key", maintain_order=True)


def _of_pool(run: Run, pool: str, teachers: Mapping[str, str], licence: str | None) -> pl.DataFrame:
    import polars as pl

    dataset, split = split_of(run, pool)
    student = pool.split("/")[1] if pool.startswith(f"{EVALUATIONS}/") else None
    asked = [
        {"problem_id": one.id, "place": place, "question": one.question, "gold": one.answer, "family": one.family}
        for place, one in enumerate(problems(run, split, dataset))
    ]
    with run.verifiers(scoring=student is not None) as judges:
        verifiers = {name: verifier.name for name, verifier in judges.items()}
    drawn_by = pl.when(pl.col("source") == "teacher").then(
        pl.col("key").replace_strict(teachers, default=_teacher(run), return_dtype=pl.String)
    )
    number = pool.removeprefix(f"{HINTED}/").removeprefix("round-")
    drew = student or (f"round-{base_of(run, int(number))}" if number.isdigit() else "")
    by_student = pl.lit(f"student {drew}")
    return (
        verdicts_of(run, pool)
        .join(pl.DataFrame(asked), on="problem_id", how="inner", maintain_order="left")
        .with_columns(
            dataset=pl.lit(dataset),
            split=pl.lit(split),
            evaluated=pl.lit(student, pl.String),
            hinted=pl.lit(is_hinted(pool)),
            generator=drawn_by.otherwise(by_student),
            verifier=pl.col("strategy").replace_strict(verifiers, default=None, return_dtype=pl.String),
            licence=pl.lit(_licence(run, dataset, licence)),
        )
    )


def _teacher(run: Run) -> str:
    """The teacher's model, or the generator's name where it has none."""
    choice = run.recipe.teacher.generator
    return public_name(str(choice.options["model"])) if choice.options.get("model") else choice.name


def _licence(run: Run, dataset: str, given: str | None) -> str:
    if given is not None:
        return given
    choices = {choice.name: choice for choice in (*run.recipe.evaluate, run.recipe.dataset)}
    return make_dataset(run.recipe, run.registry, choices[dataset]).licence


# Counting


def _yields(samples: pl.DataFrame) -> list[Yield]:
    import polars as pl

    right = pl.col("status") == Status.CORRECT.value
    counted = samples.group_by("strategy", "source", "round").agg(
        pl.len().alias("samples"),
        right.sum().alias("correct"),
        pl.struct("problem_id", "rationale").filter(right).n_unique().alias("distinct"),
        pl.col("problem_id").filter(right).n_unique().alias("solved"),
    )
    rows = counted.sort("round", "strategy", nulls_last=True).iter_rows(named=True)
    return [Yield(**{**row, "strategy": row["strategy"] or "(no tag)"}) for row in rows]


def _counts(table: pl.DataFrame, column: str) -> dict[str, int]:
    counted = table.group_by(column).len().sort("len", column, descending=[True, False], nulls_last=True)
    return {name or "(none)": count for name, count in counted.iter_rows()}


# On disk


def _write(folder: Path, tables: Mapping[str, pl.DataFrame], card: str) -> None:
    making = folder.with_name(f".{folder.name}.tmp")
    try:
        shutil.rmtree(making, ignore_errors=True)
        for place, table in tables.items():
            (making / place).parent.mkdir(parents=True, exist_ok=True)
            table.write_parquet(making / place)
        (making / "README.md").write_text(card, encoding="utf-8")
        making.replace(folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
