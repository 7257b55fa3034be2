"""Whether another round pays, and from which student it goes on: decided by the validation split alone.

Each round is held against the best one before it, question by question. By the rule "gain" (published, as far as it is
known: until accuracy improves only marginally or falls) points of accuracy decide. By the rule "evidence" McNemar's
exact test does: a round pays where it is better than chance allows, and where it is worse the next one does not go on
from it, but from the best. Neither corrects for looking several times: the rule spends compute, it proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from siked_core.paired import Gain, Paired
from siked_core.recipe_stopping import StoppingRecipe
from siked_core.results import results_of
from siked_core.run import Run

Right = Sequence[bool]
"""Whether each validation question is answered rightly, in one order for all rounds."""


def best(rounds: Sequence[Right]) -> int:
    """The round with the most right answers, the earliest of equals."""
    return max(range(len(rounds)), key=lambda number: (sum(rounds[number]), -number))


def gains(rounds: Sequence[Right]) -> list[Gain]:
    """Of each round but the first, in order."""
    return [
        Gain(before := best(rounds[:number]), Paired.of(rounds[before], rounds[number]))
        for number in range(1, len(rounds))
    ]


def stop_reason(rounds: Sequence[Right], rule: StoppingRecipe) -> str | None:
    """Why to stop after these rounds, round 0 first, or None to go on: `patience` rounds in a row did not pay.

    A round pays if it beats the best one before it by `min_gain` points, or, by the rule "evidence", if that it is
    better has a p-value of `level` at the most.
    """
    unpaid = 0
    for gain in gains(rounds):
        if rule.rule == "evidence":
            pays = gain.verdict(rule.level) == "better"
        else:
            pays = 100 * gain.paired.difference >= rule.min_gain - 1e-9
        unpaid = 0 if pays else unpaid + 1
    if unpaid < rule.patience:
        return None
    last = "round" if rule.patience == 1 else f"{rule.patience} rounds"
    if rule.rule == "evidence":
        told = "was" if rule.patience == 1 else "were"
        return (
            f"the last {last} {told} not better than the best before by more than chance allows (p above "
            f"{rule.level:g} on {len(rounds[0]):,} validation questions)"
        )
    return f"validation accuracy rose by less than {rule.min_gain:g} points in the last {last}"


def base_after(rounds: Sequence[Right], rule: StoppingRecipe) -> int:
    """The round whose student the next one goes on from: the last, or, where evidence says that it is worse, the best
    before it."""
    found = gains(rounds)
    if rule.rule == "evidence" and found and found[-1].verdict(rule.level) == "worse":
        return found[-1].against
    return len(rounds) - 1


def base_of(run: Run, round: int) -> int:
    """The round whose student a round samples from, and is trained on from; 0 for round 0.

    Raises:
        RunError: by the rule "evidence", an earlier round has not been scored on validation yet.
    """
    if run.recipe.stopping.rule == "gain" or round < 2:
        return max(0, round - 1)
    return base_after(validation_of(run, round), run.recipe.stopping)


def rounds_before(run: Run, round: int) -> list[int]:
    """The rounds that a round's student has been through, the latest first; none for round 0."""
    found: list[int] = []
    while round > 0:
        round = base_of(run, round)
        found.append(round)
    return found


def validation_of(run: Run, rounds: int) -> list[Right]:
    """What became of the validation questions in the first so many rounds.

    Raises:
        RunError: one of them has not been scored.
    """
    home = run.recipe.dataset.name
    found: list[Right] = []
    for number in range(rounds):
        results = results_of(run, f"round-{number}", home, "validation")
        found.append([one.right for one in sorted(results, key=lambda one: one.problem_id)])
    return found
