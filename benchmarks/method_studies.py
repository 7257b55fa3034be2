"""The studies of `method.py`: which arms, at which values of what is varied, on which seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

STRATEGIES = ("cot", "pot", "l2m")
MAIN_SEEDS = (31, 32, 33, 34, 35)
SWEEP_SEEDS = (31, 32, 33)
FULL, SMALL = 115_000, 85_000
"""About what a round of `pocket-full` and of `pocket` trains on with three strategies and adaptive mixing."""
ADAPTIVE = "adaptive, per problem"
ALONE = "mixing.policy=teacher_only", "rollout.mode=free"
"""Trains on the teacher's rows; what the student samples is used for nothing."""
SWEPT = {
    "combined": ALONE,
    ADAPTIVE: ("mixing.policy={name: adaptive, options: {per: problem}}",),
    "utility": ("mixing.policy=utility",),
}
BASES = {
    "small": (0.25, "--tokens 38000000 --hidden 64 --layers 2 --intermediate 192"),
    "middle": (0.71, "--tokens 38000000 --layers 2"),
    "large": (28.4, "--tokens 400000000 --batch 128 --hidden 512 --layers 8 --heads 8 --intermediate 1536 --lr 0.01"),
}
"""Students beside the shipped one: million parameters, and what they are trained with. The smaller ones see as many
tokens as it did; the large one, which is for a GPU, ten times as many."""
LARGE = "large"


@dataclass(frozen=True)
class Cell:
    """One arm at one value of what a study varies."""

    arm: str
    settings: tuple[str, ...]
    value: float | str = ""
    base: int | None = None
    """Place in its study of the cell that it is a fork of."""
    layer: str = ""
    """A preset that is laid over the study's."""


@dataclass(frozen=True)
class Study:
    """What is varied, and what is asked of every arm."""

    title: str
    about: str
    preset: str
    tokens: int
    """That a round is trained on."""
    seeds: tuple[int, ...]
    cells: tuple[Cell, ...]
    varied: str = ""
    """What `Cell.value` is."""
    curve: bool = False
    """Whether every round's student is asked the test problems."""
    forced: bool = False
    """Whether every strategy is also forced, for the oracle."""
    more: tuple[str, ...] = ()
    """Settings of a trial, for every cell."""


def _policy(text: str) -> str:
    return f"mixing.policy={text}"


def _alone(name: str) -> tuple[str, ...]:
    """As many training tokens as with three strategies: more epochs of the warm-up."""
    epochs = f"training.warm_up_epochs={len(STRATEGIES)}"
    return f"strategies=[{name}]", epochs


def _main() -> tuple[Cell, ...]:
    orders = (("pot", "cot", "l2m"), ("cot", "pot", "l2m"), ("l2m", "pot", "cot"))
    together = {
        "adaptive (published)": (_policy("{name: adaptive, options: {per: strategy}}"),),
        "all": (_policy("all"),),
        "self_only": (_policy("self_only"),),
        **{
            f"biased {' > '.join(order)}": (_policy(f"{{name: biased, options: {{order: [{', '.join(order)}]}}}}"),)
            for order in orders
        },
        "utility": (_policy("utility"),),
        "combined": ALONE,
        "RFT": (_policy("rft"), "mixing.keep=null"),
        "vote (ETD)": ("evaluation.selector=vote",),
        "cascade pot, cot, l2m (ETD)": ("evaluation.selector={name: cascade, options: {order: [pot, cot, l2m]}}",),
    }
    alone = {
        **{f"only {name}": (*_alone(name), *ALONE) for name in STRATEGIES},
        "only pot, RFT": (*_alone("pot"), _policy("rft"), "mixing.keep=null", "rollout.samples=3"),
        "only cot, KPOD": (*_alone("cot"), *ALONE, "training.objective=kpod"),
    }
    cells = [Cell(ADAPTIVE, SWEPT[ADAPTIVE])]
    cells += [Cell(name, settings, base=0) for name, settings in together.items()]
    cells.append(Cell("ReST-EM", (), base=0, layer="rest-em"))
    return (*cells, *(Cell(name, settings) for name, settings in alone.items()))


def _swept(values: Mapping[float | str, Sequence[str]]) -> tuple[Cell, ...]:
    """The three arms at each value; adaptive is what the others are forks of."""
    cells: list[Cell] = []
    for value, settings in values.items():
        base = len(cells)
        cells.append(Cell(ADAPTIVE, (*settings, *SWEPT[ADAPTIVE]), value))
        cells += [Cell(arm, (*settings, *more), value, base) for arm, more in SWEPT.items() if arm != ADAPTIVE]
    return tuple(cells)


def _sized(share: float) -> list[str]:
    """As many problems for the warm-up and for every round as this share of the preset's, and tokens likewise."""
    warm_up, each = round(1500 * share), round(740 * share)
    sizes = f"rollout.warm_up_problems={warm_up}", f"rollout.problems_per_round={each}"
    train = f"dataset.options.train={warm_up + 2 * each + 40}"
    return [*sizes, train, f"training.tokens_per_round={round(SMALL * share)}"]


