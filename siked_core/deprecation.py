"""What plugins still may use and will lose: told once, with the plugin, its distribution and the version that ends it.

A hook that goes is marked where it is declared, in `siked_core.hookspecs`, and so is an argument of one:

    @hookspec(warn_on_impl=deprecated("the hook siked_teachers", use="siked_generators", until="siked 0.4"))
    @hookspec(warn_on_impl_args={"registry": deprecated("the argument registry", use="equip", until="siked 0.4")})

A method of a kind of plugin that gets another name is listed on the kind's base class, and what is written under the
old name is used under the new one:

    renamed = {"judge": deprecated("the method judge", use="answers", until="siked 0.4")}
"""

from __future__ import annotations

import abc
import warnings
from collections.abc import Iterable

from siked_core.plugin import Plugin, PluginDeprecationWarning


def deprecated(what: str, *, use: str, until: str) -> PluginDeprecationWarning:
    """What goes, what to use instead, and the release that no longer has it ("siked 0.4")."""
    return PluginDeprecationWarning(what, use, until)


def take_old_names(plugin: type[Plugin], base: type[Plugin]) -> list[str]:
    """Let methods that a class has under a former name stand under the present one, and say so."""
    notes = []
    own = [each for each in plugin.__mro__ if each not in base.__mro__]
    for old, warning in base.renamed.items():
        written = {name for each in own for name in vars(each)}
        if old in written and warning.use not in written:
            setattr(plugin, warning.use, getattr(plugin, old))
            abc.update_abstractmethods(plugin)
            notes.append(str(warning))
    return notes


def told_of(function: object, caught: Iterable[warnings.WarningMessage]) -> tuple[str, ...]:
    """Of the warnings that pluggy gave when a module was registered, those about one of its functions."""
    code = getattr(function, "__code__", None)
    where = (code.co_filename, code.co_firstlineno) if code is not None else None
    return tuple(str(one.message) for one in caught if (one.filename, one.lineno) == where)
