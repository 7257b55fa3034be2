"""The base of all contracts: what holds for a plugin of every kind, and how a test says what is broken.

A contract is a class of tests. Its subclass names the plugin, and pytest runs it as any class of tests:

    class TestTable(StrategyContract):
        plugin = Table

Nothing here needs pytest: `siked plugins check` runs the same tests (`running.py`). A test's docstring is the rule; a
`Broken` says what was seen instead, and how to mend it; a test that cannot be tried here is skipped, and says why.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import tempfile
import traceback
import unittest
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import ValidationError

from siked_core.contracts import Plugin
from siked_core.errors import ModelError, PluginError, RecipeError, SandboxError
from siked_core.registry import Entry, Registry

T = TypeVar("T")
HEAVY = frozenset(
    {"accelerate", "datasets", "peft", "polars", "safetensors", "sympy", "tokenizers", "torch", "transformers", "trl"}
    | {"mlflow", "tensorboard", "trackio", "wandb"}
)
"""What a plugin's module must not import when it is loaded."""
NOT_HERE = (ModelError, PluginError, RecipeError, SandboxError)
"""What a plugin raises where this machine or these options lack something: a test is then left out, not failed."""
MOST_SHOWN = 300
"""Characters of a value in a message."""


class Broken(AssertionError):  # noqa: N818 - it is no error of ours, and reads as what it says
    """A rule of the contract that the plugin does not keep."""

    def __init__(self, seen: str, mend: str) -> None:
        super().__init__(f"{seen}\n{mend}")
        self.seen = seen
        """What was seen instead."""
        self.mend = mend
        """How to mend it."""


@cache
def installed() -> Registry:
    """Every plugin that is installed."""
    return Registry.discover()


