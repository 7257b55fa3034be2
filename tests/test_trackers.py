"""Trackers: what they are told, once, also after a kill; that none can hold a run up; and each with its real client."""

from __future__ import annotations

import importlib.util
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from siked_core.errors import PluginError, RunError
from siked_core.events import EventReader, figures_in
from siked_core.loop import distill
from siked_core.recipe import differences, resolve, validate
from siked_core.recipe_check import check_trackers
from siked_core.registry import Registry
from siked_core.reporting import SilentReporter
from siked_core.run import attach, start
from siked_core.sending import read_state, sending
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry
from siked_core.testing.toys import Listed
from siked_core.tracked import HIDDEN, all_figures, config, read_report, round_values
from siked_core.trackers import send
from siked_core.watching import events_file

Siked = Callable[..., SimpleNamespace]


class Warned(SilentReporter):
    """Keeps what it is warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """A finished run that the toy tracker has followed."""
    runs = tmp_path_factory.mktemp("runs")
    recipe = validate(toy_recipe(tiny, track=["listed"]))
    warned = Warned()
    with start(recipe, toy_registry(), warned, runs=runs, name="one") as run:
        distill(run)
    assert warned.warnings == []
    return runs / "one"


def told(run: Path) -> list[dict[str, Any]]:
    lines = (run / "trackers" / "listed" / "told.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def steps(lines: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(one["series"], one["step"]) for one in lines if "series" in one]


def test_a_tracker_is_told_everything_once_and_in_order(tracked: Path) -> None:
    lines = told(tracked)
    assert lines[0]["opened"] == "one"
    assert lines[0]["id"] is None
    assert (lines[0]["config"]["stopping.rounds"], lines[0]["config"]["strategies.loud.name"]) == (1, "loud")
    found = steps(lines)
    assert len(found) == len(set(found))
    for series in ("train/round-0", "train/round-1"):
        mine = [step for name, step in found if name == series]
        assert mine == list(range(1, len(mine) + 1))
        assert mine
    assert [step for name, step in found if name == "round"] == [0, 1]
    report = json.loads((tracked / "report.json").read_text(encoding="utf-8"))
    first = next(one for one in lines if one.get("series") == "round")
    assert first["values"]["round/validation/accuracy"] == report["rounds"][0]["validation"]["score"]["accuracy"]
    assert {
        "round/validation/low",
        "round/share/loud",
        "round/yield/loud",
        "round/mixture/alpha",
        "round/seconds/train",
    } <= set(first["values"])
    summary = lines[-1]["summary"]
    assert summary["chosen_round"] == report["chosen_round"]
    assert summary["test/sums/accuracy"] == next(
        card["score"]["accuracy"] for card in report["test"] if card["student"] == f"round-{report['chosen_round']}"
    )
    loss = next(one for one in lines if one.get("series") == "train/round-0")
    assert set(loss["values"]) >= {"train/round-0/loss", "train/round-0/learning_rate"}


def test_what_was_sent_is_not_sent_again_unless_it_is_asked_for(tracked: Path) -> None:
    before = told(tracked)
    found = send(tracked, Listed, {})
    assert (found["sent"], found["id"]) == (0, "id-of-one")
    more = told(tracked)[len(before) :]
    assert steps(more) == []
    assert more[0]["id"] == "id-of-one", "the tracker goes on with its own run"
    everything = send(tracked, Listed, {}, again=True)
    assert everything["sent"] == len(steps(before))


def test_a_run_that_was_continued_goes_on_where_its_tracker_was(tiny: Path, tmp_path: Path) -> None:
    """Round 0 in one process, then the rest: as after a kill."""
    recipe = validate(toy_recipe(tiny, track=["listed"], stopping={"rounds": 0}))
    with start(recipe, toy_registry(), SilentReporter(), runs=tmp_path, name="two") as run:
        distill(run)
    first = steps(told(tmp_path / "two"))
    with attach("two", toy_registry(), SilentReporter(), runs=tmp_path) as run:
        distill(run)
    assert steps(told(tmp_path / "two")) == first, "a finished run has nothing new"


def test_a_batch_that_failed_is_sent_the_next_time(tracked: Path, tmp_path: Path) -> None:
    copy = copied(tracked, tmp_path)

    class Shaky(Listed):
        name = "shaky"
        times = 0

        def log(self, figures: Any) -> None:
            Shaky.times += 1
            if Shaky.times == 1:
                raise ConnectionError("away")
            super().log(figures)

    figures = all_figures(copy, EventReader(events_file(copy)).read())
    with pytest.raises(ConnectionError), sending(copy, Shaky()) as sender:
        sender.send(figures)
    assert read_state(copy, "shaky")["sent"] == {}
    with sending(copy, Shaky()) as sender:
        sender.send(figures)
        assert sender.sent == len(figures)


def test_a_kill_while_sending_doubles_nothing(tracked: Path, tmp_path: Path) -> None:
    """The place is written before a batch goes out: what is lost to a kill in between is not sent twice."""
    copy = copied(tracked, tmp_path)
    figures = all_figures(copy, EventReader(events_file(copy)).read())

    class Killed(Listed):
        name = "killed"

        def log(self, figures: Any) -> None:
            super().log(figures)
            assert read_state(copy, "killed")["sent"], "the place is on the disk before"

    with sending(copy, Killed()) as sender:
        sender.send(figures[:3])
    with sending(copy, Killed()) as sender:
        sender.send(figures)
    lines = (copy / "trackers" / "killed" / "told.jsonl").read_text(encoding="utf-8").splitlines()
    found = steps([json.loads(line) for line in lines])
    assert len(found) == len(set(found)) == len(figures)


def copied(run: Path, folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(run, folder / run.name, ignore=shutil.ignore_patterns("trackers", "students")))


def test_a_tracker_that_fails_is_one_warning_and_stops_nothing(tiny: Path, tmp_path: Path) -> None:
    warned = Warned()
    recipe = validate(toy_recipe(tiny, stopping={"rounds": 0}, track=[{"name": "listed", "options": {"broken": True}}]))
    with start(recipe, toy_registry(), warned, runs=tmp_path, name="alone") as run:
        report = distill(run)
    assert report.rounds
    (warning,) = warned.warnings
    assert "The tracker listed does not follow this run: ConnectionError: the server is away." in warning
    assert f"siked track {tmp_path / 'alone'} --to listed" in warning
    with pytest.raises(RunError, match=r"listed did not take .*the server is away"):
        send(tmp_path / "alone", Listed, {"broken": True})
    assert send(tmp_path / "alone", Listed, {})["sent"] > 0


def test_a_tracker_may_hang_and_an_interrupted_run_does_not_wait(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from siked_core import trackers

    (tmp_path / "sleeper.py").write_text(
        "import time\nfrom siked_core.testing.toys import Listed\n"
        "class Sleeper(Listed):\n    name = 'sleeper'\n    def open(self, run):\n        time.sleep(600)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import sleeper  # type: ignore[import-not-found]

    monkeypatch.setattr(trackers, "WAIT_S", 1.0)
    monkeypatch.setattr(trackers, "LAST_S", 1.0)
    warned = Warned()
    recipe = validate(toy_recipe(tiny, stopping={"rounds": 0}, track=["sleeper"]))
    with start(recipe, toy_registry(sleeper.Sleeper), warned, runs=tmp_path, name="slow") as run:
        began = time.monotonic()
        with trackers.tracking(run):
            pass
        assert time.monotonic() - began < 30
    assert any("it has not taken everything within 1 s" in one for one in warned.warnings)


def test_two_do_not_send_to_one_tracker_at_once(tracked: Path, tmp_path: Path) -> None:
    copy = copied(tracked, tmp_path)
    with (
        sending(copy, Listed()),
        pytest.raises(RunError, match="are being sent to listed just now"),
        sending(copy, Listed()),
    ):
        pass


def test_a_run_without_a_journal_is_told_from_its_report(tracked: Path, tmp_path: Path) -> None:
    copy = copied(tracked, tmp_path)
    events_file(copy).unlink()
    found = all_figures(copy, EventReader(events_file(copy)).read())
    report = read_report(copy)
    assert report is not None
    assert [(one.series, one.step) for one in found] == [("round", 0), ("round", 1)]
    assert found[1].values == round_values(report["rounds"][1])


def test_trackers_may_change_when_a_run_is_continued() -> None:
    assert differences(resolve(), resolve(changes={"track": ["wandb"]})) == []
    assert resolve(changes={"track": ["wandb"]}).track[0].name == "wandb"


def test_what_looks_like_a_secret_is_kept_back() -> None:
    options = {"url": "https://ann:hunter2@host/v1", "api_key": "sk-1", "max_tokens": 12, "nested": {"password": "p"}}
    recipe = resolve(
        changes={
            "teacher.generator": {"name": "openai", "options": options},
            "track": [{"name": "mlflow", "options": {"uri": "http://ann:hunter2@host"}}],
            "training.args": {"hub_token": "hf_x"},
        }
    )
    found = config(recipe.model_dump(mode="json"))
    text = json.dumps(found)
    for secret in ("hunter2", "sk-1", '"p"', "hf_x"):
        assert secret not in text
    assert found["teacher.generator.options.max_tokens"] == 12
    assert found["teacher.generator.options.api_key"] == HIDDEN
    assert found["training.learning_rate"] == recipe.training.learning_rate


def test_a_client_that_is_not_installed_is_told_before_a_run_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "siked_plugins.trackers.clients.find_spec", lambda name: None if name == "wandb" else found(name)
    )
    with pytest.raises(PluginError, match=r"'wandb' needs wandb, which is not installed: pip install 'siked\[wandb\]'"):
        check_trackers(resolve(changes={"track": ["wandb"]}), Registry.discover())


@pytest.mark.parametrize("arguments", [["--help"], ["plugins", "list"], ["plugins", "show", "wandb"]])
def test_clients_are_imported_by_nobody_who_does_not_track(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom siked_cli.main import main\n"
        f"main({arguments!r})\n"
        "print()\nprint([name for name in ('wandb', 'mlflow', 'trackio', 'tensorboard') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


# Each through its own client, as a user sends a finished run


def sent(siked: Siked, run: Path, tracker: str, *options: str) -> Mapping[str, Any]:
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed: pip install 'siked[{tracker}]'")
    found: dict[str, Any] = json.loads(siked("track", str(run), "--to", tracker, "--json", *options).out)
    return found


def known(run: Path) -> dict[str, dict[int, float]]:
    """Name -> step -> value, from the run's own file."""
    found: dict[str, dict[int, float]] = {}
    for one in figures_in(EventReader(events_file(run)).read()):
        for name, value in one.named.items():
            found.setdefault(name, {})[one.step] = value
    return found


