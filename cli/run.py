"""`siked run check`, `repair` and `migrate`: whether a run's directory is sound and of today's format, and what to do
where it is not."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from siked_cli.options import DEFAULT_RUNS, Json, RunName, Runs
from siked_cli.output import Output

app = typer.Typer(no_args_is_help=True, help="Look a run's directory over; mend a damaged one; migrate an older one.")


@app.command("check")
def check(run: RunName, runs: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """Say what is wrong with a run, a line for each finding. Nothing is changed.

    Every file is compared with the digest that was written with it, and every stage that is done with what it should
    have left. Exit code 1 where something is wrong.
    """
    from siked_core.examine import examine
    from siked_core.lock import holder

    path = _located(run, runs)
    findings = examine(path)
    wrong = [finding for finding in findings if finding.wrong]
    owner = holder(path / "run.lock")
    output = Output(json=json)
    output.document(
        {
            "run": str(path),
            "sound": not wrong,
            "open_in_process": owner.pid if owner else None,
            "findings": [asdict(finding) for finding in findings],
        }
    )
    for finding in findings:
        output.show(f"{'' if finding.wrong else 'Note: '}{finding.line}")
    if owner is not None:
        output.show(f"Note: process {owner.pid} is working on it.")
    if wrong:
        output.show(f"Set aside what is unsound, and keep the rest: siked run repair {run}")
        raise typer.Exit(1)
    output.show(f"{path} is sound.")


@app.command("repair")
def repair(run: RunName, runs: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """Set aside what is damaged in a run, and keep all that is sound.

    Nothing is deleted: what is unsound is moved to the run's folder `set-aside`. Says what the next command will make
    again.
    """
    from siked_core.repair import repair as mend

    path = _located(run, runs)
    done = mend(path)
    output = Output(json=json)
    output.document({"run": str(path), **asdict(done)})
    if not any(finding.wrong for finding in done.findings):
        output.show(f"{path} is sound: there was nothing to repair.")
    for finding in done.findings:
        output.show(f"{finding.path}: {finding.what}{'; set aside' if finding.set_aside else ''}.")
    if done.folder:
        output.show(f"Set aside in {done.folder}.")
    if done.again:
        output.show("Made again by the command that made the run:", *(f"  {line}" for line in done.again))


@app.command("migrate")
def migrate(run: RunName, runs: Runs = DEFAULT_RUNS, json: Json = False) -> None:
    """Bring a run that an older siked made into the format of this one, and keep a copy of what that replaces.

    Nothing is lost where it is interrupted: the same command finishes it. Says where the copy lies.
    """
    from siked_core.migration import migrate as bring

    path = _located(run, runs)
    done = bring(path)
    output = Output(json=json)
    output.document({"run": str(path), **asdict(done)})
    if done.kept:
        output.show(
            f"{path}: format {done.before} became {done.after}. What was replaced is in {', '.join(done.kept)}."
        )
    else:
        output.show(f"{path} is in format {done.after}, as this siked makes it: there was nothing to do.")


def _located(run: str, runs: Path) -> Path:
    """The run's directory; unlike elsewhere, its manifest may be damaged or gone.

    Raises:
        RunError: there is no such directory.
    """
    from siked_core.errors import RunError, unknown
    from siked_core.run import locate

    path = locate(run, runs)
    if not any((path / name).exists() for name in ("manifest.json", "recipe.yaml", "pools")):
        known = [entry.parent.name for entry in runs.glob("*/manifest.json")]
        raise RunError(unknown("run", run, known))
    return path
