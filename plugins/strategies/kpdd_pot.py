"""Key points first, then the solution as a program: KPDD-PoT (arXiv 2407.10167). All but the program is `kpdd`'s."""

from __future__ import annotations

from pathlib import Path

from siked_core import Strategy, hookimpl
from siked_plugins.strategies.kpdd import KeyPoints
from siked_plugins.strategies.pot import ProgramOfThoughts


class KeyPointsProgram(KeyPoints):
    """KPDD with a program: the core question, the information that it needs, then Python (arXiv 2407.10167)."""

    name = "kpdd_pot"
    verifier = "program"
    bank_path = Path(__file__).parent / "banks" / "kpdd_pot.yaml"
    solver = ProgramOfThoughts()


@hookimpl
def siked_strategies() -> list[type[Strategy]]:
    return [KeyPointsProgram]