def test_tensorboard_has_what_the_run_has(siked: Siked, tracked: Path) -> None:
    found = sent(siked, tracked, "tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(found["id"]).Reload()
    mine = known(tracked)
    assert set(events.Tags()["scalars"]) == set(mine)
    for name, values in mine.items():
        there = [(one.step, one.value) for one in events.Scalars(name)]
        assert there == [(step, pytest.approx(value, rel=1e-5)) for step, value in sorted(values.items())]
    recipe = events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| seed | 1 |" in recipe


def test_mlflow_has_what_the_run_has(siked: Siked, tracked: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec("sqlalchemy") is None:
        pytest.skip("sqlalchemy is not installed: pip install 'siked[mlflow]'")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    found = sent(siked, tracked, "mlflow", "--option", f"uri={uri}")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(found["id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["training.objective.name"] == "plain"
    for name in ("train/round-1/loss", "round/validation/accuracy", "round/share/loud"):
        there = [(one.step, one.value) for one in client.get_metric_history(found["id"], name)]
        assert there == sorted(known(tracked)[name].items())
    assert "test/sums/accuracy" in run.data.metrics


def test_wandb_has_what_the_run_has(siked: Siked, tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    found = sent(siked, tracked, "wandb")
    (file,) = (tracked / "trackers" / "wandb" / "wandb").glob("offline-run-*/run-*.wandb")
    assert found["id"] in file.name
    logged = _wandb_history(file)
    for name in ("train/round-1/loss", "round/validation/accuracy"):
        axis = "train/round-1/step" if name.startswith("train") else "round/step"
        there = {int(one[axis]): one[name] for one in logged if name in one}
        assert there == known(tracked)[name]
        assert len([one for one in logged if name in one]) == len(there)
    content = file.read_bytes()
    assert b"plain" in content
    assert str(Path.home()).encode() not in content or Path.home() == Path("/")


def _wandb_history(file: Path) -> list[dict[str, Any]]:
    """What was logged, as it lies in the client's own file: protocol buffers in LevelDB's log format, of blocks of
    32 KiB with records that have a checksum, a length, and whether they are a whole (1) or a part."""
    from wandb.proto import wandb_internal_pb2

    content, place, data, found = file.read_bytes(), 7, b"", []
    while place < len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        _, length, part = struct.unpack("<IHB", content[place : place + 7])
        data = (b"" if part in (1, 2) else data) + content[place + 7 : place + 7 + length]
        place += 7 + length
        if part not in (1, 4):
            continue
        record = wandb_internal_pb2.Record.FromString(data)
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            found.append(items)
    return found


def test_trackio_has_what_the_run_has(
    siked: Siked, tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    found = sent(siked, tracked, "trackio")
    code = (
        "import json\nfrom trackio.sqlite_storage import SQLiteStorage\n"
        f"print(json.dumps(SQLiteStorage.get_logs('siked', {found['id']!r}), default=str))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    logs = json.loads(done.stdout.splitlines()[-1])
    name = "train/round-1/loss"
    there = [(one["step"], one[name]) for one in logs if name in one]
    assert there == [(step, pytest.approx(value)) for step, value in sorted(known(tracked)[name].items())]


def test_a_tracker_that_siked_does_not_know_is_refused(siked_says: Callable[..., str], tracked: Path) -> None:
    assert "Unknown tracker 'wandbb'. Did you mean 'wandb'?" in siked_says(
        "track", str(tracked), "--to", "wandbb", code=2
    )
