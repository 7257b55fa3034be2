"""`siked mix`: choose what a round's student is trained on, or compare what policies would choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, Plain, Quiet, RunName, Runs
from siked_cli.output import Output

if TYPE_CHECKING:
    from siked_core.recipe_choice import PluginChoice

POLICIES = "Compare policies"


def command(
    run: RunName,
    round_: Annotated[
        int | None,
        typer.Option(
            "--round", min=0, help="Which round; 0 is the warm-up. With --policy: the latest that was sampled."
        ),
    ] = None,
    mixing: Annotated[
        str | None,
        typer.Option(
            "--mixing",
            metavar="POLICY",
            help="Another mixing policy, this once: the run's recipe stays as it is. A name, or name and options: "
            "'alpha:{alpha: 0.3}'.",
        ),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="POLICY",
            help="Mix nothing: show what this policy would choose. A name, or name and options: 'alpha:{alpha: 0.3}'. "
            "Repeatable, to compare several.",
            rich_help_panel=POLICIES,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture",
            metavar="FILE",
            help="Also draw the comparison: .png or .svg. Needs pip install 'siked[plots]'.",
            rich_help_panel=POLICIES,
        ),
    ] = None,
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
    quiet: Quiet = False,
    plain: Plain = False,
) -> None:
    """Mix the teacher's and the student's verified samples for a round.

    With --policy nothing is mixed or written: the policies that are named choose from the round's samples, and what
    they would train the student on is shown side by side. A run that is being worked on can be asked too.
    """
    from siked_core.errors import RunError

    if policy:
        if mixing is not None:
            raise RunError("--mixing mixes, --policy only shows what would be chosen: give one of them.")
        _compare(run, round_, policy, picture, runs, no_plugin, Output(json=json, quiet=quiet, plain=plain))
        return
    if picture is not None:
        raise RunError("--picture draws a comparison of policies: name them with --policy.")
    if round_ is None:
        raise RunError("Give --round N: which round to mix (0 is the warm-up).")
    from siked_cli.attached import open_run
    from siked_cli.summaries import mixture_lines
    from siked_core.stages.mix import mix

    changes = {} if mixing is None else {"mixing.policy": policy_choice(mixing, "--mixing").model_dump()}
    with open_run(run, runs, no_plugin, json, quiet, plain, changes) as (opened, output):
        summary = mix(opened, round_)
        output.document({"run": str(opened.path), "round": round_, **asdict(summary)})
        output.show(*mixture_lines(round_, summary))


def policy_choice(text: str, option: str) -> PluginChoice:
    """A policy as it is named on the command line: `adaptive`, or `alpha:{alpha: 0.3}` (YAML or JSON).

    Raises:
        RecipeError: what follows the colon is no mapping.
    """
    import yaml

    from siked_core.errors import RecipeError
    from siked_core.recipe_choice import PluginChoice

    name, colon, options = text.partition(":")
    try:
        content = yaml.safe_load(options) if colon else {}
    except (yaml.YAMLError, ValueError, RecursionError):
        content = None
    if not name.strip() or not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise RecipeError(
            f"{option} takes a policy's name, or its name and options: 'alpha:{{alpha: 0.3}}'; got '{text}'."
        )
    return PluginChoice(name=name.strip(), options=content)


def _compare(
    run: str,
    round_: int | None,
    policies: Sequence[str],
    picture: Path | None,
    runs: Path,
    no_plugin: Sequence[str] | None,
    output: Output,
) -> None:
    from siked_cli.mix_tables import simulation_tables
    from siked_cli.switches import open_registry
    from siked_core.run import attach
    from siked_core.simulate import simulate

    choices = [policy_choice(text, "--policy") for text in policies]
    if picture is not None:
        from siked_cli.mix_picture import check_picture

        check_picture(picture)
    with attach(run, open_registry(no_plugin), output.reporter, runs=runs, lock=False) as opened:
        found = simulate(opened, _latest(opened.path) if round_ is None else round_, choices)
    if picture is not None:
        from siked_cli.mix_picture import draw

        draw(found, picture)
    output.document(found.as_dict() | ({"picture": str(picture)} if picture else {}))
    output.show(*simulation_tables(found, output.console.width))


def _latest(run: Path) -> int:
    from siked_cli.attached import known_pools
    from siked_core.errors import RunError

    rounds = [pool for pool in known_pools(run) if pool.startswith("round-")]
    if not rounds:
        raise RunError(f"The student of the run {run} has not sampled yet: siked rollout {run} --round 1.")
    return int(rounds[-1].removeprefix("round-"))
