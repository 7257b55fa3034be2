"""The options that are recipe fields, and the commands that take them: `distill` and `teach`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siked_cli import completions
from siked_cli.options import (
    DEFAULT_RUNS,
    AllowUnsafeExec,
    Json,
    KeepGoing,
    MaxCost,
    MaxHours,
    MaxTokens,
    NoPlugin,
    Plain,
    Quiet,
    Runs,
    caps,
)
from siked_cli.output import Output, warn_of_unsafe_exec
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from siked_core.recipe import Recipe
    from siked_core.run import Run

METHOD, WHAT, RUN = "Recipe: the method", "Recipe: data and models", "Run"


def _field(
    key: str,
    text: str,
    flags: str,
    panel: str,
    metavar: str | None = None,
    offers: Callable[..., completions.Offers] | None = None,
) -> Any:
    """An option that sets one recipe key, and says which.

    Args:
        offers: what the shell completes it to.
    """
    return typer.Option(
        *flags.split(), help=f"{text} (`{key}`)", rich_help_panel=panel, metavar=metavar, autocompletion=offers
    )


File = Annotated[
    Path | None, typer.Argument(metavar="[RECIPE.yaml]", help="A recipe; what it leaves open comes from the preset.")
]
Preset = Annotated[
    str | None,
    _field(
        "preset",
        "What the recipe starts from; see `siked recipe list`.",
        "--preset",
        METHOD,
        "NAME",
        completions.presets,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=completions.keys,
        help="Set any recipe key, e.g. student.lora.r=32. Repeatable; it has the last word.",
        rich_help_panel=METHOD,
    ),
]
Strategies = Annotated[
    str | None,
    _field(
        "strategies",
        "Strategies to teach, comma-separated, e.g. cot,pot,l2m.",
        "--strategies",
        METHOD,
        "NAMES",
        completions.plugins_of("strategy"),
    ),
]
Verifiers = Annotated[
    list[str] | None,
    _field(
        "verifiers", "Judge a strategy by another verifier than its own. Repeatable.", "--verifier", METHOD, "S=NAME"
    ),
]
Mixing = Annotated[
    str | None,
    _field(
        "mixing.policy",
        "What the student is trained on next.",
        "--mixing",
        METHOD,
        "NAME",
        completions.plugins_of("mixing_policy"),
    ),
]
Rounds = Annotated[
    int | None, _field("stopping.rounds", "At most so many rounds after the warm-up.", "--rounds", METHOD)
]
Samples = Annotated[
    int | None, _field("rollout.samples", "Samples that the student draws per question.", "--samples", METHOD)
]
Mode = Annotated[
    str | None,
    _field(
        "rollout.mode",
        "Who names the strategy when the student samples: free (it does), forced, or both.",
        "--mode",
        METHOD,
        "MODE",
        completions.words(free="the student does", forced="each in its turn", both="first the one, then the other"),
    ),
]
Epochs = Annotated[float | None, _field("training.epochs", "Epochs per round.", "--epochs", METHOD)]
LearningRate = Annotated[
    float | None, _field("training.learning_rate", "Peak learning rate.", "--learning-rate", METHOD)
]
Seed = Annotated[int | None, _field("seed", "Seeds every draw.", "--seed", METHOD)]
Baselines = Annotated[
    str | None,
    _field(
        "baselines",
        "Students of the teacher's pool alone, to compare with: none, single (one per strategy), combined (one on all "
        "strategies, trained on as many tokens as all rounds together) or equal_budget (that and one per strategy).",
        "--baselines",
        METHOD,
        "WHICH",
        completions.words(
            none="no baseline",
            single="one per strategy",
            combined="one on all strategies",
            equal_budget="combined, and one per strategy",
        ),
    ),
]
DatasetName = Annotated[
    str | None, _field("dataset", "What to train on.", "--dataset", WHAT, "NAME", completions.plugins_of("dataset"))
]
Data = Annotated[Path | None, _field("data.path", "Local file or folder of the data sets.", "--data", WHAT, "PATH")]
Evaluate = Annotated[
    str | None,
    _field(
        "evaluate",
        "Further data sets to test on, comma-separated, e.g. gsm8k,svamp.",
        "--evaluate",
        WHAT,
        "NAMES",
        completions.plugins_of("dataset"),
    ),
]
Limit = Annotated[int | None, _field("data.limit", "Use only so many training problems.", "--limit", WHAT)]
Teacher = Annotated[
    str | None,
    _field(
        "teacher.generator",
        "Who writes the first rationales.",
        "--teacher",
        WHAT,
        "NAME[:MODEL]",
        completions.plugins_of("generator"),
    ),
]
Student = Annotated[
    str | None, _field("student.model", "A model folder, a hub name, or pocket.", "--student", WHAT, "MODEL")
]
Pools = Annotated[
    str | None,
    _field(
        "storage.pools", "Keep samples and verdicts under this URL, e.g. s3://bucket/prefix.", "--pools", RUN, "URL"
    ),
]
Track = Annotated[
    str | None,
    _field(
        "track",
        "Show the run's figures elsewhere too, comma-separated: tensorboard, wandb, mlflow, trackio.",
        "--track",
        RUN,
        "NAMES",
    ),
]
RunNamed = Annotated[
    str | None,
    typer.Option(
        "--run",
        metavar="NAME",
        autocompletion=completions.runs,
        help="The run to make or continue: a name under --runs, or a directory. Without it, an unfinished run of "
        "the very same recipe is continued, else a new one is numbered.",
        rich_help_panel=RUN,
    ),
]
Fork = Annotated[
    bool,
    typer.Option(
        "--fork",
        help="Where --run has another recipe: make a new run that reuses everything still valid.",
        rich_help_panel=RUN,
    ),
]


def recipe_command(act: Callable[[Run, Output], None], description: str) -> Callable[..., None]:
    """A command that resolves a recipe, opens its run, and does `act` with it."""

    def command(
        recipe: File = None,
        preset: Preset = None,
        strategies: Strategies = None,
        rounds: Rounds = None,
        samples: Samples = None,
        mode: Mode = None,
        mixing: Mixing = None,
        verifier: Verifiers = None,
        epochs: Epochs = None,
        learning_rate: LearningRate = None,
        baselines: Baselines = None,
        seed: Seed = None,
        set_: Set = None,
        dataset: DatasetName = None,
        data: Data = None,
        limit: Limit = None,
        evaluate: Evaluate = None,
        teacher: Teacher = None,
        student: Student = None,
        max_cost: MaxCost = None,
        max_tokens: MaxTokens = None,
        max_hours: MaxHours = None,
        run: RunNamed = None,
        runs: Runs = DEFAULT_RUNS,
        fork: Fork = False,
        pools: Pools = None,
        track: Track = None,
        keep_going: KeepGoing = False,
        allow_unsafe_exec: AllowUnsafeExec = False,
        no_plugin: NoPlugin = None,
        json: Json = False,
        quiet: Quiet = False,
        plain: Plain = False,
    ) -> None:
        from siked_core.errors import RecipeError
        from siked_core.recipe_check import check, check_trackers
        from siked_core.run import start
        from siked_core.spending import free, keep_changes

        chosen = {
            "strategies": names(strategies),
            "stopping.rounds": rounds,
            "rollout.samples": samples,
            "rollout.mode": mode,
            "mixing.policy": mixing,
            "training.epochs": epochs,
            "training.learning_rate": learning_rate,
            "baselines": baselines,
            "seed": seed,
            "dataset": dataset,
            "data.path": None if data is None else str(data),
            "data.limit": limit,
            "evaluate": names(evaluate),
            "teacher.generator": teacher,
            "student.model": student,
            "allow_unsafe_exec": allow_unsafe_exec or None,
            "storage.pools": pools,
            "track": names(track),
            **caps(max_cost, max_tokens, max_hours),
            **{f"verifiers.{strategy}": name for strategy, name in pairs(verifier or (), "--verifier").items()},
        }
        for key, value in {"preset": preset, **chosen}.items():
            if value == "":
                raise RecipeError(f"An empty text was given for {key}. Give a value, or leave the option out.")
        output = Output(json=json, quiet=quiet, plain=plain)
        registry = open_registry(no_plugin)
        changes = {key: value for key, value in chosen.items() if value is not None}
        resolved = resolve_file(recipe, changes, set_ or (), preset)
        check(resolved, registry)
        check_trackers(resolved, registry)
        for entry in registry.entries:
            if entry.status == "failed":
                output.reporter.warn(f"The plugin {entry.name} ({entry.distribution}) cannot be used: {entry.why}")
        with start(resolved, registry, output.reporter, runs=runs, name=run, fork=fork) as opened:
            opened.keep_going = keep_going
            output.reporter.note(f"{'Continuing' if opened.resumed else 'Run'} {opened.path}")
            warn_of_unsafe_exec(opened.recipe.allow_unsafe_exec, output)
            keep_changes(opened)
            output.reporter.note(f"Without a price, and so free: {', '.join(free(resolved)) or 'nobody'}")
            act(opened, output)

    command.__doc__ = description
    return command


def resolve_file(path: Path | None, changes: dict[str, Any], assignments: Sequence[str], preset: str | None) -> Recipe:
    """As `siked_core.recipe.resolve`, with a word for who gives a preset's name as a file's.

    Raises:
        RecipeError: a key or value does not fit, or the file cannot be read.
    """
    from siked_core.errors import RecipeError
    from siked_core.recipe import preset_names, resolve

    if path is not None and not path.exists() and str(path) in preset_names():
        raise RecipeError(f"There is no file '{path}', but a preset of that name: use --preset {path}.")
    if path is not None and path.suffix in (".jsonl", ".parquet", ".csv", ".arrow"):
        raise RecipeError(f"{path} is no recipe but looks like data: use --dataset jsonl --data {path}.")
    return resolve(path, changes, assignments, preset)


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """ "pot=program" -> {"pot": "program"}

    Raises:
        RecipeError: a text has no "=" or an empty side.
    """
    from siked_core.errors import RecipeError

    found = {}
    for text in texts:
        strategy, equals, name = (part.strip() for part in text.partition("="))
        if not (strategy and equals and name):
            raise RecipeError(f"{option} takes strategy=verifier, e.g. pot=program; got '{text}'.")
        found[strategy] = name
    return found


def names(text: str | None) -> list[str] | None:
    """ "cot,pot" -> ["cot", "pot"]

    Raises:
        RecipeError: the names stand with something else than commas between them.
    """
    from siked_core.errors import RecipeError

    for part in (text or "").split(","):
        if len(re.split(r"[\s;|+]+", part.strip())) > 1 and not any(mark in part for mark in "/:{"):
            raise RecipeError(f"Put commas between the names, and nothing else, e.g. cot,pot; got '{text}'.")
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]
