"""Any generator, on many machines at once: a chunk's requests are spread over the workers of a Ray cluster.

Ray (Moritz et al. 2018, arXiv 1712.05889) runs one process of the wrapped generator on each worker; see `workers.py`
for what becomes of a worker that dies, and for why these are actors rather than Ray Data. The model is the wrapped
generator's, and so are the samples' keys: what was drawn through Ray need not be drawn again without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from siked_core import Completion, Generator, Options, Prompt, RecipeError, Request, Sampling, hookimpl
from siked_plugins.generators.ray import cluster
from siked_plugins.generators.ray.options import RayOptions
from siked_plugins.generators.ray.workers import Workers

ROUNDS = 2
"""A chunk has so many batches for each worker: those that are quick take more of them."""
SMALLEST = 16
"""Requests of a batch, where there are not enough for full ones for all. (The option `batch` may be less.)"""


class RayGenerator(Generator):
    """Another generator (transformers, vllm ...) on the machines of a Ray cluster, each with the model for itself."""

    name = "ray"
    options_type: ClassVar[type[Options]] = RayOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._wrapped: Generator | None = None
        self._workers: Workers | None = None

    def equip(self, create: Callable[..., Any]) -> None:
        name, options = self.options.generator.name, dict(self.options.generator.options)
        if name == self.name:
            raise RecipeError("The generator 'ray' cannot spread its own work: name another as its option generator.")
        if self.options.model is not None:
            options["model"] = self.options.model
        self._wrapped = create("generator", name, options)
        if self.options.dtype is not None and "dtype" in type(self._wrapped).options_type.model_fields:
            self._wrapped = create("generator", name, {"dtype": self.options.dtype, **options})

    @property
    def original(self) -> Generator:
        """The generator whose work is spread."""
        if self._wrapped is None:
            raise RuntimeError("the generator 'ray' was not made by a registry")
        return self._wrapped

    @property
    def fingerprint(self) -> str:
        return self.original.fingerprint

    @property
    def reads_solution(self) -> bool:  # type: ignore[override]
        return self.original.reads_solution

    @property
    def batch_sensitive(self) -> bool:  # type: ignore[override]
        return self.original.batch_sensitive

    @property
    def chunk_size(self) -> int:
        """The same however many workers there turn out to be, so that a resumed run cuts its chunks as before."""
        return self._batch * self._most * ROUNDS

    @property
    def _batch(self) -> int:
        return int(self.options.batch or self.original.chunk_size)

    @property
    def _most(self) -> int:
        return int(self.options.workers[1])

    def check_machine(self) -> None:
        cluster.library()

    def rendered(self, prompt: Prompt) -> str | None:
        return self.original.rendered(prompt)

    def open(self) -> None:
        """Start the workers, and wait until one has loaded the model.

        Raises:
            PluginError: the cluster cannot be reached, has no room, or its nodes lack what is needed.
        """
        if self._workers is None:
            self._workers = Workers(self.original, self.options, self.options.gpus)
        self._workers.open()

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Have them answered by whoever is free.

        Raises:
            PluginError: workers keep dying; what was answered is yielded before.
            SikedError: whatever the wrapped generator raises.
        """
        self.open()
        assert self._workers is not None
        size = min(self._batch, max(SMALLEST, -(-len(requests) // (self._most * ROUNDS))))
        yield from self._workers.run(requests, size, sampling, whole=self.batch_sensitive)

    def close(self) -> None:
        if self._workers is not None:
            self._workers.close()
        self.original.close()


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [RayGenerator]
