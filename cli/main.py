"""The application: every command by name, and what each way of ending means to the shell.

Exit codes: 0 done; 1 a bug of ours (with its traceback), or `siked run check`, `siked plugins check` or `siked doctor`
found something wrong; 2 something that the user can put right (one line); 3 `siked doctor` found that programs cannot
be run safely here; 4 a run paused at one of its caps; 130 interrupted; 143 terminated.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from siked_cli.commands import LazyGroup

QUIET_LIBRARIES = {
    # Threads that wait for work must not burn the core that the sandbox's programs need.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    # Pydantic would look through everything that is installed for plugins of its own.
    "PYDANTIC_DISABLE_PLUGINS": "1",
}
CONTINUABLE = ("distill", "quote", "import", "teach", "verify", "mix", "train", "rollout", "evaluate")
CAPPED = ("distill", "quote", "teach", "verify", "audit", "train", "rollout", "evaluate")
"""Commands that take caps."""
PAUSED = 4
INTERRUPTED = 130

app = typer.Typer(
    name="siked",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from siked_core import __version__

        typer.echo(f"siked {__version__}")
        raise typer.Exit


@app.callback()
def _siked(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Distil reasoning from a large language model into a small one, strategy by strategy.

    Start with `siked distill`: with nothing configured it uses the embedded pocket world, which needs no
    network, no GPU and no key.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. A bug is raised, so that its traceback is shown."""
    from siked_cli.failures import print_error
    from siked_cli.interruption import Interruption

    for name, value in QUIET_LIBRARIES.items():
        os.environ.setdefault(name, value)
    arguments = list(sys.argv[1:] if argv is None else argv)
    interruption = Interruption(_how_to_continue(arguments))
    try:
        with interruption:
            code = app(arguments, prog_name="siked", standalone_mode=False)
            sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:  # `siked plugins list | head -1`
        _abandon_stdout()
        return 1
    except Exception as error:
        told = _told(error, arguments)
        if told is not None:
            return told
        if interruption.received is None:
            raise
        code = INTERRUPTED  # a library turned the interruption into an error of its own
    if code == INTERRUPTED:
        print_error(interruption.line, label="")
        if argv is None:  # the program itself: whoever ends it need not wait until every library is taken down
            sys.stdout.flush()
            os._exit(interruption.code)
        return interruption.code
    return code if isinstance(code, int) else 0


def _told(error: Exception, arguments: Sequence[str]) -> int | None:
    """The exit code of what the user can put right, when it has been told; None for a bug of ours.

    What tells one from the other is only imported now: `siked --help` has no use for it.
    """
    from siked_cli.failures import disk_failure, is_usage_error, print_error, usage_line
    from siked_core.errors import CapReached, SikedError

    if isinstance(error, CapReached):
        print_error(f"{error}{_where_caps_are_given(arguments)}", label="Paused: ")
        return PAUSED
    line = (
        str(error)
        if isinstance(error, SikedError)
        else usage_line(error)
        if is_usage_error(error)
        else disk_failure(error)
    )
    if line is None:
        return None
    if line:  # none is left to say where the help has been shown
        print_error(line)
    return 2


def _where_caps_are_given(arguments: Sequence[str]) -> str:
    if arguments and arguments[0] in CAPPED:
        return ""
    return " This command keeps to the run's caps: raise them by `siked verify RUN`, which takes that option."


def _how_to_continue(arguments: Sequence[str]) -> str:
    into_file = arguments[:1] == ["solve"] and any(word.partition("=")[0] == "--output" for word in arguments)
    if not arguments or (arguments[0] not in CONTINUABLE and not into_file):
        return ""
    return f" To continue where it stopped: siked {shlex.join(arguments)}"


def _abandon_stdout() -> None:
    """Nobody reads any more: keep the interpreter from failing again when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
