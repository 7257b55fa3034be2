"""How figures are written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siked_core.paired import Paired
    from siked_core.scorecard import Score
    from siked_core.spending import Spent

NOTHING = "-"


def count(number: float) -> str:
    """12,345"""
    return f"{number:,.0f}"


def percent(part: float, whole: float, digits: int = 1) -> str:
    """61.0 %, or "-" where there is no whole."""
    return f"{100 * part / whole:.{digits}f} %" if whole else NOTHING


def accuracy(score: Score | None) -> str:
    """61.0, in percent; "-" where nothing was judged."""
    return f"{100 * score.accuracy:.1f}" if score and score.total else NOTHING


def with_interval(score: Score | None) -> str:
    """61.0 (56.1 to 65.7), in percent; "-" where nothing was judged."""
    if not score or not score.total:
        return NOTHING
    low, high = score.interval
    return f"{100 * score.accuracy:.1f} ({100 * low:.1f}-{100 * high:.1f})"


def points(paired: Paired) -> str:
    """+1.2 (-0.3 to +2.7): a difference of accuracies in points, with its 95 % interval."""
    low, high = paired.interval
    return f"{100 * paired.difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def p_value(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def duration(seconds: float) -> str:
    """0.4 s, 12 s, 3:07, 1:02:03"""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_left:02}" if hours else f"{minutes}:{seconds_left:02}"


def spent(spending: Spent, currency: str) -> str:
    """12,345 tokens in, 6,789 out, 1.23 USD, 3:07; "free" where nothing has a price."""
    price = money(spending.cost, currency) if currency else "free"
    return f"{count(spending.tokens_in)} tokens in, {count(spending.tokens_out)} out, {price}, {work(spending.seconds)}"


def money(amount: float, currency: str) -> str:
    """1,234.50 USD; what is less than a cent, with the digits that it needs."""
    return f"{amount:,.2f} {currency}" if amount >= 0.1 or not amount else f"{amount:.2g} {currency}"


def size(number: float) -> str:
    """12 kB, 3.4 MB, 1.2 GB"""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.{0 if number >= 9.95 or unit == 'B' else 1}f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def work(seconds: float) -> str:
    """As `duration`, without tenths: it stands on the screen and grows."""
    return f"{seconds:.0f} s" if seconds < 59.5 else duration(seconds)


def countdown(seconds: float) -> str:
    """As `duration`, in whole seconds: an estimate has no tenths."""
    return f"{math.ceil(seconds)} s" if seconds < 9.95 else duration(seconds)


def rate(per_second: float | None) -> str:
    """120/s, 3.4/s, 12/min; empty where unknown."""
    if not per_second:
        return ""
    if per_second >= 10:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 1 else f"{60 * per_second:.1f}/min"
