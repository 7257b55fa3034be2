"""Verdicts: every sample of a pool is read by its strategy and judged by that strategy's verifier.

A verdict is kept under the sample's key, the judge's and the evidence: a pool can be judged again, by another verifier
or with another gold answer, without generating anything again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from siked_core.contracts import Verifier
from siked_core.errors import DataError, VerifierFault
from siked_core.files import write_text
from siked_core.finished import Finished
from siked_core.hint import copied, is_hinted
from siked_core.pool import Pool
from siked_core.reasoning import read
from siked_core.records import Claim, Problem, Rationale, Status, Unreadable, Verdict
from siked_core.run import Run
from siked_core.scorecard import PoolSummary
from siked_core.stages.attempts import attempts_of
from siked_core.stages.evidence import NO_TAG, judge, present_judges, whole, with_evidence
from siked_core.stages.generate import is_evaluation, samples_of, split_of
from siked_core.stages.prepare import dealt, problems
from siked_core.stages.replies import Replies

if TYPE_CHECKING:
    import polars as pl

CHUNK = 512
"""Samples judged at once: a verifier works best on batches."""
SHARD, HOLD_S = 4096, 2.0
"""Verdicts are written when there are so many, or when so many seconds have passed: what a kill can lose. Smaller
shards would make a large pool slow to read."""
Row = dict[str, Any]


def verify(run: Run, pool: str, dataset: str | None = None, split: str = "train") -> PoolSummary:
    """Judge what has not been judged in a pool.

    Raises:
        VerifierFault: a verifier failed at its own work, and the run does not keep going; names the sample.
        DataError: a problem has no gold answer, and a verifier needs one.
        CapReached: a verifier asks a language model, and its next replies might take the run past one of its caps.
    """
    import polars as pl

    finished = Finished(run, f"verify {pool}", pools=[pool])
    if (outcome := finished.outcome()) is not None:
        return PoolSummary.from_dict(outcome)
    known = {problem.id: problem for problem in problems(run, split, dataset)}
    create = Replies(run, pool).create
    scoring = is_evaluation(pool)
    with run.timed(f"verify {pool}") as notes, run.verifiers(scoring=scoring, create=create) as verifiers:
        _need_gold(verifiers, known)
        attempts = attempts_of(run, pool, verifiers)
        todo = _todo(run, pool, attempts, known, verifiers)
        notes["worked"] = not todo.is_empty()
        judges = present_judges(run, verifiers)
        names = {judges[name]: verifier.name for name, verifier in verifiers.items()}
        notes["judges"] = judges_of(run, pool) | names  # `siked why` names them, whatever the recipe says then
        if notes["worked"] and run.recipe.allow_unsafe_exec:
            notes["allow_unsafe_exec"] = True  # also where it was allowed for one command, not in the run's recipe
        bench = _Bench(run, known, verifiers, informed=is_hinted(pool))
        with run.reporter.stage(f"verify {pool}", attempts.height, "samples") as progress:
            progress.advance(attempts.height - todo.height)
            with _Held(run.verdicts(pool)) as held:
                for chunk in _chunks(todo, verifiers):
                    held.add(bench.judge(chunk))
                    progress.advance(len(chunk))
            table = attempts_of(run, pool, verifiers) if notes["worked"] else attempts
            table = table.filter(pl.col("status").is_not_null())
            asked = _asked(run, pool, attempts, len(known))
            summary = summarise(table, asked, set_aside=attempts.height - table.height)
            notes["set_aside"] = summary.set_aside
            progress.finish(
                f"{summary.correct:,} of {summary.samples:,} correct, "
                f"{summary.problems_solved:,} of {summary.problems:,} problems solved"
            )
    if summary.set_aside:
        run.reporter.warn(
            f"{summary.set_aside:,} samples of {pool} have no verdict: their verifier failed on them, the last time "
            f"with: {bench.last_fault}"
        )
    if any(verifier.scope == "problem" for verifier in verifiers.values()):
        _write_review(run, pool, verdicts_of(run, pool), known)
    if not summary.set_aside:  # what a verifier failed on is tried again
        finished.keep(asdict(summary))
    return summary


def verdicts_of(run: Run, pool: str) -> pl.DataFrame:
    """The samples of a pool with the present judges' verdicts: columns of both. Without one, a sample is left out."""

    dataset, split = split_of(run, pool)
    with run.verifiers(scoring=is_evaluation(pool)) as verifiers:
        judges = present_judges(run, verifiers)
        samples = with_evidence(samples_of(run, pool).lazy(), problems(run, split, dataset), whole(verifiers)).collect()
    return (
        samples.with_columns(judge=judge(judges))
        .join(run.verdicts(pool).read(), on=["key", "judge", "evidence"], how="inner", maintain_order="left")
        .drop("evidence")
    )


