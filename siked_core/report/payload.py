"""Samples packed for the page: columns, names that repeat kept once, gzip, base64.

Whatever a model wrote becomes JSON in compressed form and can neither end a script nor be taken for markup.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from siked_core.errors import SikedError
from siked_core.report.gathered import Gathered

if TYPE_CHECKING:
    import polars as pl

LONGEST = 20_000
"""Characters of one text; a longer one is cut, and says so."""
_NAMED = {"run": "run", "pool": "pool", "round": "round", "strategy": "strategy", "requested": "requested",
          "status": "status", "source": "source", "finish": "finish_reason"}  # fmt: skip
_CODE = {"program": "python", "equation": "python"}
"""A strategy's own verifier -> what its rationales are highlighted as."""


def packed(runs: Sequence[Gathered]) -> str:
    """The samples of all runs, as the page's script reads them."""
    content = json.dumps(columns(runs), separators=(",", ":"))
    return base64.b64encode(gzip.compress(content.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")


def columns(runs: Sequence[Gathered]) -> dict[str, Any]:
    """`names`: what repeats; `problems`, and `rows`: a list for each column. Rows hold places in the former two."""
    import polars as pl

    letters = ("A", "B")
    table = pl.concat(
        one.samples.with_columns(
            run=pl.lit(f"{letter} {one.name}" if len(runs) > 1 else one.name), of=pl.lit(number, dtype=pl.Int64)
        )
        for number, (letter, one) in enumerate(zip(letters, runs, strict=False))
    )
    ids = ("of", "problem_id", "question", "gold", "family")
    problems = table.select(ids).unique(maintain_order=True).with_row_index("problem")
    table = table.join(problems, on=ids, how="left", nulls_equal=True, maintain_order="left")
    names: dict[str, list[Any]] = {}
    rows: dict[str, list[Any]] = {"problem": table.get_column("problem").to_list()}
    for name, column in _NAMED.items():
        values = table.get_column(column)
        names[name] = _in_order(values, name)
        place = {value: number for number, value in enumerate(names[name])}
        rows[name] = [place[value] for value in values]
    names["mixture"] = table.get_column("mixtures").explode().drop_nulls().unique().sort().to_list()
    place = {value: number for number, value in enumerate(names["mixture"])}
    rows["mixtures"] = [[place[one] for one in mine] for mine in table.get_column("mixtures").to_list()]
    rows["text"] = [_short(text or "") for text in table.get_column("text")]
    rows["rationale"] = [
        None if read is None or read.strip() == (text or "").strip() else _short(read)
        for read, text in table.select("rationale", "text").iter_rows()
    ]
    rows["answer"] = [_short(text or "") for text in table.get_column("answer")]
    rows["why"] = [_short(text or "") for text in table.get_column("why")]
    rows |= {name: table.get_column(name).to_list() for name in ("key", "draw")}
    rows["tokens_in"] = table.get_column("prompt_tokens").to_list()
    rows["tokens_out"] = table.get_column("completion_tokens").to_list()
    asked = {
        name: [_short(text or "") for text in problems.get_column(column)]
        for name, column in (("id", "problem_id"), ("question", "question"), ("gold", "gold"), ("family", "family"))
    }
    return {"names": names, "problems": asked, "rows": rows}


def words(runs: Sequence[Gathered]) -> dict[str, Any]:
    """What the page's script must know beside the samples."""
    colours: dict[str, str] = {}
    judges: dict[str, str] = {}
    languages: dict[str, str] = {}
    for one in runs:
        colours |= one.colours
        for name in one.run.strategies:
            judges[name] = _judge(one, name)
            languages[name] = _CODE.get(one.run.strategies[name].verifier, "")
    filters = [*(["run"] if len(runs) > 1 else []), "round", "pool", "strategy", "status"]
    return {"colours": colours, "verifiers": judges, "languages": languages, "filters": filters,
            "runs": [one.name for one in runs]}  # fmt: skip


def _judge(found: Gathered, strategy: str) -> str:
    """Who judges it; of a verifier that has another's work done elsewhere, that one."""
    try:
        name, options = found.run.verifier_of(strategy)
    except SikedError:
        return found.run.strategies[strategy].verifier
    return str(options.get("verifier", name))


def _in_order(values: pl.Series, name: str) -> list[Any]:
    """Distinct values: pools in the order of the run, the rest sorted; null first."""
    distinct: list[Any] = values.unique(maintain_order=True).to_list()
    if name in ("pool", "run"):
        return distinct
    return sorted(distinct, key=lambda value: (value is not None, value))


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}\n… {len(text) - LONGEST:,} more characters are left out; `siked why` shows them all."
