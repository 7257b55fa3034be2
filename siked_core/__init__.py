"""siked: distil reasoning from a large language model into a small one, strategy by strategy.

This is the public interface: plugins import from here and from nowhere deeper. Notebooks and scripts find `distill`,
`open_run` and `Solver` here, which are loaded when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from siked_core.bank import Bank, Shot, load_bank
from siked_core.contracts import (
    Attempt,
    Dataset,
    Figures,
    Generator,
    MixContext,
    MixingPolicy,
    MixtureRow,
    Model,
    Objective,
    ObjectiveContext,
    Options,
    Outcome,
    Plugin,
    Preference,
    Request,
    Selector,
    Strategy,
    StrategyOptions,
    TrackedRun,
    Tracker,
    TrainingExample,
    TrainingRow,
    Transform,
    TransformContext,
    Verifier,
    Wish,
)
from siked_core.errors import (
    DataError,
    ModelError,
    PluginError,
    RecipeError,
    RunError,
    SandboxError,
    SikedError,
    VerifierFault,
)
from siked_core.hookspecs import hookimpl
from siked_core.recipe_choice import PluginChoice
from siked_core.records import (
    Claim,
    Companion,
    Completion,
    Equation,
    Excluded,
    Loaded,
    Message,
    Problem,
    Prompt,
    Rationale,
    Sampling,
    Status,
    Step,
    Unreadable,
    Verdict,
    WorkedSolution,
)

if TYPE_CHECKING:
    from siked_core.api import Distillation, distill, open_run
    from siked_core.solve import Solution
    from siked_core.solver import Solver

__version__ = "0.1.0"

_LATER = {
    "Distillation": "siked_core.api",
    "Solution": "siked_core.solve",
    "Solver": "siked_core.solver",
    "distill": "siked_core.api",
    "open_run": "siked_core.api",
}
"""Where the rest lies: who only writes plugins does not wait for it."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'siked_core' has no attribute '{name}'")
    return getattr(import_module(_LATER[name]), name)


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "Attempt",
    "Bank",
    "Claim",
    "Companion",
    "Completion",
    "DataError",
    "Dataset",
    "Distillation",
    "Equation",
    "Excluded",
    "Figures",
    "Generator",
    "Loaded",
    "Message",
    "MixContext",
    "MixingPolicy",
    "MixtureRow",
    "Model",
    "ModelError",
    "Objective",
    "ObjectiveContext",
    "Options",
    "Outcome",
    "Plugin",
    "PluginChoice",
    "PluginError",
    "Preference",
    "Problem",
    "Prompt",
    "Rationale",
    "RecipeError",
    "Request",
    "RunError",
    "Sampling",
    "SandboxError",
    "Selector",
    "Shot",
    "SikedError",
    "Solution",
    "Solver",
    "Status",
    "Step",
    "Strategy",
    "StrategyOptions",
    "TrackedRun",
    "Tracker",
    "TrainingExample",
    "TrainingRow",
    "Transform",
    "TransformContext",
    "Unreadable",
    "Verdict",
    "Verifier",
    "VerifierFault",
    "Wish",
    "WorkedSolution",
    "distill",
    "hookimpl",
    "load_bank",
    "open_run",
]
