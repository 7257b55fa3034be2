"""Where a sample came from and what became of it: told from what is on disk, and believed only where it is proven."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from siked_core import RunError, Verdict
from siked_core.keys import seed_of
from siked_core.ledger import candidates, ranked
from siked_core.lineage import Lineage, lineage
from siked_core.loop import distill
from siked_core.pool import read_parquet, write_parquet
from siked_core.recipe import validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.stages.mix import mix
from siked_core.stages.teach import teach
from siked_core.stages.verify import verdicts_of, verify
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import SameText

TEACHER = {"generator": "toy-teacher", "samples": 3}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Run]:
    """A finished run with one round, in which teacher and student repeat themselves."""
    folder = tmp_path_factory.mktemp("runs")
    recipe = validate(toy_recipe(tiny, teacher=TEACHER, baselines="single"))
    with start(recipe, toy_registry(), SilentReporter(), runs=folder, name="run") as opened:
        distill(opened)
    with attach("run", toy_registry(), SilentReporter(), runs=folder, lock=False) as opened:
        yield opened


def some(run: Run, pool: str, **where: object) -> Lineage:
    """The lineage of the first sample of a pool that is like this."""
    table = verdicts_of(run, pool).filter(*(pl.col(name) == value for name, value in where.items()))
    return lineage(run, table.get_column("key")[0])


def places(found: Lineage) -> dict[str, str]:
    """Mixture -> why the sample is not in it; empty where it is."""
    return {place.mixture: place.why_not for place in found.mixtures}


def test_from_the_prompt_to_the_students(run: Run) -> None:
    chosen = read_parquet(run.mixture("round-0")).filter(pl.col("strategy") == "loud").row(0, named=True)
    found = lineage(run, chosen["key"])
    assert (found.pool, found.source, found.round, found.requested, found.strategy) == (
        "teacher",
        "teacher",
        0,
        "loud",
        "loud",
    )
    assert found.problem.id == chosen["problem_id"]
    origin = found.origin
    assert (origin.generator, origin.fingerprint, origin.unknown) == ("toy-teacher", "toy-5", "")
    assert origin.sampling == {"temperature": 0.7, "top_p": 0.95, "max_tokens": 512}
    assert (origin.seed, origin.draw_seed) == (1, seed_of(found.key))
    assert origin.prompt is not None
    assert origin.prompt.messages[-1].content == found.problem.question
    assert found.rationale == chosen["rationale"] == found.text
    assert [(one.verifier, one.current, one.status) for one in found.verdicts] == [("same_text", True, "correct")]
    (warm_up,) = [place for place in found.mixtures if place.mixture == "round-0"]
    assert (warm_up.weight, warm_up.students, warm_up.note) == (chosen["weight"], ("round-0", "round-1"), "")
    assert places(found)["only-loud"] == ""
    assert places(found)["only-quiet"] == "the mixture is of the strategy quiet only"
    assert (found.prompt_tokens, found.completion_tokens, found.finish_reason) == (3, 4, "stop")


def test_a_students_sample(run: Run) -> None:
    key = read_parquet(run.mixture("round-1")).filter(pl.col("source") == "student").get_column("key")[0]
    found = lineage(run, key)
    assert found.origin.generator == "the student round-0"
    assert found.origin.unknown == ""
    assert found.origin.prompt is not None
    assert found.requested is None
    assert found.text == f"<{found.strategy}>\n{found.rationale}"
    assert places(found)["round-1"] == ""
    assert places(found)["round-0"] == "the mixture takes the teacher's samples only"


def test_an_evaluations_answer_is_never_trained_on(run: Run) -> None:
    found = some(run, "evaluations/round-1/sums-validation")
    assert found.problem.id.startswith("train-"), "this data set's validation problems are held out of its train split"
    assert found.origin.generator == "the student round-1"
    assert found.origin.unknown == ""
    assert found.origin.sampling["temperature"] == 0
    assert set(places(found).values()) == {"it answers an evaluation, and no student is trained on these"}


def test_each_reason_for_not_being_in_a_mixture(run: Run) -> None:
    assert places(some(run, "teacher", status="wrong"))["round-0"] == "it is not correct (wrong)"
    kept = read_parquet(run.mixture("round-0"))
    table = verdicts_of(run, "teacher").filter(pl.col("status") == "correct")
    copy = table.filter(~pl.col("key").is_in(kept.get_column("key").implode())).row(0, named=True)
    twin = kept.filter((pl.col("problem_id") == copy["problem_id"]) & (pl.col("strategy") == copy["strategy"]))
    assert places(lineage(run, copy["key"]))["round-0"] == (
        f"it is a duplicate of {twin.get_column('key')[0]}, which is in it"
    )
    # The teacher's rows that the policy replaced by the student's own.
    own = read_parquet(run.mixture("round-1")).filter(pl.col("source") == "student").row(0, named=True)
    same = (pl.col("problem_id") == own["problem_id"]) & (pl.col("strategy") == own["strategy"])
    replaced = kept.filter(same)
    assert not replaced.is_empty()
    assert places(lineage(run, replaced.get_column("key")[0]))["round-1"] == (
        "the mixing policy both did not choose it"
    )


@pytest.mark.slow
def test_every_reason_agrees_with_the_mixtures(run: Run) -> None:
    """For all samples: no reason where it is in, a reason where it is not."""
    for pool in ("teacher", "round-1"):
        for key in verdicts_of(run, pool).get_column("key"):
            found = lineage(run, key)
            for place in found.mixtures:
                inside = key in set(read_parquet(run.mixture(place.mixture)).get_column("key"))
                assert bool(place.why_not) != inside
                assert (place.weight is None) != inside


class Lenient(SameText):
    """Spaces do not count, so that a problem has several correct rationales."""

    def compare(self, answer: str, gold: str) -> Verdict:
        return super().compare(answer.strip(), gold)


def test_beyond_keep_and_before_verdicts(tmp_path: Path, tiny: Path) -> None:
    with start(validate(toy_recipe(tiny)), toy_registry(Lenient), SilentReporter(), runs=tmp_path, name="run") as run:
        teach(run)
        judged = verdicts_of(run, "teacher").filter(pl.col("status") == "correct")
        first = judged.row(0, named=True)
        # A second distinct rationale of the same problem: drawn later, so beyond keep = 1.
        other = {**first, "key": "f" * 32, "draw": 7, "text": first["text"].replace("=", "= ")}
        run.pool("teacher").append([{name: other[name] for name in run.pool("teacher").schema}])
        write_parquet(
            pl.concat([read_parquet(run.wanted("teacher")), pl.DataFrame({"key": [other["key"]]})]),
            run.wanted("teacher"),
        )
        mix(run, 0)
        assert places(lineage(run, "ffff"))["round-0"] == "it has no verdict"
        assert lineage(run, "ffff").origin.unknown.startswith("it was drawn under another recipe")
        verify(run, "teacher")
        assert places(lineage(run, "ffff"))["round-0"] == (
            "mixing.keep is 1, and so many others of its problem, strategy and source were drawn before it"
        )


def test_ranked_counts_distinct_rationales() -> None:
    rows = [("a", 0, 5), ("b", 1, 5), ("c", 2, 6), ("d", 3, 7), ("e", 4, 6)]
    table = pl.DataFrame(
        [
            {"key": key, "problem_id": "p", "strategy": "s", "source": "teacher", "round": 0, "draw": draw}
            | {"status": "correct", "rationale_hash": text}
            for key, draw, text in rows
        ]
    )
    found = {row["key"]: (row["first"], row["copies"], row["rank"]) for row in ranked(table, 0).to_dicts()}
    assert {key: found[key] for key in "acd"} == {"a": ("a", 2, 0), "c": ("c", 2, 1), "d": ("d", 1, 2)}
    assert (found["b"][0], found["e"][0]) == ("a", "c")
    assert candidates(table, 0, 2).get_column("key").to_list() == ["a", "c"]


def test_what_a_fork_took_over_is_told_as_such(tmp_path: Path, tiny: Path) -> None:
    registry = toy_registry()
    with start(validate(toy_recipe(tiny)), registry, SilentReporter(), runs=tmp_path, name="run") as run:
        teach(run)
        key = run.pool("teacher").read().get_column("key")[0]
    changed = validate(toy_recipe(tiny, seed=2))
    with start(changed, registry, SilentReporter(), runs=tmp_path, name="run", fork=True) as run:
        teach(run)
        mix(run, 0)
        found = lineage(run, key)
    assert not found.wanted
    assert found.origin.unknown == "it was drawn under another recipe, or with another version of what drew it"
    assert (found.origin.prompt, dict(found.origin.sampling), found.origin.seed) == (None, {}, None)
    assert places(found)["round-0"] == "the present recipe does not ask for it"


def test_a_mixture_that_was_made_anew_is_doubted(tmp_path: Path, tiny: Path) -> None:
    recipe = validate(toy_recipe(tiny, stopping={"rounds": 0}))
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="run") as run:
        distill(run)
        mixture = read_parquet(run.mixture("round-0"))
        write_parquet(mixture.head(3), run.mixture("round-0"))
        (place,) = lineage(run, mixture.get_column("key")[0]).mixtures
    assert place.note == f"the mixture has 3 rows now, but round-0 was trained on one of {mixture.height}"


def test_a_key_may_be_shortened_as_long_as_it_is_clear(run: Run) -> None:
    key = verdicts_of(run, "teacher").get_column("key")[0]
    assert lineage(run, key[:20]).key == key
    with pytest.raises(RunError, match=r"Several samples of the run .* have a key that begins with '': "):
        lineage(run, "")
    with pytest.raises(RunError, match=r"No sample of the run .* has a key that begins with 'xyz'"):
        lineage(run, "xyz")


# Through the command


def test_the_command_tells_it_to_people_and_machines(siked_says: Callable[..., str], tmp_path: Path) -> None:
    recipe = ["--preset", "pocket-smoke", "--strategies", "cot,pot", "--run", "mine"]
    siked_says("teach", *recipe, "-q")
    siked_says("mix", "mine", "--round", "0", "-q")
    siked_says("audit", "mine", "--verifier", "cot=agreement", "-q")
    with attach("mine", Registry.discover(), SilentReporter(), lock=False) as run:
        table = verdicts_of(run, "teacher").filter((pl.col("status") == "correct") & (pl.col("strategy") == "cot"))
    row = table.row(0, named=True)
    shown = siked_says("why", "mine", row["key"][:16])
    for text in (
        f"Sample    {row['key']}  (teacher, draw 0)",
        f"Problem   {row['problem_id']}  gold answer {row['answer']}",
        "Strategy  cot, as it was told",
        "Made by   pocket",
        "temperature 0.7, top_p 0.95, at most 512 tokens; seed 1, of this draw",
        "Prompt    the user's turn, after 17 earlier turns",
        "Verdict   number: correct",
        "Verdict   agreement: ",
        "(not the run's judge)",
        "Mixture   round-0: in it, weight 1; no student was trained on it yet",
    ):
        assert text in shown
    assert all(line in shown for line in row["text"].splitlines())
    told = json.loads(siked_says("why", "mine", row["key"], "--json"))
    assert told["origin"]["prompt"]["messages"][-1]["content"].endswith(told["problem"]["question"])
    assert told["mixtures"][0]["weight"] == 1.0
    for sample, said in (("", "Give the beginning of a sample's key."), ("zz", "No sample of the run"), ("", "Give")):
        assert said in siked_says("why", "mine", sample, code=2)
    assert "There is no run at" in siked_says("why", "none", row["key"], code=2)


def test_the_command_names_what_was_another_for_one_command(siked_says: Callable[..., str]) -> None:
    """A mixing policy and a judge that the recipe does not have."""
    recipe = ["--preset", "pocket-smoke", "--strategies", "cot,pot", "--limit", "8", "--samples", "1", "--run", "mine"]
    siked_says("teach", *recipe, "--set", "rollout.max_tokens=8", "-q")
    siked_says("mix", "mine", "--round", "0", "-q")
    siked_says("train", "mine", "--round", "0", "-q")
    siked_says("rollout", "mine", "--round", "1", "-q")
    siked_says("mix", "mine", "--round", "1", "-q")
    with attach("mine", Registry.discover(), SilentReporter(), lock=False) as run:
        mixture = read_parquet(run.mixture("round-1"))
    key = mixture.filter((pl.col("strategy") == "pot") & (pl.col("source") == "teacher")).get_column("key")[0]
    told = json.loads(siked_says("why", "mine", key, "--json"))
    assert [place["policy"] for place in told["mixtures"]] == ["", "adaptive"]
    siked_says("mix", "mine", "--round", "1", "--mixing", "teacher_only", "-q")
    siked_says("verify", "mine", "--pool", "teacher", "--allow-unsafe-exec", "-q")
    shown = siked_says("why", "mine", key)
    assert "round-1: in it, weight 1, chosen by teacher_only; no student was trained on it yet" in shown
    assert shown.count("Verdict   program: correct") == 2, "judged by the recipe's judge, and by one with permission"
    assert shown.count("(not the run's judge)") == 1
    assert "another verifier" not in shown


def test_the_command_tells_of_an_import(siked_says: Callable[..., str], tmp_path: Path) -> None:
    world = Registry.discover().create("dataset", "pocket", {"train": 48, "validation": 24, "test": 24})
    row = {"question": world.load("train").problems[0].question, "answer": "Hm.\nThe answer is 5.", "teacher": "Ann"}
    (tmp_path / "r.jsonl").write_text(f"\n{json.dumps(row)}\n", encoding="utf-8")
    recipe = ["--run", "mine", "--preset", "pocket-smoke", "--strategies", "cot"]
    siked_says("import", "r.jsonl", *recipe, "-q")
    key = pl.read_parquet("runs/mine/imports/teacher.parquet").get_column("key")[0]
    shown = siked_says("why", "mine", key)
    assert "Made by   Ann, imported from r.jsonl, line 2" in shown
    assert "Mixture   none has been made yet" in shown
