"""What can go wrong that a user can put right.

Every error here is shown as one line, without a traceback, and ends the command with exit code 2. Its
message says what was asked for, what is allowed, and what to do. Anything else that is raised is a bug of
ours and keeps its traceback.

To add one: subclass `SikedError`, name it for what the user did, and write the message where it is raised.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SikedError(Exception):
    """A mistake or a condition that the user can put right. Exit code 2."""


class RecipeError(SikedError):
    """A recipe, an option or a preset that does not fit."""


class DataError(SikedError):
    """A data set or a file that cannot be read as what it was given for."""


class ModelError(SikedError):
    """A model or tokenizer that cannot be loaded or lacks what training needs."""


class PluginError(SikedError):
    """A plugin that does not exist, is switched off, or could not be loaded."""


class UnusablePluginError(PluginError):
    """A plugin that is there, but is switched off, broken, or one of two of the same name."""


class RunError(SikedError):
    """A run directory that cannot be used as asked."""


class FormatError(RunError):
    """A run directory that is laid out as another version of siked does it. Not damaged."""


class StoreError(RunError):
    """A store at a URL that does not do what was asked of it. What was finished is not lost."""


class CapReached(SikedError):  # noqa: N818 - not a mistake: the run pauses where its user said it should
    """A run pauses because it would spend more than its recipe allows. Exit code 4."""


class SandboxError(SikedError):
    """The cage for untrusted programs cannot be set up on this machine."""


class IncomparableError(Exception):
    """Two answers could not be compared, and why: out of time, or out of memory, twice. A verdict comes of it."""


class VerifierFault(Exception):  # noqa: N818 - a fault in the judge, told apart from an error of the user's
    """A verifier failed at its own work. Not a verdict, and not a user's mistake: a bug, with its sample."""


def unknown(what: str, asked: str, available: Iterable[str], hint: str = "") -> str:
    """One line for a name that does not exist, with the nearest names and the whole choice.

    Args:
        hint: what was meant, where that is known better than by likeness.
    """
    names = sorted(available)
    near = difflib.get_close_matches(asked, names, n=1, cutoff=0.6)
    if not near:  # Cot, openai/gsm8k
        typed = asked.lower()
        near = [name for name in names if name.lower() == typed or (len(name) > 3 and name.lower() in typed)]
    hint = hint or (f" Did you mean '{near[0]}'?" if near else "")
    listed = f" Available: {', '.join(names)}." if names else " None is available."
    return f"Unknown {what} '{asked}'.{hint}{listed}"
