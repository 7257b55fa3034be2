"""The `ray` verifier: another verifier's work, on many machines at once.

Answers are found on the workers of a Ray cluster, each with a sandbox of its own: that is what takes long. They are
compared with the gold answers here, so these never travel. Its verdicts are the wrapped verifier's, and are kept as
that one's: what was judged through Ray need not be judged again without it. See `siked_plugins.generators.ray.workers`
for what becomes of a worker that dies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydantic import Field

from siked_core import Claim, Options, Rationale, RecipeError, Verdict, Verifier, VerifierFault, hookimpl
from siked_plugins.generators.ray import cluster
from siked_plugins.generators.ray.options import ClusterOptions, Wrapped
from siked_plugins.generators.ray.workers import Workers

LARGEST = 64
"""Rationales that a worker gets at once."""


class RayVerifierOptions(ClusterOptions):
    """The verifier whose work is spread, and the cluster."""

    verifier: Wrapped | None = Field(
        None, description="the verifier whose work is spread: NAME, or name and options; by default the strategy's own"
    )
    allow_unsafe_exec: bool = Field(
        False, description="handed to that verifier, if it runs programs: run them even where they cannot be caged"
    )


class RayVerifier(Verifier):
    """Another verifier (program, equation ...) on the machines of a Ray cluster."""

    name = "ray"
    options_type: ClassVar[type[Options]] = RayVerifierOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._wrapped: Verifier | None = None
        self._workers: Workers | None = None

    def equip(self, create: Callable[..., Any]) -> None:
        choice: Wrapped | None = self.options.verifier
        if choice is None:  # it is known for which strategy only where one is judged
            return
        if choice.name == self.name:
            raise RecipeError("The verifier 'ray' cannot spread its own work: name another as its option verifier.")
        wrapped: Verifier = create("verifier", choice.name, choice.options)
        if type(wrapped).bind is not Verifier.bind or wrapped.scope != "sample":
            raise RecipeError(
                f"The verifier '{choice.name}' works through other plugins, or sees all samples of a problem together: "
                "'ray' cannot spread it. What it works through may be spread: a judge's generator can be 'ray'."
            )
        if self.options.allow_unsafe_exec and "allow_unsafe_exec" in type(wrapped).options_type.model_fields:
            wrapped = create("verifier", choice.name, {**choice.options, "allow_unsafe_exec": True})
        self._wrapped = wrapped

    @property
    def original(self) -> Verifier:
        """The verifier whose work is spread; itself where none is named yet."""
        return self._wrapped or self

    @property
    def _inner(self) -> Verifier:
        if self._wrapped is None:
            raise RecipeError("The verifier 'ray' spreads another's work: name that one as its option verifier.")
        return self._wrapped

    @property
    def needs_gold(self) -> bool:  # type: ignore[override]
        return self._inner.needs_gold

    @property
    def scores(self) -> bool:  # type: ignore[override]
        return self._inner.scores

    @property
    def fingerprint(self) -> str:
        return self._inner.fingerprint

    def check_machine(self) -> None:
        cluster.library()

    def answers(self, rationales: Sequence[Rationale]) -> list[Verdict]:
        """Find them on the cluster.

        Raises:
            PluginError: the cluster cannot be reached or has no room, or workers keep dying.
            SikedError, VerifierFault: whatever the wrapped verifier raises.
        """
        if not rationales:
            return []
        if self._workers is None:
            self._workers = Workers(self._inner, self.options, 0.0)
        size = min(LARGEST, -(-len(rationales) // self.options.workers[1]))
        found: dict[int, Verdict] = dict(self._workers.run(rationales, size))
        if len(found) != len(rationales):
            raise VerifierFault(f"{len(rationales) - len(found)} of {len(rationales)} rationales came back unjudged")
        return [found[place] for place in range(len(rationales))]

    def compare(self, answer: str, gold: str) -> Verdict:
        return self._inner.compare(answer, gold)

    def verify(self, claims: Sequence[Claim]) -> list[Verdict]:
        """As the wrapped verifier does, which asks for the answers here."""
        return type(self._inner).verify(_Elsewhere(self._inner, self.answers), claims)  # type: ignore[arg-type]

    def close(self) -> None:
        if self._workers is not None:
            self._workers.close()
        if self._wrapped is not None:
            self._wrapped.close()


class _Elsewhere:
    """Stands for a verifier, and has its answers found elsewhere."""

    def __init__(self, verifier: Verifier, answers: Callable[[Sequence[Rationale]], list[Verdict]]) -> None:
        self._verifier = verifier
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._verifier, name)


@hookimpl
def siked_verifiers() -> list[type[Verifier]]:
    return [RayVerifier]
