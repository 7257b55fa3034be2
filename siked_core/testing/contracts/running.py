"""Runs a contract's tests without pytest, and tells of each what came of it. `siked plugins check` shows that."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
import unittest
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from siked_core.contracts import Plugin
from siked_core.errors import SikedError, UnusablePluginError
from siked_core.registry import Registry
from siked_core.testing.contracts.contract import Broken, Contract, described, shown

LIMIT_S = 180.0
"""For one test. What takes longer hangs."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one rule of the contract."""

    kind: str
    name: str
    test: str
    rule: str
    """What the contract says."""
    outcome: Literal["passed", "failed", "skipped"]
    seen: str = ""
    """Of a failure, what was seen instead; of a test that was left out, why."""
    mend: str = ""
    """Of a failure, how to mend it."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class TooLongError(Exception):
    """A test has taken too long."""


def check_plugin(
    plugin: type[Plugin],
    options: Mapping[str, Any] | None = None,
    registry: Registry | None = None,
    progress: Callable[[str], None] = lambda rule: None,
    limit_s: float = LIMIT_S,
) -> list[Finding]:
    """Run the contract of a plugin's kind. It runs the plugin's code in this process: a stranger's has your rights.

    Args:
        options: what the plugin is made with.
        registry: the plugins that it may work with; None: those that are installed.
        progress: is told each rule before it is tried.

    Raises:
        UnusablePluginError: siked has no contract for plugins of this kind.
    """
    from siked_core.testing.contracts import CONTRACTS

    base = CONTRACTS.get(plugin.kind)
    if base is None:
        raise UnusablePluginError(f"There is no contract for plugins of the kind '{plugin.kind}'.")
    members = {"plugin": plugin, "options": dict(options or {}), "registry": registry}
    contract = type(f"Checked{plugin.__name__}", (base,), members)
    findings = []
    for test in names_of_tests(contract):
        rule = rule_of(contract, test)
        progress(rule)
        findings.append(_tried(contract, test, rule, limit_s))
    return findings


def names_of_tests(contract: type[Contract]) -> list[str]:
    """The names of a contract's tests: those of every kind first, then in the order in which they are written."""
    names: dict[str, None] = {}
    for each in reversed(contract.__mro__):
        names.update(dict.fromkeys(name for name in vars(each) if name.startswith("test_")))
    return list(names)


def rule_of(contract: type[Contract], test: str) -> str:
    """What a test's docstring says, in a line."""
    return " ".join((getattr(contract, test).__doc__ or test.replace("_", " ")).split())


def _tried(contract: type[Contract], test: str, rule: str, limit_s: float) -> Finding:
    plugin = contract.plugin

    def finding(outcome: Literal["passed", "failed", "skipped"], seen: str = "", mend: str = "") -> Finding:
        return Finding(plugin.kind, plugin.name, test, rule, outcome, shown(seen, plain=True), mend)

    trial = contract()
    # What the plugin prints must not get into a document on stdout.
    with contextlib.redirect_stdout(sys.stderr):
        trial.setup_method()
        try:
            with _limited(limit_s):
                getattr(trial, test)()
        except Broken as broken:
            return finding("failed", broken.seen, broken.mend)
        except unittest.SkipTest as reason:
            return finding("skipped", str(reason))
        except SikedError as error:  # something that its user can put right: it is not there, or does not fit
            return finding("skipped", str(error))
        except (Exception, SystemExit) as error:
            hint = "Nothing that the contract allows as input may raise this. The traceback's last line is named."
            if isinstance(error, TooLongError):
                hint = "Look for a loop that does not end, or a pattern that tries too much; or wait for less."
            return finding("failed", described(error), hint)
        finally:
            with contextlib.suppress(Exception):
                trial.teardown_method()
    return finding("passed")


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer, where a signal can do that: in the main thread."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return
    started = time.monotonic()

    def too_long(*_: object) -> None:
        raise TooLongError(f"it has not ended after {time.monotonic() - started:.0f} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
