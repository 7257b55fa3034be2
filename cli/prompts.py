"""`siked prompts`: what the teacher and the student are told, and what the loss is taken on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.either import either
from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, Runs
from siked_cli.output import Output

if TYPE_CHECKING:
    from rich.text import Text

    from siked_core.prompts import Shown, Token

FEW = 3
"""Different weights up to so many are told part by part, more of them as shades."""
TRAINED = ("bold green", "green")
"""By turns, so that one token can be told from the next."""


def command(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN|RECIPE]", help="A run (its name under --runs, or its directory) or a recipe file."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="The built-in recipe to start from, where no run is given.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the recipe. Repeatable. Not with a run."),
    ] = None,
    strategies: Annotated[
        list[str] | None, typer.Option("--strategy", metavar="NAME", help="Only this strategy. Repeatable.")
    ] = None,
    problems: Annotated[int, typer.Option("--problems", min=1, help="Of how many training problems.")] = 1,
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch", min=1, help="Whose weights, where they change from epoch to epoch; by default the last."
        ),
    ] = None,
    draw: Annotated[
        Path | None,
        typer.Option("--draw", metavar="FILE", help="Draw what the objective computed for a student (.svg, .png)."),
    ] = None,
    student: Annotated[str, typer.Option("--student", help="With --draw: for which student.")] = "round-0",
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Show the exact prompts of teacher and student, and what the student is trained to write, token by token.

    The tokens that the loss is taken on are green. A run's targets are verified samples of its teacher; a recipe's
    are the worked examples of its strategies. Nothing is sampled, trained or kept.

    Weights that an objective computes are those of round 0's training, once there is one: the greener, the more.
    """
    from siked_core.prompts import draw_objective, shown

    output = Output(json=json, quiet=True)
    with either(source, preset, set_ or (), runs, no_plugin, output) as run:
        if draw is not None:
            draw_objective(run, student, draw)
            output.document({"drawn": str(draw)})
            output.show(f"Drawn: {draw}")
            return
        found = shown(run, problems, strategies or (), epoch)
        output.document([one.as_dict() for one in found])
        for one in found:
            output.show(*_lines(one, run.recipe.teacher.generator.name, run.recipe.training.max_length))


def _lines(one: Shown, teacher: str, max_length: int) -> list[Text]:
    from rich.text import Text

    lines = [Text(f"{one.strategy}, problem {one.problem_id}", style="bold underline"), Text()]
    if one.teacher_text is not None:
        lines += [Text(f"The teacher ({teacher}) reads:", style="bold"), *_block(one.teacher_text)]
    else:
        told = "writes from worked solutions. One that reads prompts is told:" if one.reads_solution else "is told:"
        lines.append(Text(f"The teacher ({teacher}) {told}", style="bold"))
        for message in one.teacher.messages:
            lines += [Text(f"  {message.role}", style="bold"), *_block(message.content)]
    if one.turns:
        lines.append(Text("What it is asked after that depends on what it writes.", style="bold"))
    for who, question in one.told.items():
        lines += [Text(f"Where it is not solved, the {who} is asked again, and told:", style="bold"), *_block(question)]
    lines += [Text(f"The student reads ({one.student_tokens} tokens):", style="bold"), *_block(one.student_text)]
    lines += [Text("Where this strategy is forced, its answer begins with:", style="bold"), *_block(one.tag)]
    if not one.examples:
        lines.append(Text("There is no target to show: the strategy's bank has no worked example.", style="bold"))
    for tokens in one.examples:
        lines.append(Text(f"The student is trained on ({one.target_of}):", style="bold"))
        if len({token.weight for token in tokens}) > FEW:
            lines += _shaded(tokens, one.epochs)
        else:
            for weight, part in groupby(tokens, lambda token: token.weight):
                lines += _part(weight, list(part))
        if len(tokens) > max_length:
            lines.append(Text(f"{len(tokens)} tokens: longer than training.max_length = {max_length}, so left out."))
    return [*lines, Text()]


def _shaded(tokens: Sequence[Token], epochs: int) -> list[Text]:
    """Tokens of many different weights, as shades: from dim, which has no loss, to the brightest, the largest."""
    from rich.text import Text

    largest = max(abs(token.weight) for token in tokens)
    text = Text()
    for token in tokens:
        share = token.weight / largest
        level = 80 + round(175 * abs(share))
        colour = f"rgb(0,{level},0)" if share > 0 else f"rgb({level},0,0)"
        text.append(token.text, style=colour if share else "dim")
    weighed = [token.weight for token in tokens if token.weight]
    mean = sum(weighed) / len(weighed)
    told = f"  {len(weighed)} of {len(tokens)} tokens have loss, weights {min(weighed):.2f} to {max(weighed):.2f}, "
    many = f" (weights of {epochs} epochs: --epoch)" if epochs > 1 else ""
    parts = text.split("\n", allow_blank=True)
    return [Text(f"{told}mean {mean:.2f}{many}", style="bold"), *(Text.assemble("    ", part) for part in parts)]


def _part(weight: float, tokens: Sequence[Token]) -> list[Text]:
    from rich.text import Text

    what = "no loss" if not weight else "loss" if weight == 1 else f"loss, weight {weight:g}"
    text = Text()
    for place, token in enumerate(tokens):
        text.append(token.text, style=TRAINED[place % 2] if weight else "dim")
    parts = text.split("\n", allow_blank=True)
    return [Text(f"  {what}, {len(tokens)} tokens", style="bold"), *(Text.assemble("    ", part) for part in parts)]


def _block(text: str) -> list[Text]:
    from rich.text import Text

    return [Text(f"    {line}") for line in text.split("\n")]
