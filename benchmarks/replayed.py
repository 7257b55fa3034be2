"""A run whose teacher is a file of recorded completions: the stages at any size, without a model.

The file is made of what the pocket world's teacher writes, right and wrong, for as many problems as the samples need:
four strategies, and several draws of each. It is played back by the generator `replay`, judged by each strategy's own
verifier (programs are executed, equations solved), and mixed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

STRATEGIES = ("cot", "pot", "l2m", "eot")
DRAWS = 4
NAME = "replayed"
RECORDED = "recorded.parquet"
BATCH = 50_000


def problems_for(samples: int) -> int:
    """Training problems, for so many samples of a teacher."""
    return max(1, samples // (len(STRATEGIES) * DRAWS))


def recipe(folder: Path, samples: int, **changes: Any) -> dict[str, Any]:
    """Of the run, as plain values."""
    from siked_core.recipe import resolve

    count = problems_for(samples)
    asked = min(100, count)
    data = {"name": "pocket", "options": {"train": count, "validation": asked, "test": asked}}
    made: dict[str, Any] = resolve(
        None,
        {
            "dataset": data,
            "strategies": list(STRATEGIES),
            "teacher.generator": {"name": "replay", "options": {"path": str(folder / RECORDED)}},
            "teacher.samples": DRAWS,
            "data.decontaminate": "none",  # whether made problems are alike is no question here
            **changes,
        },
        (),
        "pocket-smoke",
    ).model_dump(mode="json")
    return made


def make(folder: str, samples: int, **changes: Any) -> dict[str, Any]:
    """The recipe, and the file of completions; how large it is."""
    where = Path(folder)
    where.mkdir(parents=True, exist_ok=True)
    (where / "recipe.yaml").write_text(json.dumps(recipe(where, samples, **changes)), encoding="utf-8")  # JSON is YAML
    return {"samples": record(where / RECORDED, problems_for(samples)), "bytes": (where / RECORDED).stat().st_size}


def record(path: Path, count: int) -> int:
    """Write what the pocket teacher says of so many problems; how many completions those are."""
    import pyarrow as pa
    from pyarrow import parquet

    from siked_core import Prompt, Request, Sampling
    from siked_core.registry import Registry

    registry = Registry.discover()
    options = {"train": count, "validation": 1, "test": 1}
    problems = registry.create("dataset", "pocket", options).load("train").problems
    strategies = [registry.create("strategy", name, {}) for name in STRATEGIES]
    for strategy in strategies:  # the draws of a problem begin with the same solution
        strategy.demonstrate = lru_cache(maxsize=2)(strategy.demonstrate)
    teacher, prompt, sampling = registry.create("generator", "pocket", {}), Prompt(()), Sampling(0.0)
    asked = (
        Request(problem, strategy, prompt, draw, number * DRAWS + draw)
        for number, (problem, strategy) in enumerate((one, how) for one in problems for how in strategies)
        for draw in range(DRAWS)
    )
    schema = pa.schema(
        [("problem_id", "string"), ("strategy", "string"), ("draw", "int32"), ("text", "string"),
         ("finish_reason", "string"), ("prompt_tokens", "int32"), ("completion_tokens", "int32")]
    )  # fmt: skip
    total = 0
    with parquet.ParquetWriter(path, schema) as writer:
        while batch := list(islice(asked, BATCH)):
            rows = [
                {
                    "problem_id": request.problem.id,
                    "strategy": request.strategy.name,
                    "draw": request.draw,
                    "text": said.text,
                    "finish_reason": said.finish_reason,
                    "prompt_tokens": 900,
                    "completion_tokens": said.completion_tokens,
                }
                for request, (_, said) in zip(batch, teacher.generate(batch, sampling), strict=True)
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            total += len(rows)
    return total


def teach(folder: str) -> dict[str, Any]:
    """The stage that fills the teacher's pool, without the verification that follows it."""
    from siked_core.asking import asking
    from siked_core.records import Sampling
    from siked_core.stages.generate import draw, teacher_wants
    from siked_core.stages.prepare import problems
    from siked_core.stages.teach import POOL, open_teacher

    with opened(folder) as run:
        teacher = run.recipe.teacher
        with asking(run, open_teacher(run)) as generator:
            draw(
                run,
                POOL,
                teacher_wants(run, generator, problems(run, "train"), teacher.samples),
                stage="teach",
                generator=generator,
                sampling=Sampling(teacher.temperature, teacher.top_p, teacher.max_tokens),
                source="teacher",
                round=0,
            )
        return {"samples": len(run.pool(POOL).keys())}


def verify(folder: str) -> dict[str, Any]:
    from siked_core.stages.verify import verify as judge

    with opened(folder) as run:
        summary = judge(run, "teacher")
    return {"samples": summary.samples, "correct": summary.correct, "statuses": summary.statuses}


def mix(folder: str) -> dict[str, Any]:
    from siked_core.stages.mix import mix as choose

    with opened(folder) as run:
        return {"rows": choose(run, 0).rows}


def opened(folder: str) -> Any:
    """The run, made or continued."""
    from siked_core.recipe import resolve
    from siked_core.registry import Registry
    from siked_core.reporting import SilentReporter
    from siked_core.run import start

    where = Path(folder)
    asked = resolve(where / "recipe.yaml", {}, ())
    return start(asked, Registry.discover(), SilentReporter(), runs=where / "runs", name=NAME)


def on_disk(folder: str, *parts: str) -> int:
    """Bytes of these folders of the run."""
    run = Path(folder) / "runs" / NAME
    return sum(path.stat().st_size for part in parts for path in (run / part).rglob("*") if path.is_file())


PARTS = {"make": make, "teach": teach, "verify": verify, "mix": mix}
