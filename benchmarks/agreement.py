"""How far agreement can be trusted: precision and coverage of what it accepts, where the gold answers are known.

    python benchmarks/agreement.py [--problems 400] [--json FILE]

The embedded world's problems; its teacher, whose errors under one strategy are independent of those under another, at
several error rates. Precision: of the samples that `agreement` accepts, the share that the gold answers accept.
Coverage: of the samples that the gold answers accept, the share that `agreement` accepts. Errors of a real model are
not independent across strategies: `siked audit RUN --verifier agreement` measures the same on a run of your own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path

from siked_core.recipe import resolve
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import start
from siked_core.stages.audit import audit
from siked_core.stages.teach import teach

ERROR_RATES = (0.1, 0.2, 0.4)
STRATEGIES = ("cot,pot", "cot,pot,eot", "cot,pot,l2m,eot")
RULES = ({"quorum": 2, "rule": "majority"}, {"quorum": 2, "rule": "unanimous"}, {"quorum": 3, "rule": "majority"})


def measure(problems: int, seed: int) -> list[dict[str, object]]:
    registry = Registry.discover()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for error_rate, names in itertools.product(ERROR_RATES, STRATEGIES):
            changes = {
                "strategies": names.split(","),
                "teacher.generator.options.error_rate": error_rate,
                "dataset.options.train": problems,
                "seed": seed,
            }
            with start(resolve(changes=changes), registry, SilentReporter(), runs=Path(folder)) as run:
                teach(run)
                for options in RULES:
                    if options["quorum"] > names.count(",") + 1:
                        continue
                    found = audit(run, "teacher", dict.fromkeys(run.recipe.strategy_names, "agreement"), options)
                    row = {"error_rate": error_rate, "strategies": names, **options, "samples": found.samples}
                    rows.append({**row, "precision": found.precision, "coverage": found.coverage})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments.problems, arguments.seed)
    print(f"{'error rate':>10}  {'strategies':<16} {'quorum':>6}  {'rule':<9}  {'precision':>9}  {'coverage':>8}")
    for row in rows:
        print(
            f"{row['error_rate']:>10}  {row['strategies']:<16} {row['quorum']:>6}  {row['rule']:<9}  "
            f"{_percent(row['precision']):>9}  {_percent(row['coverage']):>8}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _percent(value: object) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, float) else "-"


if __name__ == "__main__":
    main()
