"""A student that leaves: the same model wherever it goes, and scored elsewhere as it is here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from siked_core.errors import RunError
from siked_core.loop import distill, report
from siked_core.models import load_tokenizer, read_side_file
from siked_core.recipe import validate
from siked_core.release import modelfile, release
from siked_core.reporting import SilentReporter
from siked_core.run import Run, attach, start
from siked_core.testing import make_tiny_student, toy_recipe, toy_registry


def llama_tokenizer(folder: Path) -> None:
    """Give a tiny student a tokenizer of the kind that Llama 2 has, which llama.cpp knows by its structure."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁"]
    vocabulary = {token: place for place, token in enumerate(tokens)}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    core.add_special_tokens(["<unk>", "<s>", "</s>"])
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    )
    made.chat_template = (
        "{{ bos_token }}{% for message in messages %}[{{ message['role'] }}] {{ message['content'] }}"
        "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    for file in folder.glob("tokenizer*"):
        file.unlink()
    (folder / "chat_template.jinja").unlink()
    made.save_pretrained(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("runs")
    tiny = make_tiny_student(tmp_path_factory.mktemp("tiny"))
    llama_tokenizer(tiny)
    with start(validate(toy_recipe(tiny)), toy_registry(), SilentReporter(), runs=folder, name="run") as opened:
        distill(opened)
    with attach("run", toy_registry(), SilentReporter(), runs=folder, lock=False) as opened:
        yield opened


def test_the_folder_is_the_chosen_student(run: Run, tmp_path: Path) -> None:
    found = release(run, tmp_path / "out")
    told = report(run)
    assert told is not None
    source = run.student(f"round-{told['chosen_round']}")
    assert found.student == source.name
    assert {file.name for file in (tmp_path / "out").iterdir()} == {file.name for file in source.iterdir()}
    same = [file for file in source.iterdir() if file.name != "README.md"]
    assert all((tmp_path / "out" / file.name).read_bytes() == file.read_bytes() for file in same)
    assert 'model="out"' in (tmp_path / "out" / "README.md").read_text(), "the card tells how to use it where it is"
    assert release(run, tmp_path / "first", student="round-0").student == "round-0"
    with pytest.raises(RunError, match="is not empty"):
        release(run, tmp_path / "out")


def test_gguf_has_the_same_weights(run: Run, tmp_path: Path) -> None:
    from gguf import GGUFReader
    from safetensors.torch import load_file

    found = release(run, tmp_path / "out", gguf="f32")
    assert found.gguf is not None
    reader = GGUFReader(tmp_path / "out" / found.gguf)
    theirs = {tensor.name: tensor.data for tensor in reader.tensors}
    ours = load_file(tmp_path / "out" / "model.safetensors")
    assert (theirs["token_embd.weight"] == ours["model.embed_tokens.weight"].float().numpy()).all()
    assert (theirs["blk.1.ffn_down.weight"] == ours["model.layers.1.mlp.down_proj.weight"].float().numpy()).all()
    assert reader.fields["tokenizer.ggml.model"].contents() == "llama"


def test_the_modelfile_speaks_as_the_chat_template_does(run: Run, tmp_path: Path) -> None:
    release(run, tmp_path / "out")
    text = modelfile(tmp_path / "out", "student.gguf")
    template = text.split('"""')[1]
    tokenizer = load_tokenizer(str(tmp_path / "out"))
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1+1?"}], add_generation_prompt=True, tokenize=False
    )
    assert asked == tokenizer.bos_token + template.replace("{{ .Prompt }}", "1+1?").replace("{{ .Response }}", "")
    assert text.startswith("FROM ./student.gguf\n")
    assert 'PARAMETER stop "</s>"' in text
    assert f"PARAMETER num_predict {read_side_file(tmp_path / 'out')['max_tokens']}\n" in text


def test_a_template_with_braces_stays_what_it_is(run: Run, tmp_path: Path) -> None:
    release(run, tmp_path / "out")
    tokenizer = load_tokenizer(str(tmp_path / "out"))
    tokenizer.chat_template = "{{ '{{' }} {{ messages[0]['content'] }} }}"
    tokenizer.save_pretrained(tmp_path / "out")
    assert 'TEMPLATE """{{ "{{" }} {{ .Prompt }} }}{{ .Response }}"""' in modelfile(tmp_path / "out", "x.gguf")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("raise NotImplementedError('BPE pre-tokenizer was not recognized')", "llama.cpp knows tokenizers by name"),
        ("raise SystemExit(3)", "exit code 3"),
        ("", "exit code 0"),
    ],
    ids=["tokenizer", "fails", "writes-nothing"],
)
def test_what_the_converter_cannot_do_leaves_nothing(run: Run, tmp_path: Path, script: str, message: str) -> None:
    converter = tmp_path / "convert_hf_to_gguf.py"
    converter.write_text(script, encoding="utf-8")
    with pytest.raises(RunError, match=message):
        release(run, tmp_path / "out", gguf="f16", converter=str(converter))
    assert not (tmp_path / "out").exists()