def _larger(bases: Path) -> list[str]:
    """Four times as many problems as `pocket-full`, of the hardest kind, in batches for a GPU."""
    world = "dataset.options.train=24200", "dataset.options.difficulty=hard", "rollout.warm_up_problems=12000"
    training = "training.batch_size=16", "training.warm_up_learning_rate=3e-4", "training.learning_rate=2e-4"
    return [f"student.model={bases / LARGE}", *world, "rollout.problems_per_round=4000", *training]


def _students(bases: Path) -> dict[float | str, Sequence[str]]:
    """Million parameters -> settings; the shipped base is the largest."""
    found: dict[float | str, Sequence[str]] = {
        million: [f"student.model={bases / name}"] for name, (million, _) in BASES.items() if name != LARGE
    }
    return {**found, 1.14: ()}


THREE = "Combined (the teacher alone), adaptive mixing per problem, and utility; 300 test problems."
ABOUT = {
    "main": """Every policy, selector and rival at the laboratory's size: 3,000 problems for the warm-up, 1,000 new ones
for each of 3 rounds, 450 test problems. All arms have the same teacher's answers and train on 115,000 tokens a round;
those of one strategy get the warm-up's tokens by three epochs. All sample equally often, but those that train on the
teacher alone, which sample once a problem and use it for nothing. Differences are paired by problem, with Student's t
over the seeds; p-values and intervals are corrected for how many are tested (Holm). The oracle is right where any
forced strategy is; "suited" are the strategies that it takes, evenly where several are right. "Best for its kind"
forces on each problem the strategy that was best for its family on validation: what a choice can reach that knows the
kind of a problem and no more. Rounds are scored by the students' own choice; the arms of a selector have adaptive's
students.""",
    "rounds": f"""Up to five rounds of 740 new problems each. {THREE} Every round's student is asked the test problems;
which round validation would choose is not looked at here.""",
    "noise": f"""The share of the teacher's completions that are spoilt; verification finds nearly all of them, so noise
costs rows. {THREE}""",
    "learning": f"""Problems of warm-up and rounds, and the tokens of a round, by the same factor; 1 is the preset
`pocket`. {THREE}""",
    "gold": f"""Samples of teacher and student judged by the gold answer, or by whether strategies agree (`agreement`);
validation and test always by the gold one. {THREE}""",
    "larger": f"""A student of 28 million parameters, trained on 400 million tokens of the same corpus, in a larger
world: hard problems, 12,000 of them for the warm-up and 4,000 new ones for each of 3 rounds. Run where there is a GPU.
{THREE}""",
    "students": f"""Base students of the same corpus, tokenizer and number of training tokens, of other depths and
widths. {THREE}""",
}


def studies(bases: Path) -> dict[str, Study]:
    """All of them, in the order of the page. What several have, the preset as it is, is one run for all."""
    longer = {5: ("stopping.rounds=5", "dataset.options.train=5240")}
    errs = "teacher.generator.options.error_rate="
    noises = {0: (f"{errs}0.0",), 15: (), 30: (f"{errs}0.3",), 40: (f"{errs}0.4",)}
    sizes = {0.25: _sized(0.25), 0.5: _sized(0.5), 1: (), 2: _sized(2)}
    judges = {"gold": (), "agreement": tuple(f"verifiers.{name}=agreement" for name in STRATEGIES)}
    learners = _students(bases)

    def swept(name: str, title: str, varied: str, values: Mapping[Any, Sequence[str]], **more: Any) -> Study:
        return Study(title, ABOUT[name], "pocket", SMALL, SWEEP_SEEDS, _swept(values), varied, **more)

    return {
        "main": Study(
            "The main table", ABOUT["main"], "pocket-full", FULL, MAIN_SEEDS, _main(), curve=True, forced=True
        ),
        "rounds": swept("rounds", "Rounds", "rounds", longer, curve=True),
        "noise": swept("noise", "A teacher that errs", "teacher's errors, in %", noises),
        "learning": swept("learning", "Fewer and more problems", "times as many problems", sizes),
        "gold": swept("gold", "Without gold answers", "judged by", judges),
        "larger": replace(
            swept("larger", "A larger student and world", "difficulty", {"hard": _larger(bases)}, forced=True),
            preset="pocket-full",
            tokens=4 * FULL,
        ),
        "students": swept("students", "Sizes of the student", "million parameters", learners, forced=True),
    }


def settings_of(study: Study, seed: int, cell: Cell) -> list[str]:
    """All that a cell of a seed is set to."""
    every = [f"seed={seed}", f"dataset.options.seed={seed}", f"training.tokens_per_round={study.tokens}"]
    every += ["stopping.patience=99", f"strategies=[{', '.join(STRATEGIES)}]"]
    every += [f"evaluation.forced={'true' if study.forced else 'false'}"]
    return [*every, *cell.settings, *study.more]


def preset_of(study: Study, cell: Cell) -> str:
    return f"{study.preset},{cell.layer}" if cell.layer else study.preset
