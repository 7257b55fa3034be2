"""KPOD's computation, from a mixture's rows to every rationale's weights and schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from siked_core import ObjectiveContext, TrainingExample, TrainingRow
from siked_plugins.objectives.kpod import store
from siked_plugins.objectives.kpod.clusters import k_means
from siked_plugins.objectives.kpod.difficulty import step_difficulties
from siked_plugins.objectives.kpod.rationale import Rationale, rationale_of
from siked_plugins.objectives.kpod.schedule import Schedule, progressive
from siked_plugins.objectives.kpod.weigher import Settings, weigh
from siked_plugins.objectives.likelihood import let_go, logprobs

if TYPE_CHECKING:
    from siked_plugins.objectives.kpod import KpodOptions


def plan(
    rows: Sequence[TrainingRow], examples: Sequence[TrainingExample], options: KpodOptions, context: ObjectiveContext
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Weigh, measure and schedule.

    Returns:
        A row of `store.SCHEMA` for each row that was given, and a summary for people. A row whose rationale has no
        step has empty lists.
    """
    tokenizer = context.tokenizer
    found = [
        rationale_of(row, example, tokenizer, row.strategy not in options.by_line)
        for row, example in zip(rows, examples, strict=True)
    ]
    rationales = [one for one in found if one is not None]
    if not rationales:
        return [_line(row, None, (), (), 0, ()) for row in rows], {}
    settings = Settings(
        options.width,
        options.updates,
        options.batch,
        options.learning_rate,
        options.temperature,
        options.warm_up,
        options.mask_loss,
    )
    model = context.load_student()
    table = model.get_input_embeddings().weight.detach().float()
    weighed = weigh(rationales, table, settings, context.seed, context)
    spans = [(one.ids, one.start, len(one.step)) for one in rationales]
    known = logprobs(spans, model, context, "kpod: difficulty")
    clusters = k_means(_questions(rationales, table), options.clusters, context.seed)
    del model, table
    let_go()
    difficulties = [
        step_difficulties(logprob, weight, one.step)
        for logprob, weight, one in zip(known, weighed.weights, rationales, strict=True)
    ]
    schedule = progressive(
        difficulties,
        clusters,
        context.epochs,
        start_share=options.start_share,
        power=options.power,
        share_of_epochs=options.stages,
        beta=options.diversity,
    )
    lines = []
    number = 0
    for row, one in zip(rows, found, strict=True):
        if one is None:
            lines.append(_line(row, None, (), (), 0, ()))
        else:
            given = [epoch[number] for epoch in schedule.given]
            lines.append(_line(row, one, weighed.weights[number], difficulties[number], clusters[number], given))
            number += 1
    return lines, _summary(options, schedule, weighed.losses, rationales)


def _line(
    row: TrainingRow,
    one: Rationale | None,
    weights: Sequence[float],
    difficulties: Sequence[float],
    cluster: int,
    given: Sequence[int],
) -> dict[str, Any]:
    return {
        "mark": store.mark_of(row),
        "key": row.key,
        "problem_id": row.problem.id if row.problem is not None else "",
        "strategy": row.strategy,
        "start": one.start if one is not None else 0,
        "step": list(one.step) if one is not None else [],
        "weight": list(weights),
        "difficulty": list(difficulties),
        "cluster": cluster,
        "given": list(given),
    }


def _questions(rationales: Sequence[Rationale], table: Any) -> Any:
    """The mean of the student's embeddings of a question's tokens; (N, D)."""
    import torch

    empty = torch.zeros(table.shape[1], device=table.device)
    return torch.stack([table[list(one.question)].mean(dim=0) if one.question else empty for one in rationales])


def _summary(
    options: KpodOptions, schedule: Schedule, losses: Sequence[tuple[float, float]], rationales: Sequence[Rationale]
) -> dict[str, Any]:
    steps = sum(one.steps for one in rationales)
    return {
        "options": options.model_dump(mode="json"),
        "rationales": len(rationales),
        "steps": steps,
        "epochs": [
            {"epoch": epoch, "budget": budget, "difficulty": difficulty, "steps_given": sum(given)}
            for epoch, (budget, difficulty, given) in enumerate(
                zip(schedule.budget, schedule.difficulty, schedule.given, strict=True)
            )
        ],
        "weigher": [{"answer_loss": predicted, "tokens_kept": kept} for predicted, kept in losses],
    }
