"""The tables at the end of a run. They fit 80 columns or more; the JSON document holds every interval and count."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from siked_cli.evidence_tables import diversity_tables, gain_table, policy_tables
from siked_cli.summaries import failure_text
from siked_core import figures
from siked_core.scorecard import ORIGINAL, RoundReport, RunReport, Scorecard, StrategyScore

WIDTH = 80
"""Columns of the narrowest terminal that the tables are laid out for."""
GAP = 3
"""Columns between two columns of a table."""
CHOSEN = "bold green"


def report_tables(report: RunReport, width: int = WIDTH) -> list[RenderableType]:
    """Everything that a run found: accuracies, strategies, samples, other data sets, and what to do next.

    Args:
        width: columns that there are; what does not fit goes into a further table.
    """
    home = report.rounds[0].validation.dataset if report.rounds else ""
    # Rounds in their order, then the single-strategy students in theirs.
    order = {one.student: one.round for one in report.rounds}
    tested = sorted(report.test, key=lambda card: order.get(card.student, len(order)))
    inside = [card for card in tested if card.dataset == home]
    outside = [card for card in tested if card.dataset != home]
    validation = [one.validation for one in report.rounds]
    chosen = {one.student for one in report.rounds if one.round == report.chosen_round}
    parts: list[RenderableType] = [
        _title(f"Accuracy on {home}", "in %, with 95 % interval"),
        _accuracies(report, inside, chosen),
        *gain_table(report.rounds, lambda student: _name(student, chosen), _title, _table),
        *_strategies("Strategies on validation", validation, chosen, width),
        *_strategies("Strategies on test", inside, chosen, width),
        *policy_tables([card for card in inside if card.student in chosen], _title, _table),
        *_families([one.validation for one in report.rounds if one.round == report.chosen_round], width),
        _title(
            "Samples and mixtures",
            "the teacher's samples in round 0, the student's after it; rows that it was trained on, by source",
        ),
        _rounds(report.rounds, chosen),
        *_failures(report.rounds),
        *diversity_tables(report.rounds, lambda student: _name(student, chosen), _title, _table, width),
    ]
    if outside:
        parts += [
            _title("Other data sets", "test accuracy in %, with 95 % interval"),
            *_outside(outside, chosen, width),
        ]
    return [*parts, *_perplexity(report, chosen), Text(), *_ending(report)]


def scorecard_tables(card: Scorecard, width: int = WIDTH) -> list[RenderableType]:
    """One student on one split."""
    rows = [
        Text.assemble(
            (f"{card.student}", "bold"),
            f" on {card.dataset} ({card.split}): {figures.with_interval(card.score)} % of "
            f"{figures.count(card.score.total)} questions",
        )
    ]
    statuses = ", ".join(
        f"{status.replace('_', ' ')} {figures.count(number)}" for status, number in card.statuses.items() if number
    )
    return [
        *rows,
        *([Text(f"verdicts: {statuses}")] if statuses else []),
        *_strategies("Strategies", [card], set(), width),
        *policy_tables([card], _title, _table),
    ]


def _title(text: str, small: str = "") -> Text:
    return Text.assemble("\n", (text, "bold"), (f"  {small}" if small else "", "dim"))


def _table(*columns: str) -> Table:
    """The first column is text, the others are figures."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left", no_wrap=True)
    return table


def _name(student: str, chosen: Iterable[str]) -> Text:
    return Text(f"{student} *", style=CHOSEN) if student in chosen else Text(student)


def _accuracies(report: RunReport, inside: Sequence[Scorecard], chosen: set[str]) -> Table:
    tested = {card.student: card for card in inside}
    table = _table(
        "\nstudent",
        f"validation\n({_asked([one.validation for one in report.rounds])})",
        f"test\n({_asked(inside)})",
        "teacher's\nshare α",
        "training\ntokens",
    )
    for one in report.rounds:
        card = tested.pop(one.student, None)
        table.add_row(
            _name(one.student, chosen),
            figures.with_interval(one.validation.score),
            figures.with_interval(card.score if card else None),
            f"{one.mixture.alpha:.2f}" if one.mixture.rows else figures.NOTHING,
            figures.count(report.training_tokens[one.student]),
        )
    if tested and report.rounds:
        table.add_section()
    for card in tested.values():
        tokens = figures.count(report.training_tokens[card.student])
        table.add_row(card.student, figures.NOTHING, figures.with_interval(card.score), figures.NOTHING, tokens)
    return table