def test_without_a_converter(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(RunError, match=r"pip install 'siked\[gguf\]'"):
        release(run, tmp_path / "out", gguf="f16")
    with pytest.raises(RunError, match="There is no command or script 'mine'"):
        release(run, tmp_path / "out", gguf="f16", converter="mine")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_lm_eval_scores_as_siked_does(siked: Callable[..., Any], tmp_path: Path) -> None:
    more = ("--set", "dataset.options.train=200", "--set", "dataset.options.test=48")  # enough to be right now and then
    told = json.loads(
        siked("distill", "--preset", "pocket-smoke", *more, "--rounds", "0", "--run", "mine", "--json").out
    )
    (card,) = told["test"]
    siked("release", "mine", "--to", "out", "--lm-eval")
    scoring = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--tasks", "siked_pocket", "--include_path"]
    scoring += ["out/lm_eval", "--model_args", "pretrained=out,dtype=float32", "--apply_chat_template"]
    scoring += ["--batch_size", "32", "--output_path", "scores", "--device", "cpu"]
    subprocess.run(scoring, cwd=tmp_path, check=True, capture_output=True)
    (scores,) = (tmp_path / "scores").rglob("results*.json")
    found = json.loads(scores.read_text(encoding="utf-8"))["results"]["siked_pocket"]
    assert found["accuracy,none"] == pytest.approx(card["score"]["accuracy"])
    assert card["score"]["correct"] > 0


@pytest.mark.slow
def test_onto_the_hub(siked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    calls: list[dict[str, Any]] = []

    def create(_: object, repo_id: str, **options: Any) -> str:
        calls.append({"repo_id": repo_id, **options})
        return f"https://hub/{repo_id}"

    def upload(_: object, *, folder_path: Path, **options: Any) -> None:
        card = (Path(folder_path) / "README.md").read_text(encoding="utf-8")
        calls.append({"files": {file.name for file in Path(folder_path).iterdir()}, "card": card, **options})

    siked("distill", "--preset", "pocket-smoke", "--rounds", "0", "--run", "mine", "-q")
    assert siked("release", "mine", "--to", "hub:ann", code=2).err.startswith("Error: A place on the hub is")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "secret")
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create)
    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload)
    told = json.loads(siked("release", "mine", "--to", "hub:ann/student", "--json").out)
    assert told["to"] == "https://hub/ann/student"
    made, uploaded = calls
    assert made == {"repo_id": "ann/student", "repo_type": "model", "private": True, "exist_ok": True}
    assert uploaded["repo_type"] == "model"
    assert {"README.md", "model.safetensors", "siked.json"} <= uploaded["files"]
    assert "vllm serve ann/student " in uploaded["card"]
    said = siked("release", "mine", "--to", "out", "--gguf", "f61", code=2).err
    assert said.startswith("Error: --gguf: Unknown type 'f61'. Did you mean 'f16'?")
    assert "There is no trained student at" in siked("release", "mine", "--to", "out", "--student", "x", code=2).err
