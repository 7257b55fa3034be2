"""Checks a recipe against the plugins and files of this machine, before anything is made of it.

What a recipe's own model can say is checked there (`siked_core.recipe`); this is the rest that can be known at
once. A mistake in what is only used in the last round must not show after an hour of teaching.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from siked_core.contracts import Generator, Kind, Plugin, Strategy
from siked_core.errors import ModelError, PluginError, RecipeError, UnusablePluginError
from siked_core.launch_command import check_launch
from siked_core.mixing import open_policy, with_what_it_builds_on
from siked_core.recipe import Recipe, read_text_option
from siked_core.recipe_choice import POCKET, PluginChoice
from siked_core.registry import Registry
from siked_core.remote import probe
from siked_core.selection import open_selector
from siked_core.spending import check_caps
from siked_core.stages.prepare import make_dataset
from siked_core.student import resolve_model
from siked_core.training_arguments import check_arguments

HUB_TIMEOUT_S = 10


def check(recipe: Recipe, registry: Registry) -> None:
    """Every plugin that the recipe names exists and takes its options, and every file that it names is there.

    Raises:
        PluginError: a plugin does not exist, is switched off, or failed to load.
        RecipeError: an option does not fit, or a file that is named does not exist.
        DataError: a strategy's bank is malformed.
        StoreError: the URL that samples are to be kept at cannot be used.
        ModelError: the student is neither a folder, nor a package's model, nor on the hub.
    """
    check_caps(recipe)
    if recipe.storage.pools is not None:
        probe(recipe.storage.pools, recipe.storage.options)
    _check_exists(recipe.data.path, "data.path")
    _check_exists(recipe.evaluation.perplexity, "evaluation.perplexity")
    if recipe.training.replay is not None:
        _check_exists(recipe.training.replay.path, "training.replay.path")
    for key, kind, choice in choices(recipe):
        try:
            made = registry.create(kind, choice.name, choice.options)
        except UnusablePluginError:
            raise
        except PluginError as error:
            if key != "teacher.generator":
                raise
            named = f"a generator and its model, e.g. transformers:{choice.name} or openai:{choice.name}"
            raise PluginError(f"{error} The teacher is {named}.") from None
        for plugin in with_what_it_builds_on(made, registry):
            _check_files(plugin, f"{key}.options")
    open_policy(recipe.mixing.policy, recipe, registry)
    open_selector(recipe.evaluation.selector, recipe.strategy_names, registry)
    for key, choice in (("dataset", recipe.dataset), *((f"evaluate.{one.name}", one) for one in recipe.evaluate)):
        _check_files(make_dataset(recipe, registry, choice), f"{key}.options")
    for choice in recipe.strategies:
        strategy: Strategy = registry.create("strategy", choice.name, choice.options)
        if strategy.options.bank is not None:
            strategy.bank  # noqa: B018 - reading it is the check
        if choice.name not in recipe.verifiers:
            registry.create("verifier", strategy.verifier)
    _check_hints(recipe, registry)
    for choice in recipe.track:
        registry.create("tracker", choice.name, choice.options)
    _check_student(recipe, registry)
    check_arguments(recipe.training.args)
    check_launch(recipe.launch)
    if recipe.teacher.samples and recipe.teacher.generator.name == POCKET != recipe.dataset.name:
        raise RecipeError(
            f"The teacher 'pocket' knows the pocket world only, not '{recipe.dataset.name}'. Name one with --teacher "
            "(teacher.generator): a model through transformers, vllm or openai (an API), annotations (the data's own "
            "solutions), or replay."
        )


def choices(recipe: Recipe) -> Iterator[tuple[str, Kind, PluginChoice]]:
    """Every plugin that is named, with its place in the recipe. Data sets and the student's
    generator, which are given more than their own options, are checked apart."""
    for choice in recipe.strategies:
        yield f"strategies.{choice.name}", "strategy", choice
    for strategy, choice in recipe.verifiers.items():
        yield f"verifiers.{strategy}", "verifier", choice
    yield "teacher.generator", "generator", recipe.teacher.generator
    yield "mixing.policy", "mixing_policy", recipe.mixing.policy
    for choice in recipe.mixing.transforms:
        yield f"mixing.transforms.{choice.name}", "transform", choice
    yield "training.objective", "objective", recipe.training.objective
    yield "evaluation.selector", "selector", recipe.evaluation.selector


def _check_hints(recipe: Recipe, registry: Registry) -> None:
    asked = recipe.teacher.generator
    teacher: Generator = registry.create("generator", asked.name, asked.options)
    if recipe.teacher.rationalise and teacher.reads_solution:
        raise RecipeError(
            f"The teacher '{asked.name}' writes from worked solutions and reads no prompt, so teacher.rationalise "
            "tells it nothing. Leave it out; teacher.top_up has it try again."
        )
    policy = open_policy(recipe.mixing.policy, recipe, registry)
    if policy.hinted and not recipe.rollout.rationalise:
        raise RecipeError(
            f"The mixing policy '{policy.name}' takes what the student writes with the answer told, and "
            "rollout.rationalise is null, so there is nothing of the kind. Set rollout.rationalise={}, as the preset "
            "star does, or choose another policy."
        )


def check_trackers(recipe: Recipe, registry: Registry) -> None:
    """What the recipe's trackers work with is installed. Only where a run is begun or continued: who looks at one stage
    of it on another machine need not have it.

    Raises:
        PluginError: it is not.
    """
    for choice in recipe.track:
        registry.create("tracker", choice.name, choice.options).check_machine()


def _check_student(recipe: Recipe, registry: Registry) -> None:
    student = recipe.student
    read_text_option(student.instruction, "student's instruction")
    if student.chat_template is not None:
        read_text_option(student.chat_template, "student's chat template")
    model = resolve_model(student.model, registry)
    options = {**student.generator.options, "model": model}
    _check_files(registry.create("generator", student.generator.name, options), "student.generator.options")
    if not Path(model).is_dir():
        _check_hub(model)


def _check_files(plugin: Plugin, place: str) -> None:
    """An option that holds a path names something that must be there, and so must be what the plugin works with."""
    for name in type(plugin.options).model_fields:
        value: Any = getattr(plugin.options, name)
        for path in value if isinstance(value, list | tuple) else [value]:
            if isinstance(path, Path):
                _check_exists(path, f"{place}.{name}")
    plugin.check_machine()
    if plugin.original is not plugin:
        _check_files(plugin.original, place)


def _check_exists(path: Path | None, place: str) -> None:
    if path is not None and not path.exists():
        raise RecipeError(f"There is no file or folder {path} ({place}).")


def _check_hub(model: str) -> None:
    """The hub has the model, or its configuration is in the local cache.

    Raises:
        ModelError: neither is so.
    """
    from huggingface_hub import model_info, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        if isinstance(try_to_load_from_cache(model, "config.json"), str):
            return
        model_info(model, timeout=HUB_TIMEOUT_S)
    except (HfHubHTTPError, HFValidationError) as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__).removesuffix(".")
        found = f"the hub has none that you may use ({said})"
    except OfflineModeIsEnabled:
        found = "the hub is switched off (HF_HUB_OFFLINE)"
    except Exception as error:  # whatever the network's library raises: the user's remedy is the same
        found = f"the hub cannot be reached ({type(error).__name__})"
    else:
        return
    raise ModelError(
        f"There is no student '{model}': it is no folder here, it is not in the local Hugging Face cache, and {found}."
    )
