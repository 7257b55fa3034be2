"""Everything that a run is configured by.

A recipe is a preset, changed by a YAML file, changed by `--set key=value` and the command's options, in that
order. Unknown keys are refused. The resolved recipe is stored with the run and rebuilds it.

The defaults of the classes below are the published settings of SIKeD (arXiv 2410.18574) for Gemma and SmolLM
students; the presets in `siked_core/presets` hold everything else.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from siked_core.decontamination import Rule
from siked_core.errors import RecipeError, unknown
from siked_core.layers import assigned, merge, nested, read_layer
from siked_core.reasoning import ReasoningRecipe
from siked_core.recipe_choice import POCKET, PluginChoice
from siked_core.recipe_launch import LaunchRecipe, shared
from siked_core.recipe_sampling import RolloutRecipe, TeacherRecipe
from siked_core.recipe_spending import CapsRecipe, PricesRecipe
from siked_core.recipe_stopping import AlarmsRecipe, StoppingRecipe
from siked_core.recipe_storage import StorageRecipe
from siked_core.recipe_student import StudentRecipe, TrainingRecipe
from siked_core.section import Section as _Section
from siked_core.validation import explain

_NONE = object()
CHANGEABLE = ("prices", "caps", "launch", "alarms", "rehearsal", "track")
"""Keys that change nothing of what a run makes: they may differ when it is continued."""


class DataRecipe(_Section):
    path: Path | None = None
    """A local file or folder; the default is each data set's own source. Handed to `evaluate` as well."""
    limit: int | None = Field(None, ge=1)
    """Use only so many training problems."""
    validation: int = Field(500, ge=1)
    """How many problems to hold out of the training split where the data set has no validation split (at most
    a fifth of it)."""
    validation_limit: int | None = Field(None, ge=1)
    """Use only so many validation problems."""
    test_limit: int | None = Field(None, ge=1)
    """Use only so many test problems, in every data set that is evaluated."""
    decontaminate: Rule = "ngram"
    """Which training problems are left out for being too near a test problem: those of the same text ("exact"), also
    those of the same words and numbers ("normalised"), also those that share many n-grams ("ngram"), or none."""
    ngram: int = Field(8, ge=1)
    """Words in such an n-gram."""
    ngram_overlap: float = Field(0.7, gt=0, le=1)
    """The share of a test problem's n-grams from which a training problem that holds them is too near."""


class MixingRecipe(_Section):
    policy: PluginChoice = PluginChoice(name="adaptive")
    """What the student is trained on next."""
    keep: int | None = Field(1, ge=1)
    """Distinct correct rationales kept per (question, strategy, source) (published: 1); null: all."""
    weights: Literal["equal", "copies"] = "equal"
    """"copies": a rationale that was sampled several times weighs so many times as much in the loss, so that what the
    student gets right more often, it is trained more on. "equal": each weighs the same (published)."""
    transforms: list[PluginChoice] = Field(default_factory=list)
    """What becomes of the chosen texts before they are trained on, one after another (published: nothing)."""


class EvaluationRecipe(_Section):
    max_tokens: int = Field(512, ge=1)
    """New tokens per answer; answers are greedy unless the selector wants others."""
    forced: bool = True
    """Also measure every strategy when it is forced."""
    selector: PluginChoice = PluginChoice(name="self")
    """How the answer is chosen: by the student, or from several of its attempts. What it learns, it learns on
    validation."""
    perplexity: Path | None = None
    """A file of general text (plain, or rows with `text`) that the original student and each round's are measured on,
    to see what they forget. It decides nothing."""
    perplexity_rise: float = Field(5.0, ge=0)
    """Per cent by which bits per byte may rise over the original student's without a warning."""


