"""A trained student made ready to leave: its own files, GGUF with a Modelfile for Ollama, a task for lm-eval."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from siked_core.card import facts_of, write_card
from siked_core.errors import RunError
from siked_core.files import write_text
from siked_core.format import StudentFormat
from siked_core.lm_eval_task import write_task
from siked_core.loop import report
from siked_core.models import load_tokenizer, read_side_file, render
from siked_core.run import Run
from siked_core.scorecard import Perplexity
from siked_core.solve import find_student
from siked_core.training import end_of_turn

GGUF_TYPES = ("f32", "f16", "bf16", "q8_0")
CONVERTER = "convert-hf-to-gguf"
"""llama.cpp's converter, as the package of that name installs it."""
_PLACE = "siked-question"


@dataclass(frozen=True, slots=True)
class Released:
    """What was written."""

    student: str
    folder: str
    bytes: int
    gguf: str | None
    """Of the folder; and `Modelfile` beside it."""
    lm_eval: str | None
    """The name of the task."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def release(
    run: Run,
    folder: Path,
    *,
    student: str | None = None,
    gguf: str | None = None,
    converter: str | None = None,
    lm_eval: bool = False,
    name: str | None = None,
    licence: str = "",
) -> Released:
    """Write a student into a new folder.

    Args:
        student: "round-2", "combined", ...; None is the round that the run chose, or its latest.
        gguf: also as GGUF, with weights of this type (`GGUF_TYPES`).
        converter: llama.cpp's `convert_hf_to_gguf`: a command or a script; None is the installed package's.
        name: what it is called where it goes, as its card tells how to use it; None is the folder's name.
        licence: of the student, for its card, where its owner states one.
        lm_eval: also a task of lm-evaluation-harness with the run's test problems.

    Raises:
        ModelError: there is no such student.
        RunError: the folder is not empty; the converter is missing, or fails.
    """
    source = find_student(run.path) if student is None else find_student(run.student(student))
    command = _converter(converter) if gguf is not None else []
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} exists and is not empty. Release into a new folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir()):
            shutil.copy2(file, folder / file.name)
        measured = (report(run) or {}).get("perplexity", {})
        perplexity = {which: Perplexity.from_dict(found) for which, found in measured.items()}
        called = name or folder.resolve().name
        write_card(folder, facts_of(run, source.name, name=called, licence=licence, perplexity=perplexity))
        made = None if gguf is None else _gguf(folder, source.name, gguf, command)
        task = write_task(run, folder) if lm_eval else None
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return Released(source.name, str(folder), size, made, task)


def _converter(given: str | None) -> list[str]:
    """The command that converts.

    Raises:
        RunError: there is none.
    """
    if given is not None and Path(given).suffix == ".py" and Path(given).is_file():
        return [sys.executable, given]
    beside = Path(sys.executable).with_name(CONVERTER)
    found = shutil.which(given) if given is not None else shutil.which(CONVERTER) or (beside.exists() and str(beside))
    if found:
        return [found]
    if given is not None:
        raise RunError(f"There is no command or script '{given}' to convert with.")
    raise RunError(
        "Converting to GGUF needs llama.cpp's converter: pip install 'siked[gguf]', or name one of your own, "
        "e.g. --gguf-converter llama.cpp/convert_hf_to_gguf.py."
    )


def _gguf(folder: Path, name: str, kind: str, command: list[str]) -> str:
    file = f"{name}-{kind}.gguf"
    done = subprocess.run(
        [*command, str(folder), "--outfile", str(folder / file), "--outtype", kind],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not (folder / file).exists():
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        hint = ""
        if said and "pre-tokenizer was not recognized" in said[-1]:
            hint = " llama.cpp knows tokenizers by name, and not this one: a student of a usual base has a known one."
        raise RunError(f"The converter failed: {said[-1] if said else f'exit code {done.returncode}'}.{hint}")
    write_text(folder / "Modelfile", modelfile(folder, file))
    return file


def modelfile(folder: Path, gguf: str) -> str:
    """How Ollama has to speak to a student: its chat template for one question, greedy, up to the end of its turn."""
    tokenizer, side = load_tokenizer(str(folder)), read_side_file(folder)
    prompt = StudentFormat.build((), side["tag"], "").prompt(_PLACE)
    text = render(tokenizer, prompt).removeprefix(tokenizer.bos_token or "")  # llama.cpp puts its own before it
    before, _, after = text.rpartition(_PLACE)
    template = f"{_literal(before)}{{{{ .Prompt }}}}{_literal(after)}{{{{ .Response }}}}"
    stop = tokenizer.convert_ids_to_tokens(end_of_turn(tokenizer))
    return (
        f'FROM ./{gguf}\nTEMPLATE """{template}"""\nPARAMETER stop "{stop}"\nPARAMETER temperature 0\n'
        f"PARAMETER num_predict {side['max_tokens']}\n"
    )


def _literal(text: str) -> str:
    """Text as a template of Go has it."""
    return text.replace("{{", '{{ "{{" }}')
