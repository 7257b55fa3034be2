"""What every objective must do."""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core.contracts import Objective, ObjectiveContext, TrainingExample, TrainingRow
from siked_core.errors import PluginError
from siked_core.format import StudentFormat
from siked_core.records import Status
from siked_core.testing.contracts.contract import Broken, Contract, shown
from siked_core.testing.contracts.sample import ready_strategies, sample_rows
from siked_core.testing.students import make_tiny_student, toy_context

if TYPE_CHECKING:
    import polars as pl

MOST_STRATEGIES = 2


@cache
def tiny_student() -> Path:
    """A tiny student that lasts as long as this process."""
    folder = Path(tempfile.mkdtemp(prefix="siked-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_tiny_student(folder / "student")


class ObjectiveContract(Contract):
    """Makes examples that a trainer can take, one for each row at least, and the same ones again."""

    plugin: type[Objective]

    def test_every_row_has_an_example_whose_parts_fit(self) -> None:
        """It makes one example for each row, in order, and perhaps more; tokens, labels and weights of an example have
        one length, and a label is its token or -100."""
        rows, context = self._rows(), self._context()
        made = self._examples(rows, context)
        self._fit(rows, made)
        self.check(
            any(label != -100 for one in made for label in one.labels),
            "no token of any example carries loss",
            "Leave the label of what is to be learnt as it is.",
        )
        for row, one in zip(rows, made, strict=False):
            plain = context.tokenize(row)
            prompt = next((place for place, label in enumerate(plain.labels) if label != -100), len(plain.labels))
            self.check(
                one.input_ids[:prompt] == plain.input_ids[:prompt],
                f"the example for the sample {row.key} does not begin with its row's prompt",
                "Return the rows' examples in the rows' order; further ones follow them.",
            )

    def test_weights_are_finite(self) -> None:
        """Every weight of a token is a finite number; it may be negative."""
        made = self._examples(self._rows(), self._context())
        for place, one in enumerate(made):
            for weights in (one.weights, *one.epoch_weights):
                bad = [weight for weight in weights if not math.isfinite(weight)]
                self.check(not bad, f"example {place} has the weight {bad[:1]}", "Look for a division by nothing.")

    def test_the_same_rows_make_the_same_examples(self) -> None:
        """The same rows, student, folder and seed give the same examples, so that a training can be resumed."""
        rows = self._rows()
        one, other = self._examples(rows, self._context("one")), self._examples(rows, self._context("other"))
        again = self._examples(rows, self._context("one"))
        for name, found in (("another time", other), ("from what is in the folder", again)):
            self.check(
                found == one,
                f"the examples that were made {name} are others",
                "Seed what you draw with context.seed; use torch.manual_seed before weights are made.",
            )

    def test_a_few_rows_can_be_shown(self) -> None:
        """`shown` makes the examples of a few rows without a run's samples, for `siked prompts`."""
        rows = self._rows()[:2]
        context = self._context("shown", in_a_run=False)
        made = self.tried(
            "shown",
            lambda: self.made().shown(rows, context),
            "Write `shown` where `examples` needs the run's samples or the student: plain examples will do.",
        )
        self._fit(rows, made)

    # What these use

    def _fit(self, rows: Sequence[TrainingRow], made: Sequence[TrainingExample]) -> None:
        from siked_core.stages.objective import check

        try:
            check(self.plugin.name, len(rows), made)
        except PluginError as error:
            raise Broken(
                str(error), "Start from context.tokenize(row), and change it with dataclasses.replace."
            ) from error
        for place, one in enumerate(made):
            strange = [
                (token, label)
                for token, label in zip(one.input_ids, one.labels, strict=True)
                if label not in (token, -100)
            ]
            self.check(
                not strange,
                f"example {place} has the (token, label) {shown(strange[:1])}",
                "A label is the token at its own place, or -100 where there is no loss.",
            )

    def _examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        objective = self.made()
        found = self.tried(
            f"examples of {len(rows)} rows",
            lambda: objective.examples(rows, context),
            "A row that cannot be weighed is made a plain one: context.tokenize(row).",
        )
        return list(found)

    def _rows(self) -> list[TrainingRow]:
        """Training rows of the pocket sample."""
        format = self._format()
        rows = []
        for one in sample_rows(self._strategies(), self.registry, 2):
            target = format.target(one.strategy, one.rationale)
            prompt = format.prompt(one.problem.question)
            rows.append(TrainingRow(prompt, target, one.strategy, one.weight, one.problem, one.rationale, one.key))
        if not rows:
            self.skip("no strategy is installed that can demonstrate a solution")
        return rows

    def _strategies(self) -> dict[str, Any]:
        return dict(list(ready_strategies(self.registry).items())[:MOST_STRATEGIES])

    def _format(self) -> StudentFormat:
        return StudentFormat.build(tuple(self._strategies()), "<{strategy}>\n", "")

    def _context(self, folder: str = "training", in_a_run: bool = True) -> ObjectiveContext:
        import torch

        from siked_core.models import load_weights

        tiny = tiny_student()
        plain = toy_context(tiny, self._format(), epochs=3)
        if not in_a_run:
            return plain
        load = partial(load_weights, str(tiny), torch.float32)
        return replace(plain, folder=self.folder / folder, load_student=load, samples=self._samples)

    def _samples(self) -> pl.DataFrame:
        """The rows' own samples, and a wrong one beside each."""
        import polars as pl

        found = []
        for row in self._rows():
            assert row.problem is not None
            for draw, status in enumerate((Status.CORRECT, Status.WRONG)):
                text = row.rationale if draw == 0 else row.rationale.replace("1", "3").replace("2", "7")
                found.append(
                    {
                        "key": row.key if draw == 0 else f"f{row.key[1:]}",
                        "problem_id": row.problem.id,
                        "strategy": row.strategy,
                        "source": "teacher",
                        "round": 0,
                        "draw": draw,
                        "status": status.value,
                        "text": text,
                        "rationale": text,
                    }
                )
        return pl.DataFrame(found)
