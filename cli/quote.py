"""`siked quote`: what a run will take, told from a few of its problems."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from siked_cli.output import Output
from siked_cli.recipe_command import recipe_command

if TYPE_CHECKING:
    from siked_core.run import Run

Problems = Annotated[
    int, typer.Option("--problems", min=2, help="How many problems the pilot is run on.", rich_help_panel="Pilot")
]
DEFAULT_PROBLEMS = 20


def _quote(problems: int) -> Callable[[Run, Output], None]:
    def act(run: Run, output: Output) -> None:
        from siked_core.quote import quote

        found = quote(run, problems)
        output.document(found)
        if not output.json:
            from siked_cli.spending_tables import quote_tables

            output.show(*quote_tables(found))

    return act


def command(problems: Problems = DEFAULT_PROBLEMS, **recipe: Any) -> None:
    """Say what a run will take, before it is paid for: tokens, money, time, disk, and what each strategy will yield.

    It runs the recipe in small, on a few of its training problems, in the directory that `siked distill` with the
    same options then continues: what the teacher wrote for them is not paid for again. Every figure has a 95 %
    interval. When the run is finished, its report shows what was quoted beside what it took.
    """
    recipe_command(_quote(problems), "")(**recipe)


def _takes_the_options_of_a_recipe() -> None:
    """Typer reads a signature: give `command` that of every command that takes a recipe, and its own option."""
    like = recipe_command(_quote(DEFAULT_PROBLEMS), "")
    hints = get_type_hints(like, include_extras=True)
    own = inspect.Parameter("problems", inspect.Parameter.KEYWORD_ONLY, default=DEFAULT_PROBLEMS, annotation=Problems)
    others = [one.replace(annotation=hints[name]) for name, one in inspect.signature(like).parameters.items()]
    command.__signature__ = inspect.Signature([*others, own])  # type: ignore[attr-defined]
    command.__annotations__ = {**hints, "problems": Problems}


_takes_the_options_of_a_recipe()
