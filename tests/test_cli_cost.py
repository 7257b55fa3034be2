"""Money and time through the command line: a quote, a cap, what is on screen, where further samples go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from siked_cli.main import PAUSED, main

pytestmark = pytest.mark.slow
PRICED = "prices={currency: EUR, models: {pocket: {input: 100, output: 200}}}"
RECIPE = ["--preset", "pocket-smoke", "--strategies", "cot,pot", "--rounds", "1", "--set", PRICED]
Siked = Callable[..., tuple[str, str]]


@pytest.fixture
def siked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Siked:
    """Run a command in a folder, in this process: torch is imported once."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, code: int = 0) -> tuple[str, str]:
        ended = main(arguments)
        captured = capsys.readouterr()
        assert ended == code, f"{arguments}\n{captured.out}\n{captured.err}"
        return captured.out, captured.err

    return run


def test_a_quote_a_cap_and_the_run_that_they_belong_to(siked: Siked) -> None:
    out, _ = siked("quote", *RECIPE, "--problems", "8", "--json", "-q")
    quote = json.loads(out)
    assert (quote["run"], quote["problems"], quote["of"]) == ("runs/pocket-001", 8, 48)
    assert (quote["currency"], quote["free"]) == ("EUR", ["student"])
    teaching = quote["steps"][0]
    assert teaching["samples"]["expected"] == 96
    assert teaching["cost"]["low"] <= teaching["cost"]["expected"] <= teaching["cost"]["high"]
    assert set(teaching["yield"]) == {"cot", "pot"}
    paid = quote["spent"]["cost"]
    assert 0 < paid < teaching["cost"]["expected"]

    # A cap below what the teacher will cost: nothing more is bought, one line says so, and its code is its own.
    out, said = siked("distill", *RECIPE, "--max-cost", str(paid * 1.5), code=PAUSED)
    assert out == ""
    assert "Continuing runs/pocket-001" in said
    last = said.splitlines()[-1]
    assert last.startswith("Paused: ")
    assert "EUR spent, and the next 80 samples of `teach` may take" in last.replace(" 96 ", " 80 ")
    assert last.endswith("the same command with a higher --max-cost continues.")
    (listed,) = json.loads(siked("runs", "--json")[0])
    assert listed["state"] == "unfinished"
    assert listed["spending"]["cost"] == pytest.approx(paid)

    # The same command with a higher cap continues; the pilot's samples are there, and every line says what was spent.
    out, said = siked("distill", *RECIPE, "--max-cost", "1000")
    assert "Continuing runs/pocket-001" in said
    assert "80 samples, 16 were there" in said
    done = [line for line in said.splitlines() if ": done in" in line and not line.startswith("read")]
    assert all(" EUR, " in line for line in done if "| spent" in line)
    assert sum("| spent" in line for line in done) == len(done)
    assert "Quoted and actual" in out
    report = json.loads(Path("runs/pocket-001/report.json").read_text(encoding="utf-8"))
    spending = report["spending"]
    assert spending["stages"]["teach"]["samples"] == 96
    assert spending["total"]["cost"] == pytest.approx(spending["stages"]["teach"]["cost"])
    (line,) = [one for one in spending["quoted"] if (one["step"], one["quantity"]) == ("teach", "cost")]
    assert 0.8 < line["expected"] / line["actual"] < 1.25
    assert json.loads(siked("runs", "--json")[0])[0]["spending"]["cost"] == pytest.approx(spending["total"]["cost"])


def test_a_cap_on_nothing_is_a_mistake(siked: Siked) -> None:
    _, said = siked("distill", "--preset", "pocket-smoke", "--max-cost", "1", code=2)
    assert said.startswith("Error: caps.cost (--max-cost) caps nothing")
    assert said.count("\n") == 1
    assert not Path("runs").exists()


def test_a_quote_is_readable(siked: Siked) -> None:
    out, said = siked("quote", *RECIPE, "--problems", "4", "--plain")
    for text in ("4 of 48 training problems", "tokens out", "Yield of teach (the teacher): cot", "siked distill"):
        assert text in out
    assert "…" not in out
    assert "Without a price, and so free: student" in said


