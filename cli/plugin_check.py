"""`siked plugins check TARGET`: does a plugin keep its contract, and if not, why, and how is that mended?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from siked_cli.options import Json, NoPlugin
from siked_cli.output import Output

if TYPE_CHECKING:
    from siked_core.registry import Entry, Registry
    from siked_core.testing import Finding

MARKS = {"passed": ("✓", "green"), "failed": ("✗", "red"), "skipped": ("-", "yellow")}
FAILED = 1


def command(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PACKAGE|PATH",
            help="A plugin (cot, strategy:cot), a distribution, a project's folder that need not be installed, or a "
            "module's file.",
        ),
    ],
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="Only plugins of this kind.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option that the plugin is made with. Repeatable."),
    ] = None,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> int:
    """Run the contract's tests against a plugin, and explain each failure. Exit code 1 where one failed.

    This runs the plugin's code, with your rights, outside any cage: check a stranger's package as you would install it.
    """
    from siked_cli.plugins import check_kind
    from siked_cli.switches import disabled, open_registry
    from siked_core.layers import assigned, nested
    from siked_core.plugin_target import find_targets

    if kind is not None:
        kind = check_kind(kind)
    found = find_targets(target, open_registry(no_plugin), kind, disabled(no_plugin))
    options = nested(assigned(set_ or []))
    output = Output(json=json)
    checked = [(entry, _findings(entry, options, found.registry, output)) for entry in found.entries]
    output.document([_document(entry, findings) for entry, findings in checked])
    for entry, findings in checked:
        _show(entry, findings, output)
    return FAILED if any(one.outcome == "failed" for _, findings in checked for one in findings) else 0


def _findings(entry: Entry, options: Mapping[str, Any], registry: Registry, output: Output) -> list[Finding]:
    """What came of each rule; of a plugin that cannot be loaded, that."""
    from siked_core.testing import Finding, check_plugin
    from siked_core.testing.contracts.contract import shown

    if entry.status != "active" or entry.plugin is None:
        rule = "It can be loaded, and its hook returns it."
        mend = "See siked plugins show for the error itself." if entry.error is not None else "Mend what is named."
        if entry.status == "disabled":
            return [Finding(entry.kind, entry.name, "loading", rule, "skipped", entry.why)]
        return [Finding(entry.kind, entry.name, "loading", rule, "failed", shown(entry.why, plain=True), mend)]
    if options:  # what does not fit is the user's mistake, and not the plugin's
        registry.create(entry.plugin.kind, entry.name, options)
    with _progress(output, f"{entry.kind} {entry.name}") as tell:
        return check_plugin(entry.plugin, options, registry, tell)


def _document(entry: Entry, findings: Sequence[Finding]) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.distribution,
        "version": entry.version,
        "passed": all(one.outcome != "failed" for one in findings),
        "notes": list(entry.notes),
        "findings": [one.as_dict() for one in findings],
    }


def _show(entry: Entry, findings: Sequence[Finding], output: Output) -> None:
    from rich.text import Text

    from siked_core.testing.contracts.contract import shown

    counts = {outcome: sum(one.outcome == outcome for one in findings) for outcome in MARKS}
    words = {"passed": "kept", "failed": "broken", "skipped": "not tried"}
    told = ", ".join(f"{count} {words[outcome]}" for outcome, count in counts.items() if count)
    origin = shown(f"{entry.distribution} {entry.version}".strip(), plain=True)
    lines = [Text.assemble((f"{entry.kind} {entry.name}", "bold"), f" ({origin}): of {len(findings)} rules {told}")]
    for one in sorted(findings, key=lambda one: list(MARKS).index(one.outcome)):
        mark, style = MARKS[one.outcome]
        lines.append(Text.assemble("  ", (mark, style), f" {one.rule}"))
        if one.outcome == "failed":
            lines += [Text.assemble("      seen   ", (one.seen, "red")), Text(f"      mend   {one.mend}")]
        elif one.outcome == "skipped":
            lines.append(Text(f"      not tried: {one.seen}"))
    lines += [Text.assemble("  ", ("!", "yellow"), f" It {note}.") for note in entry.notes]
    output.show(*lines, "")


@contextmanager
def _progress(output: Output, what: str) -> Iterator[Callable[[str], None]]:
    """A line on a terminal that says which rule is being tried."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    if output.json or not console.is_terminal:
        yield lambda rule: None
        return
    with console.status(Text(what)) as status:
        yield lambda rule: status.update(Text(f"{what}: {rule[:70]}"))
