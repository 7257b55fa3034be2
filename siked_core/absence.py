"""Why a sample is not in a mixture, told by the rules that choose what is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from siked_core.errors import SikedError
from siked_core.hint import is_hinted
from siked_core.ledger import ledger, ranked
from siked_core.mixing import described, open_policy
from siked_core.recipe_choice import PluginChoice
from siked_core.records import Status
from siked_core.run import Run
from siked_core.stages.generate import EVALUATIONS
from siked_core.stages.mix import hinted_pools_of, judged, judged_in
from siked_core.stages.prepare import dealt

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Sample:
    """What decides whether a sample may enter a mixture."""

    key: str
    problem: str
    pool: str
    source: str
    round: int
    strategy: str | None
    wanted: bool
    """Whether the present recipe asks for it."""


def why_absent(run: Run, name: str, mixture: pl.DataFrame, sample: Sample) -> str:
    """One line: the first rule that keeps the sample out of the mixture of this name, as far as it is known."""
    import polars as pl

    only = name.removeprefix("only-") if name.startswith("only-") else None
    round = int(name.removeprefix("round-")) if name.startswith("round-") else 0
    if sample.pool.startswith(f"{EVALUATIONS}/"):
        return "it answers an evaluation, and no student is trained on these"
    if not sample.wanted:
        return "the present recipe does not ask for it"
    if sample.source == "student" and round == 0:
        return "the mixture takes the teacher's samples only"
    earlier = round > 0 and _policy_asks(run, name, "earlier_rounds")
    if sample.source == "student" and sample.round != round and not (earlier and sample.round < round):
        return f"it was drawn in round {sample.round}, and a mixture takes the student's samples of its own round only"
    if only and sample.strategy != only:
        return f"the mixture is of the strategy {only} only"
    rounds = range(round + 1) if earlier else [round]
    dealt_to_it = {problem.id for each in rounds for problem in dealt(run, each)}
    if name.startswith("round-") and sample.problem not in dealt_to_it:
        return "its problem is dealt to another round (rollout.problems is fresh)"
    told = is_hinted(sample.pool)
    if told and sample.source == "student" and not (round > 0 and _policy_asks(run, name, "hinted")):
        policy = policy_of(run, name)
        taker = f"the mixing policy {policy}" if policy else "this mixture"
        return f"it was written with the answer told, which {taker} does not take"
    attempts = ledger(judged_in(run, hinted_pools_of(run, round)) if told else judged(run, round))
    mine = attempts.filter(pl.col("key") == sample.key)
    if mine.is_empty():
        return "it has no verdict"
    status = mine.row(0, named=True)["status"]
    if status != Status.CORRECT.value:
        return f"it is not correct ({status.replace('_', ' ')})"
    row = ranked(attempts, round, earlier).filter(pl.col("key") == sample.key).row(0, named=True)
    if row["first"] != sample.key:
        there = set(mixture.get_column("key"))
        where = "in it" if row["first"] in there else "not in it either"
        return f"it is a duplicate of {row['first']}, which is {where}"
    keep = run.recipe.mixing.keep
    if keep is not None and row["rank"] >= keep:
        return f"mixing.keep is {keep}, and so many others of its problem, strategy and source were drawn before it"
    if run.recipe.mixing.transforms:
        names = ", ".join(map(described, run.recipe.mixing.transforms))
        if round == 0:
            return f"the mixture's transforms ({names}) left it out, or it was made before the sample was there"
        return f"the mixing policy {policy_of(run, name)} did not choose it, or the transforms ({names}) left it out"
    if round == 0:
        return "the mixture was made before it was there, or under other verdicts: mix again"
    return f"the mixing policy {policy_of(run, name)} did not choose it"


def policy_of(run: Run, mixture: str) -> str:
    """The policy that chose a mixture's rows, with its options, as `mix` recorded it: for one command it may have been
    another than the recipe's. Empty where no policy did, in round 0 and for baselines."""
    if not mixture.startswith("round-") or mixture == "round-0":
        return ""
    return described(_choice_of(run, mixture))


def _policy_asks(run: Run, mixture: str, what: Literal["earlier_rounds", "hinted"]) -> bool:
    try:
        return bool(getattr(open_policy(_choice_of(run, mixture), run.recipe, run.registry), what))
    except SikedError:  # for one command it was a policy that is not here any more
        return False


def _choice_of(run: Run, mixture: str) -> PluginChoice:
    recorded = run.manifest["stages"].get(f"mix {mixture}", {}).get("policy")
    return PluginChoice.model_validate(recorded) if recorded else run.recipe.mixing.policy
