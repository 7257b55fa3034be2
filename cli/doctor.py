"""`siked doctor`: what this machine has, what protects it from model-written programs, and whether that works."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siked_cli.doctor_checks import checks, nearest
from siked_cli.doctor_recipe import MARKS, examine
from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, Runs
from siked_cli.output import Output
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from siked_core.registry import Registry
    from siked_core.sandbox import Layer, ProgramPool

PACKAGES = ("torch", "transformers", "trl", "peft", "sympy", "pydantic-monty")
UNCAGED = 3
"""Exit code where programs cannot be caged, or something got out."""
LACKING = 1
"""Exit code where something else that is needed fails."""
DEVICE_S = 120
_DEVICE = """\
import torch
if torch.cuda.is_available():
    for n in range(torch.cuda.device_count()):
        one = torch.cuda.get_device_properties(n)
        bf16 = "bfloat16" if one.major >= 8 else "no bfloat16 (set student.dtype to float32 or float16)"
        print(f"cuda: {one.name}, {one.total_memory / 2**30:.0f} GiB, {bf16}")
elif torch.backends.mps.is_available():
    print("mps: Apple GPU")
else:
    print("cpu:", torch.get_num_threads(), "threads")
    import shutil
    if torch.version.cuda and shutil.which("nvidia-smi"):
        print(f"This PyTorch is for CUDA {torch.version.cuda} and finds no GPU, though there is a driver:",
              "see nvidia-smi. A driver that is too old needs an update, or PyTorch for an older CUDA.")
    elif shutil.which("nvidia-smi"):
        print("There is an NVIDIA driver, but this PyTorch is built without CUDA: install one that is built with it.")
"""
_MARK = {**MARKS, "broken": ("unknown", "yellow")}
_SELF_TEST_S = 2.0
_PROBES = {
    "a program": ("answer = 6 * 7", ("answered",), "42"),
    "a program with SymPy": ("import sympy\nanswer = sympy.solve(sympy.Symbol('x') * 2 - 84)", ("answered",), "42"),
    "reading a file": ("answer = len(open('/etc/passwd').read())", ("refused",), ""),
    "writing a file": ("open('/tmp/siked-doctor', 'w').write('7')\nanswer = 7", ("refused",), ""),
    "a socket": ("import _socket\n_socket.socket()\nanswer = 7", ("refused",), ""),
    "a process": ("import os\nos.fork()\nanswer = 7", ("refused",), ""),
    "an endless loop": ("while True: pass", ("timeout",), ""),
    "all the memory": ("x = bytearray(2**40)\nanswer = 7", ("crashed",), ""),
}
"""What is tried: the program, how it must end, and its answer."""


@dataclass
class Probe:
    """One part of the self-test."""

    name: str
    passed: bool
    found: str
    """How the program ended."""


def command(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|RECIPE]", help="Look a run or a recipe over instead: what it would fail at, or lose."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="The built-in recipe to look over, or for RECIPE to start from.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set any key of that recipe. Repeatable.")
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    device: Annotated[
        bool, typer.Option("--device/--no-device", help="Ask PyTorch for its device, which takes seconds.")
    ] = True,
    make: Annotated[
        str | None,
        typer.Option(
            "--make",
            metavar="NAME",
            help="Make what a plugin works with beside siked, such as vllm's environment, and check nothing else.",
        ),
    ] = None,
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Of a run or a recipe, also try one step of judging, training and sampling, as a run does.",
        ),
    ] = False,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Check this machine: versions, device, the cage around model-written programs and a self-test of it, plugins.

    Exits with 0 if all that is needed is there, with 1 if something that is needed fails, and with 3 if programs cannot
    be caged or the self-test fails. With a run or a recipe it looks that over instead, in under a minute: vocabulary,
    context, lengths, memory. It then exits with 2 if it would fail.
    """
    from siked_core.sandbox import Limits, ProgramPool

    if source is not None or preset is not None or set_:
        examine(source, preset, set_ or (), runs, no_plugin, Output(json=json, quiet=True), rehearse)
        return
    registry = open_registry(no_plugin)
    if make is not None:
        _make(registry, make, Output(json=json))
        return
    with ProgramPool(Limits(timeout_s=_SELF_TEST_S), workers=1, fast=True) as pool:
        layers, refusal = _layers(pool)
        fast = pool.fast_layers()
        probes = [] if refusal else _self_test(pool)
    found = checks(runs)
    safe = not refusal and all(probe.passed for probe in probes)
    content: dict[str, Any] = {
        "safe": safe,
        "versions": _versions(),
        "device": _device() if device else "not asked",
        "disk": _disk(runs),
        "cage": {"available": not refusal, "why_not": refusal, "layers": [asdict(layer) for layer in layers]},
        "fast_tier": {
            "available": not isinstance(fast, str),
            "why_not": fast if isinstance(fast, str) else "",
            "layers": [] if isinstance(fast, str) else [asdict(layer) for layer in fast],
        },
        "self_test": [asdict(probe) for probe in probes],
        "plugins": {
            "active": sum(entry.status == "active" for entry in registry.entries),
            "failed": [
                {"name": entry.name, "from": entry.distribution, "why": entry.why}
                for entry in registry.entries
                if entry.status == "failed"
            ],
        },
        "companions": _companions(registry),
        "checks": [one.as_dict() for one in found],
        "usable": safe and not any(one.failed for one in found),
    }
    output = Output(json=json)
    output.document(content)
    if not json:
        _show(output, content)
    if not safe:
        raise typer.Exit(UNCAGED)
    if not content["usable"]:
        raise typer.Exit(LACKING)


