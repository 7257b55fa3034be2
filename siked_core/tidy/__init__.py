"""What a run found out, as tidy Polars tables: one row an observation, one column a variable, shares between 0 and 1.

They are read from a run's directory (and its URL), whether it is finished or not; nothing is written and nothing is
worked out again that a stage has worked out. `siked report` draws its figures from them, and a notebook may too:

    from siked_core.run import attach
    from siked_core.tidy import accuracies

    accuracies(attach("pocket-001", Registry.discover(), SilentReporter(), lock=False))

Each table's columns are in a mapping beside the function that makes it.
"""

from siked_core.tidy.course import mixtures, predictions, rounds, stages
from siked_core.tidy.drawn import attempts, verdicts, yields
from siked_core.tidy.scored import accuracies, shares
from siked_core.tidy.solving import solvability, solved
from siked_core.tidy.texts import samples

__all__ = [
    "accuracies",
    "attempts",
    "mixtures",
    "predictions",
    "rounds",
    "samples",
    "shares",
    "solvability",
    "solved",
    "stages",
    "verdicts",
    "yields",
]
