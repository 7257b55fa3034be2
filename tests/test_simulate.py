"""`siked mix RUN --policy ...`: what policies would choose, told without mixing or training anything."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from siked_core import MixContext, MixingPolicy, PluginChoice, PluginError, RunError
from siked_core.pool import read_parquet
from siked_core.recipe import validate
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.simulate import divergence, simulate
from siked_core.stages.mix import mix
from siked_core.stages.rollout import rollout
from siked_core.stages.teach import teach
from siked_core.stages.train import train
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_plugins.mixers.adaptive import Adaptive
from siked_plugins.mixers.all import All
from siked_plugins.mixers.alpha import Alpha
from siked_plugins.mixers.biased import Biased
from siked_plugins.mixers.rarity import Rarity
from siked_plugins.mixers.rft import Rft
from siked_plugins.mixers.self_only import SelfOnly
from siked_plugins.mixers.smart import Smart
from siked_plugins.mixers.tata import Tata

Siked = Callable[..., Any]


class Heavier(MixingPolicy):
    """A stranger's policy: only keys and weights, the teacher's rows three times as heavy."""

    name = "heavier"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        weight = pl.when(pl.col("source") == "teacher").then(3.0).otherwise(1.0)
        return candidates.select("key", "problem_id", "strategy", "source", "round", "rationale_hash", weight=weight)


class Nothing(MixingPolicy):
    """Chooses no row."""

    name = "nothing"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return candidates.clear()


class Inventor(MixingPolicy):
    """Returns rows that nobody offered."""

    name = "inventor"

    def mix(self, candidates: pl.DataFrame, context: MixContext) -> pl.DataFrame:
        return candidates.with_columns(key=pl.col("key") + "x")


def registry() -> Registry:
    built_in = (Adaptive, All, Alpha, Biased, Rarity, Rft, SelfOnly, Smart, Tata)
    return toy_registry(*built_in, Heavier, Nothing, Inventor)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the samples of one round, whose student tries every strategy beside its own choice."""
    folder = tmp_path_factory.mktemp("simulate")
    student = make_tiny_student(folder / "student")
    recipe = validate(
        toy_recipe(
            student,
            teacher={"generator": "toy-teacher", "samples": 2},
            rollout={"mode": "both", "samples": 3, "max_tokens": 8},
            mixing={"policy": "adaptive", "keep": None},
        )
    )
    with start(recipe, registry(), SilentReporter(), runs=folder / "runs", name="run") as run:
        teach(run)
        mix(run, 0)
        train(run, 0)
        rollout(run, 1)
        mix(run, 1)
    return folder / "runs"


@pytest.fixture
def run(runs: Path) -> Run:
    return attach("run", registry(), SilentReporter(), runs=runs, lock=False)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_policy_is_simulated_as_it_is_mixed(run: Run) -> None:
    (found,) = simulate(run, 1, [run.recipe.mixing.policy]).policies
    mixture = read_parquet(run.mixture("round-1"))
    summary = mix(run, 1)
    assert found.rows == mixture.height == summary.rows
    assert (found.by_strategy, found.by_source) == (summary.by_strategy, summary.by_source)
    assert found.alpha == summary.alpha
    assert found.problems == mixture.get_column("problem_id").n_unique()
    assert found.duplicates == mixture.height - mixture.n_unique(["problem_id", "rationale"])
    per_problem = mixture.group_by("problem_id").len().get_column("len")
    assert (found.rows_per_problem, found.most_per_problem) == (pytest.approx(per_problem.mean()), per_problem.max())


