"""What the teacher and the student are told, and what the student is trained to write, token by token."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from siked_core.contracts import Generator, ObjectiveContext, Strategy, TrainingExample
from siked_core.errors import RecipeError, RunError, unknown
from siked_core.hint import told
from siked_core.models import encode, load_tokenizer, render
from siked_core.pool import read_parquet
from siked_core.records import Problem, Prompt, Rationale, Status
from siked_core.run import Run
from siked_core.stages.objective import folder_of_trained, objective_of
from siked_core.stages.prepare import problems
from siked_core.stages.teach import POOL
from siked_core.stages.turns import turns_of
from siked_core.student import prepare_tokenizer, resolve_model
from siked_core.training import row_encoder, training_row


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a training example."""

    id: int
    text: str
    """What it adds to the text; empty for one that is only the beginning of a character."""
    weight: float
    """Of its loss; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One problem under one strategy."""

    problem_id: str
    strategy: str
    teacher: Prompt
    teacher_text: str | None
    """The very text that the teacher reads; None where only its server knows, or it reads none."""
    reads_solution: bool
    """The teacher writes from worked solutions, and reads no prompt."""
    turns: bool
    """Whether the teacher is asked further turns after this prompt, which depend on what it writes."""
    student_text: str
    """The very text that the student reads when it chooses its strategy; under a forced one, its tag comes after."""
    student_tokens: int
    told: dict[str, str]
    """Where what is not solved is asked again: who ("teacher", "student") to the question with its hint."""
    tag: str
    target_of: str
    """Whose rationale the examples were made from; empty where there was none to be had."""
    examples: tuple[tuple[Token, ...], ...]
    """What the training objective makes of it: one sequence of tokens each."""
    epochs: int
    """Whose weights differ; 1 where they do not."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def shown(run: Run, count: int, strategies: Sequence[str] = (), epoch: int | None = None) -> list[Shown]:
    """The prompts and targets of the first training problems.

    A target's rationale is a verified one of the run's teacher for that problem, as round 0's mixture has it where the
    recipe has transforms; in a run that has none, the first worked example of the strategy's bank.

    Args:
        count: how many problems.
        strategies: only these; all of the run's where it is empty.
        epoch: whose weights of tokens are shown, from 1 on; the last one's where it is None.

    Raises:
        RecipeError: a strategy is not one of the run's.
        ModelError: the student's tokenizer cannot be loaded, or lacks a chat template or pad token.
    """
    for name in strategies:
        if name not in run.strategies:
            raise RecipeError(unknown("strategy", name, run.strategies))
    chosen = [run.strategies[name] for name in strategies or run.strategies]
    tokenizer = load_tokenizer(resolve_model(run.recipe.student.model, run.registry))
    prepare_tokenizer(tokenizer, run.recipe.student, run.format)
    teacher = run.registry.create("generator", run.recipe.teacher.generator.name, run.recipe.teacher.generator.options)
    known = problems(run, "train")[:count]
    verified = verified_rationales(run, [problem.id for problem in known])
    if run.recipe.mixing.transforms and run.mixture("round-0").exists():
        verified |= _mixed(run, {problem.id for problem in known})
    return [
        _shown(run, tokenizer, teacher, problem, strategy, verified.get((problem.id, strategy.name)), epoch)
        for problem in known
        for strategy in chosen
    ]


def draw_objective(run: Run, student: str, file: Path) -> None:
    """Draw what the run's objective computed for a student's training.

    Raises:
        RunError: there is no such student, or nothing was computed for it.
        PluginError: the objective has nothing to draw, or nothing to draw with.
    """
    folder = folder_of_trained(run, student)
    if folder is None:
        name = run.recipe.training.objective.name
        raise RunError(f"The run {run.path} has nothing that the objective '{name}' computed for '{student}'.")
    objective_of(run).draw(folder, file)


def _shown(
    run: Run,
    tokenizer: Any,
    teacher: Generator,
    problem: Problem,
    strategy: Strategy,
    verified: str | None,
    epoch: int | None,
) -> Shown:
    prompt = strategy.teacher_prompt(problem)
    asked = run.format.prompt(strategy.student_question(problem))
    of, rationale, whose = problem, verified, "a verified sample of the teacher"
    if rationale is None:
        of, rationale = next(worked_examples(strategy), (problem, None))
        whose = "" if rationale is None else "the first worked example of the bank"
    examples: list[TrainingExample] = []
    if rationale is not None:
        row = training_row(run.format, strategy, of, rationale)
        context = ObjectiveContext(
            tokenizer,
            run.recipe.training.max_length,
            1,
            run.recipe.seed,
            row_encoder(tokenizer, run.format),
            folder=folder_of_trained(run, "round-0"),
        )
        examples = objective_of(run).shown([row], context)
    return Shown(
        problem_id=problem.id,
        strategy=strategy.name,
        teacher=prompt,
        teacher_text=None if teacher.reads_solution else teacher.rendered(prompt),
        turns=turns_of(strategy, problem, teacher, run.recipe.reasoning) is not None,
        reads_solution=teacher.reads_solution,
        student_text=render(tokenizer, asked),
        student_tokens=len(encode(tokenizer, asked)),
        told={
            who: told(problem, rule.hint).question
            for who, rule in (("teacher", run.recipe.teacher.rationalise), ("student", run.recipe.rollout.rationalise))
            if rule is not None
        },
        tag=run.format.tag_of(strategy.name),
        target_of=whose,
        examples=tuple(_tokens(tokenizer, example, epoch) for example in examples),
        epochs=max((len(example.epoch_weights) for example in examples), default=0) or 1,
    )


def worked_examples(strategy: Strategy) -> Iterator[tuple[Problem, str]]:
    """The problems of the strategy's bank, if it has one, with their rationales as the strategy reads them."""
    if strategy.options.bank is not None or hasattr(strategy, "bank_path"):
        for shot in strategy.bank.shots:
            read = strategy.parse(shot.completion)
            if isinstance(read, Rationale):
                yield Problem("bank", shot.question, shot.answer), read.text


