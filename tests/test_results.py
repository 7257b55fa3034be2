"""What benchmarks leave behind, the page that is made of it, and the tables of the method's studies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


Script = Callable[[str], Any]


@pytest.fixture
def script(load: Callable[[Path], ModuleType]) -> Script:
    """A benchmark as a module, by its name."""
    return lambda name: load(ROOT / "benchmarks" / f"{name}.py")


@pytest.fixture
def maker(load: Callable[[Path], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's maker, in a folder of its own."""
    make_results = load(ROOT / "docs" / "make_results.py")
    monkeypatch.setattr(make_results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(make_results, "PAGE", tmp_path / "results.md")
    monkeypatch.setattr(make_results, "METHODS", tmp_path / "methods")
    monkeypatch.setattr(make_results, "PICTURES", tmp_path / "pictures")
    (tmp_path / "methods").mkdir()
    return make_results


def _run(maker: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["make_results.py", *words])
    return int(maker.main())


def test_a_record_tells_how_it_came_about_and_becomes_a_page(
    maker: ModuleType, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_by = script("record")
    spread = made_by.ratios([10.0, 30.0, 20.0], [5.0, 5.0, 5.0])
    record = made_by.Record("speed", "Speed", "Ours against theirs.")
    place = record.table("Ratios", [{"arm": "ours", **spread, "empty": ""}, {"arm": "a | b", "median": 1_000_000}])
    record.picture(
        made_by.Picture(place, "arm", "median", "least", "most", reference=1.0, reading="Above 1 is faster.")
    )
    record.say("Ours is faster.")
    monkeypatch.setattr(sys, "argv", ["benchmarks/speed.py", "--runs", str(tmp_path / "runs")])
    written = json.loads(record.write(tmp_path / "results").read_text(encoding="utf-8"))
    assert written["command"] == "python benchmarks/speed.py --runs runs", "no path of this machine"
    assert {"made", "commit", "versions", "machine", "seconds"} <= set(written)
    page = tmp_path / "methods" / "ours.md"
    page.write_text("# Ours\n\n<!-- results speed: ours -->\nold\n<!-- until here -->\nafter\n", encoding="utf-8")

    assert _run(maker, monkeypatch, "--check") == 1, "nothing is written yet"
    assert _run(maker, monkeypatch) == 0
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "### Speed" in text
    assert "| ours | 4 | 2 | 6 |" in text
    assert "| a \\| b | 1,000,000 |" in text, "a pipe is no end of a cell"
    assert "empty" not in text, "columns without a value are left out"
    assert "Above 1 is faster." in text
    assert (tmp_path / "pictures" / "speed-0.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "| ours | 4 | 2 | 6 |" in page.read_text(encoding="utf-8")
    assert "old" not in page.read_text(encoding="utf-8")
    assert page.read_text(encoding="utf-8").endswith("after\n")
    assert "a \\| b" not in page.read_text(encoding="utf-8"), "that row is another's"
    assert _run(maker, monkeypatch, "--check") == 0
    (tmp_path / "pictures" / "speed-0.svg").unlink()
    assert _run(maker, monkeypatch, "--check") == 1, "a picture is missing"


def test_ways_take_turns(script: Script) -> None:
    order: list[str] = []

    def way(name: str) -> Any:
        return lambda: float(order.append(name) or len(order))  # type: ignore[func-returns-value]

    found = script("record").in_turns({"a": way("a"), "b": way("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert found == {"a": [1.0, 4.0, 5.0], "b": [2.0, 3.0, 6.0]}


@pytest.fixture
def outcome(script: Script) -> Any:
    """An arm's outcome: four problems."""
    return script("arms").Outcome(
        "1100", "p", 1, 100, {"cot": 0.5, "pot": 0.5}, 50, 10, "1110", {"cot": 0.25, "pot": 0.75}
    )


def _keep(file: Path, studies: Any, study: Any, seed: int, place: int, outcome: Any) -> None:
    cell = study.cells[place]
    preset, settings = studies.preset_of(study, cell), studies.settings_of(study, seed, cell)
    kept = {"preset": preset, "settings": settings, "split": "test"}
    with file.open("a", encoding="utf-8") as lines:
        lines.write(f"{json.dumps(kept | {'outcome': asdict(outcome), 'with': {}})}\n")


def test_the_main_table_holds_every_arm_against_adaptive(
    outcome: Any, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = script("method_studies")
    file, study = tmp_path / "method.jsonl", studies.studies(tmp_path)["main"]
    worse = [replace(outcome, right="1000"), replace(outcome, right="1000"), replace(outcome, right="0000")]
    for seed, other in zip(study.seeds[:3], worse, strict=True):
        _keep(file, studies, study, seed, 0, replace(outcome, curve=((0, 50, 25.0), (1, 150, 50.0))))
        _keep(file, studies, study, seed, 1, other)
        if seed != study.seeds[2]:
            _keep(file, studies, study, seed, 2, replace(outcome, right="1000"))
    vote = next(place for place, cell in enumerate(study.cells) if "vote" in cell.arm)
    _keep(file, studies, study, study.seeds[0], vote, replace(outcome, curve=((0, 50, 25.0),)))
    monkeypatch.setattr(sys, "argv", ["method.py", "--tables", "--results", str(file), "--bases", str(tmp_path)])
    script("method").main()
    written = json.loads((tmp_path / "method_main.json").read_text(encoding="utf-8"))
    table, curve = written["tables"]
    first, second, of_two_seeds, _ = table["rows"]
    assert first["right, in %"] == "50.0 (50.0 to 50.0)"
    assert first["oracle"] == 75.0
    assert first["suited, in %"] == "cot 25, pot 75"
    assert second["by seed"] == "25.0, 25.0, 0.0"
    assert second["ahead of adaptive, per problem"].startswith("-33.3 (")
    told = ("right, in %", "ahead of adaptive, per problem", "p (Holm)")
    assert [of_two_seeds[name] for name in told] == ["25.0", "-25.0, -25.0", ""], "alike by chance, and not tested"
    assert f"So far 9 of {5 * len(study.cells)} runs" in written["says"][0]
    assert [(row["round"], row["tokens"], row["right, in %"]) for row in curve["rows"]] == [(0, 50, 25), (1, 150, 50)]
    assert not list(tmp_path.glob("method_[!m]*.json")), "no table of what is not there"


def test_a_sweep_holds_arms_against_combined_at_the_same_value(
    outcome: Any, script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = script("method_studies")
    file, study = tmp_path / "method.jsonl", studies.studies(tmp_path)["noise"]
    for place, right in enumerate(["1110", "1000", "1100", "1000", "1100"]):
        _keep(file, studies, study, study.seeds[0], place, replace(outcome, right=right))
    monkeypatch.setattr(sys, "argv", ["method.py", "--tables", "--studies", "noise", "--results", str(file)])
    script("method").main()
    rows = json.loads((tmp_path / "method_noise.json").read_text(encoding="utf-8"))["tables"][0]["rows"]
    assert [(row["teacher's errors, in %"], row["arm"], row["ahead of combined"]) for row in rows] == [
        (0, "adaptive, per problem", "+50.0"),
        (0, "combined", ""),
        (0, "utility", "+25.0"),
        (15, "adaptive, per problem", "-25.0"),
        (15, "combined", ""),
    ]


def test_every_cell_of_every_study_is_a_recipe(script: Script, tmp_path: Path) -> None:
    import yaml

    from siked_core.recipe import resolve

    studies, seen = script("method_studies"), set[str]()
    for title, study in studies.studies(tmp_path).items():
        for cell in study.cells:
            changes = {}
            for setting in studies.settings_of(study, 31, cell):
                key, _, value = setting.partition("=")
                changes[key] = yaml.safe_load(value)
            recipe = resolve(preset=studies.preset_of(study, cell), changes=changes)
            key = f"{title} {recipe.model_dump_json()}"
            assert key not in seen, f"{title}: {cell.arm} {cell.value} is another cell again"
            seen.add(key)
            assert cell.base is None or study.cells[cell.base].base is None
