"""What would fail, or lose rows, hours into a run, told before anything is spent.

Looked at are the student's vocabulary, its context, the lengths of prompts and of targets over a sample of problems,
the teacher's context where it is a model of this process, and the memory that training takes at the least.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from siked_core.errors import ModelError, RecipeError, RunError
from siked_core.finished import Finished
from siked_core.launch_command import check_devices, check_launch
from siked_core.mixing import open_policy
from siked_core.models import choose_device, encode, load_config, load_tokenizer
from siked_core.precision import fault, precision_of
from siked_core.prompts import verified_rationales, worked_examples
from siked_core.records import Problem
from siked_core.replay_data import encode_ordinary, identity, ordinary_tokenizer, read_ordinary
from siked_core.run import Run
from siked_core.stages.prepare import problems
from siked_core.stages.train import original_student
from siked_core.student import prepare_tokenizer, resolve_model
from siked_core.training import row_encoder, training_row

SAMPLE = 200
"""Training problems that are looked at."""
VERIFIED = "verified rationales"
Level = Literal["fine", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    """"error": the run would fail. "warning": it would lose something."""
    what: str
    says: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def look_over(run: Run) -> None:
    """Fail now rather than after the teacher has been paid; warn of the rest. Once, while nothing of it changes.

    Raises:
        RunError: the run would fail.
        ModelError: the student cannot be loaded, or lacks a chat template, a pad token or an end-of-sequence token.
    """
    finished = Finished(run, "preflight", given=[original_student(run), identity(run.recipe.training.replay)])
    if finished.outcome() is not None:
        return
    findings = preflight(run)
    errors = [one for one in findings if one.level == "error"]
    if errors:
        more = f" ({len(errors) - 1} more: `siked doctor {run.path}`)" if len(errors) > 1 else ""
        raise RunError(f"Before anything is spent: {errors[0].what}: {errors[0].says}{more}")
    for one in findings:
        if one.level == "warning":
            run.reporter.warn(f"{one.what}: {one.says}")
    finished.keep({})


def preflight(run: Run) -> list[Finding]:
    """What there is to say of a run before it spends anything.

    Raises:
        ModelError: the student cannot be loaded, or lacks a chat template, a pad token or an end-of-sequence token.
        DataError: the file of training.replay cannot be read, or one of its rows.
    """
    original = resolve_model(run.recipe.student.model, run.registry)
    config, tokenizer = load_config(original).get_text_config(), load_tokenizer(original)
    prepare_tokenizer(tokenizer, run.recipe.student, run.format)
    window = getattr(config, "max_position_embeddings", None)
    known = problems(run, "train")[:SAMPLE]
    return [
        *_vocabulary(config, tokenizer),
        *_template(tokenizer),
        *_context(run, window),
        *_prompts(run, known, tokenizer, window),
        *_targets(run, known, tokenizer),
        *_teacher(run, known),
        *_precision(run, original),
        *_processes(run),
        *_memory(run, config, original),
        *_replay(run, original),
        *_hints(run),
    ]


def _vocabulary(config: Any, tokenizer: Any) -> Iterator[Finding]:
    highest = max(tokenizer.get_vocab().values())
    told = f"The tokenizer has tokens up to {highest:,}; the student has embeddings for {config.vocab_size:,}"
    if highest < config.vocab_size:
        yield Finding("fine", "vocabulary", f"{told}.")
    else:
        yield Finding(
            "error", "vocabulary", f"{told}, so some of its tokens cannot be read. They do not belong together."
        )


def _template(tokenizer: Any) -> Iterator[Finding]:
    if "strftime_now" in str(tokenizer.chat_template):
        yield Finding(
            "warning",
            "chat template",
            "It writes the day's date into every prompt, so that a student is sampled from with other prompts than it "
            "was trained on. Set student.chat_template to 'plain' or to a file without the date.",
        )


def _context(run: Run, window: int | None) -> Iterator[Finding]:
    length = run.recipe.training.max_length
    if window is None:
        yield Finding("fine", "context", "The student's configuration names no limit.")
    elif length > window:
        yield Finding(
            "error", "context", f"training.max_length = {length:,} is above the student's context of {window:,} tokens."
        )
    else:
        yield Finding("fine", "context", f"{window:,} tokens; training.max_length is {length:,}.")


def _prompts(run: Run, known: Sequence[Problem], tokenizer: Any, window: int | None) -> Iterator[Finding]:
    lengths = [len(encode(tokenizer, run.format.prompt(problem.question))) for problem in known]
    told = f"The student's prompts have up to {max(lengths):,} tokens ({len(known):,} problems looked at)"
    most = max(run.recipe.rollout.max_tokens, run.recipe.evaluation.max_tokens)
    if window is not None and max(lengths) >= window:
        yield Finding("error", "student's prompts", f"{told}: more than its context of {window:,}.")
    elif window is not None and max(lengths) + most > window:
        cut = sum(length + most > window for length in lengths)
        yield Finding(
            "warning",
            "student's prompts",
            f"{told}: {cut:,} leave no room for {most:,} more in its context of {window:,}, and would be cut off.",
        )
    else:
        yield Finding("fine", "student's prompts", f"{told}.")


def _targets(run: Run, known: Sequence[Problem], tokenizer: Any) -> Iterator[Finding]:
    """Rows of the run's own teacher, where it has any; otherwise the worked examples of the banks."""
    tokenize, length = row_encoder(tokenizer, run.format), run.recipe.training.max_length
    verified = verified_rationales(run, [problem.id for problem in known])
    for name, strategy in run.strategies.items():
        rows = [
            training_row(run.format, strategy, problem, rationale)
            for problem in known
            if (rationale := verified.get((problem.id, name))) is not None
        ]
        whose = VERIFIED
        if not rows:
            whose = "worked examples of its bank"
            rows = [training_row(run.format, strategy, of, text) for of, text in worked_examples(strategy)]
        if not rows:
            continue
        lengths = [len(tokenize(row).input_ids) for row in rows]
        told = f"{name}: rows have up to {max(lengths):,} tokens ({len(rows):,} {whose})"
        long = sum(one > length for one in lengths)
        if long:
            yield Finding(
                "error" if long == len(rows) and whose == VERIFIED else "warning",
                "targets",
                f"{told}; {long:,} are longer than training.max_length = {length:,}, and would be left out.",
            )
        else:
            yield Finding("fine", "targets", f"{told}; training.max_length is {length:,}.")


