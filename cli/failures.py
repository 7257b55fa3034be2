"""What went wrong, as one line on stderr."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

_ADVICE = {
    errno.ENOSPC: "Free some space there, or choose another directory with --runs.",
    errno.EDQUOT: "Free some space there, or choose another directory with --runs.",
    errno.EROFS: "Choose a directory that can be written to with --runs.",
    errno.EACCES: "Change its permissions, or choose another directory with --runs.",
    errno.EPERM: "Change its permissions, or choose another directory with --runs.",
}
# safetensors, Polars and torch write through code that is not Python's: its errors carry the reason as text only.
_TOLD = {
    errno.ENOSPC: re.compile(
        r"no space left on device|StorageFull|PytorchStreamWriter failed writing|inline_container.*unexpected pos",
        re.IGNORECASE,
    ),
    errno.EDQUOT: re.compile(r"disk quota exceeded", re.IGNORECASE),
    errno.EROFS: re.compile(r"read-only file system", re.IGNORECASE),
}
_REASONS = {
    errno.ENOSPC: "no space is left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "the operation is not permitted",
}


def print_error(line: str, label: str = "Error: ") -> None:
    """Write to stderr, in red where it is a terminal."""
    from rich.console import Console
    from rich.text import Text

    from siked_core.visible import visible

    Console(stderr=True, highlight=False).print(Text(f"{label}{visible(line)}", style="red"), soft_wrap=True)


def disk_failure(error: BaseException) -> str | None:
    """One line where the disk refused; None where the error is something else."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in _REASONS:
            return _line(one.errno, one.filename)
        for number, pattern in _TOLD.items():
            if pattern.search(str(one)):
                return _line(number, None)
    return None


def is_usage_error(error: BaseException) -> bool:
    """A mistake in the command line itself. Typer brings its own copy of click's classes, so go by their shape."""
    return hasattr(error, "format_message") and hasattr(error, "exit_code")


def usage_line(error: BaseException) -> str:
    """The mistake and where to look; empty where the help has been shown already."""
    message = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    message = re.sub(r", unable to (parse|interpret) .*$", ".", message)
    if type(error).__name__ == "NoArgsIsHelpError" or not message:
        return ""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "siked"
    return f"{message.removesuffix('.')}{'' if message.endswith('?') else '.'} See {path} --help.".replace("?.", "?")


def _line(number: int, filename: object) -> str:
    place = f" {filename}" if filename else ""
    return f"Cannot use{place or ' the disk'}: {_REASONS[number]}. {_ADVICE[number]}"


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
