"""How fast a student is sampled: siked's rollout against `model.generate`, called as examples call it.

A student of the pocket world is warmed up under three strategies, so that its completions end by themselves and differ
in length as those of a run do. Then it is asked what the first round asks it, by turns

- by siked's own stage (`stages.generate.draw` with the generator `transformers`): prompts, samples, Parquet and all;
- by `model.generate`, on batches of several sizes in the order given, padded on the left, with `do_sample` and
  `max_new_tokens`, as TRL's and transformers' examples do.

Tokens are those up to the one that ends a completion, whoever writes them; prompts, temperature, top-p and limit are
the same. Seconds are the process's own processor time: with one thread that is what it would take on a machine that
does nothing else. Before anything is timed, both must give the same greedy answers. Run it as

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python benchmarks/sampling.py [--prompts 256] [--repeats 3] [--quick]

`--prepare` only makes the student, which takes about two minutes and is found again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported: threads that wait must not spin

from pocket_student import rollout_wants, warmed_up
from record import RESULTS, Picture, Record, in_turns, ratios, spread

from siked_core.contracts import Generator
from siked_core.models import encode
from siked_core.records import Sampling
from siked_core.run import Run
from siked_core.stages.generate import Wanted, draw
from siked_core.stages.rollout import open_student

SIZES = (32, 64, 128)
OURS = "siked's rollout"
POOL = "benchmark"


def plain_name(size: int) -> str:
    return f"model.generate, {size} at once"


def siked(run: Run, generator: Generator, wanted: Sequence[Wanted], sampling: Sampling) -> tuple[int, float]:
    """Draw them into a fresh pool; tokens and seconds of processor time."""
    shutil.rmtree(run.path / "pools" / POOL, ignore_errors=True)
    began = time.process_time()
    draw(run, POOL, wanted, stage=POOL, generator=generator, sampling=sampling, source="student", round=1)
    seconds = time.process_time() - began
    return int(run.pool(POOL).read()["completion_tokens"].sum()), seconds


class Plain:
    """The student as an example would use it."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        ends = self.model.generation_config.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [ends])

    def texts(self, wanted: Sequence[Wanted]) -> list[str]:
        """The prompts as text, checked to be the tokens that siked asks with."""
        made = []
        for one in wanted:
            turns = [{"role": turn.role, "content": turn.content} for turn in one.prompt.messages]
            text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            made.append(text + one.prompt.prefix)
            assert self.tokenizer(made[-1], add_special_tokens=False)["input_ids"] == encode(self.tokenizer, one.prompt)
        return made

    def write(self, texts: Sequence[str], sampling: Sampling, size: int) -> tuple[list[str], int, float]:
        """Completions, their tokens, and seconds."""
        import torch

        drawn: dict[str, Any] = {"do_sample": False}
        if sampling.temperature > 0:
            drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        completions, tokens = [], 0
        began = time.process_time()
        for start in range(0, len(texts), size):
            inputs = self.tokenizer(
                list(texts[start : start + size]), return_tensors="pt", padding=True, add_special_tokens=False
            )
            with torch.inference_mode():
                out = self.model.generate(**inputs, max_new_tokens=sampling.max_tokens, **drawn)
            new = out[:, inputs["input_ids"].shape[1] :]
            completions += self.tokenizer.batch_decode(new, skip_special_tokens=True)
            tokens += sum(map(self._count, new.tolist()))
        return completions, tokens, time.process_time() - began

    def _count(self, row: list[int]) -> int:
        return next((place + 1 for place, token in enumerate(row) if token in self._ends), len(row))


def check(generator: Generator, plain: Plain, wanted: Sequence[Wanted], max_tokens: int) -> int:
    """Both answer the same where nothing is drawn; of how many prompts.

    Raises:
        RuntimeError: they do not.
    """
    from siked_core.contracts import Request

    greedy = Sampling(max_tokens=max_tokens)
    requests = [Request(one.problem, one.strategy, one.prompt, one.draw, 0) for one in wanted]
    ours = dict(generator.generate(requests, greedy))
    theirs, tokens, _ = plain.write(plain.texts(wanted), greedy, len(wanted))
    same = sum(ours[place].text == text for place, text in enumerate(theirs))
    if same < 0.98 * len(wanted) or abs(tokens / sum(one.completion_tokens for one in ours.values()) - 1) > 0.02:
        raise RuntimeError(f"Only {same} of {len(wanted)} greedy answers are the same.")
    return same


