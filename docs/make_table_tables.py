"""Writes the descriptions of the tables' columns into docs/python.md: python docs/make_table_tables.py"""

from __future__ import annotations

from pathlib import Path

from siked_core.api import Distillation
from siked_core.tidy import COLUMNS

PAGE = Path(__file__).with_name("python.md")
BEGIN, END = "<!-- tables: begin -->\n", "<!-- tables: end -->\n"


def written(text: str) -> str:
    """The page with its tables as they are now."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    parts = []
    for table, columns in COLUMNS.items():
        rows = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in columns.items())
        call = f"{table}()" if hasattr(Distillation, table) else f'table("{table}")'
        parts.append(f"### `{call}`\n\n| column | |\n|---|---|\n{rows}\n")
    return f"{before}{BEGIN}{''.join(parts)}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
