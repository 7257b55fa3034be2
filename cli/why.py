"""`siked why`: one sample, from its prompt to the students that were trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from siked_cli.options import DEFAULT_RUNS, Json, NoPlugin, RunName, Runs
from siked_cli.output import Output
from siked_cli.switches import open_registry

if TYPE_CHECKING:
    from rich.text import Text

    from siked_core.lineage import Lineage, Origin, Place


def command(
    run: RunName,
    sample: Annotated[
        str, typer.Argument(metavar="SAMPLE", help="A sample's key, or the beginning of it if no other begins so.")
    ],
    runs: Runs = DEFAULT_RUNS,
    no_plugin: NoPlugin = None,
    json: Json = False,
) -> None:
    """Follow a sample: what was asked of whom, what came back, how it was judged, and what it was used for.

    It tells the mixtures that the sample is in, why it is not in the others, and the students that were trained
    on it. Nothing is changed, and a run that is being worked on can be asked too.
    """
    from siked_core.errors import RunError
    from siked_core.lineage import lineage
    from siked_core.run import attach

    output = Output(json=json, quiet=True)
    key = sample.strip().lower()
    if not key:
        raise RunError("Give the beginning of a sample's key.")
    with attach(run, open_registry(no_plugin), output.reporter, runs=runs, lock=False) as opened:
        found = lineage(opened, key)
    output.document(found.as_dict())
    output.show(*_lines(found))


def _lines(found: Lineage) -> list[Text]:
    from rich.text import Text

    from siked_core import figures

    chosen = found.strategy or "none that the run knows"
    strategy = f"{found.requested}, as it was told" if found.requested else f"{chosen}, of its own choice"
    ends = {"stop": "ended by itself", "refused": "refused by the server"}
    ended = ends.get(found.finish_reason, f"cut off at {found.max_tokens} tokens")
    lines = [
        _field("Sample", f"{found.key}  ({found.pool}, draw {found.draw})"),
        _field("Problem", f"{found.problem.id}  gold answer {found.problem.answer or 'unknown'}"),
        *_block(found.problem.question),
        _field("Strategy", strategy),
        *([_field("Hint", "whoever wrote it had been told the answer")] if found.hinted else []),
        *_origin(found.origin),
        _field(
            "Tokens",
            f"{figures.count(found.prompt_tokens)} in, {figures.count(found.completion_tokens)} out, {ended}"
            + (f", log-probability {found.logprob:.2f}" if found.logprob is not None else ""),
        ),
        _field("Wrote", ""),
        *_block(found.text),
    ]
    if found.rationale is not None and found.rationale.strip() != found.text.strip():
        lines += [_field("Read as", ""), *_block(found.rationale)]
    for one in found.verdicts:
        answer = f", answer {one.answer}" if one.answer else ""
        why = f": {one.why}" if one.why else ""
        other = "" if one.current else "  (not the run's judge)"
        lines.append(_field("Verdict", f"{one.verifier}: {one.status.replace('_', ' ')}{answer}{why}{other}"))
    if not found.verdicts:
        lines.append(_field("Verdict", "none yet"))
    lines += [_field("Mixture", text) for place in found.mixtures for text in _place(place)]
    if not found.mixtures:
        lines.append(_field("Mixture", "none has been made yet"))
    return [Text.assemble((name, "bold"), text) if name else Text(text) for name, text in lines]


def _field(name: str, text: str) -> tuple[str, str]:
    return f"{name:<10}", text


def _block(text: str) -> list[tuple[str, str]]:
    return [("", f"  {line}") for line in text.rstrip().splitlines()]


def _origin(origin: Origin) -> list[tuple[str, str]]:
    if origin.imported_from:
        return [_field("Made by", f"{origin.generator or 'somebody'}, imported from {origin.imported_from}")]
    lines = [_field("Made by", origin.generator or "not known")]
    if origin.unknown:
        return [*lines, _field("", f"Prompt and settings are not known: {origin.unknown}")]
    sampling = origin.sampling
    lines += [
        _field("", f"fingerprint {origin.fingerprint}"),
        _field(
            "",
            f"temperature {sampling['temperature']:g}, top_p {sampling['top_p']:g}, at most {sampling['max_tokens']} "
            f"tokens; seed {origin.seed}, of this draw {origin.draw_seed}",
        ),
    ]
    if origin.prompt is not None:
        turns = origin.prompt.messages
        earlier = f", after {len(turns) - 1} earlier turns (--json has them)" if len(turns) > 1 else ""
        lines += [_field("Prompt", f"the {turns[-1].role}'s turn{earlier}:"), *_block(turns[-1].content)]
        if origin.prompt.prefix:
            lines.append(_field("", f"and the answer's beginning: {origin.prompt.prefix.strip()}"))
    return lines


def _place(place: Place) -> list[str]:
    if place.weight is None:
        return [f"{place.mixture}: not in it, because {place.why_not}"]
    students = (
        f"; trained on it: {', '.join(place.students)}" if place.students else "; no student was trained on it yet"
    )
    policy = f", chosen by {place.policy}" if place.policy else ""
    lines = [f"{place.mixture}: in it, weight {place.weight:g}{policy}{students}"]
    return [*lines, *([f"  ({place.note})"] if place.note else [])]
