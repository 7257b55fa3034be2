"""Completions that a teacher writes in several turns: each turn of all samples of a chunk is one batch.

A strategy that has turns (`Strategy.turns`) says after each what is asked next. A sample is kept when it is whole, with
the tokens of all its turns; what a model thought in them is no part of its text. One that was interrupted is written
again from its first turn. Every turn draws from a stream of its own, seeded by the sample's seed and the turn's number,
so what comes out does not depend on what else is in a batch. A sample has `max_tokens` for all its turns together, to
one turn: one that has used them up is asked nothing more, and counts as cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from siked_core.contracts import Generator, Request, Strategy
from siked_core.keys import digest, seed_of
from siked_core.reasoning import ReasoningRecipe
from siked_core.records import Completion, Problem, Prompt, Sampling

MOST_TURNS = 16
"""A strategy that would ask for ever is asked no more; the sample counts as cut off."""


@dataclass(frozen=True, slots=True)
class Turns:
    """What follows a sample's first prompt."""

    next: Callable[[Sequence[str]], Prompt | None]
    joined: Callable[[Sequence[str]], str]
    fingerprint: str
    """What decides it."""
    read: Callable[[str], str]
    """What a strategy sees of a turn: without what a model thought before it answered."""


def turns_of(
    strategy: Strategy, problem: Problem, generator: Generator, reasoning: ReasoningRecipe | None
) -> Turns | None:
    """What a teacher is asked after its first prompt. Nothing, where the strategy has one turn, or the generator writes
    from a solution, which it writes down whole."""
    if not strategy.turns or generator.reads_solution:
        return None
    marks = "" if reasoning == ReasoningRecipe() else repr(reasoning and [reasoning.begins, reasoning.ends])

    def read(text: str) -> str:
        return ((reasoning.split(text) or ("", ""))[1] if reasoning else text).strip()

    def next_prompt(written: Sequence[str]) -> Prompt | None:
        return strategy.next_prompt(problem, written)

    return Turns(next_prompt, strategy.joined, strategy.turns + marks, read)


def answered(
    generator: Generator, requests: Sequence[Request], turns: Sequence[Turns | None], sampling: Sampling
) -> Iterator[tuple[int, Completion]]:
    """Every request's completion with its place, as they get ready.

    Raises:
        RuntimeError: the generator left a request unanswered.
    """
    waiting = dict(enumerate(requests))
    written: dict[int, list[Completion]] = {}
    while waiting:
        places, further = list(waiting), {}
        found = set()
        for number, completion in generator.generate(list(waiting.values()), sampling):
            place = places[number]
            found.add(place)
            follow = turns[place]
            if follow is None:
                yield place, completion
                continue
            mine = written.setdefault(place, [])
            mine.append(completion)
            prompt = (
                follow.next([follow.read(one.text) for one in mine]) if completion.finish_reason == "stop" else None
            )
            if prompt is not None and _has_room(mine, sampling):
                seed = seed_of(digest([requests[place].seed, len(mine)]))
                further[place] = replace(requests[place], prompt=prompt, seed=seed)
            else:
                yield place, _together(mine, follow, cut=prompt is not None)
        lacking = len(waiting) - len(found)
        if lacking:
            raise RuntimeError(
                f"The generator '{generator.name}' left {lacking} of {len(waiting)} requests unanswered."
            )
        waiting = dict(sorted(further.items()))


def _has_room(written: Sequence[Completion], sampling: Sampling) -> bool:
    return len(written) < MOST_TURNS and sum(one.completion_tokens for one in written) < sampling.max_tokens


def _together(written: Sequence[Completion], turns: Turns, cut: bool) -> Completion:
    logprobs = [one.logprob for one in written if one.logprob is not None]
    return Completion(
        turns.joined([turns.read(one.text) for one in written]),
        "length" if cut else written[-1].finish_reason,
        sum(one.prompt_tokens for one in written),
        sum(one.completion_tokens for one in written),
        sum(logprobs) if len(logprobs) == len(written) else None,
    )
