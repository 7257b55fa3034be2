"""Runs model-written programs without trusting them: see docs/verdicts.md for what is and is not safe, per platform."""

from siked_core.sandbox.outcome import Layer, Limits, Outcome, OutcomeStatus
from siked_core.sandbox.pool import ProgramPool

__all__ = ["Layer", "Limits", "Outcome", "OutcomeStatus", "ProgramPool"]
