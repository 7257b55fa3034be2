"""What a vLLM server's log says: what it is doing, why it failed, and how it ended."""

from __future__ import annotations

import re
from pathlib import Path

LAST_BYTES = 1 << 18
TAIL_LINES = 12
SHOWN = 300
"""Characters of a line."""
_PREFIX = re.compile(
    r"^(\(\w[\w-]* pid=\d+\) )?((DEBUG|INFO|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? \[[^\]]*\] ?)?"
)
_CAUSE = re.compile(r"^(\w+\.)*\w*(Error|Exception|Interrupt|Exit): \S|^\S+: error: |^(ModuleNotFound|Import)Error: ")
_OF_OTHERS = re.compile(r"See root cause above|see stack trace|EngineDeadError|please check the stack trace", re.I)
"""Errors that only pass on that there was one."""


def plain(line: str) -> str:
    """A line without the process, level, time and place that vLLM writes before it."""
    said = "".join(character if character.isprintable() else " " for character in _PREFIX.sub("", line, count=1))
    said = said.strip()
    return said if len(said) <= SHOWN else said[:SHOWN].rstrip() + " ..."


class Log:
    """A server's log in a file, which is read from its end. What is shown of it holds no key."""

    def __init__(self, path: Path, key: str) -> None:
        self.path, self._key = path, key

    def lines(self) -> list[str]:
        """The last lines, or none where the file is gone."""
        try:
            with self.path.open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(max(0, size - LAST_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except OSError:
            return []
        found = [plain(line) for line in text.replace(self._key, "***").splitlines()]
        return [line for line in found if line]

    def cause(self) -> str:
        """The error that the others follow from, as far as it can be told; empty where there is none."""
        errors = [line for line in self.lines() if _CAUSE.search(line)]
        return next((line for line in errors if not _OF_OTHERS.search(line)), errors[-1] if errors else "")

    def told(self) -> str:
        """The cause and the end of the log, as lines of an error message."""
        cause, lines = self.cause(), self.lines()[-TAIL_LINES:]
        parts = [f"Its log names as the cause: {cause}"] if cause else []
        if lines:
            parts.append("The end of its log:\n" + "\n".join(f"  | {line}" for line in lines))
        return "\n".join([*parts, f"The whole log: {self.path}"])