def _asked(cards: Sequence[Scorecard]) -> str:
    """ "1,319 questions": every student is asked the same ones."""
    totals = sorted({card.score.total for card in cards})
    return f"{' or '.join(figures.count(total) for total in totals) or 'no'} questions"


def _strategies(title: str, cards: Sequence[Scorecard], chosen: set[str], width: int) -> list[RenderableType]:
    """Each strategy's share of the questions, and its accuracy when chosen and when forced."""
    names = list(dict.fromkeys(score.strategy for card in cards for score in card.strategies))
    if not names:
        return []
    forced = any(score.forced is not None for card in cards for score in card.strategies)
    own = all(card.selector == "self" for card in cards)
    where = "where chosen freely" if own else "where it gives the answer"
    small = f"share of questions, accuracy {where}" + (", accuracy if forced" if forced else "") + ", in %"
    parts: list[RenderableType] = [_title(title, small)]
    # One column a strategy, its figures set by hand: Rich cannot put one heading over several columns.
    figures_heading = _cell("share", "free" if own else "there", "forced" if forced else "")
    each = max(len(figures_heading), *map(len, names)) + GAP
    bounds = ["no\ntag", *(["\noracle", "\nregret"] if any(card.oracle for card in cards) else [])]
    ends_width = sum(len(one.rpartition("\n")[2]) + GAP for one in bounds)
    room = width - max(len(card.student) for card in cards) - len(" *") - ends_width
    fit = max(1, room // each)
    for first in range(0, len(names), fit):
        some = names[first : first + fit]
        last = first + fit >= len(names)
        headings = [f"{name:^{len(figures_heading)}}\n{figures_heading}" for name in some]
        table = _table("\nstudent", *headings, *(bounds if last else []))
        for card in cards:
            by_name = {score.strategy: score for score in card.strategies}
            cells = [_strategy_cell(by_name.get(name), forced, card.score.total) for name in some]
            regret = figures.NOTHING if card.regret is None else f"{100 * card.regret:.1f}"
            ends = [_share(card.untagged, card.score.total), figures.accuracy(card.oracle), regret][: len(bounds)]
            table.add_row(_name(card.student, chosen), *cells, *(ends if last else []))
        parts += [Text(), table] if first else [table]
    return parts


def _families(cards: Sequence[Scorecard], width: int) -> list[RenderableType]:
    """Per family of problems: the student's own choice, what it chose most, and each strategy when forced."""
    parts: list[RenderableType] = []
    for card in cards:
        if len(card.families) < 2:
            continue
        forced = [score for score in card.strategies if score.forced_families]
        small = "accuracy in %: by its own choice, and with each strategy forced" if forced else "accuracy in %"
        parts.append(_title(f"Families of problems, {card.student} on {card.split}", small))
        first = ["\nfamily", "\nquestions", "own\nchoice", "most\nchosen"]
        own = max(map(len, card.families)) + len("questions") + len("choice") + 10 + len(first) * GAP
        each = max([len("100.0"), *(len(score.strategy) for score in forced)]) + GAP
        fit = max(1, (width - own) // each)
        for start in range(0, max(1, len(forced)), fit):
            some = forced[start : start + fit]
            table = _table(*first, *(f"\n{score.strategy}" for score in some))
            for family, score in card.families.items():
                table.add_row(
                    family,
                    figures.count(score.total),
                    figures.accuracy(score),
                    _most_chosen(card, family),
                    *(figures.accuracy(one.forced_families.get(family)) for one in some),
                )
            parts += [Text(), table] if start else [table]
    return parts


def _most_chosen(card: Scorecard, family: str) -> str:
    totals = {
        one.strategy: one.chosen_families[family].total for one in card.strategies if family in one.chosen_families
    }
    return max(totals, key=lambda name: totals[name]) if totals else figures.NOTHING


def _strategy_cell(score: StrategyScore | None, forced: bool, total: int) -> str:
    share = f"{100 * score.share:.0f}" if score and total else figures.NOTHING
    if_forced = figures.accuracy(score.forced if score else None) if forced else ""
    return _cell(share, figures.accuracy(score.chosen if score else None), if_forced)


def _cell(share: str, free: str, forced: str) -> str:
    return f"{share:>5} {free:>5}" + (f" {forced:>6}" if forced else "")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}" if whole else figures.NOTHING


def _rounds(rounds: Sequence[RoundReport], chosen: set[str]) -> Table:
    table = _table(
        "\nstudent",
        "\nsamples",
        "\ncorrect",
        "problems\nsolved",
        "\nrows",
        "teacher's\nrows",
        "own\nrows",
        "\ntime",
    )
    for one in rounds:
        pool, mixture = one.pool, one.mixture
        table.add_row(
            _name(one.student, chosen),
            figures.count(pool.samples),
            figures.percent(pool.correct, pool.samples),
            figures.percent(pool.problems_solved, pool.problems if pool.samples else 0),
            figures.count(mixture.rows),
            figures.count(mixture.by_source.get("teacher", 0)),
            figures.count(mixture.by_source.get("student", 0)),
            figures.duration(sum(one.seconds.values())) if one.seconds else figures.NOTHING,
        )
    return table


def _failures(rounds: Sequence[RoundReport]) -> list[Text]:
    """What became of the samples that were not correct. They are never silently dropped. And what was asked again with
    the answer told, which the table does not count."""
    lines = [(one.student, failure_text(one.pool)) for one in rounds]
    told = [
        f"asked again with the answer told, {one.student}: {figures.count(one.pool.hinted.samples)} samples, "
        f"{figures.count(one.pool.hinted.correct)} correct; {figures.count(one.mixture.hinted)} rows were trained on"
        for one in rounds
        if one.pool.hinted is not None
    ]
    failures = [f"not correct, {student}: {text}" for student, text in lines if text]
    return [Text(line, style="dim") for line in (*failures, *told)]


@dataclass(frozen=True)
class _Grid:
    students: list[str]
    datasets: list[tuple[str, str]]
    cards: dict[tuple[str, str, str], Scorecard]


def _outside(cards: Sequence[Scorecard], chosen: set[str], width: int) -> list[RenderableType]:
    grid = _Grid(
        list(dict.fromkeys(card.student for card in cards)),
        list(dict.fromkeys((card.dataset, card.split) for card in cards)),
        {(card.student, card.dataset, card.split): card for card in cards},
    )
    tables: list[RenderableType] = []
    fit = max(1, (width - max(map(len, grid.students)) - len(" *")) // (len("100.0 (100.0-100.0)") + GAP))
    for first in range(0, len(grid.datasets), fit):
        some = grid.datasets[first : first + fit]
        totals = [max(grid.cards[s, *d].score.total for s in grid.students if (s, *d) in grid.cards) for d in some]
        table = _table(
            "\nstudent", *(f"{name}\n({figures.count(n)} questions)" for (name, _), n in zip(some, totals, strict=True))
        )
        for student in grid.students:
            found = [grid.cards.get((student, *dataset)) for dataset in some]
            table.add_row(
                _name(student, chosen), *(figures.with_interval(card.score if card else None) for card in found)
            )
        tables += [Text(), table] if first else [table]
    return tables


def _perplexity(report: RunReport, chosen: set[str]) -> list[RenderableType]:
    """What the students forgot of the world outside their task, where it was measured."""
    if not report.perplexity:
        return []
    original = report.perplexity[ORIGINAL]
    table = _table("\nstudent", "bits per\nbyte", "\nchange", "perplexity\nper token")
    for student, found in report.perplexity.items():
        change = figures.NOTHING if student == ORIGINAL else f"{found.rise(original):+.1f} %"
        table.add_row(_name(student, chosen), f"{found.bits_per_byte:.4f}", change, f"{found.perplexity:,.2f}")
    small = f"{figures.count(original.tokens)} tokens, {figures.count(original.bytes)} bytes; it decides nothing"
    return [_title("General text", small), table]


def _ending(report: RunReport) -> list[Text]:
    combined = [Text("round-0 is the published baseline 'combined': every strategy of the teacher's, no rounds.")]
    lines = combined if len(report.rounds) > 1 else []
    lines += [Text(f"Left out of {name}: {figures.count(number)} problems") for name, number in report.excluded.items()]
    if report.contaminated:
        number = figures.count(len(report.contaminated))
        lines.append(Text(f"Of these, too near a test problem: {number} ({report.run}/problems/contaminated.jsonl)"))
    return [
        *lines,
        Text.assemble("Stopped: ", report.stopped),
        Text.assemble(
            f"* Round {report.chosen_round} is the best on validation. Its student is at ", (report.student, "bold")
        ),
        Text.assemble(
            "Try it: ", (f'siked solve {report.run} "Ann has 12 pens and buys 7 more. How many has she?"', CHOSEN)
        ),
    ]