class Contract:
    """What holds for a plugin of every kind."""

    plugin: type[Plugin]
    """The class that is tested. A subclass sets it."""
    options: Mapping[str, Any] = MappingProxyType({})
    """What it is made with."""
    registry: Registry | None = None
    """The plugins that it may work with; None: those that are installed. The tested one need not be among them."""

    def setup_method(self) -> None:
        """Begin a test: nothing is made yet."""
        self._made: list[Plugin] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def teardown_method(self) -> None:
        """End a test: what was made is closed."""
        for made in self._made:
            close = getattr(made, "close", None)
            if callable(close):
                close()
        if self._folder is not None:
            self._folder.cleanup()

    # What tests use

    @property
    def folder(self) -> Path:
        """A folder for this test alone."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="siked-contract-")
        return Path(self._folder.name)

    @property
    def plugins(self) -> Registry:
        """The plugins that there are, the tested one among them."""
        mine = Entry(self.plugin.kind, self.plugin.name, "active", "tested", "", "tested", plugin=self.plugin)
        others = (self.registry or installed()).entries
        return Registry([*(one for one in others if (one.kind, one.name) != (mine.kind, mine.name)), mine])

    def made(self) -> Any:
        """The plugin with its options, as a run makes it. It is closed when the test ends."""
        fields = self.plugin.options_type.model_fields
        missing = [name for name, field in fields.items() if field.is_required() and name not in self.options]
        if missing:
            self.skip(f"it cannot be made without its option {' and '.join(missing)}: give it")
        made = self.plugins.create(self.plugin.kind, self.plugin.name, self.options)
        self._made.append(made)
        return made

    def check(self, kept: bool, seen: str, mend: str) -> None:
        """Raise `Broken` unless the rule is kept."""
        if not kept:
            raise Broken(seen, mend)

    def tried(self, what: str, function: Callable[[], T], mend: str) -> T:
        """What the plugin's function returns. Where it raises, the contract is broken, unless it says that something
        is not there or does not fit (`NOT_HERE`)."""
        try:
            return function()
        except (*NOT_HERE, unittest.SkipTest):
            raise
        except Exception as error:
            raise Broken(f"{what} raised {described(error)}", mend) from error

    def skip(self, why: str) -> NoReturn:
        """Leave a test out, saying why. pytest reports it as skipped."""
        raise unittest.SkipTest(why)

    # The tests

    def test_it_can_be_found_and_is_described(self) -> None:
        """It has a name of lower-case letters, digits, '-' and '_', every method of its kind, and a docstring whose
        first line says what it does."""
        plugin = self.plugin
        named = isinstance(getattr(plugin, "name", None), str) and re.fullmatch(
            r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", plugin.name
        )
        self.check(
            bool(named),
            f"its name is {getattr(plugin, 'name', None)!r}",
            'Set a class attribute such as name = "my-plugin".',
        )
        missing = ", ".join(sorted(getattr(plugin, "__abstractmethods__", ())))
        self.check(
            not missing, f"it lacks {missing}", "Write these methods; siked_core/contracts.py says what they do."
        )
        summary = (plugin.__doc__ or "").strip().split("\n", 1)[0]
        self.check(
            bool(summary) and plugin.__doc__ not in {base.__doc__ for base in plugin.__mro__[1:]},
            f"the first line of its docstring is {summary!r}",
            "Write a docstring: its first line is what `siked plugins list` shows.",
        )
        self.check(
            isinstance(plugin.version, str) and bool(plugin.version),
            f"its version is {plugin.version!r}",
            'A version is a text such as "1", raised when the same input would give another output.',
        )

    def test_loading_its_module_imports_nothing_heavy(self) -> None:
        """Its module imports what is heavy inside functions only, so that `siked plugins list` answers at once."""
        source = inspect.getsourcefile(self.plugin)
        if source is None or not Path(source).exists():
            self.skip("its source is not to be had")
        found = sorted(HEAVY & set(_imported(ast.parse(Path(source).read_text(encoding="utf-8")))))
        self.check(
            not found,
            f"{source} imports {', '.join(found)} when it is loaded",
            "Move the import into the function that needs it; for annotations use `if TYPE_CHECKING:`.",
        )

    def test_its_options_survive_a_recipe(self) -> None:
        """Its options are written into a recipe as YAML and JSON, and the plugin made of what is read back has the
        same options."""
        made = self.made()
        plain = self.tried(
            "writing its options as JSON",
            lambda: made.options.model_dump(mode="json"),
            "Use types that pydantic writes as JSON: numbers, texts, lists, mappings, paths, models.",
        )
        for form, again in (("JSON", json.loads(json.dumps(plain))), ("YAML", yaml.safe_load(yaml.safe_dump(plain)))):
            read = self.tried(
                f"reading its options back from {form}",
                lambda again=again: type(made)(again).options,  # type: ignore[misc]
                "A validator must accept what the options are written as.",
            )
            self.check(
                read == made.options,
                f"through {form}, {shown(made.options)} became {shown(read)}",
                "Use types that are read back as they were written, or give the field a serializer.",
            )

    def test_an_unknown_option_is_refused(self) -> None:
        """An option that it does not have is refused, so that a misspelt one is noticed before a run."""
        try:
            self.plugin({**self.options, "no_such_option": 1})
        except ValidationError:
            return
        raise Broken(
            "it was made with the option 'no_such_option'",
            "Derive options_type from siked_core.Options, and leave its model_config as it is.",
        )


def described(error: BaseException) -> str:
    """An exception in a line: its type, what it says, and the line of code that raised it."""
    where = ""
    for frame in traceback.extract_tb(error.__traceback__):
        where = f" ({Path(frame.filename).name}, line {frame.lineno})"
    return f"{type(error).__name__}: {shown(str(error), plain=True)}{where}"


def shown(value: object, plain: bool = False) -> str:
    """A value as it may be put into a message: short, and without what could steer a terminal."""
    text = str(value) if plain else repr(value)
    start = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text[:MOST_SHOWN])
    return start if len(text) <= MOST_SHOWN else f"{start}... ({len(text):,} characters)"


def _imported(tree: ast.AST) -> list[str]:
    """The packages that a module imports when it is loaded."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            found += [alias.name.split(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module.split(".")[0])
        found += _imported(node)
    return found