def summarise(table: pl.DataFrame, problem_count: int, set_aside: int = 0) -> PoolSummary:
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
        statuses=dict(table.get_column("status").value_counts(sort=True).iter_rows()),
        by_strategy=by_strategy,
        prompt_tokens=int(table.get_column("prompt_tokens").sum()),
        completion_tokens=int(table.get_column("completion_tokens").sum()),
        problems_solved=correct.get_column("problem_id").n_unique(),
        problems=problem_count,
        set_aside=set_aside,
    )


def _asked(run: Run, pool: str, attempts: pl.DataFrame, all: int) -> int:
    """How many problems a pool is about."""
    if is_hinted(pool):
        return int(attempts.get_column("problem_id").n_unique())
    return len(dealt(run, int(pool.removeprefix("round-")))) if pool.startswith("round-") else all


def _need_gold(verifiers: Mapping[str, Verifier], known: Mapping[str, Problem]) -> None:
    unlabelled = next((problem for problem in known.values() if not problem.answer), None)
    needing = sorted({verifier.name for verifier in verifiers.values() if verifier.needs_gold})
    if unlabelled and needing:
        raise DataError(
            f"The problem {unlabelled.id} has no gold answer, and the verifier '{needing[0]}' needs one. Judge every "
            "strategy by a verifier that does not, e.g. --verifier cot=agreement."
        )


def judges_of(run: Run, pool: str) -> dict[str, str]:
    """Judge -> the name of the verifier that it is, of all that have judged a pool."""
    found: dict[str, str] = run.manifest["stages"].get(f"verify {pool}", {}).get("judges", {})
    return found


def _todo(
    run: Run, pool: str, attempts: pl.DataFrame, known: Mapping[str, Problem], verifiers: Mapping[str, Verifier]
) -> pl.DataFrame:
    """The samples without a verdict, and those of a problem that is judged as a whole and has one without; with their
    texts and their evidence."""
    import polars as pl

    together = pl.col("strategy").is_in(whole(verifiers))
    missing = attempts.filter(pl.col("status").is_null())
    if missing.is_empty():
        return missing
    unfinished = missing.filter(together).get_column("problem_id").unique()
    asked = pl.col("status").is_null() | (together & pl.col("problem_id").is_in(unfinished.implode()))
    keys = attempts.filter(asked).select("key")
    samples = samples_of(run, pool).lazy()
    rows = with_evidence(samples, known.values(), whole(verifiers)).collect()
    return rows.join(keys, on="key", how="semi", maintain_order="left")


def _chunks(todo: pl.DataFrame, verifiers: Mapping[str, Verifier]) -> Iterator[list[Row]]:
    """Batches for the verifiers: one strategy after another, so that they are full; problems judged as a whole stay
    together. Rows become Python's a batch at a time: a large pool's would fill the memory."""
    import polars as pl

    if todo.is_empty():
        return
    together = pl.col("strategy").is_in(whole(verifiers)).fill_null(False)
    single = todo.filter(~together).sort(pl.col("strategy").fill_null(""), maintain_order=True)
    for part in single.iter_slices(CHUNK):
        yield part.to_dicts()
    rows = todo.filter(together).sort("problem_id", maintain_order=True)
    start = end = 0
    for length in rows.get_column("problem_id").rle().struct.field("len"):
        end += length
        if end - start >= CHUNK:
            yield rows[start:end].to_dicts()
            start = end
    if start < end:
        yield rows[start:end].to_dicts()


