"""What a newcomer gets wrong: each mistake is answered by one line that says what to do, and leaves nothing behind.

A line of the table is what is typed after `siked`, and what the answer must contain. The answer must come before
anything heavy is imported: whoever mistypes an option is not to wait for PyTorch.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from siked_core.recipe import validate

Siked = Callable[..., Any]
HEAVY = {"torch", "transformers", "trl", "datasets", "polars", "sympy", "vllm", "ray"}
QUICK_S = 2.0
"""CPU seconds in which a mistake in a command or a recipe is told."""

FILES: dict[str, bytes] = {
    "twice.yaml": b"strategies: [cot]\nseed: 1\nstrategies: [pot]\n",
    "tab.yaml": b"training:\n\tepochs: 2\n",
    "bracket.yaml": b"strategies: [cot\nseed: 3\n",
    "indent.yaml": b"training:\n epochs: 2\n  learning_rate: 1\n",
    "list.yaml": b"- cot\n",
    "text.yaml": b"hello\n",
    "latin.yaml": b"student: {instruction: caf\xe9}\n",
    "flat.yaml": b"epochs: 2\n",
    "words.yaml": b"training: {epochs: lots}\n",
    "yes.yaml": b"training: yes\n",
    "bank.yaml": b"shots:\n  - question: 1 + 1?\n",
    "bom.yaml": b"\xef\xbb\xbfstrategys: [cot]\r\nseed: 3\r\n",
    "rows.jsonl": b'{"question": "1 + 1?", "answer": "2"}\n',
    "empty.jsonl": b"",
    "half.jsonl": b'{"question": "1 + 1?", "answer": "2"}\n{"question": 5\n',
    "no-answers.jsonl": b'{"question": "1 + 1?"}\n' * 4,
    "other-columns.jsonl": b'{"prompt": "1 + 1?", "completion": "2"}\n' * 4,
    "array.json": b'[{"question": "a", "answer": "1"}',
    "table.csv": b"question,answer\n1 + 1?,2\n",
    "binary.jsonl": b"\x00\xff\xfe",
    "blank.jsonl": b'{"question": " ", "answer": "2"}\n' * 4,
    "not-a-model/README": b"",
    "folder/README": b"",
    "runs/half/junk": b"",
}

TEACH = "teach --preset pocket-smoke --teacher annotations --dataset jsonl --run new"
SERVER = "teacher.generator={name: openai, options: "

MISTAKES: dict[str, str] = {
    # Commands and options
    "distil": "Did you mean 'distill'?",
    "plugin list": "Did you mean 'plugins'?",
    "run chek": "No such command 'chek'. Did you mean 'check'? See siked run --help.",
    "--helpp": "(Possible options: --help)",
    "distill --strategy cot": "(Possible options: --strategies)",
    "distill --preset": "Option '--preset' requires an argument.",
    "distill a.yaml b.yaml": "unexpected extra argument(s) (b.yaml)",
    "distill --rounds two": "Invalid value for '--rounds': Input should be a valid integer. See siked distill --help.",
    "distill --learning-rate 2e-5x": "Invalid value for '--learning-rate': Input should be a valid number.",
    "distill --max-cost ten": "Invalid value for '--max-cost'",
    "quote --problems 0": "Invalid value for '--problems': Input should be greater than or equal to 2.",
    "mix half --round -1": "Invalid value for '--round': Input should be greater than or equal to 0.",
    "mix half": "Give --round N: which round to mix (0 is the warm-up).",
    "rollout half --round 0": "--round must be 1 or more: round 0 is the warm-up",
    "evaluate half --split dev": "Unknown split 'dev'. Available: test, validation.",
    "solve": "Missing argument 'RUN|MODEL'. See siked solve --help.",
    "export half": "Missing option '--to'.",
    "import rows.jsonl": "Missing option '--run'.",
    "launch slurm --nodes 0": "Invalid value for '--nodes'",
    # Names
    "distill --strategies cot,pott": "Unknown strategy 'pott'. Did you mean 'pot'?",
    "distill --strategies CoT": "Unknown strategy 'CoT'. Did you mean 'cot'?",
    "distill --strategies 'cot pot'": "Put commas between the names, and nothing else, e.g. cot,pot; got 'cot pot'.",
    "distill --strategies 'cot;pot'": "Put commas between the names",
    "distill --strategies ''": "name at least one strategy",
    "distill --strategies cot,cot": "a strategy is named twice in cot, cot.",
    "distill --mixing adaptve": "Unknown mixing policy 'adaptve'. Did you mean 'adaptive'?",
    "distill --dataset GSM8K": "Unknown dataset 'GSM8K'. Did you mean 'gsm8k'?",
    "distill --dataset openai/gsm8k": "Unknown dataset 'openai/gsm8k'. Did you mean 'gsm8k'?",
    "distill --evaluate svmp": "Unknown dataset 'svmp'. Did you mean 'svamp'?",
    "distill --verifier program": "--verifier takes strategy=verifier, e.g. pot=program; got 'program'.",
    "distill --verifier pot=progam": "Unknown verifier 'progam'. Did you mean 'program'?",
    "distill --preset pockt": "Unknown preset 'pockt'. Did you mean 'pocket'?",
    "distill --preset pocket,dctt": "Unknown preset 'dctt'. Did you mean 'dcot'?",
    "distill --preset ''": "An empty text was given for preset.",
    "distill paper": "There is no file 'paper', but a preset of that name: use --preset paper.",
    "distill --no-plugin eott": "--no-plugin: Unknown plugin 'eott'. Did you mean 'eot'?",
    "distill --no-plugin cot": "is disabled: switched off by 'cot'",
    "plugins show cott": "Unknown plugin 'cott'. Did you mean 'cot'?",
    "plugins list --kind strategies": "Unknown kind of plugin 'strategies'. Did you mean 'strategy'?",
    "recipe show papr": "Unknown preset 'papr'. Did you mean 'paper'?",
    "doctor --make nothing": "Unknown plugin 'nothing'. Available: vllm.",
    # Values
    "distill --rounds -1": "'stopping.rounds': input should be greater than or equal to 0, not -1.",
    "distill --samples 0": "'rollout.samples': input should be greater than or equal to 1, not 0.",
    "distill --epochs 0": "'training.epochs': input should be greater than 0, not 0.0.",
    "distill --limit 0": "'data.limit': input should be greater than or equal to 1, not 0.",
    "distill --seed -1": "'seed': input should be greater than or equal to 0, not -1.",
    "distill --max-cost -1": "'caps.cost': input should be greater than 0",
    "distill --mode Free": "'rollout.mode': input should be 'free', 'forced' or 'both', not 'Free'.",
    "distill --baselines all": "'baselines': input should be 'none', 'single', 'combined' or 'equal_budget'",
    "distill --set rollout.temperature=-1": "'rollout.temperature': input should be greater than or equal to 0",
    "distill --set rollout.top_p=2": "'rollout.top_p': input should be less than or equal to 1, not 2.",
    "distill --set student.lora.r=0": "'student.lora.r': input should be greater than or equal to 1, not 0.",
    "distill --set training.epoch=2": "Did you mean 'epochs'?",
    "distill --set epochs=2": "Unknown recipe key 'epochs'. Did you mean 'training.epochs'?",
    "distill --set TRAINING.EPOCHS=2": "Unknown recipe key 'TRAINING'. Did you mean 'training'?",
    "distill --set training.epochs": "--set takes key=value, e.g. training.epochs=2; got 'training.epochs'.",
    "distill --set training.epochs=": "'training.epochs': input should be a valid number, not None.",
    "distill --set training=5": "Bad recipe key 'training': should be a mapping of keys, not 5.",
    "distill --set seed=[1": "--set seed: the value '[1' is not YAML: line 1, column 3",
    "distill --set mixing.policy={name: alpha}": "Put the whole of KEY=VALUE in quotes, or the shell takes it apart.",
    "distill --set 'mixing.policy={name: alpha, options: {alpha: 2}}'": "'alpha': input should be less than",
    "distill --set 'strategies=[{name: cot, options: {bank: bank.yaml}}]'": "The prompt bank bank.yaml does not fit at",
    "distill --set 'student.instruction=\"@no.txt\"'": "Cannot read the student's instruction from no.txt",
    # Recipes
    "distill no.yaml": "Cannot read the recipe no.yaml: No such file or directory.",
    "distill folder": "Cannot read the recipe folder: Is a directory.",
    "distill rows.jsonl": "rows.jsonl is no recipe but looks like data: use --dataset jsonl --data rows.jsonl.",
    "distill twice.yaml": "twice.yaml is not YAML: line 3, column 1: the key 'strategies' stands here twice.",
    "distill tab.yaml": "line 2, column 1: found character '\\t' that cannot start any token; YAML is",
    "distill bracket.yaml": "The recipe bracket.yaml is not YAML: line 2, column 5",
    "distill indent.yaml": "The recipe indent.yaml is not YAML: line 3, column 16",
    "distill list.yaml": "The recipe list.yaml must be a mapping of keys, not a list.",
    "distill text.yaml": "The recipe text.yaml must be a mapping of keys, not a str.",
    "distill latin.yaml": "Cannot read the recipe latin.yaml: it is not UTF-8 text.",
    "distill flat.yaml": "Unknown recipe key 'epochs'. Did you mean 'training.epochs'?",
    "distill words.yaml": "'training.epochs': input should be a valid number, not 'lots'.",
    "distill yes.yaml": "Bad recipe key 'training': should be a mapping of keys, not True.",
    "distill bom.yaml": "Unknown recipe key 'strategys'. Did you mean 'strategies'?",
    "launch slurm no.yaml": "Cannot read the recipe no.yaml: No such file or directory.",
    # Models and teachers
    "distill --student not-a-model": "The folder not-a-model is not a model: it has no config.json.",
    "distill --student ./nowhere": "There is no model folder ./nowhere. Give an existing folder, a hub name, or",
    "distill --student Qwen/Qwen3-0.6B": "and the hub is switched off (HF_HUB_OFFLINE).",
    "distill --student https://huggingface.co/Qwen/Qwen3-0.6B": "by its name on the hub, not by an address: Qwen/Qwen3",
    "distill --student ''": "An empty text was given for student.model.",
    "distill --teacher gpt-4o": "The teacher is a generator and its model, e.g. transformers:gpt-4o or openai:gpt-4o.",
    "distill --teacher openai": "Missing option of the generator 'openai': 'model'.",
    "distill --teacher openai:gpt-4o": "The environment variable OPENAI_API_KEY is not set",
    f"distill --set '{SERVER}{{model: x, base_url: localhost:8000}}}}'": "base_url must be a URL such as http://",
    "distill --teacher replay:answers.jsonl": "'replay:VALUE' is short for its option 'model', which it does not",
    "distill --set training.epochs=true": "Bad recipe key 'training.epochs': must be a number, not True.",
    f"distill --set '{SERVER}{{model: x, url: \"http://x\"}}}}'": "Unknown option of the generator 'openai': 'url'.",
    "distill --teacher replay": "Missing option of the generator 'replay': 'path'.",
    "distill --dataset gsm8k": "The teacher 'pocket' knows the pocket world only, not 'gsm8k'. Name one with --teacher",
    # Data
    "distill --data nowhere": "There is no file or folder nowhere (data.path).",
    TEACH: "The data set 'jsonl' needs the option path (a local file or folder: --data PATH) or hub",
    f"{TEACH} --data empty.jsonl": "empty.jsonl: the file holds no rows.",
    f"{TEACH} --data half.jsonl": "half.jsonl, line 2: not JSON",
    f"{TEACH} --data no-answers.jsonl": "no-answers.jsonl, line 1: Unknown column 'answer'.",
    f"{TEACH} --data other-columns.jsonl": "Available: completion, prompt. Say which it is: --set dataset.options.",
    f"{TEACH} --data blank.jsonl": "blank.jsonl, line 1: the question is empty.",
    f"{TEACH} --data array.json": "array.json, line 1: not JSON",
    f"{TEACH} --data table.csv": "table.csv: cannot read a '.csv' file. Readable: .jsonl",
    f"{TEACH} --data binary.jsonl": "binary.jsonl, line 1: not UTF-8 text.",
    f"{TEACH} --data folder": "the folder holds no file of the data set 'jsonl'. Looked for: train.jsonl",
    "import nowhere.jsonl --run new": "There is no file nowhere.jsonl.",
    "import folder --run new": "There is no file folder.",
    "import table.csv --run new": "Cannot read a '.csv' file. Readable: .jsonl",
    "import half.jsonl --run new": "half.jsonl, line 2: not JSON",
    "import empty.jsonl --run new": "empty.jsonl: the file holds no rows.",
    "import rows.jsonl --run new --column txt=a": "--column: Unknown column 'txt'. Did you mean 'text'?",
    # Runs
    "distill --run ''": "--run is empty. Give the run a name, e.g. --run mine, or leave the option out.",
    "distill --run half": "runs/half exists and is not a run of siked. Choose another --run, or empty it.",
    "distill --runs rows.jsonl": "Cannot write rows.jsonl/pocket-001: Not a directory.",
    "distill --pools /tmp/x": "pools must be a URL such as s3://bucket/prefix",
    "distill --run mine --rounds 2": "The run runs/mine has another recipe (",
    "verify nosuch": "There is no run at runs/nosuch. Runs under runs: mine.",
    "why nosuch abc": "There is no run at runs/nosuch. Runs under runs: mine.",
    "compare nosuch mine": "There is no run at runs/nosuch. Runs under runs: mine.",
    "run check mien": "Unknown run 'mien'. Did you mean 'mine'?",
    "solve mien '1 + 1?'": "Unknown run 'mien'. Did you mean 'mine'?",
    "solve folder '1 + 1?'": "There is no trained student at folder",
    "solve mine ''": "The question is empty.",
    "doctor mien": "There is no run at runs/mien. Runs under runs: mine.",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A newcomer's folder: files that are wrong, and one run that is begun."""
    folder = tmp_path_factory.mktemp("newcomer")
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    recipe = validate({}).model_dump(mode="json")
    manifest = {"format": 1, "finished": False, "created": "2026-01-01T00:00:00Z", "recipe": recipe, "stages": {}}
    (folder / "runs" / "mine").mkdir()
    (folder / "runs" / "mine" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("line", MISTAKES, ids=str)
def test_a_mistake_is_answered_in_one_line(
    siked: Siked, table: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(table)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "SIKED_RUNS"):
        monkeypatch.delenv(name, raising=False)
    before, loaded, began = contents(table), HEAVY & set(sys.modules), time.process_time()
    said = siked(*shlex.split(line), code=2)
    spent = time.process_time() - began
    told = [one for one in said.err.splitlines() if one.startswith("Error: ")]
    assert told == said.err.splitlines()[-1:], said.err
    assert MISTAKES[line] in told[0]
    assert "Traceback" not in said.err
    assert said.out == ""
    assert contents(table) == before, "something was left behind, or lost"
    assert not (table / "runs" / "new").exists()
    if not line.startswith("teach"):  # that one has begun, and reads data
        assert HEAVY & set(sys.modules) == loaded, "a mistake waited for something heavy"
        assert spent < QUICK_S


def test_there_are_enough_of_them() -> None:
    assert len(MISTAKES) >= 100


def test_a_run_in_use_is_told_with_its_process(siked: Siked, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core.lock import Lock

    monkeypatch.chdir(table)
    lock = Lock(table / "runs" / "mine" / "run.lock", lambda _: None)
    lock.acquire()
    try:
        said = siked("verify", "mine", code=2).err
    finally:
        lock.release()
    assert said.count("\n") == 1
    assert "process" in said


def test_a_client_that_is_not_installed_is_told_with_its_extra(
    siked: Siked, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table)
    monkeypatch.setitem(sys.modules, "openai", None)
    said = siked("distill", "--teacher", "openai:gpt-4o", code=2).err
    assert said.count("\n") == 1
    assert "pip install 'siked[openai]'" in said


def test_two_plugins_of_one_name_are_told_with_both_packages(
    siked: Siked, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table)
    for name in ("one", "two"):
        info = tmp_path / f"siked_{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: siked-{name}\nVersion: 1\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[siked]\n{name} = siked_{name}\n", encoding="utf-8")
        (tmp_path / f"siked_{name}.py").write_text(
            "import siked_core\nfrom siked_plugins.strategies.cot import ChainOfThought\n"
            "class Twin(ChainOfThought):\n    '''Another.'''\n    name = 'twin'\n"
            "@siked_core.hookimpl\ndef siked_strategies(): return [Twin]\n",
            encoding="utf-8",
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    said = siked("distill", "--strategies", "twin", code=2).err
    assert said.count("\n") == 1
    assert "siked-one (one)" in said
    assert "siked-two (two)" in said
    assert "switch one off with SIKED_DISABLE_PLUGINS or --no-plugin" in said


def test_a_server_that_is_not_up_is_told_and_the_run_is_kept(siked: Siked) -> None:
    """The same command goes on when it is up: what is there is no mistake."""
    server = "{name: openai, options: {model: x, base_url: 'http://127.0.0.1:9/v1', patience: 1, retries: 0}}"
    options = ("--preset", "pocket-smoke", "--limit", "2", "--set", f"teacher.generator={server}", "-q")
    said = siked("teach", *options, "--run", "kept", code=2).err
    assert said.count("\n") == 1
    assert "http://127.0.0.1:9/v1" in said
    assert "the connection failed" in said
    assert Path("runs/kept/manifest.json").exists()


def test_a_plugin_whose_options_are_wrong_is_told(
    siked: Siked, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(table)
    info = tmp_path / "siked_odd-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: siked-odd\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[siked]\nodd = siked_odd\n", encoding="utf-8")
    (tmp_path / "siked_odd.py").write_text(
        "import threading, siked_core\nfrom siked_plugins.strategies.cot import ChainOfThought\n"
        "class OddOptions(siked_core.StrategyOptions):\n    lock: threading.Thread | None = None\n"
        "class Odd(ChainOfThought):\n    '''Another.'''\n    name = 'odd'\n    options_type = OddOptions\n"
        "@siked_core.hookimpl\ndef siked_strategies(): return [Odd]\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    said = siked("distill", "--strategies", "odd", code=2).err
    assert said.count("\n") == 1
    assert "odd" in said
