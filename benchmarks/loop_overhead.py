"""What a run costs beside its work: its total time against its calls of generators, verifiers and the trainer alone.

    python benchmarks/loop_overhead.py [--preset pocket] [--set KEY=VALUE ...] [--repeats 3] [--quick]

A run is made once, and everything is written down that it asks: of the teacher and the student (requests, in the
batches in which they were handed over), of strategies and verifiers (texts, claims), of the trainer (rows as tokens,
settings). Then, by turns and each in a process of its own: the same `siked distill` again, and those bare calls again,
in one process, without stages, pools, keys, ledger, mixtures, manifest, journal, checkpoints, scorecards, cards and
reporter. Each model is loaded once for all its calls in a row. Both come to the same texts, verdicts and weights, or
the benchmark fails. A further run has a clock in it that says what takes the rest.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from apart import Measured, arguments, part, siked
from record import Picture, Record, in_turns, ratios, spread
from watched import GENERATION, IMPORTS, TRAINING, VERIFICATION, Calls, Clock, bare_calls, watched, weights

CUT = ["dataset.options.train=400", "dataset.options.validation=40", "dataset.options.test=50", "stopping.rounds=1"]
WORK = (GENERATION, VERIFICATION, TRAINING)
START = "start of Python and of siked"
ABOUT = (
    "`siked distill` against the bare calls that it makes of its generators (loading weights, sampling), of strategies "
    "and verifiers (reading, judging) and of its trainer, made again on the same inputs in one process, by turns. Both "
    "come to the same texts, verdicts and weights. *Work* is those calls; what else a run takes is its overhead."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="pocket", help="what is run")
    parser.add_argument("--set", dest="settings", action="append", metavar="KEY=VALUE", help=f"by default {CUT}")
    parser.add_argument("--repeats", type=int, default=3, help="of both sides")
    parser.add_argument("--quick", action="store_true", help="the smallest preset, once")
    given = arguments(parser, PARTS)
    preset, settings = given.preset, CUT if given.settings is None else given.settings
    if given.quick:
        preset, settings, given.repeats = "pocket-smoke", ["training.warm_up_epochs=1"], 1
    record = Record("loop_overhead", "What a run costs beside its work", ABOUT)
    with tempfile.TemporaryDirectory(prefix="loop-overhead-") as folder:
        measure(record, Path(folder), preset, settings, given.repeats)
    print(record.write(given.results))
    return 0


def measure(record: Record, folder: Path, preset: str, settings: list[str], repeats: int) -> None:
    words = ["distill", "--preset", preset, *(word for one in settings for word in ("--set", one))]
    first = part(__file__, "recorded", folder=str(folder), words=words)
    runs: list[Measured] = []
    bares: list[Measured] = []

    def run() -> float:
        runs.append(part(__file__, "run", folder=str(folder), words=words, name=f"run-{len(runs)}"))
        if runs[-1].answer != first.answer:
            raise SystemExit("The run came to other results than the one that was written down.")
        return runs[-1].seconds

    def bare() -> float:
        bares.append(part(__file__, "bare", folder=str(folder)))
        return bares[-1].seconds

    in_turns({"run": run, "bare": bare}, repeats)
    inside = part(__file__, "inside", folder=str(folder), words=words, name="inside")
    tell(record, runs, bares, inside, f"{preset} ({', '.join(settings)})" if settings else preset)


def tell(record: Record, runs: list[Measured], bares: list[Measured], inside: Measured, what: str) -> None:
    whole = [one.seconds for one in runs]
    alone = [one.seconds for one in bares]
    work = [sum(one.answer["spent"][kind] for kind in WORK) for one in bares]
    over = ratios(whole, alone)
    cpu, cpu_alone = [one.cpu_s for one in runs], [one.cpu_s for one in bares]
    of_cpu = ratios(cpu, cpu_alone)
    record.table(
        f"`siked distill`, {what}: seconds",
        [
            {"": "the run, from the start of its process to the end", **spread(whole, 1)},
            {"": "the bare calls, likewise, with Python's start and imports", **spread(alone, 1)},
            {"": "the bare calls alone, when all is imported", **spread(work, 1)},
            {"": "ratio: run / bare process", **over},
            {"": "ratio: run / bare calls alone", **ratios(whole, work)},
            {"": "CPU seconds: the run", **spread(cpu, 1)},
            {"": "CPU seconds: the process of bare calls", **spread(cpu_alone, 1)},
            {"": "ratio of CPU seconds", **of_cpu},
        ],
    )
    spent = inside.answer["spent"] | {START: inside.seconds - sum(inside.answer["spent"].values())}
    total = inside.seconds
    apart = {name: round(seconds, 1) for name, seconds in sorted(spent.items(), key=lambda item: -item[1])}
    rows = [
        {"what": name, "kind": "work" if name in WORK else "overhead", "seconds": seconds,
         "% of the run": round(100 * seconds / total, 2)}
        for name, seconds in apart.items()
    ]  # fmt: skip
    place = record.table(f"inside one run ({total:.0f} s): what each second went into", rows)
    others = sum(seconds for name, seconds in spent.items() if name not in (*WORK, IMPORTS, START))
    inner = sum(spent[kind] for kind in WORK)
    record.picture(Picture(place, x="what", y="seconds", series="kind", reading="What is no work is the run's own."))
    record.say(
        f"A run took {over['median']:.2f} times as long as its bare calls in a process of their own "
        f"({over['least']:.2f} to {over['most']:.2f}), and {of_cpu['median']:.2f} times their CPU time "
        f"({of_cpu['least']:.2f} to {of_cpu['most']:.2f}). Inside one, {others:.1f} s were neither work nor imports: "
        f"{100 * others / inner:.1f} % of the {inner:.0f} s of work. Python, siked and the libraries took "
        f"{spent[IMPORTS] + spent[START]:.1f} s to load, once a run; bare calls need that as well."
    )
    record.keep(
        run_s=whole, bare_s=alone, work_s=work, bare_spent=[one.answer["spent"] for one in bares], inside_spent=spent,
        cpu_s={"run": cpu, "bare": cpu_alone},
        calls=bares[0].answer["calls"],
    )  # fmt: skip


# The parts


def recorded(folder: str, words: list[str]) -> Any:
    """The run whose calls are written down."""
    calls = Calls()
    with calls.noted(*plugins()):
        found = distil(folder, words, "recorded")
    calls.keep(Path(folder) / "calls.pickle")
    return found


def run(folder: str, words: list[str], name: str) -> Any:
    return distil(folder, words, name)


def inside(folder: str, words: list[str], name: str) -> dict[str, Any]:
    """A run with a clock in it."""
    clock = Clock()
    with clock.imports(), watched(clock, bare_calls(*plugins()) | own()):
        distil(folder, words, name)
    return {"spent": clock.spent}


def bare(folder: str) -> dict[str, Any]:
    """The same calls, and nothing else."""
    clock = Clock()
    with clock.imports():
        again = Again(Path(folder), clock)
        calls = Calls.kept(Path(folder) / "calls.pickle").made
        with clock.doing(IMPORTS):
            import datasets  # noqa: F401
            import torch  # noqa: F401
            from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache  # noqa: F401
            from trl import SFTConfig, SFTTrainer  # noqa: F401
        for kind, asked, came in calls:
            if again.ask(kind, asked) != came:
                raise SystemExit(f"A bare call ({kind}) came to something else than in the run.")
        again.close()
    counts = {kind: sum(one[0] == kind for one in calls) for kind in dict.fromkeys(one[0] for one in calls)}
    return {"spent": clock.spent, "calls": counts}


class Again:
    """Asks generators, verifiers and the trainer what a run has asked them."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        from siked_core.registry import Registry

        self._folder, self._clock, self._registry = folder, clock, Registry.discover()
        self._verifiers: dict[str, Any] = {}
        self._generator: tuple[str, Any] = ("", None)

    def ask(self, kind: str, asked: Any) -> Any:
        """What comes back."""
        if kind == GENERATION:
            (name, options), requests, sampling = asked
            with self._clock.doing(GENERATION):
                return list(self._asked(name, options).generate(requests, sampling))
        if kind == TRAINING:
            return self._train(asked)
        with self._clock.doing(VERIFICATION):
            if kind == "read":
                from siked_core.reasoning import read

                return read(*asked)
            (name, options), claims = asked
            return list(self._verifier(name, options).verify(claims))

    def close(self) -> None:
        for verifier in self._verifiers.values():
            verifier.close()
        if self._generator[1] is not None:
            self._generator[1].close()

    def _asked(self, name: str, options: dict[str, Any]) -> Any:
        """The generator: that of the call before, if it is the same."""
        key = json.dumps([name, options], default=str)
        if self._generator[0] != key:
            if self._generator[1] is not None:
                self._generator[1].close()
            self._generator = (key, self._registry.create("generator", name, options))
            self._generator[1].open()
        return self._generator[1]

    def _verifier(self, name: str, options: dict[str, Any]) -> Any:
        key = json.dumps([name, options], default=str)
        if key not in self._verifiers:
            self._verifiers[key] = self._registry.create("verifier", name, options)
        return self._verifiers[key]

    def _train(self, asked: dict[str, Any]) -> str:
        from siked_core.reporting import SilentProgress
        from siked_core.training import fit

        here = Path(tempfile.mkdtemp(dir=self._folder, prefix="bare-"))
        unkept = asked["recipe"].model_copy(update={"args": {**asked["recipe"].args, "save_strategy": "no"}})
        places = {"destination": here / "student", "checkpoints": here / "checkpoints", "recipe": unkept}
        with self._clock.doing(TRAINING):
            fit(**(asked | places), progress=SilentProgress())
        return weights(places["destination"])


