"""Ordinary conversations and texts among a student's training rows, against forgetting (`training.replay`).

A student that is trained on nothing but its strategies loses some of what it could do before. Rehearsal of other data
is the oldest remedy (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"); the data are the user's.

Conversations are rendered with the student's original chat template, without the instruction that siked builds into the
student's: they are what the student met before, and the instruction stays the mark of what siked teaches it. The loss
is on the assistant's turns and the tokens that end them; on a plain text it is on every token.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from os.path import commonprefix
from pathlib import Path
from typing import Any

from siked_core.contracts import TrainingExample
from siked_core.errors import DataError
from siked_core.files import content_of
from siked_core.format import StudentFormat
from siked_core.keys import digest, seed_of
from siked_core.models import fit_to_template, load_tokenizer
from siked_core.recipe_student import ReplayRecipe, StudentRecipe
from siked_core.records import Message, Prompt
from siked_core.rows import Row, read_rows
from siked_core.run import Run
from siked_core.student import prepare_tokenizer, resolve_model
from siked_core.training import end_of_turn

_ROLES = ("system", "user", "assistant")
_SHAPES = "a row has messages, or prompt and completion, or text"


@dataclass(frozen=True, slots=True)
class Ordinary:
    """One row of the user's file: a conversation or a text."""

    where: str
    messages: tuple[Message, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was drawn from the file."""

    examples: tuple[TrainingExample, ...]
    too_long: int
    """Conversations of the file that were come upon and left out, for having more than `training.max_length` tokens."""

    @property
    def tokens(self) -> int:
        return sum(len(one.input_ids) for one in self.examples)

    @property
    def told(self) -> str:
        """What a stage's line adds to the number of other rows."""
        return f" and {len(self.examples):,} replayed ones" if self.examples else ""

    def as_dict(self) -> dict[str, Any]:
        """What a student's side file says of it; nothing where nothing is replayed."""
        counts = {"rows": len(self.examples), "tokens": self.tokens, "too_long": self.too_long}
        return {"replay": counts} if self.examples else {}


def identity(recipe: ReplayRecipe | None) -> dict[str, Any]:
    """What decides which rows are replayed, beside the seed; nothing where none are.

    Raises:
        DataError: the file cannot be read.
    """
    if recipe is None:
        return {}
    content = content_of(recipe.path)
    if content is None:
        raise DataError(f"Cannot read {recipe.path} (training.replay.path).")
    return {"replay": [content, recipe.share]}


def read_ordinary(path: Path) -> list[Ordinary]:
    """All rows of a file.

    Raises:
        DataError: it cannot be read, or a row has another shape; names file and line.
    """
    return [_ordinary(row) for row in read_rows(path)]


def ordinary_tokenizer(model: str, recipe: StudentRecipe, format: StudentFormat) -> Any:
    """The student's tokenizer with its original chat template; with the recipe's, where it comes with none.

    Raises:
        ModelError: it cannot be loaded, or there is neither.
    """
    tokenizer = load_tokenizer(model)
    template = tokenizer.chat_template
    tokenizer.chat_template = template["default"] if isinstance(template, dict) else template
    if not template:
        prepare_tokenizer(tokenizer, recipe, replace(format, instruction=""))
    return tokenizer


def replayed_beside(run: Run, own: int, seed: int) -> Replayed:
    """What is replayed beside so many rows of a run's own; nothing where the recipe has no replay.

    Raises:
        DataError: the file or one of its rows cannot be read or rendered; no conversation fits.
    """
    training = run.recipe.training
    if training.replay is None:
        return Replayed((), 0)
    model = resolve_model(run.recipe.student.model, run.registry)
    tokenizer = ordinary_tokenizer(model, run.recipe.student, run.format)
    return replayed(training.replay, tokenizer, own, seed, training.max_length)


def replayed(recipe: ReplayRecipe, tokenizer: Any, own: int, seed: int, max_length: int) -> Replayed:
    """Rows of the file, so many that they are the recipe's share of all.

    They are drawn in an order that the seed decides, and none twice before all were. Conversations of more than
    `max_length` tokens are passed over; a text ends there.

    Args:
        tokenizer: as `ordinary_tokenizer` makes it.
        own: the rows beside which they are.

    Raises:
        DataError: the file or one of its rows cannot be read or rendered; no conversation fits.
    """
    rows = read_ordinary(recipe.path)
    wanted = max(1, round(own * recipe.share / (1 - recipe.share)))
    found: list[TrainingExample] = []
    too_long: set[int] = set()
    for turn, place in enumerate(_order(len(rows), seed)):
        if turn == len(rows) and not found:
            raise DataError(
                f"{recipe.path}: none of its {len(rows):,} rows fits into training.max_length = {max_length:,} tokens."
            )
        example = encode_ordinary(tokenizer, rows[place], max_length)
        if len(example.input_ids) > max_length:
            too_long.add(place)
        else:
            found.append(example)
        if len(found) == wanted:
            break
    return Replayed(tuple(found), len(too_long))


def encode_ordinary(tokenizer: Any, row: Ordinary, max_length: int) -> TrainingExample:
    """A row as tokens; a text has at most `max_length`.

    Raises:
        DataError: the chat template refuses the conversation, or does not show where an assistant's turn begins.
    """
    if row.messages:
        return _conversation(tokenizer, row)
    ids: list[int] = tokenizer(row.text)["input_ids"]
    if ids[-1] != tokenizer.eos_token_id:
        ids = [*ids, tokenizer.eos_token_id]
    return TrainingExample(tuple(ids[:max_length]), tuple(ids[:max_length]))


def _order(count: int, seed: int) -> Iterator[int]:
    """Places from 0 to `count` in a drawn order, and again and again in others."""
    number = 0
    while True:
        places = list(range(count))
        random.Random(seed_of(digest(["replay", seed, number]))).shuffle(places)
        yield from places
        number += 1


def _ordinary(row: Row) -> Ordinary:
    values = row.values
    if values.get("messages") is not None:
        return Ordinary(row.where, _conversed(row.where, values["messages"], "messages"))
    if values.get("prompt") is not None and values.get("completion") is not None:
        asked = _said(row.where, values["prompt"], "prompt", "user")
        return Ordinary(row.where, _checked(row.where, asked + _said(row.where, values["completion"], "completion")))
    text = values.get("text")
    if isinstance(text, str) and text.strip():
        return Ordinary(row.where, text=text)
    found = ", ".join(values) or "nothing"
    raise DataError(f"{row.where}: {_SHAPES}; this has {found}{' without content' if 'text' in values else ''}.")


def _said(where: str, value: Any, name: str, role: Any = "assistant") -> tuple[Message, ...]:
    if isinstance(value, str):
        return (Message(role, value),)
    return _messages(where, value, name)


def _conversed(where: str, value: Any, name: str) -> tuple[Message, ...]:
    return _checked(where, _messages(where, value, name))


def _messages(where: str, value: Any, name: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: {name} must be a list of turns with role and content.")
    found = []
    for number, turn in enumerate(value, 1):
        role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, Mapping) else (None, None)
        if role not in _ROLES or not isinstance(content, str):
            raise DataError(
                f"{where}: turn {number} of {name} must have a role ({', '.join(_ROLES)}) and a text as content."
            )
        found.append(Message(role, content))
    return tuple(found)


def _checked(where: str, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    answered = any(
        one.role == "assistant" and one.content.strip() and before.role == "user" for before, one in pairwise(messages)
    )
    if not answered:
        raise DataError(f"{where}: no turn of the assistant answers one of the user, so there is nothing to learn.")
    return messages


def _conversation(tokenizer: Any, row: Ordinary) -> TrainingExample:
    messages = fit_to_template(tokenizer, Prompt(row.messages)).messages
    whole = _rendered(tokenizer, row, messages)
    end = end_of_turn(tokenizer)
    mark = tokenizer.convert_ids_to_tokens(end)
    ids: list[int] = []
    labels: list[int] = []
    done = 0
    for place, message in enumerate(messages):
        if message.role != "assistant" or not place:
            continue
        begins = _begins(tokenizer, row, messages[:place], whole)
        ends = whole.find(mark, begins) if begins is not None else -1
        if ends < 0 and place == len(messages) - 1:
            ends = len(whole)  # a template that marks no end
        if begins is None or begins < done or ends < 0:
            continue  # the template writes a turn otherwise once others follow it
        before = tokenizer(whole[done:begins], add_special_tokens=False)["input_ids"]
        answer = [*tokenizer(whole[begins:ends], add_special_tokens=False)["input_ids"], end]
        ids += [*before, *answer]
        labels += [*[-100] * len(before), *answer]
        done = min(len(whole), ends + len(mark))
    if not ids:
        raise DataError(f"{row.where}: the student's chat template does not show where the assistant's turns begin.")
    return TrainingExample(tuple(ids), tuple(labels))


def _begins(tokenizer: Any, row: Ordinary, before: tuple[Message, ...], whole: str) -> int | None:
    """Where the answer to these turns begins in the whole conversation: where the student begins to write it."""
    asked = _rendered(tokenizer, row, before)
    if not whole.startswith(asked):
        return None
    # Templates of thinking models write an empty thought before an answer without one. It is no word of the student's.
    prompts = [_rendered(tokenizer, row, before, add_generation_prompt=True, **more)
               for more in ({"enable_thinking": False}, {})]  # fmt: skip
    fitting = [len(prompt) for prompt in prompts if whole.startswith(prompt)]
    shared = len(commonprefix([whole, prompts[-1]]))  # noqa: RUF071 - of texts, not of paths
    return max(fitting, default=shared if shared > len(asked) else None)


def _rendered(tokenizer: Any, row: Ordinary, messages: tuple[Message, ...], **settings: Any) -> str:
    from jinja2.exceptions import TemplateError

    turns = [{"role": message.role, "content": message.content} for message in messages]
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, **settings))
    except TemplateError as error:
        raise DataError(f"{row.where}: the student's chat template refuses it: {error}.") from None
