"""How fast siked's vLLM generator writes, beside vLLM alone: the same model, prompts and sampling, by turns.

    siked doctor --make vllm            # once: the environment that both sides use
    python benchmarks/sampling_vllm.py

One side is the generator `vllm`, which speaks to a server that it starts; the other is `vllm.LLM.generate` in a process
of its own, given all prompts at once as tokens: as it is called, and with a seed for every prompt, as siked draws.
All are started, and have written once, before anything is measured.
Rates are tokens of completions a second of wall time.
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

from pocket_student import rollout_wants, warmed_up
from record import RESULTS, Picture, Record, Row, in_turns, ratios, spread

from siked_core.contracts import Generator, Request
from siked_core.models import encode, load_tokenizer
from siked_core.records import Sampling
from siked_core.registry import Registry
from siked_core.stages.generate import Wanted
from siked_plugins.generators.vllm import environment

LENGTH = 512
SCRIPT = Path(__file__).with_name("vllm_alone.py")
OURS, ALONE, SEEDED = "siked's generator vllm", "vllm.LLM.generate", "vllm.LLM.generate, seeded"


class Alone:
    """vLLM by itself."""

    def __init__(self, model: Path, prompts: Sequence[list[int]], sampling: Sampling, log: Path, seeded: bool) -> None:
        python = str(environment.find().python)
        variables = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_LOGGING_LEVEL": "ERROR"}
        self._log = log.open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [python, str(SCRIPT)], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._log, text=True,
        )  # fmt: skip
        drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "max_tokens": sampling.max_tokens}
        job = {"model": str(model), "length": LENGTH, "seeded": seeded, "prompts": list(prompts), **drawn}
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
        raise RuntimeError(f"vLLM alone ended: see {self._log.name}")


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
    """Rates by turns."""
    tokenizer = load_tokenizer(str(model))
    options = {"model": str(model), "max_model_len": LENGTH, "dtype": "float32", "startup_timeout": 900}
    generator: Generator = Registry.discover().create("generator", "vllm", options)
    generator.open()
    prompts = [encode(tokenizer, one.prompt) for one in wanted]
    turns: list[int] = []
    with ExitStack() as ending:
        ending.callback(generator.close)
        ways: dict[str, Callable[[], float]] = {OURS: lambda: ours(generator, wanted, sampling, turns)}
        for name in (ALONE, SEEDED):
            log = logs / f"vllm-alone-{len(ways)}.log"
            alone = Alone(model, prompts, sampling, log, seeded=name == SEEDED)
            ending.callback(alone.end)
            ways[name] = alone.rate
        for way in ways.values():
            way()
        return in_turns(ways, repeats)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm-up", type=int, default=1500, help="problems that the student is warmed up on")
    parser.add_argument("--problems", type=int, default=250, help="asked, under each of three strategies")
    parser.add_argument("--prompts", type=int, default=512, help="of these, evenly taken")
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
        some = wanted[:: max(1, len(wanted) // given.prompts)][: given.prompts]
        recipe = run.recipe.rollout
        sampling = Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens)
        record = Record(
            "sampling_vllm",
            "Sampling with vLLM",
            f"{len(some):,} prompts of a round of the pocket world, on a CPU. siked's side is its generator `vllm`, "
            "which speaks to a server; the other hands all prompts to `vllm.LLM.generate` in a process of its own. "
            f"All draw at temperature {recipe.temperature} and top-p {recipe.top_p}; siked's samples are seeded "
            "one by one, as the last way's are; the plain call's come from one stream. Where every prompt has a seed, "
            "no prompt is split over steps (`enable_chunked_prefill`): a CPU's vLLM 0.32 ends there.",
        )
        found = measure(run.student("round-0"), some, sampling, given.repeats, run.path)
    rows: list[Row] = [{"way": name, **spread(rates, 0)} for name, rates in found.items()]
    place = record.table("Tokens a second", rows)
    record.picture(Picture(place, "way", "median", "least", "most"))
    for name in (ALONE, SEEDED):
        ratio = ratios(found[OURS], found[name])
        record.say(
            f"siked's generator writes {ratio['median']:.2f} times as many tokens a second as {name} "
            f"({ratio['least']:.2f} to {ratio['most']:.2f})."
        )
    record.keep(rates=found)
    print(record.write(given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
