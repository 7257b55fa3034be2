"""What a run will take, told from a pilot on some of its problems; and, once it has run, how far off that was.

The pilot (`siked_core.pilot`) is the run in small: the warm-up and one round. Tokens, samples, rows and bytes are
counted for each of its problems and carried over to all of them (`siked_core.forecast`). Time is what a stage took to
get ready, once, and what each sample or optimiser step took, times their number. Further rounds are taken to be like
the first, and students to write as the pilot's do, which have seen less and are worse. How far a run was off its pilot
in its pace, and its students in their length, was measured, and is in the intervals.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from siked_core.files import write_text
from siked_core.forecast import Forecast, Resampled, at_most, each, exactly, total, unlike, up_to
from siked_core.hint import hinted
from siked_core.models import read_side_file
from siked_core.pilot import Pilot, open_pilot
from siked_core.pool import read_parquet
from siked_core.preflight import look_over
from siked_core.quoted import size
from siked_core.recipe import Recipe
from siked_core.records import Source, Status
from siked_core.run import Run
from siked_core.scorecard import Score
from siked_core.spending import JUDGES, MILLION, free, price, spent, stage_of
from siked_core.stages.answers import pools_of
from siked_core.stages.evaluate import evaluate
from siked_core.stages.mix import mix
from siked_core.stages.prepare import dealt, problems
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import POOL, teach
from siked_core.stages.train import train
from siked_core.stages.verify import verdicts_of
from siked_core.stopwatch import Stopwatch, Timing

if TYPE_CHECKING:
    import polars as pl

STUDENT, ROUND = "round-0", "round-1"
INTERVALS = (
    "95 %: a bootstrap over the pilot's problems, and how far earlier runs were off their pilots; of yields, Wilson's"
)
PACE_SPREAD = 0.6
"""Of a step's seconds (`forecast.unlike`): 42 steps of seven runs, on two busy cores. A machine of one's own is
steadier."""
LENGTH_SPREAD = 0.5
"""Of the tokens that students write: 21 pools of the same runs, on pilots of 20 problems."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a round, or the end of a run, does in one go, as it is quoted."""

    round: int | None
    """None after the last round."""
    name: str
    """teach, rollout, train, evaluate, baselines or test."""
    samples: Forecast
    tokens_in: Forecast
    tokens_out: Forecast
    cost: Forecast
    seconds: Forecast
    """Of the work that is left after the pilot."""
    bytes: Forecast
    yields: dict[str, Score] = field(default_factory=dict)
    """Strategy -> right among the pilot's samples."""

    def as_dict(self) -> dict[str, Any]:
        figures = {name: getattr(self, name).as_dict() for name in QUANTITIES}
        return {
            "round": self.round,
            "step": self.name,
            **figures,
            "yield": {strategy: score.as_dict() for strategy, score in self.yields.items()},
        }


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What a pool takes, with what judging it does."""

    inside: Forecast
    out: Forecast
    cost: Forecast


QUANTITIES = ("samples", "tokens_in", "tokens_out", "cost", "seconds", "bytes")


def quote(run: Run, count: int) -> dict[str, Any]:
    """Run a pilot on so many problems and tell from it what the run will take; kept as `RUN/quote/quote.json`.

    Raises:
        CapReached: the pilot itself might take the run past one of its caps.
        RunError: the teacher got nothing right, so that there is nothing to train on.
    """
    look_over(run)
    watch = Stopwatch(run.reporter)
    pilot = open_pilot(run, count, watch)
    before = {stage: entry.get("seconds") for stage, entry in pilot.manifest["stages"].items()}
    home = run.recipe.dataset.name
    teach(pilot)
    mix(pilot, 0)
    train(pilot, 0)
    evaluate(pilot, STUDENT, home, "validation")
    if run.recipe.stopping.rounds:
        rollout(pilot, 1)
        mix(pilot, 1)
        train(pilot, 1)
        evaluate(pilot, ROUND, home, "validation")
    steps = _Estimate(run, pilot, _timings(pilot, watch, before)).steps()
    found = {
        "run": str(run.path),
        "problems": len(problems(pilot, "train")),
        "of": len(problems(run, "train")),
        "intervals": INTERVALS,
        "currency": run.recipe.prices.currency,
        "free": free(run.recipe),
        "steps": [step.as_dict() for step in steps],
        "total": {name: total([getattr(step, name) for step in steps]).as_dict() for name in QUANTITIES},
        "spent": asdict(spent(run.path, run.recipe)),
    }
    write_text(pilot.path / "quote.json", json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    return found


class _Estimate:
    """Carries a pilot's counts over to its run."""

    def __init__(self, run: Run, pilot: Pilot, timings: dict[str, Timing]) -> None:
        self._run, self._pilot, self._timings = run, pilot, timings
        self._recipe: Recipe = run.recipe
        self._ids = {split: [one.id for one in problems(pilot, split)] for split in ("train", "validation")}
        seen = {split: len(ids) for split, ids in self._ids.items()}
        sets = dict.fromkeys([run.recipe.dataset.name, *(choice.name for choice in run.recipe.evaluate)])
        self._all = Resampled(seen["train"], len(problems(run, "train")) - seen["train"])
        self._warm_up, self._round = (
            Resampled(seen["train"], max(0, len(dealt(run, number)) - seen["train"])) for number in (0, 1)
        )
        self._validation = Resampled(seen["validation"], len(problems(run, "validation")) - seen["validation"], seed=1)
        tested = sum(len(problems(run, "test", name)) for name in sets)
        self._test = Resampled(seen["validation"], tested, seed=2)
        # One factor for all steps: they may well be wrong together, and so the total's interval is not too narrow.
        self._pace, self._length = unlike(PACE_SPREAD, seed=3), unlike(LENGTH_SPREAD, seed=4)

    def steps(self) -> list[Step]:
        recipe = self._recipe
        rounds = range(1, recipe.stopping.rounds + 1)
        warm_up = self._optimiser_steps(STUDENT, recipe.training.of_warm_up.epochs, self._warm_up)
        found = [
            self._drawn(0, "teach", POOL, "teacher", self._all, others_only=True),
            self._trained(0, "train", STUDENT, warm_up),
            self._evaluated(0, STUDENT),
        ]
        trained = [warm_up]
        for number in rounds:
            trained.append(self._round_steps())
            found += [
                self._drawn(number, "rollout", ROUND, "student", self._round),
                self._trained(number, "train", ROUND, trained[-1]),
                self._evaluated(number, ROUND),
            ]
        singles = len(recipe.strategies) if len(recipe.strategies) > 1 else 0
        students = {"none": 0, "single": singles, "combined": 1, "equal_budget": singles + 1}[recipe.baselines]
        if students:
            # Single strategies share all of the teacher's rows; with an equal budget each takes what all rounds do.
            shared = self._optimiser_steps(STUDENT, recipe.training.of_warm_up.epochs, self._all)
            work = shared if recipe.baselines == "single" else total(trained) * students
            found.append(self._trained(None, "baselines", STUDENT, work, students))
        return [*found, self._tested(students)]

    def _drawn(
        self, round: int, name: str, pool: str, source: Source, over: Resampled, others_only: bool = False
    ) -> Step:
        """Drawing a pool of training problems, and with it what is asked again with the answer told."""
        asked = self._recipe.teacher if source == "teacher" else self._recipe.rollout
        drawn = [pool, hinted(pool)] if asked.rationalise else [pool]
        steps = [
            self._sampled(round, name, one, stage_of(one), source, over, "train", others_only=others_only)
            for one in drawn
        ]
        return _together(steps) if len(steps) > 1 else steps[0]

    def _sampled(
        self,
        round: int | None,
        name: str,
        pool: str,
        stage: str,
        source: Source,
        over: Resampled,
        split: str,
        *,
        others_only: bool = False,
    ) -> Step:
        """Drawing a pool and verifying it.

        Args:
            others_only: the pilot's samples are the run's: their time is spent.
        """
        table = verdicts_of(self._pilot, pool)
        counts = self._by_problem(table, split)["samples"]
        samples, timed = over.over_all(counts), over.over_others(counts) if others_only else over.over_all(counts)
        took = self._tokens(pool, source, split, over.over_all)
        drawing, verifying = self._timing(stage), self._timing(f"verify {pool}")
        seconds = (timed * _each(drawing, verifying) + exactly(drawing.fixed_s + verifying.fixed_s)) * self._pace
        kept = self._kept(pool, samples)
        return Step(round, name, samples, took.inside, took.out, took.cost, seconds, kept, self._yields(table))

    def _evaluated(self, round: int, student: str) -> Step:
        return _together(
            [
                self._sampled(round, "evaluate", pool, stage_of(pool), "student", self._validation, "validation")
                for pool in self._answers(student)
            ]
        )

    def _answers(self, student: str) -> list[str]:
        """The pools of a student's answers to the validation questions."""
        return list(pools_of(self._pilot, student, self._recipe.dataset.name, "validation"))

    def _tested(self, baselines: int) -> Step:
        """The test splits, none of whose problems was seen, told from the validation problems. Besides the baselines,
        one student is tested if round 0 turns out to be the best, else two."""
        student = ROUND if self._recipe.stopping.rounds else STUDENT
        return _together([self._tested_in(pool, baselines) for pool in self._answers(student)])

    def _tested_in(self, pool: str, baselines: int) -> Step:
        """What goes into the pools of test answers that are drawn as one pool of validation answers was."""
        rounds = self._recipe.stopping.rounds
        counts = self._by_problem(verdicts_of(self._pilot, pool), "validation")["samples"]

        def students(one: Forecast) -> Forecast:
            return up_to(one * (1 + baselines), one * (2 + baselines)) if rounds else one * (1 + baselines)

        samples = students(self._test.over_others(counts))
        took = self._tokens(pool, "student", "validation", lambda values: students(self._test.over_others(values)))
        drawing, verifying = self._timing(stage_of(pool)), self._timing(f"verify {pool}")
        fixed = exactly((1 + len(self._recipe.evaluate)) * (drawing.fixed_s + verifying.fixed_s))
        seconds = (samples * _each(drawing, verifying) + students(fixed)) * self._pace
        kept = self._kept(pool, samples)
        return Step(None, "test", samples, took.inside, took.out, took.cost, seconds, kept)

    def _tokens(self, pool: str, source: Source, split: str, over: Callable[[list[float]], Forecast]) -> _Tokens:
        """The tokens of a pool's samples, and of what a verifier was replied about them."""
        mine = self._by_problem(verdicts_of(self._pilot, pool), split)
        inside, out = over(mine["in"]), over(mine["out"])
        if source == "student":
            recipe = self._recipe.evaluation if split == "validation" else self._recipe.rollout
            out = at_most(out * self._length, over(mine["samples"]) * recipe.max_tokens)
        cost = self._cost(source, inside, out)
        replies = self._pilot.pool(f"{JUDGES}/{pool}").read()
        for (model,), table in replies.group_by("source"):
            asked = self._by_problem(table, split)
            more, replied = over(asked["in"]), over(asked["out"])
            inside, out, cost = inside + more, out + replied, cost + self._cost(str(model), more, replied)
        return _Tokens(inside, out, cost)

    def _kept(self, pool: str, samples: Forecast) -> Forecast:
        """Bytes of so many samples with their verdicts: at most in proportion, for a file takes some whatever is in it,
        and at least half of what the pilot's take."""
        tables = (self._pilot.pool(pool), self._pilot.pool(f"{JUDGES}/{pool}"), self._pilot.verdicts(pool))
        bytes = sum(table.size() for table in tables)
        return up_to(exactly(bytes / 2), samples * (bytes / max(1, self._pilot.pool(pool).read().height)))

    def _trained(self, round: int | None, name: str, like: str, steps: Forecast, students: int = 1) -> Step:
        """Training, at the pace of the pilot's student `like`."""
        timing, nothing = self._timing(f"train {like}"), exactly(0)
        seconds = (steps * _each(timing) + exactly(students * timing.fixed_s)) * self._pace
        kept = exactly(students * size(self._pilot.student(like)))
        return Step(round, name, nothing, nothing, nothing, nothing, seconds, kept)

    def _optimiser_steps(self, mixture: str, epochs: float, over: Resampled) -> Forecast:
        rows = read_parquet(self._pilot.mixture(mixture)).get_column("problem_id").to_list()
        counts = [float(rows.count(identifier)) for identifier in self._ids["train"]]
        batch = self._recipe.training.batch_size * self._recipe.training.accumulation
        return over.over_all(counts) * (epochs / batch)

    def _round_steps(self) -> Forecast:
        training = self._recipe.training
        if training.tokens_per_round is None:
            return self._optimiser_steps(ROUND, training.epochs, self._round)
        side = read_side_file(self._pilot.student(ROUND))
        return exactly(training.tokens_per_round * side["steps"] / side["training_tokens"])

    def _by_problem(self, table: pl.DataFrame, split: str) -> dict[str, list[float]]:
        """What was counted of each of the pilot's problems, in their order."""
        import polars as pl

        sums = {
            row["problem_id"]: row
            for row in table.group_by("problem_id")
            .agg(pl.len(), pl.col("prompt_tokens").sum(), pl.col("completion_tokens").sum())
            .iter_rows(named=True)
        }
        columns = {"samples": "len", "in": "prompt_tokens", "out": "completion_tokens"}
        return {
            name: [float(sums[one][column]) if one in sums else 0.0 for one in self._ids[split]]
            for name, column in columns.items()
        }

    def _yields(self, table: pl.DataFrame) -> dict[str, Score]:
        found = {}
        for strategy in self._recipe.strategy_names:
            statuses = table.filter(table["strategy"] == strategy).get_column("status").to_list()
            if statuses:
                found[strategy] = Score(statuses.count(Status.CORRECT.value), len(statuses))
        return found

    def _cost(self, source: str, inside: Forecast, out: Forecast) -> Forecast:
        found = price(self._recipe, source)
        return inside * (found.input / MILLION) + out * (found.output / MILLION) if found else exactly(0)

    def _timing(self, stage: str) -> Timing:
        return self._timings.get(stage, Timing())


def _together(steps: list[Step]) -> Step:
    """One step of several that are taken in one go; its yields are the first one's."""
    samples, tokens_in, tokens_out, cost, seconds, bytes = (
        total([getattr(step, name) for step in steps]) for name in QUANTITIES
    )
    first = steps[0]
    return Step(first.round, first.name, samples, tokens_in, tokens_out, cost, seconds, bytes, first.yields)


def _each(*timings: Timing) -> Forecast:
    """Seconds of a unit, in all of these stages together."""
    return total([each(timing.work, seed) for seed, timing in enumerate(timings)])


def _timings(pilot: Pilot, watch: Stopwatch, before: dict[str, Any]) -> dict[str, Timing]:
    """What was timed now; of a stage that found everything done, what an earlier pilot of this run had timed."""
    path = pilot.path / "timings.json"
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    seconds = {stage: entry.get("seconds") for stage, entry in pilot.manifest["stages"].items()}
    fresh = {stage: one for stage, one in watch.timings.items() if seconds.get(stage) != before.get(stage)}
    known = {stage: Timing(**one) for stage, one in earlier.items()} | fresh
    write_text(path, json.dumps({stage: asdict(one) for stage, one in known.items()}, indent=2) + "\n")
    return known