def _make(registry: Registry, name: str, output: Output) -> None:
    """Make what a plugin works with, and show what is there then.

    Raises:
        PluginError: there is no such plugin, or it could not be made.
    """
    from siked_core.errors import PluginError, unknown

    named = [entry for entry in registry.find(name) if entry.plugin is not None and entry.status == "active"]
    if not named:
        raise PluginError(unknown("plugin", name, [one["plugin"] for one in _companions(registry)]))
    for entry in named:
        assert entry.plugin is not None
        entry.plugin.make_companion(output.reporter.note)
    found = [one for one in _companions(registry) if one["plugin"] == name]
    output.document({"companions": found})
    output.show(*(f"{one['plugin']} works with {one['what']}: {one['found']}" for one in found))


def _companions(registry: Registry) -> list[dict[str, str]]:
    """What plugins work with beside siked's own environment, and whether it is there."""
    found = (
        (entry.name, entry.plugin.companion())
        for entry in registry.entries
        if entry.plugin and entry.status == "active"
    )
    return [{"plugin": name, **asdict(companion)} for name, companion in found if companion is not None]


def _layers(pool: ProgramPool) -> tuple[tuple[Layer, ...], str]:
    """The cage's layers, or why there is no cage."""
    from siked_core.errors import SandboxError

    try:
        return pool.layers(), ""
    except SandboxError as error:
        return (), str(error)


def _self_test(pool: ProgramPool) -> list[Probe]:
    probes = []
    for (name, (_, statuses, answer)), outcome in zip(
        _PROBES.items(), pool.run([code for code, _, _ in _PROBES.values()]), strict=True
    ):
        passed = outcome.status in statuses and outcome.answer == answer
        told = f"{outcome.status} {outcome.answer or outcome.why}".strip()
        probes.append(Probe(name, passed, told))
    return probes


def _versions() -> dict[str, str]:
    from siked_core import __version__

    found = {"siked": __version__, "python": platform.python_version(), "system": platform.platform(terse=True)}
    for name in PACKAGES:
        found[name] = "not installed"
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _device() -> str:
    """What PyTorch would use. It is asked in a process of its own: a broken driver must not end this one."""
    try:
        asked = subprocess.run(
            [sys.executable, "-c", _DEVICE], capture_output=True, text=True, timeout=DEVICE_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"unknown: PyTorch did not answer within {DEVICE_S} s"
    if asked.returncode != 0:
        lines = asked.stderr.strip().splitlines()
        return f"unknown: {lines[-1] if lines else f'PyTorch ended with code {asked.returncode}'}"
    return asked.stdout.strip()


def _disk(runs: Path) -> dict[str, Any]:
    place = nearest(runs)
    return {
        "path": str(place),
        "free_gib": round(shutil.disk_usage(place).free / 2**30, 1),
        "writable": os.access(place, os.W_OK),
    }


def _show(output: Output, content: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    def mark(fine: bool, bad: str = "red") -> Text:
        return Text("yes", style="green") if fine else Text("no", style=bad)

    def table(*rows: tuple[str | Text, ...]) -> Table:
        grid = Table(box=None, pad_edge=False, show_header=False)
        for row in rows:
            grid.add_row(*row)
        return grid

    def heading(text: str) -> Text:
        return Text(f"\n{text}", style="bold")

    disk = content["disk"]
    writable = "" if disk["writable"] else ", not writable"
    output.show(
        Text("This machine", style="bold"),
        table(
            *((name, version) for name, version in content["versions"].items()),
            ("device", content["device"]),
            ("disk", f"{disk['free_gib']} GiB free at {disk['path']}{writable}"),
        ),
        heading("What a run needs"),
        *(
            Text.assemble(
                (f"{_MARK[one['level']][0]:<8} ", _MARK[one["level"]][1]),
                (f"{one['name']}: ", "bold"),
                one["says"],
                f"\n         To do: {one['remedy']}" if one["remedy"] else "",
            )
            for one in content["checks"]
        ),
        heading("The cage around model-written programs"),
        table(
            *((layer["name"], mark(layer["active"], "yellow"), layer["detail"]) for layer in content["cage"]["layers"])
        )
        if content["cage"]["available"]
        else Text(content["cage"]["why_not"], style="red"),
        heading("The fast tier in front of it"),
        table(
            *(
                (layer["name"], mark(layer["active"], "yellow"), layer["detail"])
                for layer in content["fast_tier"]["layers"]
            )
        )
        if content["fast_tier"]["available"]
        else Text(
            f"There is none, so every program goes to the cage, which is slower: {content['fast_tier']['why_not']}"
        ),
    )
    if content["self_test"]:
        rows = [(probe["name"], mark(probe["passed"]), probe["found"]) for probe in content["self_test"]]
        output.show(heading("Self-test: did it end as it must?"), table(*rows))
    plugins = content["plugins"]
    output.show(heading("Plugins"), f"{plugins['active']} active, {len(plugins['failed'])} failed")
    if plugins["failed"]:
        output.show(table(*((one["name"], one["from"], one["why"]) for one in plugins["failed"])))
    for one in content["companions"]:
        output.show(heading(f"What {one['plugin']} works with: {one['what']}"), one["found"] or one["remedy"])
    output.show(
        Text("\nPrograms can be run safely here.", style="green")
        if content["safe"]
        else Text("\nPrograms cannot be run safely here: see above.", style="red")
    )
    if any(one["level"] == "error" for one in content["checks"]):
        output.show(Text("Something that siked needs is missing: see above.", style="red"))
