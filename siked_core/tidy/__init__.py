"""What a run found out, as tidy Polars tables: one row an observation, one column a variable.

They are read from a run's directory (and its URL), whether it is finished or not; nothing is written and nothing is
worked out again that a stage has worked out. `siked report` draws its figures from them, and `siked_core.Distillation`
hands them out:

    from siked_core import open_run

    open_run("pocket-001").scores()

Some tables are made from others, so that who wants several reads each file once; `table` makes any from a run alone.
What their columns mean is in `COLUMNS`.
"""

from siked_core.tidy.answered import questions
from siked_core.tidy.by_name import table
from siked_core.tidy.columns import COLUMNS
from siked_core.tidy.course import predictions, rounds, stages
from siked_core.tidy.drawn import attempts, verdicts, yields
from siked_core.tidy.mixed import composition, mixtures
from siked_core.tidy.scored import scores, shares
from siked_core.tidy.solving import solvability, solved
from siked_core.tidy.texts import samples

__all__ = [
    "COLUMNS",
    "attempts",
    "composition",
    "mixtures",
    "predictions",
    "questions",
    "rounds",
    "samples",
    "scores",
    "shares",
    "solvability",
    "solved",
    "stages",
    "table",
    "verdicts",
    "yields",
]
