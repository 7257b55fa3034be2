"""KTO on trajectories (Ethayarajh et al. 2024, arXiv 2402.01306): right rationales are wanted, wrong ones unwanted.

With r = beta (log P - log P_0) of a whole target, where P_0 is the model that this training starts from, a wanted
target's loss is  1 - sigmoid(r)  and an unwanted one's  1 - sigmoid(-r). The wrong ones are those of the run, which are
otherwise thrown away: of each problem and strategy of the mixture, the first `wrong` that could be read, the teacher's
and the student's.

Departures: the reference point, which the paper estimates in every batch from mismatched pairs, is 0; this is TRL's
`loss_type="apo_zero_unpaired"` (D'Oosterlinck et al. 2024, arXiv 2408.06266), which needs no batch of several rows. The
likelihood of the wanted targets is learnt beside it (`likelihood`, as in RPO): in round 0 the student cannot write any
of them yet. Step-KTO (arXiv 2501.10799) has labels for steps too, which no verifier of ours gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pydantic import Field

from siked_core import Objective, ObjectiveContext, Options, Preference, TrainingExample, TrainingRow, hookimpl
from siked_plugins.objectives.layout import tag_of
from siked_plugins.objectives.likelihood import Span, let_go, logprobs
from siked_plugins.objectives.sft import weighted
from siked_plugins.objectives.wrong import wrong_rationales


class KtoOptions(Options):
    beta: float = Field(0.1, gt=0, description="how soon being further from the reference counts no more")
    wrong: int = Field(1, ge=1, description="wrong rationales of a problem and strategy, at most")
    wanted: float = Field(1.0, ge=0, description="weight of a wanted target's loss")
    unwanted: float = Field(1.0, ge=0, description="weight of an unwanted target's loss")
    likelihood: float = Field(1.0, ge=0, description="weight of the likelihood of wanted targets, as in sft")


class Kto(Objective):
    """KTO: right rationales become likelier than under the model before, wrong ones less likely."""

    name = "kto"
    options_type = KtoOptions

    @property
    def reads_samples(self) -> bool:
        return True

    def examples(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """One example per row, in order; behind all of them, the wrong ones."""
        wrong = wrong_rationales(context.samples())
        unwanted: dict[tuple[str, str], list[TrainingRow]] = {}
        for row in rows:
            cell = row.problem.id if row.problem is not None else "", row.strategy
            if cell not in unwanted:
                texts = wrong.get(cell, [])[: self.options.wrong]
                unwanted[cell] = [replace(row, target=tag_of(row) + text, rationale=text, key="") for text in texts]
        right = self.shown(rows, context)
        other = [(row, context.tokenize(row)) for several in unwanted.values() for row in several]
        made = [*((one, row.weight, True) for row, one in zip(rows, right, strict=True)),
                *((weighted(one, 0.0), row.weight, False) for row, one in other)]  # fmt: skip
        # One that is too long is left out of the training, and may be too long for the model.
        fitting = [place for place, (one, _, _) in enumerate(made) if len(one.input_ids) <= context.max_length]
        model = context.load_student()
        known = logprobs([_span(made[place][0]) for place in fitting], model, context, "kto: reference")
        del model
        let_go()
        examples = [one for one, _, _ in made]
        for place, tokens in zip(fitting, known, strict=True):
            one, weight, wanted = made[place]
            weight *= self.options.wanted if wanted else self.options.unwanted
            examples[place] = replace(one, preference=Preference(wanted, sum(tokens), self.options.beta, weight))
        return examples

    def shown(self, rows: Sequence[TrainingRow], context: ObjectiveContext) -> list[TrainingExample]:
        """The wanted rows, by their likelihood."""
        return [weighted(context.tokenize(row), row.weight * self.options.likelihood) for row in rows]


def _span(example: TrainingExample) -> Span:
    """Its target."""
    start = next(place for place, label in enumerate(example.labels) if label != -100)
    return example.input_ids, start, len(example.input_ids) - start


@hookimpl
def siked_objectives() -> list[type[Objective]]:
    return [Kto]