def distil(folder: str, words: list[str], name: str) -> Any:
    """Give the command, and tell what it came to."""
    run = Path(folder) / name
    with redirect_stdout(sys.stderr):
        siked(*words, "--run", str(run))
    found = json.loads((run / "report.json").read_text(encoding="utf-8"))
    return [[one["training_tokens"], one["validation"]["score"]] for one in found["rounds"]]


def plugins() -> tuple[list[type], list[type]]:
    """The classes of the generators and verifiers that a preset of the pocket world works with."""
    from siked_core.registry import Registry

    registry = Registry.discover()
    return (
        [registry.get("generator", name) for name in ("pocket", "transformers")],
        [registry.get("verifier", name) for name in ("number", "program", "equation")],
    )


def own() -> dict[str, list[tuple[Any, str]]]:
    """siked's own functions, by what they are for."""
    from siked_core import card, diversity, finished, manifest, meter, pool, preflight, spending, trackers
    from siked_core.journal import Journal
    from siked_core.stages import attempts, evaluate, generate, mix, prepare, rollout, teach, train, verify
    from siked_core.stages import diversity as of_pools

    return {
        "problems read, and compared with the test's": [(prepare, "problems"), (prepare, "first_problem")],
        "prompts, keys and rows of samples": [(generate, "draw"), (generate, "teacher_wants"),
                                              (generate, "student_wants"), (teach, "teach"), (rollout, "rollout")],
        "samples and verdicts written": [(pool.Pool, "append"), (pool, "write_parquet")],
        "samples and verdicts read": [(pool.Pool, "read"), (pool.Pool, "settled"), (attempts, "attempts_of"),
                                      (generate, "samples_of"), (verify, "verdicts_of")],
        "verdicts' claims, evidence and counts": [(verify, "verify")],
        "mixing": [(mix, "mix")],
        "a training's rows, and its student put in place": [(train, "train")],
        "answers scored": [(evaluate, "evaluate")],
        "whether a stage is finished": [(finished.Finished, "__init__"), (finished.Finished, "outcome"),
                                        (finished.Finished, "keep")],
        "the manifest": [(manifest, "read_manifest"), (manifest, "write_manifest")],
        "the journal and trackers": [(Journal, "figures"), (Journal, "close"), (trackers, "tracking")],
        "model cards, diversity and spending": [(card, "write_card"), (card, "facts_of"), (diversity, "alarms"),
                                                (of_pools, "diversity"), (spending, "document"),
                                                (meter.Meter, "__init__"), (meter.Meter, "learn")],
        "preflight": [(preflight, "look_over")],
    }  # fmt: skip


PARTS: dict[str, Callable[..., Any]] = {"recorded": recorded, "run": run, "inside": inside, "bare": bare}


if __name__ == "__main__":
    sys.exit(main())
