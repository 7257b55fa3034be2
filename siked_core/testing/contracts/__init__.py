"""What every plugin of a kind must do, as classes of tests to subclass, and what runs them without pytest."""

from siked_core.plugin import Kind
from siked_core.testing.contracts.contract import Broken, Contract
from siked_core.testing.contracts.dataset import DatasetContract
from siked_core.testing.contracts.generator import GeneratorContract
from siked_core.testing.contracts.mixing_policy import MixingPolicyContract
from siked_core.testing.contracts.model import ModelContract
from siked_core.testing.contracts.objective import ObjectiveContract
from siked_core.testing.contracts.running import Finding, check_plugin
from siked_core.testing.contracts.selector import SelectorContract
from siked_core.testing.contracts.strategy import StrategyContract
from siked_core.testing.contracts.tracker import TrackerContract
from siked_core.testing.contracts.transform import TransformContract
from siked_core.testing.contracts.verifier import VerifierContract

CONTRACTS: dict[Kind, type[Contract]] = {
    "strategy": StrategyContract,
    "verifier": VerifierContract,
    "mixing_policy": MixingPolicyContract,
    "generator": GeneratorContract,
    "dataset": DatasetContract,
    "transform": TransformContract,
    "objective": ObjectiveContract,
    "selector": SelectorContract,
    "model": ModelContract,
    "tracker": TrackerContract,
}

__all__ = [
    "CONTRACTS",
    "Broken",
    "Contract",
    "DatasetContract",
    "Finding",
    "GeneratorContract",
    "MixingPolicyContract",
    "ModelContract",
    "ObjectiveContract",
    "SelectorContract",
    "StrategyContract",
    "TrackerContract",
    "TransformContract",
    "VerifierContract",
    "check_plugin",
]
