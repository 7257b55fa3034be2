"""Verdicts: every sample of a pool is read by its strategy and judged by that strategy's verifier.

A verdict is kept under the sample's key and the judge's: a pool can be judged again, by another verifier, without
generating anything again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from siked_core.contracts import Strategy, Verifier
from siked_core.errors import VerifierFault
from siked_core.keys import digest
from siked_core.records import Claim, Problem, Rationale, Status, Unreadable, Verdict
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.generate import samples_of
from siked_core.stages.prepare import problems

if TYPE_CHECKING:
    import polars as pl

CHUNK = 512
"""Samples judged at once: a verifier works best on batches, and a chunk is what a kill can lose."""
NO_TAG = "(no tag)"


def verify(run: Run, pool: str, dataset: str | None = None, split: str = "train") -> PoolSummary:
    """Judge what has not been judged in a pool.

    Raises:
        VerifierFault: a verifier failed at its own work; names the samples.
    """
    samples = samples_of(run, pool)
    known = {problem.id: problem for problem in problems(run, split, dataset)}
    judged = run.verdicts(pool)
    with run.timed(f"verify {pool}") as notes, run.verifiers() as verifiers:
        judges = {name: judge_of(run, name) for name in run.strategies}
        present = set(judged.read().select("key", "judge").iter_rows())
        todo = [
            row
            for row in samples.iter_rows(named=True)
            if (row["key"], judges.get(row["strategy"], NO_TAG)) not in present
        ]
        notes["worked"] = bool(todo)
        with run.reporter.stage(f"verify {pool}", samples.height, "samples") as progress:
            progress.advance(samples.height - len(todo))
            # One strategy after another, so that a verifier's batches are full.
            todo.sort(key=lambda row: row["strategy"] or "")
            for start in range(0, len(todo), CHUNK):
                chunk = todo[start : start + CHUNK]
                judged.append(_judge(run, chunk, known, verifiers, judges))
                progress.advance(len(chunk))
            table = verdicts_of(run, pool)
            summary = summarise(table, len(known))
            progress.finish(
                f"{summary.correct:,} of {summary.samples:,} correct, "
                f"{summary.problems_solved:,} of {summary.problems:,} problems solved"
            )
    return summary


def verdicts_of(run: Run, pool: str) -> pl.DataFrame:
    """The samples of a pool with the present judges' verdicts: columns of both."""
    import polars as pl

    judges = {name: judge_of(run, name) for name in run.strategies}
    return (
        samples_of(run, pool)
        .with_columns(judge=pl.col("strategy").replace_strict(judges, default=NO_TAG, return_dtype=pl.String))
        .join(run.verdicts(pool).read(), on=["key", "judge"], how="inner", maintain_order="left")
    )


def judge_of(run: Run, strategy: str) -> str:
    """What judges a strategy's rationales, as a short hash: it changes when a verdict could."""
    reader = run.strategies[strategy]
    name, options = run.verifier_of(strategy)
    plugin = run.registry.get("verifier", name)
    return digest([strategy, reader.version, name, plugin.version, options])


def summarise(table: pl.DataFrame, problem_count: int) -> PoolSummary:
    """Count a table of samples with verdicts."""
    import polars as pl

    correct = table.filter(pl.col("status") == Status.CORRECT.value)
    by_strategy = {
        name or NO_TAG: {"samples": samples, "correct": right}
        for name, samples, right in table.group_by("strategy")
        .agg(pl.len(), (pl.col("status") == Status.CORRECT.value).sum().alias("right"))
        .sort("strategy", nulls_last=True)
        .iter_rows()
    }
    return PoolSummary(
        samples=table.height,
        correct=correct.height,
        statuses=dict(Counter(table.get_column("status").to_list()).most_common()),
        by_strategy=by_strategy,
        prompt_tokens=int(table.get_column("prompt_tokens").sum()),
        completion_tokens=int(table.get_column("completion_tokens").sum()),
        problems_solved=correct.get_column("problem_id").n_unique(),
        problems=problem_count,
    )


def _judge(
    run: Run,
    chunk: Sequence[dict[str, Any]],
    known: dict[str, Problem],
    verifiers: dict[str, Verifier],
    judges: dict[str, str],
) -> list[dict[str, Any]]:
    verdicts: list[Verdict | None] = [None] * len(chunk)
    rationales: list[str | None] = [None] * len(chunk)
    claims: dict[str, list[tuple[int, Claim]]] = {}
    for place, row in enumerate(chunk):
        strategy = row["strategy"]
        if strategy is None:
            verdicts[place] = Verdict(Status.UNREADABLE, why="it names none of the run's strategies")
            continue
        read = _read(
            run.strategies[strategy], run.format.split(row["text"])[1] if row["requested"] is None else row["text"]
        )
        if isinstance(read, Unreadable):
            verdicts[place] = Verdict(Status.UNREADABLE, why=read.why)
            continue
        rationales[place] = read.text
        claims.setdefault(strategy, []).append((place, Claim(known[row["problem_id"]], read)))
    for strategy, entries in claims.items():
        verifier = verifiers[strategy]
        try:
            found = verifier.verify([claim for _, claim in entries])
        except VerifierFault as fault:
            first = chunk[entries[0][0]]["key"]
            raise VerifierFault(f"The verifier '{verifier.name}' failed on samples from {first} on: {fault}") from fault
        if len(found) != len(entries):
            raise VerifierFault(f"The verifier '{verifier.name}' gave {len(found)} verdicts for {len(entries)} claims.")
        for (place, _), verdict in zip(entries, found, strict=True):
            verdicts[place] = verdict
    return [
        {
            "key": row["key"],
            "judge": judges.get(row["strategy"], NO_TAG),
            "status": verdict.status.value,
            "answer": verdict.answer,
            "why": verdict.why,
            "rationale": rationale,
        }
        for row, verdict, rationale in zip(chunk, verdicts, rationales, strict=True)
        if verdict is not None
    ]


def _read(strategy: Strategy, text: str) -> Rationale | Unreadable:
    if not text.strip():
        return Unreadable("the completion is empty")
    return strategy.parse(text)
