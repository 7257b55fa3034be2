"""Where a sample came from and what became of it: from its prompt to the students that were trained on it.

Nothing is kept for this alone. Prompt and settings are rendered anew from the run's recipe, and believed only if they
give the sample's own key, which is a hash of them all; where they do not, as for what a fork took over from a run of
another recipe, they are not shown. Why a sample is not in a mixture follows from the rules that choose
(`siked_core.ledger`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from siked_core.absence import Sample, policy_of, why_absent
from siked_core.contracts import Generator, Verifier
from siked_core.errors import RunError, SikedError
from siked_core.hint import is_hinted, told
from siked_core.imported import imported
from siked_core.keys import sample_key, seed_of
from siked_core.models import SIDE_FILE, read_side_file
from siked_core.pool import read_parquet
from siked_core.records import Problem, Prompt, Sampling
from siked_core.run import Run
from siked_core.spending import JUDGES, pools
from siked_core.stages.answers import OWN, pools_of, sampling_of
from siked_core.stages.evidence import judge_of
from siked_core.stages.generate import EVALUATIONS, samples_of, split_of, student_wants
from siked_core.stages.prepare import problems
from siked_core.stages.rollout import open_student
from siked_core.stages.teach import open_teacher
from siked_core.stages.turns import turns_of
from siked_core.stages.verify import judges_of, verdicts_of
from siked_core.stopping import base_of, rounds_before

if TYPE_CHECKING:
    import polars as pl

SHOWN = 5
"""Keys that an error names where several fit."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How a sample was made."""

    generator: str
    """The generator's name; for a student, which one; for an import, who wrote it."""
    fingerprint: str
    """All of the generator that can change what it writes; empty where that is not known."""
    sampling: Mapping[str, Any]
    """Temperature, top_p and max_tokens; empty where they are not known."""
    seed: int | None
    """The recipe's."""
    draw_seed: int | None
    """This draw's own."""
    prompt: Prompt | None
    imported_from: str
    """File and line; empty where the sample was drawn."""
    unknown: str
    """Why some of this is not known; empty where all is."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one verifier said."""

    verifier: str
    """Its name; "another verifier" where the run has no record of it (a fork has none of what it took over), and it is
    none that this installation has with its default options."""
    judge: str
    current: bool
    """Whether it is the verdict that the run goes by."""
    status: str
    answer: str
    why: str


