"""What a verifier that asks a language model is replied: kept, counted and capped like every sample.

A verifier has its generators made for it (`Verifier.bind`). Those that are made here keep what they write in a pool of
its own, `judges/POOL`, so that a reply is paid for once, also where the command is killed before the verdict is
written. A row's `source` is the name under which `prices.models` knows the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from siked_core.asking import make_room
from siked_core.contracts import Generator, Kind, Request
from siked_core.keys import sample_key
from siked_core.meter import Meter, prompt_limit
from siked_core.pool import uncut_by
from siked_core.records import Completion, Sampling
from siked_core.run import Run
from siked_core.spending import JUDGES


class Replies:
    """The replies that the verdicts on a pool rest on."""

    def __init__(self, run: Run, pool: str) -> None:
        """
        Args:
            pool: whose samples are judged.
        """
        self.run = run
        self.pool = f"{JUDGES}/{pool}"
        self._stage = f"verify {pool}"

    def create(self, kind: Kind, name: str, options: Mapping[str, Any]) -> Any:
        """Make a plugin as the registry does; a generator's completions are kept."""
        made = self.run.registry.create(kind, name, options)
        if kind != "generator":
            return made
        made.say = self.run.reporter.note
        return _Kept(made, self, str(options.get("model", name)))

    @cached_property
    def meter(self) -> Meter:
        """Of the stage; made when something is first to be paid."""
        meter = Meter(self.run, self._stage)
        meter.learn(self.pool)
        return meter

    def known(self, keys: Sequence[str], max_tokens: int) -> dict[str, Completion]:
        """The replies that are there, by key, but for those that a lower limit cut off."""
        import polars as pl

        columns = ("key", "text", "finish_reason", "prompt_tokens", "completion_tokens", "logprob")
        uncut = uncut_by(max_tokens) & pl.col("key").is_in(list(keys))
        rows = self.run.pool(self.pool).scan([*columns, "max_tokens"]).filter(uncut)
        return {key: Completion(*rest) for key, *rest in rows.select(columns).collect().iter_rows()}

    def check(self, requests: Sequence[Request], sampling: Sampling, model: str) -> None:
        """Pause before a cap would be passed.

        Raises:
            CapReached: it would.
        """
        prompts = [prompt_limit(request.prompt) for request in requests]
        expected = self.meter.expect([None] * len(requests), prompts, sampling.max_tokens, model)
        self.meter.check(expected, f"the next {len(requests):,} replies for `{self._stage}`")

    def add(self, rows: list[dict[str, Any]], model: str) -> None:
        self.run.pool(self.pool).append(rows)
        self.meter.add(rows, model)


class _Kept:
    """Stands for a generator, and asks it only for what is not kept yet."""

    def __init__(self, inner: Generator, replies: Replies, model: str) -> None:
        self._inner, self._replies, self._model = inner, replies, model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """As `Generator.generate`; a request that is made twice is answered once.

        Raises:
            CapReached: the next chunk might take the run past one of its caps. What was replied is kept.
        """
        seed = self._replies.run.recipe.seed
        keys = [
            sample_key(one.problem, one.strategy, one.prompt, one.draw, sampling, self._inner, seed) for one in requests
        ]
        found = self._replies.known(keys, sampling.max_tokens)
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in found}
        waiting = list(missing.items())
        size = self._inner.chunk_size
        for start in range(0, len(waiting), size):
            found |= self._ask(dict(waiting[start : start + size]), sampling)
        yield from ((place, found[key]) for place, key in enumerate(keys) if key in found)

    def _ask(self, wanted: Mapping[str, Request], sampling: Sampling) -> dict[str, Completion]:
        keys, requests = list(wanted), list(wanted.values())
        self._replies.check(requests, sampling, self._model)
        replied: dict[str, Completion] = {}
        make_room(self._replies.run)
        try:
            for place, completion in self._inner.generate(requests, sampling):
                replied[keys[place]] = completion
        finally:
            rows = [self._row(key, wanted[key], one, sampling) for key, one in replied.items()]
            self._replies.add(rows, self._model)
        return replied

    def _row(self, key: str, request: Request, reply: Completion, sampling: Sampling) -> dict[str, Any]:
        return {
            "key": key,
            "problem_id": request.problem.id,
            "requested": None,
            "strategy": None,
            "source": self._model,
            "round": 0,
            "draw": request.draw,
            "max_tokens": sampling.max_tokens,
            **asdict(reply),
        }