def test_the_figures_of_every_policy_agree_with_each_other(run: Run) -> None:
    names = ["adaptive", "all", "self_only", "biased", "rft", "tata", "smart", "rarity", "heavier", "nothing"]
    found = simulate(run, 1, [PluginChoice(name=name) for name in names])
    by_name = dict(zip(names, found.policies, strict=True))
    assert found.problems == 10, "of the toys' 12, 2 are held out"
    for one in found.policies:
        assert sum(one.by_strategy.values()) == sum(one.by_source.values()) == one.rows
        assert one.coverage == one.problems / found.problems
        for source, strategies in one.by_source_and_strategy.items():
            assert sum(strategies.values()) == one.by_source[source]
        if one.rows:
            assert sum(one.strategy_shares.values()) == pytest.approx(1)
            assert one.weights is not None
            assert 0 < one.weights.effective_rows <= one.rows + 1e-9
            assert one.tokens is not None
            assert one.tokens.median <= one.tokens.high <= one.tokens.longest
    nothing = by_name["nothing"]
    assert (nothing.rows, nothing.coverage, nothing.tokens, nothing.kl_to_own) == (0, 0.0, None, None)
    assert by_name["self_only"].alpha == 0
    assert by_name["biased"].most_per_problem == 1
    heavier, everything = by_name["heavier"], by_name["all"]
    teachers = heavier.by_source["teacher"]
    assert heavier.alpha == everything.alpha == teachers / heavier.rows
    assert heavier.alpha_by_weight == pytest.approx(3 * teachers / (heavier.rows + 2 * teachers))
    place = {name: number for number, name in enumerate(names)}
    for one, shares in zip(names, found.overlap, strict=True):
        assert shares[place[one]] == 1
        assert shares == tuple(other[place[one]] for other in found.overlap)
    assert found.overlap[place["all"]][place["heavier"]] == 1
    assert found.overlap[place["all"]][place["nothing"]] == 0
    assert found.overlap[place["all"]][place["biased"]] == by_name["biased"].rows / everything.rows


def test_the_divergence_from_the_students_own_strategies(run: Run) -> None:
    assert divergence({"a": 0.5, "b": 0.5}, {"a": 3, "b": 1}) == pytest.approx(
        0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    )
    assert divergence({"a": 0.75, "b": 0.25}, {"a": 3, "b": 1}) == 0
    assert divergence({"a": 1.0, "b": 0.0}, {"a": 2}) == 0
    assert divergence({"a": 0.5, "b": 0.5}, {"a": 3}) is None
    assert divergence({}, {"a": 3}) is divergence({"a": 1.0}, {}) is None
    found = simulate(run, 1, [PluginChoice(name="self_only")])
    own, total = found.own, sum(found.own.values())
    (mine,) = found.policies
    expected = sum(share * math.log(share * total / own[name]) for name, share in mine.strategy_shares.items())
    assert mine.kl_to_own == pytest.approx(expected)


