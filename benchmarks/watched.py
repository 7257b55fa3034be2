"""What goes on inside a run: its calls of plugins and of the trainer, timed or written down, without a change to siked.

Functions are put in front of siked's own for as long as something is measured (`in_front`). A `Clock` counts every
second once, for the innermost thing that is being done. `Calls` are what a run has asked its generators, verifiers and
trainer, in order and with what came back, so that the very same can be asked again without a run around it.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import inspect
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any

GENERATION, VERIFICATION, TRAINING = "generation", "verification", "training"
IMPORTS = "imports of libraries"
REST = "all else"
Owner = Any
"""A module or a class."""


@contextmanager
def in_front(owner: Owner, name: str, made: Callable[[Any], Any]) -> Iterator[None]:
    """Put what `made` makes of a function in front of it, in its owner and wherever siked has imported it to."""
    original = getattr(owner, name)
    new = made(original)
    own = vars(owner).get(name)
    _replace(owner, name, original, new)
    try:
        yield
    finally:
        _replace(owner, name, new, original)
        if not isinstance(owner, ModuleType) and own is None:
            delattr(owner, name)  # it was inherited


def _replace(owner: Owner, name: str, old: Any, new: Any) -> None:
    setattr(owner, name, new)
    if isinstance(owner, ModuleType):
        for module in [one for key, one in sys.modules.items() if key.startswith("siked_")]:
            if getattr(module, name, None) is old:
                setattr(module, name, new)


class Clock:
    """Seconds by what was being done in the thread that made it."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._doing = [REST]
        self._since = time.perf_counter()
        self._spent: dict[str, float] = {}

    @property
    def spent(self) -> dict[str, float]:
        self._count()
        return dict(self._spent)

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        if threading.get_ident() != self._thread:
            yield
            return
        self._count()
        self._doing.append(what)
        try:
            yield
        finally:
            self._count()
            self._doing.pop()

    def timed(self, what: str) -> Callable[[Any], Any]:
        """For `in_front`: the function, its time counted as this; of a generator, the time until each item."""

        def made(function: Any) -> Any:
            if inspect.isgeneratorfunction(function):

                @wraps(function)
                def items(*given: Any, **named: Any) -> Iterator[Any]:
                    source = function(*given, **named)
                    while True:
                        with self.doing(what):
                            try:
                                item = next(source)
                            except StopIteration:
                                return
                        yield item

                return items

            @wraps(function)
            def called(*given: Any, **named: Any) -> Any:
                with self.doing(what):
                    return function(*given, **named)

            return called

        return made

    @contextmanager
    def imports(self) -> Iterator[None]:
        """Count what is spent on loading modules for themselves, whoever needs them."""

        def made(function: Any) -> Any:
            def called(name: str, *given: Any, **named: Any) -> Any:
                if self._doing[-1] == IMPORTS or name in sys.modules:
                    return function(name, *given, **named)
                with self.doing(IMPORTS):
                    return function(name, *given, **named)

            return called

        with in_front(builtins, "__import__", made), in_front(importlib, "import_module", made):
            yield

    def _count(self) -> None:
        now = time.perf_counter()
        self._spent[self._doing[-1]] = self._spent.get(self._doing[-1], 0.0) + now - self._since
        self._since = now


@contextmanager
def watched(clock: Clock, watch: Mapping[str, list[tuple[Owner, str]]]) -> Iterator[None]:
    """Have the clock count these functions."""
    with ExitStack() as stack:
        for what, functions in watch.items():
            for owner, name in functions:
                stack.enter_context(in_front(owner, name, clock.timed(what)))
        yield


def bare_calls(generators: list[type], verifiers: list[type]) -> dict[str, list[tuple[Owner, str]]]:
    """Where siked calls its generators, its verifiers (after the strategies have read), and its trainer."""
    from siked_core import launch
    from siked_core.stages import verify

    return {
        GENERATION: [(one, name) for one in generators for name in ("open", "generate")],
        VERIFICATION: [*((one, "verify") for one in verifiers), (verify, "read")],
        TRAINING: [(launch, "fit")],
    }


@dataclass
class Calls:
    """What was asked, in order, and what came back."""

    made: list[tuple[str, Any, Any]] = field(default_factory=list)
    """(kind, what was asked, what came back)"""

    @contextmanager
    def noted(self, generators: list[type], verifiers: list[type]) -> Iterator[None]:
        """Write the calls down that are made meanwhile."""
        kinds = {"generate": self._generate, "verify": self._verify, "read": self._read, "fit": self._fit}
        with ExitStack() as stack:
            for functions in bare_calls(generators, verifiers).values():
                for owner, name in functions:
                    if name in kinds:
                        stack.enter_context(in_front(owner, name, kinds[name]))
            yield

    def keep(self, path: Path) -> None:
        with path.open("wb") as file:
            pickle.dump(self.made, file)

    @classmethod
    def kept(cls, path: Path) -> Calls:
        """Those that this benchmark has kept itself."""
        with path.open("rb") as file:
            return cls(pickle.load(file))

    def _generate(self, function: Any) -> Any:
        @wraps(function)
        def generate(plugin: Any, requests: Any, sampling: Any) -> Iterator[Any]:
            found: list[Any] = []
            self.made.append((GENERATION, (_named(plugin), list(requests), sampling), found))
            for item in function(plugin, requests, sampling):
                found.append(item)
                yield item

        return generate

    def _verify(self, function: Any) -> Any:
        def verify(plugin: Any, claims: Any) -> Any:
            found = function(plugin, claims)
            self.made.append((VERIFICATION, (_named(plugin), list(claims)), list(found)))
            return found

        return verify

    def _read(self, function: Any) -> Any:
        def read(*asked: Any) -> Any:
            found = function(*asked)
            self.made.append(("read", asked, found))
            return found

        return read

    def _fit(self, function: Any) -> Any:
        def fit(**asked: Any) -> Any:
            trained = function(**asked)
            plain = {name: value for name, value in asked.items() if name not in ("progress", "at_checkpoint")}
            self.made.append((TRAINING, plain, weights(asked["destination"])))
            return trained

        return fit


def weights(folder: Path) -> str:
    """A hash of a student's weights."""
    return hashlib.file_digest((folder / "model.safetensors").open("rb"), "blake2b").hexdigest()


def _named(plugin: Any) -> tuple[str, dict[str, Any]]:
    return plugin.name, plugin.options.model_dump(exclude_unset=True)
