"""What every transform must do."""

from __future__ import annotations

from collections.abc import Sequence

from siked_core.contracts import MixtureRow, Transform, TransformContext
from siked_core.errors import PluginError
from siked_core.records import Unreadable
from siked_core.testing.contracts.contract import Broken, Contract, shown
from siked_core.testing.contracts.sample import ready_strategies, sample_rows
from siked_core.transforms import check


class TransformContract(Contract):
    """Changes texts that can still be followed to their samples, read by their strategies, and made again."""

    plugin: type[Transform]

    def test_its_rows_belong_to_rows_that_it_was_given(self) -> None:
        """Each row that it returns has the key, problem and strategy of a row that was given, a text, and a weight that
        is finite and not negative."""
        rows = self._rows()
        made = self._transformed(rows)
        try:
            check(self.plugin.name, rows, made)
        except PluginError as error:
            raise Broken(
                str(error),
                "Change rows with dataclasses.replace(row, rationale=...), name merged ones in `merged`, and leave out "
                "what is not to be trained on.",
            ) from error

    def test_what_it_writes_can_be_read(self) -> None:
        """The strategy of a row can read the new text: a student that writes so can be judged."""
        context = self._context()
        for row in self._transformed(self._rows()):
            read = context.strategies[row.strategy].parse(row.rationale)
            self.check(
                not isinstance(read, Unreadable),
                f"{row.strategy} cannot read {shown(row.rationale)}: {getattr(read, 'why', '')}",
                "Return the row as it was where its strategy's parse cannot read the new text.",
            )

    def test_no_rows_are_no_rows(self) -> None:
        """Of no row it makes none, and does not raise."""
        made = self._transformed([])
        self.check(made == [], f"it returned {shown(made)}", "Return a list of changed rows.")

    def test_the_same_rows_are_changed_alike(self) -> None:
        """The same rows and seed give the same rows, and those that were given stay as they are."""
        rows = self._rows()
        before = list(rows)
        one, other = self._transformed(rows), self._transformed(rows)
        self.check(one == other, "two results of the same rows differ", "Seed what you draw with context.seed.")
        self.check(rows == before, "the list that it was given was changed", "Make a new list.")

    def _rows(self) -> list[MixtureRow]:
        rows = sample_rows(ready_strategies(self.registry), self.registry)
        if not rows:
            self.skip("no strategy is installed that can demonstrate a solution")
        return rows

    def _context(self) -> TransformContext:
        return TransformContext(1, ready_strategies(self.registry), 7)

    def _transformed(self, rows: Sequence[MixtureRow]) -> list[MixtureRow]:
        transform = self.made()
        found = self.tried(
            f"transform of {len(rows)} rows",
            lambda: transform.transform(rows, self._context()),
            "Return a row as it was where nothing can be made of it.",
        )
        return list(found)
