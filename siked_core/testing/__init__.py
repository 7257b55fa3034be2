"""What plugin authors, and siked's own tests, test with: contracts to subclass, toys, a tiny student, a sample."""

from siked_core.testing.contracts import (
    CONTRACTS,
    Broken,
    Contract,
    DatasetContract,
    Finding,
    GeneratorContract,
    MixingPolicyContract,
    ModelContract,
    ObjectiveContract,
    SelectorContract,
    StrategyContract,
    TrackerContract,
    TransformContract,
    VerifierContract,
    check_plugin,
)
from siked_core.testing.contracts.nasty import NASTY, spoilt
from siked_core.testing.contracts.sample import pocket_sample
from siked_core.testing.ledgers import toy_attempts
from siked_core.testing.students import make_tiny_student, toy_context
from siked_core.testing.toys import TOYS, ToyTeacher, toy_recipe, toy_registry, toy_sample

__all__ = [
    "CONTRACTS",
    "NASTY",
    "TOYS",
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
    "ToyTeacher",
    "TrackerContract",
    "TransformContract",
    "VerifierContract",
    "check_plugin",
    "make_tiny_student",
    "pocket_sample",
    "spoilt",
    "toy_attempts",
    "toy_context",
    "toy_recipe",
    "toy_registry",
    "toy_sample",
]
