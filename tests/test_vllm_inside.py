"""vLLM in siked's own process: what it is given and what becomes of it, against modules that stand in for it. The real
one is asked in `test_vllm_server.py`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from siked_core import Message, ModelError, PluginError, Problem, Prompt, Request, Sampling
from siked_core.models import encode, load_tokenizer
from siked_core.testing import make_tiny_student
from siked_plugins.generators.vllm import VllmGenerator, environment, inside

SAMPLING = Sampling(0.7, 0.9, 64, ("\n\n",))


@dataclass
class Standing:
    """What stands in for vLLM, and what was asked of it."""

    made: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[list[int], dict[str, Any], Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    environment: dict[str, str | None] = field(default_factory=dict)
    longest: int = 40
    fault: Exception | None = None
    finish: str = "stop"


@pytest.fixture
def standing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Standing]:
    seen = Standing()

    class Engine:
        def __init__(self) -> None:
            self.model_config = SimpleNamespace(max_model_len=seen.longest)
            self.engine_core = SimpleNamespace(shutdown=lambda: seen.events.append("shutdown"))
            self.waiting: dict[str, Any] = {}

        def add_request(self, name: str, prompt: Any, settings: Any, lora_request: Any = None) -> None:
            seen.asked.append((prompt["prompt_token_ids"], vars(settings), lora_request))
            self.waiting[name] = prompt["prompt_token_ids"]

        def has_unfinished_requests(self) -> bool:
            return bool(self.waiting)

        def step(self) -> list[Any]:
            if seen.fault is not None and len(self.waiting) == 1:
                raise seen.fault
            name, prompt = self.waiting.popitem()
            written = SimpleNamespace(
                text=f"To {name}.", token_ids=[1, 2], cumulative_logprob=-0.5, finish_reason=seen.finish
            )
            return [SimpleNamespace(finished=True, request_id=name, prompt_token_ids=prompt, outputs=[written])]

        def abort_request(self, names: list[str]) -> None:
            seen.events.append(f"abort {len(names)}")
            for name in names:
                self.waiting.pop(name, None)

    def make(model: str, use_tqdm_on_load: bool, **flags: Any) -> Any:
        seen.made.append({"model": model, **flags})
        seen.environment = {name: os.environ.get(name) for name in (*inside.VARIABLES, "VLLM_CPU_KVCACHE_SPACE")}
        return SimpleNamespace(
            llm_engine=Engine(),
            sleep=lambda level: seen.events.append(f"sleep {level}"),
            wake_up=lambda: seen.events.append("wake"),
        )

    known = ("dtype", "max_model_len", "generation_config", "enable_prefix_caching", "enforce_eager", "enable_lora")
    known += ("tensor_parallel_size", "quantization", "gpu_memory_utilization", "max_num_seqs", "max_lora_rank")
    known += ("revision", "trust_remote_code", "enable_sleep_mode", "enable_chunked_prefill")
    for name, content in {
        "vllm": {"LLM": make, "SamplingParams": SimpleNamespace},
        "vllm.engine": {},
        "vllm.engine.arg_utils": {"EngineArgs": SimpleNamespace(__dataclass_fields__=dict.fromkeys(known))},
        "vllm.sampling_params": {"RequestOutputKind": SimpleNamespace(FINAL_ONLY="final only")},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": lambda *given: given},
        "vllm.distributed": {},
        "vllm.distributed.parallel_state": {"cleanup_dist_env_and_memory": lambda: seen.events.append("cleaned")},
    }.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(environment, "here", lambda: environment.Environment("python", "vllm", "9.8.7"))
    yield seen
    VllmGenerator.release()
    assert inside._in_use == []


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_student(tmp_path_factory.mktemp("models") / "chat")


@pytest.fixture
def teacher(model: Path) -> Iterator[Callable[..., VllmGenerator]]:
    opened: list[VllmGenerator] = []

    def make(**options: Any) -> VllmGenerator:
        opened.append(VllmGenerator({"model": str(model), "engine": "inside", **options}))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def requests(*questions: str, prefix: str = "") -> list[Request]:
    return [
        Request(Problem(q, q, "4"), None, Prompt((Message("user", q),), prefix), 0, 2**40 + place)
        for place, q in enumerate(questions)
    ]


def test_the_engine_is_made_and_asked_as_the_options_say(
    standing: Standing, teacher: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    one = teacher(
        tensor_parallel=2,
        quantization="fp8",
        dtype="bfloat16",
        max_model_len=40,
        gpu_memory_utilization=0.5,
        engine_args={"max-num-seqs": 8},
        extra={"top_k": 5, "chat_template_kwargs": {"x": 1}},
    )
    found = dict(one.generate(requests("a", "b", prefix="<cot>\n"), SAMPLING))
    assert standing.made == [
        {
            "model": str(model),
            "dtype": "bfloat16",
            "quantization": "fp8",
            "max_model_len": 40,
            "tensor_parallel_size": 2,
            "gpu_memory_utilization": 0.5,
            "generation_config": "vllm",
            "enable_prefix_caching": True,
            "max_num_seqs": 8,
        }
    ]
    assert standing.environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert standing.environment["VLLM_LOGGING_LEVEL"] == "DEBUG", "the user's own"
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in os.environ, "servers that come later have their own"
    prompt = encode(load_tokenizer(str(model)), requests("a", prefix="<cot>\n")[0].prompt)
    assert standing.asked[0] == (
        prompt,
        {
            "temperature": 0.7,
            "top_p": 0.9,
            "seed": 2**40 & 0x7FFFFFFF,
            "max_tokens": 40 - len(prompt),
            "stop": ["\n\n"],
            "logprobs": 0,
            "output_kind": "final only",
            "top_k": 5,
        },
        None,
    )
    assert [(found[place].text, found[place].logprob) for place in (0, 1)] == [("To 0.", -0.5), ("To 1.", -0.5)]
    assert (found[0].prompt_tokens, found[0].completion_tokens, found[0].finish_reason) == (len(prompt), 2, "stop")


def test_on_a_cpu_it_is_made_for_one(standing: Standing, teacher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    monkeypatch.setattr(environment, "here", lambda: environment.Environment("python", "vllm-cpu", "9.8.7"))
    teacher(logprobs=False).open()
    assert (standing.made[0]["dtype"], standing.made[0]["enforce_eager"]) == ("float32", True)
    assert (standing.made[0]["enable_chunked_prefill"], standing.made[0]["max_num_seqs"]) == (False, 256)
    assert standing.environment["VLLM_CPU_KVCACHE_SPACE"] == "4"


def test_what_is_too_long_is_refused_and_the_rest_asked(standing: Standing, teacher: Any) -> None:
    one = teacher()
    with pytest.warns(UserWarning, match="problem 'x{50}' has 54 tokens, and the maximum context length is 40"):
        found = dict(one.generate(requests("x" * 50, "a"), SAMPLING))
    assert (found[0].text, found[0].finish_reason, found[1].text) == ("", "refused", "To 1.")
    assert [each.finish_reason for _, each in one.generate(requests("y" * 50), SAMPLING)] == ["refused"]
    standing.longest = 10
    one.close()
    with pytest.raises(ModelError, match="has no room for any prompt"):
        list(one.generate(requests("x" * 50, "y" * 60), SAMPLING))


def test_what_was_answered_before_a_failure_is_kept(standing: Standing, teacher: Any) -> None:
    one = teacher()
    standing.fault = RuntimeError("CUDA out of memory")
    answers = one.generate(requests("a", "b", "c"), SAMPLING)
    found = dict([next(answers), next(answers)])
    with pytest.raises(ModelError, match=r"RuntimeError: CUDA out of memory\n.*goes on from there"):
        next(answers)
    assert len(found) == 2
    assert standing.events == ["abort 1"]
    standing.fault, standing.finish = None, "abort"
    with pytest.raises(ModelError, match="broke off a request"):
        list(one.generate(requests("a"), SAMPLING))
    standing.finish = "length"
    answers = one.generate(requests("a", "b"), SAMPLING)
    assert next(answers)[1].finish_reason == "length"
    answers.close()
    assert standing.events[-1] == "abort 1"


def test_what_vllm_does_not_take_is_told(standing: Standing, teacher: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="vLLM's engine has no 'uvicorn_log_level'"):
        teacher(engine_args={"uvicorn_log_level": "info"}).open()

    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("no such architecture")

    monkeypatch.setattr(sys.modules["vllm"], "LLM", fails)
    with pytest.raises(ModelError, match="in this process: ValueError: no such architecture"):
        teacher().open()
    assert standing.events == ["cleaned"]
    monkeypatch.delattr(sys.modules["vllm"], "LLM")
    with pytest.raises(PluginError, match=r"cannot be imported beside siked .* engine: server"):
        teacher().open()


def test_one_that_is_set_aside_is_taken_over_or_makes_room(standing: Standing, teacher: Any, tmp_path: Path) -> None:
    other = make_tiny_student(tmp_path / "other", seed=1)
    one = teacher()
    one.open()
    with pytest.raises(ModelError, match="takes one model at a time"):
        teacher(model=str(other)).open()
    one.set_aside()
    again = teacher()
    again.open()
    assert (len(standing.made), standing.events) == (1, [])
    again.set_aside()
    VllmGenerator.make_room()
    assert standing.events == ["shutdown", "cleaned"]

    standing.events.clear()
    for wakes in (0, 1):
        sleeper = teacher(between="sleep")
        sleeper.open()
        assert standing.events.count("wake") == wakes
        sleeper.set_aside()
        VllmGenerator.make_room()
        VllmGenerator.make_room()
    assert standing.events == ["sleep 1", "wake", "sleep 1"]
    assert standing.made[-1]["enable_sleep_mode"] is True
    teacher(model=str(other), between="keep").open()
    assert standing.events[3:] == ["shutdown", "cleaned"], "before another is loaded"


def test_an_adapter_is_put_on_the_model(standing: Standing, teacher: Any, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 12}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"weights")
    list(teacher(adapter=str(tmp_path)).generate(requests("a"), SAMPLING))
    assert (standing.made[0]["enable_lora"], standing.made[0]["max_lora_rank"]) == (True, 16)
    [(_, _, (name, number, folder))] = standing.asked
    assert name.startswith("adapter-")
    assert (number, folder) == (1, str(tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"python": sys.executable}, "goes without the option python"),
        ({"data_parallel": 2}, "data_parallel must be 1"),
        ({"endpoint": "chat"}, "siked renders the prompts"),
        ({"extra": {"guided_regex": "x"}}, "takes no 'guided_regex' in extra, only allowed_token_ids, "),
        ({}, "This Python cannot import vllm, which the option engine: inside needs."),
    ],
)
def test_what_it_does_not_go_with_is_refused_at_once(
    siked: Any, model: Path, options: dict[str, Any], said: str
) -> None:
    if not options and find_spec("vllm") is not None:
        pytest.skip("this Python has vLLM")
    choice = json.dumps({"name": "vllm", "options": {"model": str(model), "engine": "inside", **options}})
    told = siked("teach", "--preset", "pocket-smoke", "--set", f"teacher.generator={choice}", code=2).err
    assert said in told
    assert "Traceback" not in told
