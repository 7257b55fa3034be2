"""What one stage did, in a few lines."""

from __future__ import annotations

from rich.text import Text

from siked_core import figures
from siked_core.hint import HINTED
from siked_core.records import Status
from siked_core.scorecard import MixtureSummary, PoolSummary


def pool_lines(name: str, summary: PoolSummary) -> list[Text]:
    """How many samples, how many of them right, and what became of the others."""
    lines = [
        Text.assemble(
            (f"Pool {name}", "bold"),
            f"  {figures.count(summary.samples)} samples, {figures.count(summary.correct)} correct "
            f"({figures.percent(summary.correct, summary.samples)}); "
            f"{figures.count(summary.problems_solved)} of {figures.count(summary.problems)} problems have one",
        )
    ]
    for strategy, counts in summary.by_strategy.items():
        right, drawn = counts["correct"], counts["samples"]
        lines.append(
            Text(
                f"  {strategy:<10} {figures.count(right):>8} of {figures.count(drawn):>8}  "
                f"{figures.percent(right, drawn):>7}"
            )
        )
    failures = failure_text(summary)
    if failures:
        lines.append(Text(f"  not correct: {failures}"))
    if summary.hinted is not None:
        lines += pool_lines(f"{HINTED}/{name} (asked again, the answer told)", summary.hinted)
    return lines


def failure_text(summary: PoolSummary) -> str:
    """ "wrong 120, crashed 4": every status but `correct`, the most frequent first."""
    others = [(number, status) for status, number in summary.statuses.items() if status != Status.CORRECT and number]
    return ", ".join(f"{status.replace('_', ' ')} {figures.count(number)}" for number, status in sorted(others)[::-1])


def mixture_lines(round_: int, summary: MixtureSummary) -> list[Text]:
    """How many rows, of which strategy and source."""
    told = f" ({figures.count(summary.hinted)} written with the answer told)" if summary.hinted else ""
    alpha = figures.percent(summary.by_source.get("teacher", 0), summary.rows)
    return [
        Text.assemble(
            (f"Mixture of round {round_}", "bold"),
            f"  {figures.count(summary.rows)} rows{told}; the teacher's share α is {alpha}",
        ),
        *(
            Text(f"  {name:<10} {figures.count(number):>8}")
            for part in (summary.by_strategy, summary.by_source)
            for name, number in part.items()
        ),
    ]