@dataclass(frozen=True, slots=True)
class Place:
    """One mixture, and whether the sample is in it."""

    mixture: str
    weight: float | None
    """None where it is not in it."""
    policy: str
    """The mixing policy that chose its rows, with its options; empty where none did."""
    why_not: str
    """Empty where it is in it."""
    students: tuple[str, ...]
    """The students that were trained on this mixture, and those that were trained further from them."""
    note: str
    """What makes this doubtful, in one line; empty where nothing does."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything that a run knows of one sample."""

    key: str
    pool: str
    problem: Problem
    requested: str | None
    """The strategy that was asked for; None where the student chose."""
    strategy: str | None
    """The strategy that was used; None where no known tag was written."""
    source: str
    round: int
    draw: int
    origin: Origin
    text: str
    finish_reason: str
    max_tokens: int | None
    prompt_tokens: int
    completion_tokens: int
    logprob: float | None
    hinted: bool
    """Whether whoever wrote it had been told the answer."""
    rationale: str | None
    """As the strategy reads it; None where it could not be read or has not been judged."""
    wanted: bool
    """Whether the present recipe asks for it."""
    verdicts: tuple[Judged, ...]
    mixtures: tuple[Place, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def lineage(run: Run, key: str) -> Lineage:
    """Follow one sample.

    Args:
        key: the sample's, or the beginning of it if no other begins so.

    Raises:
        RunError: no sample, or more than one, has a key that begins so.
    """
    import polars as pl

    pool, row = _find(run, key)
    dataset, split = split_of(run, pool)
    known = {problem.id: problem for problem in problems(run, split, dataset)}
    problem = known.get(row["problem_id"], Problem(row["problem_id"], "", ""))
    judged = verdicts_of(run, pool) if run.wanted(pool).exists() else None
    mine = None if judged is None else judged.filter(pl.col("key") == row["key"])
    verdict = None if mine is None or mine.is_empty() else mine.row(0, named=True)
    wanted = run.wanted(pool).exists() and _is_wanted(run, pool, row["key"])
    fields = ("requested", "strategy", "source", "round", "draw", "text", "finish_reason", "max_tokens")
    tokens = ("prompt_tokens", "completion_tokens", "logprob")
    return Lineage(
        key=row["key"],
        pool=pool,
        problem=problem,
        **{name: row[name] for name in (*fields, *tokens)},
        origin=_origin(run, pool, row, known.get(row["problem_id"])),
        hinted=is_hinted(pool),
        rationale=verdict["rationale"] if verdict else None,
        wanted=wanted,
        verdicts=tuple(_verdicts(run, pool, row, verdict)),
        mixtures=tuple(
            _places(
                run, Sample(row["key"], row["problem_id"], pool, row["source"], row["round"], row["strategy"], wanted)
            )
        ),
    )


def _find(run: Run, key: str) -> tuple[str, dict[str, Any]]:
    import polars as pl

    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for pool in (name for name in pools(run.path) if not name.startswith(f"{JUDGES}/")):
        rows = run.pool(pool).read().filter(pl.col("key").str.starts_with(key))
        for row in rows.head(SHOWN + 1).iter_rows(named=True):
            found.setdefault(row["key"], (pool, row))
    if key in found:
        return found[key]
    if not found:
        raise RunError(
            f"No sample of the run {run.path} has a key that begins with '{key}'. Keys are in the column key of its "
            "pools, mixtures and exports."
        )
    if len(found) > 1:
        some = ", ".join(sorted(found)[:SHOWN])
        more = " and others" if len(found) > SHOWN else ""
        raise RunError(f"Several samples of the run {run.path} have a key that begins with '{key}': {some}{more}.")
    return next(iter(found.values()))


def _is_wanted(run: Run, pool: str, key: str) -> bool:
    return key in set(samples_of(run, pool).get_column("key"))


# How it was made


def _origin(run: Run, pool: str, row: Mapping[str, Any], problem: Problem | None) -> Origin:
    import polars as pl

    brought = imported(run).filter(pl.col("key") == row["key"])
    if not brought.is_empty():
        one = brought.row(0, named=True)
        place = f"{one['file']}, {one['where']}"
        return Origin(one["teacher"], "", {}, None, None, None, place, "it was written elsewhere, and imported")
    if problem is None:
        return _not_known("", "its problem is not one of the run's any more")
    name, sampling = _settings(run, pool, row)
    try:
        prompt, generator = _prompt(run, pool, row, problem), _generator(run, pool, row)
        strategy = run.strategies[row["requested"]] if row["requested"] else None
        fingerprint = generator.fingerprint
        turns = None
        if strategy is not None and row["source"] == "teacher":
            turns = turns_of(strategy, problem, generator, run.recipe.reasoning)
        after = turns.fingerprint if turns else ""
        key = sample_key(problem, strategy, prompt, row["draw"], sampling, generator, run.recipe.seed, after)
    except (SikedError, KeyError) as error:
        return _not_known(name, f"what drew it cannot be asked now: {error}")
    if key != row["key"]:
        return _not_known(name, "it was drawn under another recipe, or with another version of what drew it")
    shown = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": row["max_tokens"]}
    return Origin(name, fingerprint, shown, run.recipe.seed, seed_of(key), prompt, "", "")


def _not_known(generator: str, why: str) -> Origin:
    return Origin(generator, "", {}, None, None, None, "", why)


def _settings(run: Run, pool: str, row: Mapping[str, Any]) -> tuple[str, Sampling]:
    recipe = run.recipe
    if row["source"] == "teacher":
        asked = recipe.teacher
        return asked.generator.name, Sampling(asked.temperature, asked.top_p, asked.max_tokens)
    if pool.startswith(f"{EVALUATIONS}/"):
        student, dataset, split = pool.split("/")[1], *split_of(run, pool)
        wishes = pools_of(run, student, dataset, split).get(pool, [OWN])
        return f"the student {student}", sampling_of(run, wishes)
    rollout = recipe.rollout
    return f"the student round-{base_of(run, row['round'])}", Sampling(
        rollout.temperature, rollout.top_p, rollout.max_tokens
    )


def _prompt(run: Run, pool: str, row: Mapping[str, Any], problem: Problem) -> Prompt:
    if is_hinted(pool):
        rule = (run.recipe.teacher if row["source"] == "teacher" else run.recipe.rollout).rationalise
        if rule is None:
            raise RunError("the present recipe tells nobody the answer")
        problem = told(problem, rule.hint)
    strategy = run.strategies[row["requested"]] if row["requested"] else None
    if row["source"] == "teacher" and strategy is not None:
        return strategy.teacher_prompt(problem)
    return student_wants(run.format, [strategy], [problem], 1)[0].prompt


def _generator(run: Run, pool: str, row: Mapping[str, Any]) -> Generator:
    if row["source"] == "teacher":
        return open_teacher(run)
    evaluated = pool.startswith(f"{EVALUATIONS}/")
    return open_student(run, pool.split("/")[1] if evaluated else f"round-{base_of(run, row['round'])}")


# How it was judged


def _verdicts(run: Run, pool: str, row: Mapping[str, Any], present: Mapping[str, Any] | None) -> Iterator[Judged]:
    import polars as pl

    names = _judges(run, row["strategy"]) | judges_of(run, pool)
    rows = (
        run.verdicts(pool).read().filter(pl.col("key") == row["key"]).unique("judge", keep="last", maintain_order=True)
    )
    for one in rows.iter_rows(named=True):
        current = present is not None and one["judge"] == present["judge"]
        shown = present if current and present is not None else one
        name = names.get(one["judge"], "another verifier") if row["strategy"] else "no verifier"
        yield Judged(name, one["judge"], current, shown["status"], shown["answer"], shown["why"])


def _judges(run: Run, strategy: str | None) -> dict[str, str]:
    """A judge's hash -> its verifier's name: the run's own, and every installed one with its default options."""
    if strategy is None or strategy not in run.strategies:
        return {}
    found: dict[str, str] = {}
    with run.verifiers(scoring=True) as scoring, run.verifiers() as own:
        for entry in run.registry.entries:
            if entry.kind == "verifier" and entry.status == "active":
                try:
                    verifier: Verifier = run.registry.create("verifier", entry.name, {})
                    verifier.bind(scoring, run.registry.create)
                    found[judge_of(run, strategy, verifier)] = entry.name
                except SikedError:  # it needs options
                    continue
                verifier.close()
        found |= {judge_of(run, strategy, each[strategy]): each[strategy].name for each in (scoring, own)}
    return found


# What it was used for


def _places(run: Run, sample: Sample) -> Iterator[Place]:
    for path in sorted((run.path / "mixtures").glob("*.parquet"), key=_in_order):
        mixture = read_parquet(path)
        weight = _weight(mixture, sample.key)
        why_not = "" if weight is not None else why_absent(run, path.stem, mixture, sample)
        students = tuple(_students(run, path.stem)) if weight is not None else ()
        doubt = _doubt(run, path.stem, mixture.height) if students else ""
        yield Place(path.stem, weight, policy_of(run, path.stem), why_not, students, doubt)


def _in_order(path: Path) -> tuple[int, int, str]:
    number = path.stem.removeprefix("round-")
    return (0, int(number), "") if number.isdigit() else (1, 0, path.stem)


def _weight(mixture: pl.DataFrame, key: str) -> float | None:
    import polars as pl

    mine = pl.col("key") == key
    if "merged" in mixture.columns:  # a transform made one text of several samples
        mine |= pl.col("merged").list.contains(key)
    weights = mixture.filter(mine).get_column("weight")
    return None if weights.is_empty() else float(weights[0])


def _students(run: Run, mixture: str) -> Iterator[str]:
    def there(name: str) -> bool:
        return (run.student(name) / SIDE_FILE).exists()

    names = [mixture]
    if mixture.startswith("round-") and run.recipe.training.start == "continue":
        here = int(mixture.removeprefix("round-"))
        trained = sorted(path.name[6:] for path in run.student(mixture).parent.glob("round-*"))
        later = sorted(int(number) for number in trained if number.isdigit() and int(number) > here)
        names += [f"round-{number}" for number in later if here in rounds_before(run, number)]
    yield from (name for name in names if there(name))


def _doubt(run: Run, mixture: str, rows: int) -> str:
    folder = run.student(mixture)
    if not (folder / SIDE_FILE).exists():
        return ""
    side = read_side_file(folder)
    trained = side["rows"] + side["rows_too_long"]
    if trained == rows:
        return ""
    return f"the mixture has {rows:,} rows now, but {mixture} was trained on one of {trained:,}"