def test_topping_up_is_told_and_is_worth_its_tokens(siked: Siked) -> None:
    erring = ["--set", "teacher.generator.options.error_rate=0.5"]
    recipe = ["--preset", "pocket-smoke", "--strategies", "cot,pot", *erring]
    plain = json.loads(siked("teach", *recipe, "--run", "plain", "--json", "-q")[0])
    assert plain["top_up"] is None
    out, said = siked("teach", *recipe, "--run", "topped", "--set", "teacher.top_up={until: 5}", "--json")
    topped = json.loads(out)
    found = topped["top_up"]
    assert "Topped up by" in said
    assert found["further"] == topped["samples"] - plain["samples"] > 0
    assert found["tokens"] == topped["prompt_tokens"] + topped["completion_tokens"]
    assert found["solved"] / found["tokens"] > found["uniform_solved"] / found["uniform_tokens"]
    _, said = siked("teach", *recipe, "--run", "bad", "--set", "teacher.top_up={until: 1}", code=2)
    assert "teacher.top_up.until" in said


def spent_by(siked: Siked, name: str) -> dict[str, float]:
    (one,) = [run for run in json.loads(siked("runs", "--json")[0]) if run["run"].endswith(name)]
    found: dict[str, float] = one["spending"]
    return found


def test_single_stages_take_caps_that_count_all_that_the_run_has_spent(siked: Siked) -> None:
    siked("teach", *RECIPE, "--run", "mine", "-q")
    siked("mix", "mine", "--round", "0", "-q")
    before = spent_by(siked, "mine")
    used = before["tokens_in"] + before["tokens_out"]

    # Hours: a training is not begun where the run has worked for longer, and goes on under a higher cap.
    _, said = siked("train", "mine", "--round", "0", "--max-hours", "1e-6", "-q", code=PAUSED)
    assert said.count("\n") == 1
    assert said.startswith("Paused: ")
    assert said.endswith("the same command with a higher --max-hours continues.\n")
    siked("train", "mine", "--round", "0", "-q", code=PAUSED)
    siked("train", "mine", "--round", "0", "--max-hours", "10", "-q")

    # Tokens: those of the teacher count, nothing is drawn, and no cap is forgotten by the next command.
    _, said = siked("rollout", "mine", "--round", "1", "--max-tokens", str(used + 1), "-q", code=PAUSED)
    assert "the next 96 samples of `rollout round-1` may take" in said
    assert f"the cap is {used + 1:,} tokens" in said
    assert spent_by(siked, "mine")["samples"] == before["samples"]
    _, said = siked("evaluate", "mine", "-q", code=PAUSED)
    assert f"the cap is {used + 1:,} tokens" in said
    _, said = siked("evaluate", "mine", "--max-tokens", "10000000")
    assert "| spent" in said
    _, said = siked("rollout", "mine", "--round", "1")
    assert "96 samples" in said

    # The cost, of what has a price; a cap that is no number above 0 is a mistake, and changes nothing.
    _, said = siked("evaluate", "mine", "--split", "test", "--max-cost", "0.0001", "-q", code=PAUSED)
    assert "EUR spent" in said
    _, said = siked("evaluate", "mine", "--split", "test", "--max-cost", "-1", "-q", code=2)
    assert said.startswith("Error: ")
    assert said.count("\n") == 1
    siked("distill", *RECIPE, "--run", "mine", "--max-cost", "1000", "-q")


def test_a_cap_on_the_cost_of_nothing_is_a_mistake_for_a_stage_too(siked: Siked) -> None:
    siked("teach", "--preset", "pocket-smoke", "--strategies", "cot", "--limit", "4", "--run", "mine", "-q")
    _, said = siked("verify", "mine", "--max-cost", "1", "-q", code=2)
    assert said.startswith("Error: caps.cost (--max-cost) caps nothing")
    siked("verify", "mine", "-q")
