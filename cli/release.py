"""`siked release`: a trained student, ready to leave."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, RunName, Runs
from siked_cli.output import Output
from siked_cli.switches import open_registry


def command(
    run: RunName,
    to: Annotated[
        str,
        typer.Option("--to", metavar="DIR|hub:OWNER/NAME", help="A new folder, or a model on the Hugging Face hub."),
    ],
    student: Annotated[
        str | None,
        typer.Option(
            "--student", metavar="NAME", help="round-2, combined, ...; the default is the round that the run chose."
        ),
    ] = None,
    gguf: Annotated[
        str | None,
        typer.Option(
            "--gguf", metavar="TYPE", help="Also as GGUF (f32, f16, bf16 or q8_0), with a Modelfile for Ollama."
        ),
    ] = None,
    gguf_converter: Annotated[
        str | None,
        typer.Option(
            "--gguf-converter",
            metavar="COMMAND",
            help="llama.cpp's convert_hf_to_gguf, a command or a script; the default is the one of siked\\[gguf].",
        ),
    ] = None,
    lm_eval: Annotated[
        bool,
        typer.Option(
            "--lm-eval", help="Also a task for lm-evaluation-harness, of the test questions, scored as siked does."
        ),
    ] = False,
    licence: Annotated[
        str,
        typer.Option(
            "--licence", metavar="NAME", help="Of the student, e.g. apache-2.0, for its card. Default: none is stated."
        ),
    ] = "",
    public: Annotated[
        bool, typer.Option("--public", help="A model that is made on the hub is for everyone; else it is private.")
    ] = False,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Write a trained student into a folder or onto the hub; also as GGUF, and with a task for lm-eval.

    The folder is a plain Hugging Face model whose chat template carries the instruction.
    """
    from siked_core.errors import RunError, unknown
    from siked_core.publish import check_token, hub_name, publish
    from siked_core.release import GGUF_TYPES, release
    from siked_core.run import attach

    if gguf is not None and gguf not in GGUF_TYPES:
        raise RunError(f"--gguf: {unknown('type', gguf, GGUF_TYPES)}")
    name = hub_name(to)
    if name is not None:
        check_token()
    output = Output(json=json, quiet=True)
    with (
        attach(run, open_registry(no_plugin), output.reporter, runs=runs, lock=False) as opened,
        TemporaryDirectory() as scratch,
    ):
        folder = Path(to).expanduser() if name is None else Path(scratch) / "model"
        found = release(
            opened,
            folder,
            student=student,
            gguf=gguf,
            converter=gguf_converter,
            lm_eval=lm_eval,
            name=name,
            licence=licence,
        )
        place = str(folder)
        if name is not None:
            place = publish(folder, name, public, f"{found.student} of the run {opened.name}", "model")
    output.document({"to": place, **found.as_dict()})
    parts = [f"Released {found.student} ({found.bytes / 2**20:,.1f} MiB) to {place}"]
    if found.gguf and name is None:
        parts.append(f"GGUF: {found.gguf}; for Ollama: ollama create NAME -f {place}/Modelfile")
    if found.lm_eval and name is None:
        parts.append(
            f"lm-eval: lm_eval run --model hf --model_args pretrained={place} --tasks {found.lm_eval} "
            f"--include_path {place}/lm_eval --apply_chat_template"
        )
    output.show(*parts)