def _teacher(run: Run, known: Sequence[Problem]) -> Iterator[Finding]:
    choice = run.recipe.teacher.generator
    teacher = run.registry.create("generator", choice.name, choice.options)
    model = getattr(teacher.options, "model", None)
    wordy = sorted(known, key=lambda problem: -len(problem.question))[:5]
    texts = [teacher.rendered(strategy.teacher_prompt(one)) for strategy in run.strategies.values() for one in wordy]
    if model is None or not texts or any(text is None for text in texts):
        return
    try:
        config, tokenizer = load_config(model).get_text_config(), load_tokenizer(model)
    except ModelError:  # a server's name for it, say
        return
    window = getattr(teacher.options, "max_model_len", None) or getattr(config, "max_position_embeddings", None)
    longest = max(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
    most = run.recipe.teacher.max_tokens
    told = f"The teacher's prompts have up to {longest:,} tokens"
    if window is None or longest + most <= window:
        yield Finding("fine", "teacher's prompts", f"{told}.")
        return
    remedy = "Give fewer worked examples (the strategies' option shots)"
    if longest >= window:
        yield Finding("error", "teacher's prompts", f"{told}: more than its context of {window:,}. {remedy}.")
    else:
        yield Finding(
            "warning",
            "teacher's prompts",
            f"{told}, which leave no room for teacher.max_tokens = {most:,} in its context of {window:,}. {remedy}.",
        )


def _precision(run: Run, original: str) -> Iterator[Finding]:
    device = choose_device()
    precision = precision_of(run.recipe.student.dtype, run.recipe.student.lora, device, original)
    if why := fault(precision, device, run.recipe.launch):
        yield Finding("error", "precision", why)
    if run.recipe.training.packing and run.recipe.mixing.weights == "copies":
        yield Finding("error", "packing", "training.packing does not go with mixing.weights: copies. Set one of them.")


def _processes(run: Run) -> Iterator[Finding]:
    launch = run.recipe.launch
    try:
        check_launch(launch)
        check_devices(launch)
    except RecipeError as error:
        yield Finding("error", "launch", str(error))
        return
    if launch.world > 1:
        told = f"{launch.processes} processes ({launch.strategy}) on each of {launch.machines} machines train together."
        yield Finding("fine", "launch", told)


def _memory(run: Run, config: Any, original: str) -> Iterator[Finding]:
    device = choose_device()
    lora = run.recipe.student.lora
    precision = precision_of(run.recipe.student.dtype, lora, device, original)
    dtype = precision.loaded
    weights, trained = _parameters(run, config)
    # Weights; for what is trained, a gradient and AdamW's two moments. Activations come on top.
    held = weights * precision.bits // 8 if precision.bits else dtype.itemsize * weights
    least = held + dtype.itemsize * (3 * trained) + (dtype.itemsize * trained if lora else 0)
    free, total = _room(device)
    told = (
        f"Training takes at least {_gib(least)} ({weights / 1e6:,.1f} million parameters, {trained / 1e6:,.1f} "
        f"million of them trained, as {str(dtype).removeprefix('torch.')}), and activations; {device} has "
        f"{_gib(free)} free of {_gib(total)}"
    )
    if least > total:
        remedy = "Use student.lora (with bits: 4), a narrower student.dtype, or a smaller student."
        yield Finding("error", "memory", f"{told}. {remedy}")
    elif least > free:
        yield Finding("warning", "memory", f"{told}: others use too much of it at the moment.")
    else:
        yield Finding("fine", "memory", f"{told}.")


def _replay(run: Run, original: str) -> Iterator[Finding]:
    training = run.recipe.training
    if training.replay is None:
        return
    rows = read_ordinary(training.replay.path)
    tokenizer = ordinary_tokenizer(original, run.recipe.student, run.format)
    lengths = [len(encode_ordinary(tokenizer, row, training.max_length).input_ids) for row in rows[:SAMPLE]]
    long = sum(one > training.max_length for one in lengths)
    told = f"{len(rows):,} rows, {len(lengths):,} of them looked at"
    if long:
        more = f"{long:,} are longer than training.max_length = {training.max_length:,}, and would be passed over"
        yield Finding("error" if long == len(rows) else "warning", "replay", f"{told}: {more}.")
    else:
        yield Finding("fine", "replay", f"{told}.")


def _hints(run: Run) -> Iterator[Finding]:
    policy = open_policy(run.recipe.mixing.policy, run.recipe, run.registry)
    if run.recipe.rollout.rationalise and not policy.hinted:
        says = (
            f"rollout.rationalise has the student asked again with the answer told, and the mixing policy "
            f"'{policy.name}' does not take what comes of it. Take mixing.policy=star, whose option mixing names the "
            "policy for the other rows."
        )
        yield Finding("warning", "hints", says)


def _parameters(run: Run, config: Any) -> tuple[int, int]:
    """How many the student has, and how many are trained. Nothing is loaded: the model is made without its weights."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    model.tie_weights()
    weights = sum(one.numel() for one in model.parameters())
    if run.recipe.student.lora is None:
        return weights, weights
    from peft import get_peft_model

    from siked_core.training import lora_config

    adapted = get_peft_model(model, lora_config(run.recipe.student.lora), low_cpu_mem_usage=True)
    return weights, sum(one.numel() for one in adapted.parameters() if one.requires_grad)


def _room(device: str) -> tuple[int, int]:
    """Free bytes and all bytes of a device's memory."""
    if device.startswith("cuda"):
        import torch

        free, total = torch.cuda.mem_get_info(device)
        return int(free), int(total)
    import psutil

    memory = psutil.virtual_memory()
    return int(memory.available), int(memory.total)


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def worst(findings: Sequence[Finding]) -> Level:
    """The level of the worst one."""
    levels: list[Level] = ["error", "warning", "fine"]
    return next((level for level in levels if any(one.level == level for one in findings)), "fine")
