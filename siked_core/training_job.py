"""A training as data, and the process that does it: `python -m siked_core.training_job FOLDER`.

The folder holds all that `training.fit` is given: `job.json` (the base, the settings, where to write),
`examples.parquet` (tokens, labels, weights) and `tokenizer/`, so that any process that sees the folder can train: one
alone, or several that torch's launcher has started. With an owner in the environment (`training_channel`) progress,
errors and the outcome go there; without one each message is a line of JSON on the standard output.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from siked_core import errors, processes
from siked_core.contracts import Preference, TrainingExample
from siked_core.errors import SikedError
from siked_core.files import replacing, write_text
from siked_core.recipe_launch import LaunchRecipe
from siked_core.recipe_student import LoraRecipe, TrainingRecipe
from siked_core.section import Section
from siked_core.training_channel import Message, Owner

SETTINGS, EXAMPLES, TOKENIZER = "job.json", "examples.parquet", "tokenizer"
_COLUMNS = ("input_ids", "labels", "weights", "epoch_weights", "preference")


class TrainingJob(Section):
    """What `training.fit` is given beside examples and tokenizer, under the same names."""

    base: str
    epochs: float
    recipe: TrainingRecipe
    lora: LoraRecipe | None
    dtype: str
    seed: int
    checkpoints: Path
    destination: Path
    launch: LaunchRecipe

    @property
    def arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}


class Paused(Exception):  # noqa: N818 - not an error: the owner wants no more
    """The training ends after this checkpoint."""


class Told:
    """A `Progress` that tells the owner."""

    def __init__(self, say: Any) -> None:
        self._say = say
        self._steps = 0

    def advance(self, amount: int = 1) -> None:
        self._steps += amount
        self._say({"said": "steps", "steps": self._steps})

    def describe(self, text: str) -> None:
        self._say({"said": "described", "text": text})

    def measure(self, step: int, values: Mapping[str, float]) -> None:
        self._say({"said": "measured", "step": step, "values": dict(values)})

    def finish(self, summary: str) -> None:
        pass


def write_job(folder: Path, job: TrainingJob, tokenizer: Any, examples: Sequence[TrainingExample]) -> None:
    """Write a training down.

    Raises:
        RunError: the disk is full or the folder cannot be written.
        OSError: likewise, of the tokenizer.
    """
    import polars as pl

    columns: dict[str, list[Any]] = {name: [getattr(example, name) for example in examples] for name in _COLUMNS}
    columns["preference"] = [None if one is None else asdict(one) for one in columns["preference"]]
    tokens, weights = pl.List(pl.Int64), pl.List(pl.Float64)
    preference = pl.Struct({"wanted": pl.Boolean, "reference": pl.Float64, "beta": pl.Float64, "weight": pl.Float64})
    schema = dict(zip(_COLUMNS, (tokens, tokens, weights, pl.List(weights), preference), strict=True))
    with replacing(folder / EXAMPLES) as temporary:
        pl.DataFrame(columns, schema=schema).write_parquet(temporary)
    tokenizer.save_pretrained(folder / TOKENIZER)
    write_text(folder / SETTINGS, job.model_dump_json(indent=2) + "\n")


def read_job(folder: Path) -> tuple[TrainingJob, Any, list[TrainingExample]]:
    """A training that was written down: its settings, tokenizer and examples."""
    import polars as pl

    from siked_core.models import load_tokenizer

    job = TrainingJob.model_validate_json((folder / SETTINGS).read_text(encoding="utf-8"))
    rows = pl.read_parquet(folder / EXAMPLES).select(*_COLUMNS).iter_rows()
    examples = [
        TrainingExample(
            tuple(tokens), tuple(labels), tuple(weights), tuple(map(tuple, of_epochs)), given and Preference(**given)
        )
        for tokens, labels, weights, of_epochs, given in rows
    ]
    return job, load_tokenizer(str(folder / TOKENIZER)), examples


def failure(error: Exception) -> Message:
    """An error as a message: siked's own and the system's by kind, any other with its traceback."""
    if isinstance(error, SikedError):
        return {"said": "failed", "kind": type(error).__name__, "text": str(error)}
    if isinstance(error, OSError) and error.errno is not None:
        return {"said": "failed", "kind": "OSError", "number": error.errno, "text": error.strerror,
                "path": error.filename and str(error.filename)}  # fmt: skip
    return {"said": "failed", "kind": None, "text": "".join(traceback.format_exception(error))}


def failed(message: Message) -> Exception | None:
    """The error that a message tells of; None where it is a bug's."""
    if message["kind"] is None:
        return None
    if message["kind"] == "OSError":
        return OSError(message["number"], message["text"], message["path"])
    error: SikedError = getattr(errors, message["kind"])(message["text"])
    return error


def main(folder: Path) -> int:
    """Train; the exit code."""
    try:
        owner = Owner.connect()
    except OSError:
        return 1
    first = os.environ.get("RANK", "0") == "0"

    def say(message: Message) -> None:
        if owner is not None:
            owner.say(message)
        elif first:
            print(json.dumps(message), flush=True)

    def ask_to_go_on() -> None:
        if owner is not None and not processes.of_first(lambda: owner.ask({"said": "checkpoint"})["go"]):
            raise Paused

    say({"said": "started"})
    try:
        from siked_core.reporting import SilentProgress
        from siked_core.training import fit

        job, tokenizer, examples = read_job(folder)
        progress = Told(say) if first else SilentProgress()
        trained = fit(
            **job.arguments, tokenizer=tokenizer, examples=examples, progress=progress, at_checkpoint=ask_to_go_on
        )
        if first:
            say({"said": "trained", "trained": asdict(trained)})
    except Paused:
        pass
    except Exception as error:  # whatever it is, it is raised again by whoever wanted the training
        traceback.print_exc()
        message = failure(error)
        if owner is not None:
            owner.ask(message)  # whether others died before is found out until it is answered
        else:
            say(message)
        return 1
    say({"said": "over"})
    processes.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
