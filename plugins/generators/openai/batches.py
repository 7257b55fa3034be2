"""Asks through a provider's batch API (files and batches): cheaper, answered within a day.

A batch is found again by what it is: its metadata names the generator, and its input file holds the ids of the asks,
which are the same in every run. So nothing of it is kept here; a run that was killed while it waited finds its batch,
running or finished, and pays for nothing twice. What a batch leaves unanswered (it expired, single requests failed)
goes into a further one.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from siked_core import Completion, Sampling
from siked_plugins.generators.openai.asks import Ask, Writer
from siked_plugins.generators.openai.clients import LARGEST_REPLY, batch_client, library
from siked_plugins.generators.openai.failures import Failure, Words
from siked_plugins.generators.openai.options import OpenAIOptions
from siked_plugins.generators.openai.pace import backoff
from siked_plugins.generators.openai.replies import Reader

LABEL = "siked_generator"
KEPT_S = 31 * 24 * 3600
"""Older batches are not looked at: providers delete files after 30 days."""
MOST_LISTED = 10_000
LARGEST_FILE = 150 << 20
"""Bytes. Providers take 200 MB."""
ENDED = {"completed", "failed", "expired", "cancelled"}

T = TypeVar("T")
Answered = tuple[Ask, list[Completion]]


class Batches:
    """A provider's batch API. It is open until `close`."""

    def __init__(self, options: OpenAIOptions, key: str, writer: Writer) -> None:
        self.options, self.writer = options, writer
        self.words = Words(options, key)
        self.reader = Reader(options, self.words)
        self.refused: list[str] = []
        """Of every request that was recorded as refused: which, and why."""
        self._openai, self._client = library(), batch_client(options, key)
        self._label = hashlib.blake2b(writer.fingerprint.encode(), digest_size=16).hexdigest()
        self._ids: dict[str, frozenset[str]] = {}
        """Batch -> the ids of its asks."""
        self._done: set[str] = set()
        """Batches whose results were taken."""
        self._old: set[str] = set()
        """Batches that had ended before they were found: what failed in them may have been put right since."""
        self._why = "the results lack them"

    def answers(self, asks: list[Ask], sampling: Sampling) -> Iterator[Answered]:
        """Each ask's completions, as batches end.

        Raises:
            ModelError: a batch failed, or so many batches as there may be left asks unanswered.
        """
        pending = {ask.id: ask for ask in asks}
        rounds = 0
        while pending:
            batches = self._patiently(lambda: self._found(pending))
            covered = frozenset[str]().union(*(self._ids[batch] for batch in batches))
            rest = [ask for name, ask in pending.items() if name not in covered]
            if rest and rounds > self.options.retries:
                raise self.words.stopped(f"{len(rest):,} requests were not answered by {rounds} batches: {self._why}")
            if rest:
                batches += [self._submitted(part) for part in _parts(rest, self.writer.path)]
                rounds += 1
            for batch in batches:
                yield from self._results(batch, pending, sampling)

    def close(self) -> None:
        """End the connections. Batches that are under way stay so, and are found again."""
        self._client.close()

    def _found(self, pending: dict[str, Ask]) -> list[str]:
        """Batches, running or ended, that hold any of the asks and were not looked into before."""
        found = []
        for batch in self._listed():
            if batch.id in self._done or (batch.metadata or {}).get(LABEL) != self._label:
                continue
            if batch.status not in ENDED or batch.output_file_id or batch.error_file_id:
                if batch.id not in self._ids:
                    self._ids[batch.id] = self._ids_in(batch.input_file_id)
                if self._ids[batch.id] & pending.keys():
                    found.append(batch.id)
                    if batch.status in ENDED:
                        self._old.add(batch.id)
        return found

    def _listed(self) -> Iterator[Any]:
        """The account's batches, the newest first."""
        after: Any = self._openai.omit
        oldest = time.time() - KEPT_S
        for _ in range(MOST_LISTED // 100):
            page = self._client.batches.list(limit=100, after=after)
            batches = getattr(page, "data", None)
            if not isinstance(batches, list):
                raise Failure("fault", "the list of batches is none")
            for batch in batches:
                _sane(batch)
                if isinstance(batch.created_at, int) and batch.created_at < oldest:
                    return
                yield batch
            if not batches or not getattr(page, "has_more", False):
                return
            after = batches[-1].id

    def _ids_in(self, file: str) -> frozenset[str]:
        """The ids of the asks in an input file; none where it was deleted."""
        try:
            return frozenset(str(line.get("custom_id")) for line in self._lines(file))
        except self._openai.NotFoundError:
            return frozenset()

    def _submitted(self, part: tuple[list[str], bytes]) -> str:
        """Send asks as a new batch; its id."""
        ids, content = part
        file = self._patiently(lambda: _sane(self._client.files.create(file=("siked.jsonl", content), purpose="batch")))

        def create() -> Any:
            # An attempt of which nothing was heard may have been heard nevertheless.
            there = [batch for batch in self._listed() if batch.input_file_id == file.id]
            return (
                there[0]
                if there
                else _sane(
                    self._client.batches.create(
                        input_file_id=file.id,
                        endpoint=f"/v1{self.writer.path}",
                        completion_window="24h",
                        metadata={LABEL: self._label},
                    )
                )
            )

        batch: str = self._patiently(create).id
        self._ids[batch] = frozenset(ids)
        return batch

    def _results(self, batch_id: str, pending: dict[str, Ask], sampling: Sampling) -> Iterator[Answered]:
        """Wait for a batch to end, and take from `pending` what it has answered."""
        while (batch := self._patiently(lambda: _sane(self._client.batches.retrieve(batch_id)))).status not in ENDED:
            time.sleep(self.options.poll)
        served, refused, fatal = False, dict[str, str](), ""
        for file in (batch.output_file_id, batch.error_file_id):
            for line in self._patient_lines(file) if file else ():
                name, outcome = str(line.get("custom_id")), self._outcome(line)
                served = served or not isinstance(outcome, Failure)
                if name not in pending:
                    continue
                if not isinstance(outcome, Failure):
                    try:
                        completions = self.reader.completions(pending[name], outcome)
                    except Failure as failure:
                        self._why = failure.why
                        continue
                    ask = pending.pop(name)
                    if len(completions) < len(ask.places):
                        self.writer.at_once = 1
                        pending |= {one.id: one for one in self.writer.one_by_one(ask, len(completions), sampling)}
                    yield ask, completions
                elif outcome.kind == "refused":
                    refused[name] = outcome.why
                else:
                    self._why = outcome.why
                    fatal = fatal or (outcome.why if outcome.kind == "fatal" else "")
        self._done.add(batch_id)
        if served:
            yield from self._refusals(pending, refused)
        if batch_id in self._old:
            return
        if not served and (refused or fatal):  # nobody was answered: the recipe or the account is what is wrong
            why = fatal or next(iter(refused.values()))
            raise self.words.stopped(f"nothing in the batch {batch_id} was answered. {why}")
        if batch.status in ("failed", "cancelled"):
            told = [self.words.clean(one.message) for one in getattr(batch.errors, "data", None) or []]
            raise self.words.stopped(f"the batch {batch_id} has {batch.status}{f' ({told[0]})' if told else ''}")
        if batch.status == "expired":
            self._why = f"the batch {batch_id} expired before they were answered"

    def _refusals(self, pending: dict[str, Ask], refused: dict[str, str]) -> Iterator[Answered]:
        for name, why in refused.items():
            ask = pending.pop(name)
            self.refused.append(f"problem '{ask.problem}': {why}")
            yield ask, [Completion("", "refused", 0, 0)] * len(ask.places)

    def _outcome(self, line: dict[str, Any]) -> Any:
        """The body of a line's reply, or what went wrong."""
        response = line.get("response")
        if isinstance(response, dict) and response.get("body") is not None:
            status, body = response.get("status_code"), response["body"]
            if status == 200:
                return body
            if type(status) is int and status >= 300:
                return self.words.status(status, body, {})
        error = line.get("error")
        return Failure("fault", (self.words.of_body(error) if error else "") or "a line of the results has no reply")

    def _patient_lines(self, file: str) -> Iterator[dict[str, Any]]:
        """A file's lines; from the start again where the connection breaks, which does no harm."""
        for attempt in range(1, self.options.retries + 2):
            try:
                yield from self._lines(file)
                return
            except Exception as error:
                failure = self.words.failure(error)
                if failure.kind in ("fatal", "refused") or attempt > self.options.retries:
                    raise self.words.stopped(f"the results ({file}) cannot be fetched: {failure.why}") from None
            time.sleep(backoff(attempt))

    def _lines(self, file: str) -> Iterator[dict[str, Any]]:
        """The objects in a JSON Lines file at the provider; what is none is left out."""
        with self._client.files.with_streaming_response.content(file) as response:
            rest = b""
            for block in response.iter_bytes():
                *lines, rest = (rest + block).split(b"\n")
                if len(rest) > LARGEST_REPLY:
                    raise Failure("fatal", f"a line of the file {file} is larger than {LARGEST_REPLY >> 20} MiB")
                yield from _objects(lines)
            yield from _objects([rest])

    def _patiently(self, call: Callable[[], T]) -> T:
        """Make a call that may be made again, until it succeeds or the patience ends.

        Raises:
            ModelError: it cannot succeed, or did not for too long.
        """
        started, failures = time.monotonic(), 0
        while True:
            try:
                return call()
            except Exception as error:
                failure = self.words.failure(error)
            failures += 1
            wait = max(failure.wait or 0.0, backoff(failures))
            over = time.monotonic() - started + wait > self.options.patience
            if over or failure.kind in ("fatal", "refused"):
                raise self.words.stopped(failure.why)
            time.sleep(wait)


def _parts(asks: list[Ask], path: str) -> Iterator[tuple[list[str], bytes]]:
    """Asks as contents of input files, each with the ids that it holds, none too large."""
    ids, lines, size = list[str](), list[bytes](), 0
    for ask in asks:
        content = {"custom_id": ask.id, "method": "POST", "url": f"/v1{path}", "body": ask.body}
        line = json.dumps(content).encode()
        if size + len(line) > LARGEST_FILE:
            yield ids, b"\n".join(lines)
            ids, lines, size = [], [], 0
        ids.append(ask.id)
        lines.append(line)
        size += len(line) + 1
    yield ids, b"\n".join(lines)


def _objects(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            yield found


def _sane(found: Any) -> Any:
    """What the client read as an object with an id has one."""
    if not isinstance(getattr(found, "id", None), str):
        raise Failure("fault", "the reply is neither a file nor a batch")
    return found
