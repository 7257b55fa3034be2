"""Writes a package with a plugin of any kind, to start from: it installs, keeps the contract, and is listed.

The templates are files beside this module, in `templates/KIND`, with `$name` and its like in them (`string.Template`).
What a kind's template cannot hold as text, such as a model's weights, is made here.
"""

from __future__ import annotations

import builtins
import json
import keyword
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from siked_core.contract_version import CONTRACT_VERSION
from siked_core.contracts import Kind
from siked_core.errors import PluginError
from siked_core.registry import KINDS, Registry, is_name

SUFFIX = ".tmpl"
LONGEST_NAME = 60
USES: Mapping[Kind, str] = {
    "strategy": "siked distill --strategies cot,$name",
    "verifier": "siked verify RUN --verifier cot=$name",
    "mixing_policy": "siked distill --mixing $name",
    "generator": "siked distill --teacher $name",
    "dataset": "siked distill --dataset $name --teacher vllm:Qwen/Qwen3-8B",
    "transform": "siked distill --set mixing.transforms=[$name]",
    "objective": "siked distill --set training.objective=$name",
    "selector": "siked distill --set evaluation.selector=$name",
    "model": "siked distill --student $name",
    "tracker": "siked distill --track $name",
}
"""A command that uses a plugin of each kind."""
DATA: Mapping[str, tuple[tuple[str, str], ...]] = {
    "strategy": (("bank.yaml", "what the teacher is told, and worked examples"),),
    "dataset": (("train.jsonl", "training problems"), ("test.jsonl", "test problems")),
    "model": (("weights/*", "the model as `save_pretrained` writes it"),),
}
"""Data files of a kind's package, and what is in them."""


@dataclass(frozen=True, slots=True)
class NewPackage:
    """What was written."""

    folder: Path
    distribution: str
    kind: Kind
    name: str
    files: tuple[str, ...]
    """Relative to the folder."""
    use: str
    """A command that uses the plugin."""


def templated_kinds() -> list[Kind]:
    """The kinds of plugin for which there is a template."""
    present = {entry.name for entry in _templates().iterdir()}
    return [kind for kind in KINDS if kind in present]


def new_package(kind: Kind, name: str, to: Path, author: str = "", registry: Registry | None = None) -> NewPackage:
    """Write a package with one plugin into a new folder, whole or not at all.

    Args:
        to: the folder that the package's own is made in; made where it does not exist.
        author: for pyproject.toml; empty: whoever is logged in.
        registry: what is installed, so that a name which is taken is refused.

    Raises:
        PluginError: the name cannot be one or is taken, there is no template, or the folder is there already.
    """
    if kind not in templated_kinds():
        raise PluginError(f"There is no template for a {kind} yet; write one by hand, as docs/plugins.md shows.")
    _check_name(kind, name, registry)
    entry_point = f"{kind}-{name}".replace("_", "-")
    distribution = f"siked-{entry_point}"
    folder = to / distribution
    if folder.exists() or folder.is_symlink():
        raise PluginError(f"{folder} is there already, and is left as it is. Choose another name, or another --to.")
    values = _values(kind, name, author, distribution, entry_point)
    try:
        to.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{distribution}-", dir=to))
    except OSError as error:
        raise PluginError(f"Cannot write into {to}: {error.strerror}. Choose another folder with --to.") from None
    try:
        _write(kind, work, values)
        work.chmod(0o755)
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    written = tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))
    return NewPackage(folder, distribution, kind, name, written, values["use"])


def _check_name(kind: Kind, name: str, registry: Registry | None) -> None:
    what = kind.replace("_", " ")
    if not is_name(name) or len(name) > LONGEST_NAME:
        suggested = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:LONGEST_NAME].strip("-")
        hint = f" '{suggested}' would do." if suggested and is_name(suggested) else ""
        raise PluginError(
            f"{name!r} cannot be a plugin's name: it begins with a lower-case letter and has lower-case letters, "
            f"digits, single '-' and '_' only, {LONGEST_NAME} at most.{hint}"
        )
    for taken in registry.find(name, kind) if registry is not None else ():
        raise PluginError(
            f"There is a {what} '{name}' already ({taken.distribution} {taken.version}). Of two with one name neither "
            "can be used: choose another name."
        )


def _values(kind: Kind, name: str, author: str, distribution: str, entry_point: str) -> dict[str, str]:
    import siked_core

    package = distribution.replace("-", "_")
    data = DATA.get(kind, ())
    return {
        "author_quoted": json.dumps(author or _user(), ensure_ascii=False),
        "class_name": _class_name(kind, name),
        "contract_version": CONTRACT_VERSION,
        "data_files": ", ".join(f'"{file}"' for file in ("py.typed", *(file for file, _ in data))),
        "data_rows": "".join(f"| `{package}/{file}` | {what} |\n" for file, what in data),
        "distribution": distribution,
        "entry_point": entry_point,
        "kind": kind,
        "kind_words": kind.replace("_", " "),
        "module": name.replace("-", "_"),
        "name": name,
        "package": package,
        "siked_version": siked_core.__version__,
        "use": Template(USES[kind]).substitute(name=name),
    }


def _class_name(kind: Kind, name: str) -> str:
    """`hard-first` -> HardFirst; where that means something else in the module, with the kind behind it."""
    import siked_core

    camel = "".join(part.capitalize() for part in re.split("[-_]", name))
    taken = keyword.iskeyword(camel) or hasattr(builtins, camel) or camel in {*siked_core.__all__, "Path", "Counter"}
    return camel + "".join(part.capitalize() for part in kind.split("_")) if taken else camel


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "unknown"


def _templates() -> Traversable:
    return files("siked_core") / "templates"


def _write(kind: Kind, folder: Path, values: Mapping[str, str]) -> None:
    package = folder / values["package"]
    (folder / "tests").mkdir()
    package.mkdir()
    for where, source in ((folder, "package"), (package, kind)):
        for template in (_templates() / source).iterdir():
            if not template.name.endswith(SUFFIX):
                continue
            target = where / template.name.removesuffix(SUFFIX)
            if template.name == f"test.py{SUFFIX}":
                target = folder / "tests" / f"test_{values['module']}.py"
            text = Template(template.read_text(encoding="utf-8")).substitute(values)
            target.write_text(text, encoding="utf-8")
    (package / "py.typed").touch()
    if kind in MADE:
        MADE[kind](package)


def _make_model(package: Path) -> None:
    from siked_core.testing import make_tiny_student

    make_tiny_student(package / "weights")


MADE: Mapping[str, Callable[[Path], object]] = {"model": _make_model}
"""What a kind's package holds that is no text."""
