"""Who shows a run's progress where nobody said who: a notebook's cell, or plain lines."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siked_core.reporting import Reporter


def automatic() -> Reporter:
    """In a notebook one display under the cell, which is kept up to date; elsewhere plain lines on standard error."""
    if in_notebook():
        from siked_core.reporters.notebook import NotebookReporter

        return NotebookReporter()
    from siked_core.reporters.plain import PlainReporter

    return PlainReporter(sys.stderr)


def in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this code: only IPython, which is then there already, can tell."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ != "TerminalInteractiveShell" and hasattr(shell, "kernel")