class _Held:
    """Verdicts on their way to their pool. What is held is written at the end, also where an error ends it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rows: list[dict[str, Any]] = []
        self._written = time.monotonic()

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows += rows
        if len(self._rows) >= SHARD or time.monotonic() - self._written > HOLD_S:
            self._write()

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        self._pool.append(rows)
        self._written = time.monotonic()

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *error: object) -> None:
        self._write()


class _Bench:
    """Judges chunks of samples.

    Args:
        informed: whoever wrote them had been told the answers.
    """

    def __init__(
        self, run: Run, known: Mapping[str, Problem], verifiers: Mapping[str, Verifier], informed: bool
    ) -> None:
        self._informed = informed
        self._run = run
        self._known = known
        self._verifiers = verifiers
        self._judges = present_judges(run, verifiers)
        self.last_fault = ""

    def judge(self, chunk: Sequence[Row]) -> list[dict[str, Any]]:
        """The verdicts of a chunk, as rows. What a verifier failed on is missing, if the run keeps going."""
        texts = [self._read(row) for row in chunk]
        verdicts: list[Verdict | None] = [
            Verdict(Status.UNREADABLE, why=one.why) if isinstance(one, Unreadable) else None for one in texts
        ]
        by_verifier: dict[Verifier, dict[int, Claim]] = {}
        for place, (row, one) in enumerate(zip(chunk, texts, strict=True)):
            if isinstance(one, Rationale):
                claim = Claim(self._known[row["problem_id"]], one)
                by_verifier.setdefault(self._verifiers[row["strategy"]], {})[place] = claim
        for verifier, claims in by_verifier.items():
            found = self._verify(verifier, list(claims.values()), [chunk[place]["key"] for place in claims])
            for (place, claim), verdict in zip(claims.items(), found, strict=True):
                verdicts[place] = self._seen_through(claim, verdict) if self._informed else verdict
        return [
            {
                "key": row["key"],
                "judge": self._judges.get(row["strategy"], NO_TAG),
                "status": verdict.status.value,
                "answer": verdict.answer,
                "why": verdict.why,
                "rationale": one.text if isinstance(one, Rationale) else None,
                "evidence": row["evidence"],
            }
            for row, verdict, one in zip(chunk, verdicts, texts, strict=True)
            if verdict is not None
        ]

    @staticmethod
    def _seen_through(claim: Claim, verdict: Verdict | None) -> Verdict | None:
        """The verdict on a rationale of someone who knew the answer: right is not enough."""
        why = copied(claim.rationale, claim.problem) if verdict is not None and verdict.correct else ""
        return Verdict(Status.COPIED, verdict.answer, why) if verdict is not None and why else verdict

    def _read(self, row: Row) -> Rationale | Unreadable:
        if row["strategy"] is None:
            return Unreadable("it names none of the run's strategies")
        text = self._run.format.split(row["text"])[1] if row["requested"] is None else row["text"]
        return read(self._run.strategies[row["strategy"]], text, self._run.recipe.reasoning)

    def _verify(self, verifier: Verifier, claims: list[Claim], keys: list[str]) -> list[Verdict | None]:
        try:
            found: list[Verdict | None] = list(verifier.verify(claims))
            if len(found) != len(claims):
                raise VerifierFault(f"it gave {len(found)} verdicts for {len(claims)} claims")
        except VerifierFault as fault:
            if len(claims) > 1 and verifier.scope == "sample":  # find the one that it fails on; judge the others
                half = len(claims) // 2
                return self._verify(verifier, claims[:half], keys[:half]) + self._verify(
                    verifier, claims[half:], keys[half:]
                )
            message = f"The verifier '{verifier.name}' failed on the sample {keys[0]} ({claims[0].problem.id}): {fault}"
            if not self._run.keep_going:
                raise VerifierFault(message) from fault
            self.last_fault = message
            return [None] * len(claims)
        return found


def _write_review(run: Run, pool: str, table: pl.DataFrame, known: Mapping[str, Problem]) -> None:
    """`reviews/POOL.jsonl`: the problems on which the samples do not agree, for a person to look at."""
    lines = []
    for (problem_id,), rows in table.group_by("problem_id", maintain_order=True):
        statuses = set(rows.get_column("status"))
        if statuses <= {Status.CORRECT.value}:
            continue
        answers = [
            {name: row[name] for name in ("strategy", "answer", "status", "why", "key")}
            for row in rows.iter_rows(named=True)
        ]
        decided = Status.CORRECT.value in statuses
        entry = {
            "problem_id": problem_id,
            "question": known[problem_id].question,
            "decided": decided,
            "answers": answers,
        }
        lines.append(json.dumps(entry, ensure_ascii=False))
    path = run.review(pool)
    write_text(path, "".join(f"{line}\n" for line in lines))
    run.reporter.note(f"{len(lines):,} problems on which the samples of {pool} do not agree are listed in {path}.")
