"""A task of lm-evaluation-harness that scores a student as siked does, and what that task calls.

The task lies in the student's own folder: the questions, and a few lines that hand each answer to `scorer`, which reads
and judges it with the strategies and verifiers that the student was trained with.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from siked_core.files import write_text
from siked_core.models import load_tokenizer, read_side_file
from siked_core.registry import Registry
from siked_core.run import Run
from siked_core.solve import Reader
from siked_core.stages.prepare import problems
from siked_core.training import end_of_turn

FOLDER = "lm_eval"
_CODE = '''"""What siked.yaml calls. siked and the student's plugins have to be installed beside lm-eval."""

from pathlib import Path

import datasets
from siked_core.lm_eval_task import scorer

HERE = Path(__file__).parent
process_results = scorer(HERE.parent)


def questions(**_):
    return {"test": datasets.load_dataset("json", data_files=str(HERE / "test.jsonl"), split="train")}
'''


def write_task(run: Run, folder: Path) -> str:
    """Write the task into a student's folder; returns its name.

    Args:
        folder: the student's, with `siked.json` and its tokenizer.
    """
    name = f"siked_{run.recipe.dataset.name}"
    place = folder / FOLDER
    place.mkdir()
    tokenizer, side = load_tokenizer(str(folder)), read_side_file(folder)
    rows = [{"id": one.id, "question": one.question, "answer": one.answer} for one in problems(run, "test")]
    write_text(place / "test.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_text(place / "siked_task.py", _CODE)
    config = {
        "task": name,
        "output_type": "generate_until",
        "test_split": "test",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {
            "until": [tokenizer.convert_ids_to_tokens(end_of_turn(tokenizer))],
            "do_sample": False,
            "max_gen_toks": side["max_tokens"],
        },
        "metric_list": [{"metric": "accuracy", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": 1.0},
    }
    functions = (
        "custom_dataset: !function siked_task.questions\nprocess_results: !function siked_task.process_results\n"
    )
    write_text(place / "siked.yaml", yaml.safe_dump(config, sort_keys=False) + functions)
    return name


def scorer(folder: Path) -> Callable[[Mapping[str, Any], Sequence[str]], dict[str, float]]:
    """A function from a question of the task and the student's answer to {"accuracy": 1.0 or 0.0}.

    Args:
        folder: the student's.

    Raises:
        ModelError: the folder is not a student's.
        PluginError: a strategy or verifier that the student was trained with is not installed.
    """
    reader = Reader(read_side_file(folder), Registry.discover())
    atexit.register(reader.close)

    def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        solution = reader.read(str(doc["question"]), results[0])
        return {"accuracy": float(reader.is_right(solution, str(doc["answer"])))}

    return process_results
