"""How fast siked's vLLM generator writes, beside vLLM alone: the same model, prompts and sampling, by turns.

    siked doctor --make vllm            # once: the environment that all ways use
    python benchmarks/sampling_vllm.py

siked's ways are the generator `vllm` with a server that it starts, and with `engine: inside`, which is vLLM in siked's
own process. vLLM's are `vllm.LLM.generate` in a process of its own, given all prompts at once as tokens: as it is
called, and with a seed for every prompt and a log-probability for every token, as siked's samples have them. All are
started, and have written once, before anything is measured. Rates are tokens of completions a second of wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

import vllm_alone
from pocket_student import rollout_wants, warmed_up
from record import RESULTS, Picture, Record, Row, in_turns, ratios, spread

from siked_core.contracts import Generator, Request
from siked_core.models import encode, load_tokenizer, load_weights
from siked_core.records import Sampling
from siked_core.registry import Registry
from siked_core.stages.generate import Wanted
from siked_plugins.generators.vllm import environment
from siked_plugins.pocket import train_base

LENGTH = 512
SERVER, INSIDE = "siked, a server", "siked, engine: inside"
ALONE, SEEDED = "vllm.LLM.generate", "vllm.LLM.generate, with seeds and log-probabilities"
APART = {INSIDE: "inside", ALONE: "plain", SEEDED: "seeded"}
"""What `vllm_alone.py` does in processes of their own."""


class Apart:
    """vLLM in a process of its own."""

    def __init__(self, job: dict[str, Any], log: Path, variables: dict[str, str]) -> None:
        python = str(environment.find().python)
        variables = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR", **variables}
        self._log = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [python, vllm_alone.__file__], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True,
        )  # fmt: skip
        self._say(json.dumps(job))
        self._hear("ready")

    def rate(self) -> float:
        self._say("")
        tokens, seconds = json.loads(self._hear("wrote"))
        return float(tokens) / float(seconds)

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._log.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _hear(self, word: str) -> str:
        """What stands behind a word; vLLM may print lines of its own."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(word):
                return line.removeprefix(word)
        raise RuntimeError(f"vLLM ended: see {self._log.name}")


def ours(generator: Generator, wanted: Sequence[Wanted], sampling: Sampling, turn: list[int]) -> float:
    """Another seed each turn, as the other side draws anew."""
    turn.append(len(turn))
    requests = [
        Request(one.problem, one.strategy, one.prompt, one.draw, 10_000 * len(turn) + place)
        for place, one in enumerate(wanted)
    ]
    began = time.perf_counter()
    tokens = sum(completion.completion_tokens for _, completion in generator.generate(requests, sampling))
    return tokens / (time.perf_counter() - began)


def measure(model: Path, wanted: Sequence[Wanted], sampling: Sampling, repeats: int, logs: Path) -> dict[str, Any]:
    """Rates by turns, of the ways that there are here."""
    tokenizer = load_tokenizer(str(model))
    options = {"model": str(model), "max_model_len": LENGTH, "dtype": "float32"}
    generator: Generator = Registry.discover().create("generator", "vllm", {**options, "startup_timeout": 900})
    drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
    prompts = [one.prompt for one in wanted]
    tokens = [encode(tokenizer, prompt) for prompt in prompts]
    said = [([(one.role, one.content) for one in prompt.messages], prompt.prefix) for prompt in prompts]
    job = {"model": str(model), "length": LENGTH, "sampling": drawn, "prompts": tokens}
    turns: list[int] = []
    with ExitStack() as ending:
        generator.open()
        ending.callback(generator.close)
        ways: dict[str, Callable[[], float]] = {SERVER: lambda: ours(generator, wanted, sampling, turns)}
        for name, way in APART.items():
            given, variables = job, {}
            if way == "inside":
                if not vllm_alone.beside(logs / "beside", str(environment.find().python)):
                    continue
                given = {"options": options, "sampling": drawn, "messages": said}
                variables = {"PYTHONPATH": str(logs / "beside")}
            apart = Apart({**given, "way": way}, logs / f"vllm-{way}.log", variables)
            ending.callback(apart.end)
            ways[name] = apart.rate
        for rate in ways.values():
            rate()
        return in_turns(ways, repeats)


def larger(folder: Path, student: Path, quick: bool) -> Path:
    """A model of 28 million parameters and random weights, with the student's tokenizer; in small, of fewer layers."""
    if not (folder / "config.json").exists():
        tokenizer = load_tokenizer(str(student))
        shape = ["--out", str(folder), "--layers", "1" if quick else "8", "--hidden", "512", "--heads", "8"]
        model = train_base.build(train_base.parser().parse_args([*shape, "--intermediate", "1536"]), tokenizer)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm-up", type=int, default=1500, help="problems that the student is warmed up on")
    parser.add_argument("--problems", type=int, default=250, help="asked, under each of three strategies")
    parser.add_argument("--prompts", type=int, default=512, help="of these, evenly taken")
    parser.add_argument("--larger", type=int, default=96, help="prompts to the larger model")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the student's run is made")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true", help="small numbers, of no worth: whether it runs")
    given = parser.parse_args()
    if given.quick:
        given.warm_up, given.problems, given.repeats = 24, 8, 1
    preset = "pocket-smoke" if given.quick else "pocket"
    with warmed_up(given.runs, given.warm_up, given.problems, preset) as run:
        wanted = rollout_wants(run)
        recipe = run.recipe.rollout
        sampling = Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens)
        record = Record(
            "sampling_vllm",
            "Sampling with vLLM",
            "Prompts of a round of the pocket world, on a CPU, by siked's generator `vllm` (with a server that it "
            "starts, and in one process with vLLM) and by `vllm.LLM.generate` in a process of its own, which has all "
            f"prompts at once. All draw at temperature {recipe.temperature} and top-p {recipe.top_p}. Every sample of "
            "siked's has a seed and a log-probability, as the last way's have; the plain call's have none. The pocket "
            "student, with a million parameters, takes less time than what is around it: HTTP, and three more "
            "processes on the same cores. The larger one has random weights, and so writes to its limit of tokens.",
        )
        student = run.student("round-0")
        models = {"the pocket student": (student, given.prompts)}
        models["a larger student"] = larger(run.path / "larger", student, quick=given.quick), given.larger
        for name, (model, number) in models.items():
            some = wanted[:: max(1, len(wanted) // number)][:number]
            found = measure(model, some, sampling, given.repeats, run.path)
            rows: list[Row] = [{"way": way, **spread(rates, 0)} for way, rates in found.items()]
            size = load_weights(str(model), "float32").num_parameters() / 1e6
            place = record.table(f"Tokens a second: {name}, {size:.1f} million parameters, {len(some):,} prompts", rows)
            record.picture(Picture(place, "way", "median", "least", "most"))
            for way in (one for one in (SERVER, INSIDE) if one in found):
                for bare in (ALONE, SEEDED):
                    ratio = ratios(found[way], found[bare])
                    record.say(
                        f"{name[0].upper()}{name[1:]}, {way}: {ratio['median']:.2f} times as many tokens a second as "
                        f"{bare} ({ratio['least']:.2f} to {ratio['most']:.2f})."
                    )
            record.keep(**{name: found})
    print(record.write(given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
