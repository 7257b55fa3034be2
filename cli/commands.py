"""The commands by name, each loaded when it is asked for: `siked --help` and completion load none of them.

Typer builds every command before it runs one, and to build a command its module must be imported. Here the top level
knows of each only what it shows: a name, a heading, a line. A test compares the lines with what the commands say.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

LISTED = {
    "A whole run": {
        "distill": "Distil a teacher's reasoning into a student, strategy by strategy, round by round.",
        "quote": "Say what a run will take, before it is paid for: tokens, money, time, disk, and what each strategy "
        "will yield.",
        "runs": "List the runs: what each is, how far it got, how accurate its student is, how large it is.",
        "report": "Tell the story of a run in one HTML file that needs no network.",
        "watch": "Watch a run: what it does now, what it found, what it has spent, what comes next, when it ends.",
        "track": "Send a run's figures to TensorBoard, Weights & Biases, MLflow, trackio or another tracker.",
        "compare": "Compare two runs: recipes, data, yields, what was spent, and how accurate their students are.",
        "solve": "Ask a student: show the strategy that was chosen, its rationale, and the executed answer.",
        "launch": "Write what starts a run on several machines.",
    },
    "One stage of a run": {
        "teach": "Let the teacher answer every question under every strategy: the first stage of a run.",
        "verify": "Judge the samples of a run. What the same verifier has judged before is not judged again.",
        "audit": "Judge a pool by another verifier as well: a confusion table, what flips, and which mixtures that "
        "went into.",
        "mix": "Mix the teacher's and the student's verified samples for a round.",
        "train": "Train the student of a round on that round's mixture.",
        "rollout": "Draw the samples of a round (1, 2, ...) with the student of the round before.",
        "evaluate": "Measure a student of a run, greedily, one sample a question.",
    },
    "Data and lineage": {
        "import": "Bring rationales from a file into a run's teacher pool: each is read under its strategy and "
        "verified.",
        "prompts": "Show the exact prompts of teacher and student, and what the student is trained to write, token "
        "by token.",
        "why": "Follow a sample: what was asked of whom, what came back, how it was judged, and what it was used for.",
        "export": "Write the verified rationales as a clean data set: Parquet, and a card that datasets.load_dataset "
        "reads.",
        "release": "Write a trained student into a folder or onto the hub; also as GGUF, and with a task for lm-eval.",
        "run": "Look a run's directory over; mend a damaged one; migrate an older one.",
    },
    "What there is": {
        "doctor": "Check this machine: versions, device, the cage around model-written programs and a self-test of it, "
        "plugins.",
        "plugins": "Show, check and begin plugins: strategies, verifiers, teachers, ...",
        "recipe": "Show recipes: presets, a file as resolved, the schema of every key.",
    },
}
"""Heading, name, and what it does in a line."""
MODULES = {"import": "import_rationales"}
"""Of siked_cli, where it is not called as the command is. It has a function `command`, or a Typer `app` of more."""
ABOUT = {name: about for named in LISTED.values() for name, about in named.items()}


class LazyGroup(TyperGroup):
    """The top level of the command line."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Loading()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(ABOUT)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section for each heading. Rich, which lays out the help of a single command, takes longer to load than
        everything else here together."""
        for heading, named in LISTED.items():
            with formatter.section(typer.style(heading, bold=True)):
                formatter.write_dl([(typer.style(f"{name:<9}", fg="cyan"), about) for name, about in named.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        stubs: dict[str, Any] = {name: TyperCommand(name, help=about) for name, about in ABOUT.items()}
        stand_in = TyperGroup(name=self.name, commands=stubs, params=self.params)
        return stand_in.shell_complete(typer.Context(stand_in, info_name=ctx.info_name), incomplete)


class _Loading(MutableMapping[str, Any]):
    """The commands by name, each made when it is first looked at."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            if name not in ABOUT:
                raise KeyError(name)
            self._made[name] = _load(name)
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**ABOUT, **self._made})

    def __len__(self) -> int:
        return len({**ABOUT, **self._made})


def _load(name: str) -> Any:
    module = importlib.import_module(f"siked_cli.{MODULES.get(name, name)}")
    around = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
    if hasattr(module, "app"):
        around.add_typer(module.app, name=name)
    else:
        around.command(name)(module.command)
    return typer.main.get_group(around).commands[name]
