"""Measuring what a student forgets: how well the original student and each round's predict a general text.

It decides nothing. What a model was measured at is kept in the manifest under all that it rests on, and not measured
again while that is the same.
"""

from __future__ import annotations

from siked_core.ability import LONGEST, measure, read_documents
from siked_core.errors import DataError
from siked_core.files import content_of
from siked_core.keys import digest
from siked_core.manifest import recalled, remember
from siked_core.meter import Meter
from siked_core.models import fingerprint
from siked_core.run import Run
from siked_core.scorecard import ORIGINAL, Perplexity
from siked_core.student import resolve_model


def perplexity(run: Run, student: str = ORIGINAL) -> Perplexity | None:
    """How well a student predicts the file that the recipe names; None where it names none.

    When it is measured, it warns where a student needs more bits per byte than the original, by more than
    `evaluation.perplexity_rise` per cent.

    Raises:
        DataError: the file cannot be read.
        ModelError: the student cannot be loaded.
        CapReached: the run's hours are used up.
    """
    path = run.recipe.evaluation.perplexity
    if path is None:
        return None
    model = resolve_model(run.recipe.student.model, run.registry) if student == ORIGINAL else str(run.student(student))
    content = content_of(path)
    if content is None:
        raise DataError(f"Cannot read {path} (evaluation.perplexity).")
    rests_on = digest([fingerprint(model), content, path.suffix, run.recipe.student.dtype, LONGEST])
    stage = f"perplexity {student}"
    kept = recalled(run.manifest, stage, rests_on)
    if kept is not None:
        return Perplexity.from_dict(kept)
    Meter(run, stage).check()
    documents = read_documents(path)
    unit = "document" if len(documents) == 1 else "documents"
    with run.timed(stage), run.reporter.stage(stage, len(documents), unit) as progress:
        found = measure(model, documents, run.recipe.student.dtype)
        progress.advance(len(documents))
        progress.finish(f"{found.bits_per_byte:.4f} bits per byte, perplexity {found.perplexity:,.2f} per token")
    if student != ORIGINAL:
        _warn(run, student, found)
    remember(run.path, stage, rests_on, found.as_dict())
    return found


def _warn(run: Run, student: str, found: Perplexity) -> None:
    original = perplexity(run)
    rise = found.rise(original) if original is not None else 0.0
    if rise > run.recipe.evaluation.perplexity_rise:
        run.reporter.warn(
            f"{student} needs {rise:.1f} % more bits per byte on {run.recipe.evaluation.perplexity} than the original "
            "student: it has forgotten some of what it could do before. training.replay trains it on such texts too; "
            "a lower training.learning_rate or fewer epochs also help."
        )