def rates(ways: dict[str, Callable[[], tuple[int, float]]], repeats: int) -> dict[str, list[float]]:
    """Tokens a second, turn by turn."""

    def rate(way: Callable[[], tuple[int, float]]) -> float:
        tokens, seconds = way()
        return tokens / seconds

    return in_turns({name: partial(rate, way) for name, way in ways.items()}, repeats)


def measure(run: Run, wanted: Sequence[Wanted], repeats: int, sizes: Sequence[int], folder: Path) -> Path:
    """Measure, and write the results."""
    recipe = run.recipe.rollout
    sampling = Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens)
    some = wanted[: min(64, len(wanted))]
    generator = open_student(run, "round-0")
    generator.open()
    plain = Plain(run.student("round-0"))
    same = check(generator, plain, some, recipe.max_tokens)
    texts = plain.texts(wanted)
    record = Record(
        "sampling",
        "Sampling a student",
        f"{len(wanted):,} prompts of one round of the pocket world, a third under each of three strategies, answered "
        f"by a student that was warmed up on the teacher's. Temperature {recipe.temperature}, top-p {recipe.top_p}, at "
        f"most {recipe.max_tokens} tokens; tokens are counted up to the one that ends a completion. siked's side is "
        f"the whole stage, with keys and files; the other is `model.generate` alone. Seconds are processor time of one "
        f"thread. Asked first for greedy answers, "
        f"both sides gave the same to {same} of {len(some)} prompts.",
    )
    found = rates(
        {
            OURS: lambda: siked(run, generator, wanted, sampling),
            **{plain_name(size): lambda size=size: plain.write(texts, sampling, size)[1:] for size in sizes},
        },
        repeats,
    )
    generator.close()
    rows = [
        {
            "way": name,
            **{f"{what} tokens a second": value for what, value in spread(values, 0).items()},
            **{f"siked's ratio to it, {what}": value for what, value in ratios(found[OURS], values).items()},
        }
        for name, values in found.items()
    ]
    table = record.table("Tokens a second, by turns", rows)
    record.picture(Picture(table, "way", "median tokens a second", "least tokens a second", "most tokens a second"))
    best = max((name for name in found if name != OURS), key=lambda name: statistics.median(found[name]))
    of_best = ratios(found[OURS], found[best])
    record.say(
        f"siked's rollout wrote {statistics.median(found[OURS]):,.0f} tokens a second, {of_best['median']:.2f} times "
        f"({of_best['least']:.2f} to {of_best['most']:.2f}) what the fastest plain call wrote ({best})."
    )
    for size in sizes:
        other = ratios(found[OURS], found[plain_name(size)])
        record.say(
            f"Against {plain_name(size)}: {other['median']:.2f} times ({other['least']:.2f} to {other['most']:.2f})."
        )
    record.keep(rates=found, threads=os.environ.get("OMP_NUM_THREADS", "all"))
    return record.write(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--warm-up", type=int, default=1500, help="problems that the student is warmed up on")
    parser.add_argument("--problems", type=int, default=250, help="asked, under each of three strategies")
    parser.add_argument("--prompts", type=int, default=256, help="of these, evenly taken")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="batches of the plain call")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the student's run is made")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--prepare", action="store_true", help="make the student, and end")
    parser.add_argument("--quick", action="store_true", help="small numbers, of no worth: whether it runs")
    given = parser.parse_args()
    if given.quick:
        given.warm_up, given.problems, given.repeats, given.sizes = 24, 8, 1, [4, 8]
    preset = "pocket-smoke" if given.quick else "pocket"
    with warmed_up(given.runs, given.warm_up, given.problems, preset) as run:
        if not given.prepare:
            wanted = rollout_wants(run)
            some = wanted[:: max(1, len(wanted) // given.prompts)][: given.prompts]
            print(measure(run, some, given.repeats, given.sizes, given.out))


if __name__ == "__main__":
    main()