@pytest.mark.parametrize(
    ("round", "policy", "error", "message"),
    [
        (0, "all", RunError, "No policy chooses in round 0"),
        (2, "all", RunError, "has no pool 'round-2' yet"),
        (1, "al", PluginError, "Unknown mixing policy 'al'. Did you mean 'all'?"),
        (1, "inventor", PluginError, "'inventor' returned rows that are not among its candidates"),
    ],
)
def test_what_cannot_be_simulated_is_said(
    run: Run, round: int, policy: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        simulate(run, round, [PluginChoice(name=policy)])
    assert message in str(raised.value)


# On the command line


@pytest.fixture
def command(siked: Siked, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Siked:
    """`siked mix run ...` among the toys."""
    monkeypatch.setattr("siked_cli.switches.open_registry", lambda no_plugin: registry())
    monkeypatch.setattr("siked_cli.attached.open_registry", lambda no_plugin: registry())
    monkeypatch.setenv("SIKED_RUNS", str(runs))
    return lambda *arguments, code=0: siked("mix", "run", "--runs", str(runs), *arguments, code=code)


def test_policies_are_shown_side_by_side_and_nothing_is_written(command: Siked, runs: Path) -> None:
    before = content(runs)
    policies = ["--policy", "adaptive", "--policy", "alpha:{alpha: 0.5, by: weights}", "--policy", "heavier"]
    shown = command(*policies).out
    assert content(runs) == before
    for text in ("2  alpha (alpha=0.5, by=weights)", "Rows", "Strategies", "Lengths and weights", "Overlap", "KL"):
        assert text in shown
    assert "…" not in shown
    found = json.loads(command(*policies, "--json").out)
    assert [one["policy"] for one in found["policies"]] == ["adaptive", "alpha (alpha=0.5, by=weights)", "heavier"]
    assert found["round"] == 1
    assert found["policies"][1]["alpha_by_weight"] == pytest.approx(0.5)
    line = next(line for line in shown.splitlines() if line.startswith("3 heavier"))
    assert line.split()[2:] == [
        str(found["policies"][2]["rows"]), f"{100 * found['policies'][2]['coverage']:.1f}", "%",
        f"{found['policies'][2]['rows_per_problem']:.2f}", str(found["policies"][2]["most_per_problem"]),
        f"{found['policies'][2]['alpha']:.2f}", f"{found['policies'][2]['alpha_by_weight']:.2f}",
        str(found["policies"][2]["duplicates"]),
    ]  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_tables_fit_whatever_the_width(command: Siked, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    names = ["adaptive", "all", "self_only", "biased", "rft", "tata", "smart", "rarity", "heavier", "nothing"] * 2
    shown = command(*(part for name in names for part in ("--policy", name))).out
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= max(width, 80)
    for place, name in enumerate(names, 1):
        assert sum(line.startswith(f"{place} {name} ") for line in shown.splitlines()) >= 4


def test_a_picture_is_drawn_the_same_again(command: Siked, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing is an extra: siked[plots]")
    for name in ("a.svg", "b.svg", "folder/c.png"):
        command("--policy", "adaptive", "--policy", "biased", "--policy", "nothing", "--picture", str(tmp_path / name))
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg == (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert svg.lstrip().startswith("<?xml")
    assert (tmp_path / "folder" / "c.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give --round N"),
        (["--picture", "p.png"], "name them with --policy"),
        (["--policy", "all", "--mixing", "all"], "give one of them"),
        (["--policy", "alpha:0.3"], "--policy takes a policy's name, or its name and options"),
        (["--policy", "alpha:{alpha: [}"], "--policy takes a policy's name"),
        (["--policy", ":{a: 1}"], "--policy takes a policy's name"),
        (["--policy", "alpha:{alpha: 2}"], "Bad option of the mixing policy 'alpha'"),
        (["--policy", "alpha:{alhpa: 1}"], "'alhpa'. Did you mean 'alpha'?"),
        (["--policy", "biased:{order: [loud, quite]}"], "'quite'. Did you mean 'quiet'?"),
        (["--policy", "all", "--picture", "p.gif"], "--picture writes .png or .svg, not 'p.gif'."),
    ],
)
def test_a_mistake_is_one_line(command: Siked, arguments: list[str], message: str) -> None:
    said = command(*arguments, code=2)
    assert said.out == ""
    assert said.err.startswith("Error: ")
    assert said.err.count("\n") == 1
    assert message in said.err


def test_without_matplotlib_it_is_said_before_anything_is_worked_out(
    command: Siked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("siked_cli.mix_picture.find_spec", lambda name: None)
    said = command("--policy", "nope", "--picture", "p.png", code=2)
    assert said.err == "Error: --picture needs matplotlib: pip install 'siked[plots]'.\n"


def test_a_policy_may_be_given_options_for_one_mixing(command: Siked, runs: Path) -> None:
    one_each = json.loads(command("--round", "1", "--mixing", "biased:{order: [quiet]}", "--json", "-q").out)
    assert one_each["rows"] == one_each["by_strategy"].get("quiet", 0) + one_each["by_strategy"].get("loud", 0)
    simulated = json.loads(command("--policy", "biased:{order: [quiet]}", "--json").out)["policies"][0]
    assert simulated["by_strategy"] == one_each["by_strategy"]
    command("--round", "1", "-q")
