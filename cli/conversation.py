"""`siked solve RUN` on a terminal: question after question, and commands that change how they are asked."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from siked_cli.output import Output
from siked_cli.solutions import solution_lines
from siked_core.errors import SikedError
from siked_core.recipe_choice import PluginChoice
from siked_core.visible import visible

if TYPE_CHECKING:
    from siked_core.solver import Asking, Solver

PROMPT = "> "
HISTORY_LINES = 1000
HELP = """\
Type a question. What begins with / is a command:
  /strategy NAME     use this strategy from now on; without a name, let the student (or the selector) choose again
  /selector NAME     choose the answer so: {selectors}; without a name, as the student was evaluated
  /samples N         so many attempts, put to a vote; without a number, as before
  /temperature T     draw at this temperature (0: greedy); without a number, as before
  /help              this
  /quit              end, as Ctrl-D does; Ctrl-C gives up the question that is being answered
Strategies of this student: {strategies}."""


class Conversation:
    """A loop of questions and answers."""

    def __init__(self, solver: Solver, asking: Asking, output: Output, read: Callable[[str], str] = input) -> None:
        """
        Args:
            read: shows a prompt and reads a line; raises `EOFError` at the end, `KeyboardInterrupt` at Ctrl-C.
        """
        self._solver, self._asking, self._output, self._read = solver, asking, output, read

    def run(self) -> None:
        """Until the end of the input, or /quit."""
        names = ", ".join(self._solver.strategies)
        self._say(f"Strategies: {names}. /help tells what else can be asked; Ctrl-D ends.")
        while True:
            try:
                line = self._read(PROMPT).strip()
            except EOFError:
                self._say("")
                return
            except KeyboardInterrupt:
                self._say("")
                continue
            if line in ("/quit", "/exit"):
                return
            try:
                self._answer(line)
            except KeyboardInterrupt:
                self._solver.interrupt()
                self._say("Given up.")
            except SikedError as error:
                self._output.show(Text(visible(str(error)), style="red"))

    def _answer(self, line: str) -> None:
        if line.startswith("/"):
            self._command(*_parts(line))
        elif line:
            (solution,) = self._solver.ask([line], self._asking)
            self._output.show(*solution_lines(solution), Text())

    def _command(self, name: str, value: str) -> None:
        if name == "help":
            selectors = ", ".join(self._solver.selectors)
            self._say(HELP.format(selectors=selectors, strategies=", ".join(self._solver.strategies)))
            return
        changed = self._changed(name, value)
        if changed is None:
            self._output.show(Text(f"There is no command /{visible(name)}: /help lists them.", style="red"))
            return
        self._solver.plan(changed)
        self._asking = changed
        told = ", ".join(f"{key} {_told(value)}" for key, value in changed.as_dict().items())
        self._say(f"Asked with {told}." if told else "Asked as the student was evaluated.")

    def _changed(self, name: str, value: str) -> Asking | None:
        """How questions are asked after a command; None where there is no such command.

        Raises:
            RecipeError: its value is no number.
        """
        if name == "strategy":
            return replace(self._asking, strategy=value or None)
        if name == "selector":
            return replace(self._asking, selector=PluginChoice(name=value) if value else None)
        if name == "samples":
            return replace(self._asking, samples=int(_number(name, value, 1)) if value else None)
        if name == "temperature":
            return replace(self._asking, temperature=_number(name, value, 0) if value else None)
        return None

    def _say(self, text: str) -> None:
        self._output.show(Text(text, style="dim"))


def _parts(line: str) -> tuple[str, str]:
    name, _, value = line[1:].strip().partition(" ")
    return name, value.strip()


def _told(value: object) -> str:
    return str(value["name"]) if isinstance(value, dict) else str(value)


def _number(name: str, text: str, least: float) -> float:
    from siked_core.errors import RecipeError

    try:
        value = float(text)
    except ValueError:
        value = -1
    if not least <= value <= 1000 or (name == "samples" and value != int(value)):
        raise RecipeError(
            f"/{name} takes a {'whole ' if name == 'samples' else ''}number from {least:g}; got '{text}'."
        )
    return value


@contextlib.contextmanager
def on_terminal() -> Iterator[None]:
    """Line editing and a history that is kept, and Ctrl-C that interrupts what is under way and not the program."""
    history = _remembered()
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if main else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)
        if history is not None:
            _remember(history)


def history_file() -> Path:
    """Where questions that were typed are kept: in the user's folder for what programs remember."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "siked" / "solve-history"


def _remembered() -> Path | None:
    """Load the history; None where there is no line editing here."""
    try:
        import readline
    except ImportError:
        return None
    path = history_file()
    with contextlib.suppress(OSError):
        readline.clear_history()
        readline.read_history_file(path)
    return path


def _remember(path: Path) -> None:
    """Keep the history, for this user alone. Without a place for it nothing is kept, and nothing fails."""
    import readline

    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        readline.set_history_length(HISTORY_LINES)
        readline.write_history_file(path)