def _mixed(run: Run, ids: Collection[str]) -> dict[tuple[str, str], str]:
    """(problem, strategy) to the first text of round 0's mixture."""
    table = read_parquet(run.mixture("round-0")).select("problem_id", "strategy", "rationale")
    return {(problem, name): text for problem, name, text in reversed(table.rows()) if problem in ids}


def _tokens(tokenizer: Any, example: TrainingExample, epoch: int | None) -> tuple[Token, ...]:
    weights = example.weights or (1.0,) * len(example.input_ids)
    if example.epoch_weights:
        last = len(example.epoch_weights)
        weights = example.epoch_weights[min(epoch or last, last) - 1]
    found, before = [], ""
    for place, (token, label, weight) in enumerate(zip(example.input_ids, example.labels, weights, strict=True)):
        text = tokenizer.decode(list(example.input_ids[: place + 1]), clean_up_tokenization_spaces=False)
        piece = ""
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            piece, before = text[len(before) :], text
        found.append(Token(token, piece, 0.0 if label == -100 else weight))
    return tuple(found)


def verified_rationales(run: Run, ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """(problem, strategy) to the first rationale of the teacher that was found correct."""
    import polars as pl

    samples = run.pool(POOL).scan(["key", "problem_id", "strategy"]).filter(pl.col("problem_id").is_in(ids)).collect()
    theirs = pl.col("key").is_in(samples.get_column("key").implode())  # of a large pool, no other texts are held
    right = run.verdicts(POOL).scan(["key", "status", "rationale"])
    right = right.filter(theirs & (pl.col("status") == Status.CORRECT.value))
    rows = samples.join(right.collect(engine="streaming"), on="key", maintain_order="left_right")
    return {
        (row["problem_id"], row["strategy"]): row["rationale"] for row in reversed(rows.to_dicts()) if row["rationale"]
    }
