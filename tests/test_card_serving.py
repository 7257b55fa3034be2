"""The commands on a model card that serve a student and ask it, as printed but for the port."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from siked_core import PluginError
from siked_core.card import PORT, QUESTION, Facts, card_text
from siked_core.recipe import validate
from siked_core.testing import make_tiny_student, toy_recipe
from siked_plugins.generators.vllm import environment


def printed(folder: Path) -> list[str]:
    """The commands of a card for the student in a folder: to serve it, to ask the server, to ask siked."""
    text = card_text(Facts(validate(toy_recipe(folder)), "round-1", folder.name))
    return re.findall(r"```bash\n(.*?)\n```", text, re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="asks with curl")
def test_the_server_is_asked_as_printed(api: Any, tmp_path: Path) -> None:
    _, ask, _ = printed(tmp_path / "it's mine")
    asked = ask.replace(f"http://localhost:{PORT}/v1", api.url)
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == f"To {QUESTION}."
    (call,) = api.calls
    assert call.path == "/chat/completions", "below the address of the API, which here is another"
    assert (call.body["model"], call.body["temperature"], call.body["max_tokens"]) == ("it's mine", 0, 8)


def test_it_is_served_under_its_folders_name(tmp_path: Path) -> None:
    serve, _, solve = printed(tmp_path / "my student")
    assert shlex.split(serve) == ["vllm", "serve", "my student", "--port", str(PORT)]
    assert shlex.split(solve) == ["siked", "solve", "my student", QUESTION]


@pytest.mark.vllm
@pytest.mark.slow
def test_vllm_serves_it_as_printed(tmp_path: Path) -> None:
    """By a real vLLM. A build for CPUs is started as it has to be, by its module, with settings that a CPU needs."""
    try:
        found = environment.find()
    except PluginError as error:
        pytest.fail(f"{error} `make test-vllm` does both.")
    folder = make_tiny_student(tmp_path / "student", hidden_size=128, tied=False)
    serve, ask, _ = printed(folder)
    name, *flags = shlex.split(serve)[2:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*found.command(name), *flags, "--dtype", "float32", "--enforce-eager", "--max-model-len", "512"]
    variables = found.variables(os.environ) | {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1"}
    log = tmp_path / "log.txt"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(port) if word == str(PORT) else word for word in command],
            cwd=tmp_path, env=variables, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
        try:
            until = time.monotonic() + 600
            while not answers(port):
                assert server.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < until, log.read_text()[-2000:]
                time.sleep(1)
            asked = ask.replace(f":{PORT}/", f":{port}/")
            done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True, timeout=120)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)
    told = json.loads(done.stdout)
    assert told["model"] == name
    assert told["choices"][0]["message"]["role"] == "assistant"
    assert 0 < told["usage"]["completion_tokens"] <= 8


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
