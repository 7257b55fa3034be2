"""`siked plugins new KIND NAME`: a package with a plugin, to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siked_cli.options import Json
from siked_cli.output import Output


def command(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="What it is to be: strategy, verifier, mixing_policy, ...")
    ],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Its name in recipes: lower-case letters, digits, - and _.")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the package's folder is made.")] = Path(),
    author: Annotated[
        str, typer.Option("--author", metavar="NAME", help="Whose it is. Default: who is logged in.")
    ] = "",
    json: Json = False,
) -> None:
    """Write a package with a plugin that works, keeps the contract and has tests: change it into yours.

    Nothing is overwritten.
    """
    import shlex

    from siked_cli.plugins import check_kind
    from siked_cli.switches import open_registry
    from siked_core.scaffold import new_package

    kind = kind.replace("-", "_")
    made = new_package(check_kind(kind), name, to, author, open_registry(None))
    output = Output(json=json)
    output.document(
        {
            "folder": str(made.folder),
            "distribution": made.distribution,
            "kind": made.kind,
            "name": made.name,
            "files": list(made.files),
            "use": made.use,
        }
    )
    folder = shlex.quote(str(made.folder))
    (package,) = {Path(file).parts[0] for file in made.files if file.endswith("__init__.py")}
    output.show(
        f"Written: {made.folder} ({len(made.files)} files)\n",
        f"  {package}/__init__.py has the {made.kind.replace('_', ' ')} '{made.name}': make it yours",
        "  tests/ has the contract that it must keep, and tests of its own\n",
        "Next:",
        f"  pip install -e {folder}",
        f"  siked plugins check {made.distribution}",
        f"  {made.use}",
    )