class Recipe(_Section):  # noqa: PLW1641 - it holds lists and has no hash
    """A whole run."""

    preset: str = POCKET
    """What the recipe starts from."""
    seed: int = Field(1, ge=0)
    """Seeds every draw."""
    strategies: list[PluginChoice] = Field(
        default_factory=lambda: [PluginChoice(name=n) for n in ("cot", "pot", "l2m")]
    )
    """What the student is taught, and chooses among."""
    verifiers: dict[str, PluginChoice] = Field(default_factory=dict)
    """Strategy to verifier, where it is not to be the strategy's own."""
    allow_unsafe_exec: bool = False
    """Run model-written programs even where the machine cannot cage them (macOS). They can then read, change, delete
    and send anything that you can."""
    dataset: PluginChoice = PluginChoice(name=POCKET)
    """What it is trained, chosen and tested on."""
    data: DataRecipe = DataRecipe()
    """Where the data sets are, and how much of them is used."""
    evaluate: list[PluginChoice] = Field(default_factory=list)
    """Out-of-domain data sets: their test splits are scored too."""
    teacher: TeacherRecipe = TeacherRecipe()
    """Who writes the first rationales, and how they are sampled."""
    reasoning: ReasoningRecipe | None = ReasoningRecipe()
    """What becomes of what a thinking model, teacher or student, writes before it answers. null: strategies read it as
    part of the answer."""
    student: StudentRecipe = StudentRecipe()
    """The model that is trained, and how it is spoken to."""
    rollout: RolloutRecipe = RolloutRecipe()
    """How the student's own rationales are sampled in a round."""
    mixing: MixingRecipe = MixingRecipe()
    """Which verified rationales a round trains on."""
    training: TrainingRecipe = TrainingRecipe()
    """How the student is trained."""
    launch: LaunchRecipe = LaunchRecipe()
    """The processes and machines that train it. They change nothing of what comes out but rounding, and may change when
    a run is continued."""
    stopping: StoppingRecipe = StoppingRecipe()
    """When the rounds end. Decided on the validation split."""
    alarms: AlarmsRecipe = AlarmsRecipe()
    """When a run warns that a student collapses. Alarms decide nothing, and may change when a run is continued."""
    evaluation: EvaluationRecipe = EvaluationRecipe()
    """How the student is measured."""
    baselines: Literal["none", "single", "combined", "equal_budget"] = "none"
    """Students of the teacher's pool alone, to compare with. "single": one per strategy, trained as long as round 0.
    "combined": one of all strategies, of as many tokens as all rounds; "equal_budget": that and one per strategy."""
    storage: StorageRecipe = StorageRecipe()
    """Where samples and verdicts are kept. It changes none of them."""
    prices: PricesRecipe = PricesRecipe()
    """What tokens cost. Prices change no sample, and may change when a run is continued."""
    caps: CapsRecipe = CapsRecipe()
    """Where a run pauses before it spends more. They may change when a run is continued."""
    rehearsal: bool = True
    """Try one step of judging, training and sampling on a few problems before anything is spent."""
    track: list[PluginChoice] = Field(default_factory=list)
    """Where the run's figures are shown beside its own directory: tensorboard, wandb, mlflow, trackio. Trackers change
    nothing, and may change when a run is continued."""

    @field_validator("strategies")
    @classmethod
    def _some_and_distinct(cls, value: list[PluginChoice]) -> list[PluginChoice]:
        names = [choice.name for choice in value]
        if not names:
            raise ValueError("name at least one strategy")
        if len(set(names)) < len(names):
            raise ValueError(f"a strategy is named twice in {', '.join(names)}")
        return value

    @model_validator(mode="after")
    def _verifiers_have_strategies(self) -> Recipe:
        names = {choice.name for choice in self.strategies}
        for strategy in self.verifiers:
            if strategy not in names:
                raise ValueError(
                    f"verifiers names the strategy '{strategy}', which is not among {', '.join(sorted(names))}"
                )
        return self

    @model_validator(mode="after")
    def _rows_can_be_shared(self) -> Recipe:
        shared(self.training.batch_size, self.training.accumulation, self.launch.world)
        return self

    def __eq__(self, other: object) -> bool:
        """Whether both make the same run: all but `CHANGEABLE` counts."""
        if not isinstance(other, Recipe):
            return NotImplemented
        return self.model_dump(exclude=set(CHANGEABLE)) == other.model_dump(exclude=set(CHANGEABLE))

    @property
    def strategy_names(self) -> tuple[str, ...]:
        return tuple(choice.name for choice in self.strategies)

    def to_yaml(self) -> str:
        content = self.model_dump(mode="json")
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        # PyYAML reads some line separators back as spaces unless they are escaped.
        return text if yaml.safe_load(text) == content else yaml.safe_dump(content, sort_keys=False)


def preset_names() -> list[str]:
    folder = files("siked_core").joinpath("presets")
    return sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """The YAML of a preset.

    Raises:
        RecipeError: there is none of that name.
    """
    if name not in preset_names():
        raise RecipeError(unknown("preset", name, preset_names()))
    return files("siked_core").joinpath("presets", f"{name}.yaml").read_text(encoding="utf-8")


def resolve(
    path: Path | None = None,
    changes: Mapping[str, Any] | None = None,
    assignments: Sequence[str] = (),
    preset: str | None = None,
) -> Recipe:
    """Build a recipe: preset (or several: "a,b"), then file, `changes` (dotted keys), and `key=value` assignments.

    The preset is the one asked for, or the one that the file names, or "pocket" where the student is the
    embedded one and "paper" where it is not.

    Raises:
        RecipeError: a key or value does not fit; one line.
    """
    last = nested(assigned(assignments))  # first: what the shell took apart is a strange name for a file as well
    layers = [read_layer(path) if path else {}, nested(changes or {}), last]
    asked = functools.reduce(merge, layers)
    student = asked.get("student")
    model = student.get("model", POCKET) if isinstance(student, Mapping) else POCKET
    chosen = preset or asked.get("preset") or (POCKET if model == POCKET else "paper")
    if not isinstance(chosen, str):
        raise RecipeError(
            f"The recipe's preset must be a name, not {chosen!r}. Available: {', '.join(preset_names())}."
        )
    defaults = Recipe().model_dump(mode="json")  # a layer too: options may be added to a plugin that no layer names
    presets = [yaml.safe_load(preset_text(name.strip())) for name in chosen.split(",")]
    merged = functools.reduce(merge, [*presets, *layers], defaults)
    return validate({**merged, "preset": chosen})


def validate(content: Mapping[str, Any]) -> Recipe:
    """A recipe from its plain content.

    Raises:
        RecipeError: a key or value does not fit; one line.
    """
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(explain(error, Recipe, "recipe key")) from None


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Lines "key: old -> new" for every key whose value differs, but for `CHANGEABLE`."""
    before, after = (_flat(recipe.model_dump(mode="json", exclude=set(CHANGEABLE))) for recipe in (old, new))
    pairs = {key: (before.get(key, _NONE), after.get(key, _NONE)) for key in sorted(before.keys() | after.keys())}
    return [f"{key}: {_shown(was)} -> {_shown(now)}" for key, (was, now) in pairs.items() if was != now]


def read_text_option(value: str, what: str) -> str:
    """The text of an option that may name a file as `@FILE`.

    Raises:
        RecipeError: the file cannot be read.
    """
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"Cannot read the {what} from {value[1:]}: {error}.") from None


def _flat(content: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(content, Mapping) and content:
        return {k: v for key, value in content.items() for k, v in _flat(value, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): content}


def _shown(value: Any) -> str:
    if value is _NONE:
        return "(none)"
    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).strip().removesuffix("\n...")
