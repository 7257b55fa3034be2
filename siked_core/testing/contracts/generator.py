"""What every generator must do."""

from __future__ import annotations

import math
from collections.abc import Sequence

from siked_core.contracts import Generator, Request, Strategy
from siked_core.errors import SikedError
from siked_core.keys import digest
from siked_core.records import Completion, Sampling
from siked_core.testing.contracts.contract import Contract, shown
from siked_core.testing.contracts.sample import pocket_sample, ready_strategies

REASONS = ("stop", "length", "refused")


class GeneratorContract(Contract):
    """Answers every request, and the same one in the same way."""

    plugin: type[Generator]
    repeats: bool = True
    """Whether a request that is made again gets the same answer; False for a server that cannot promise so."""
    sampling: Sampling = Sampling(temperature=0.7, max_tokens=24)

    def requests(self) -> list[Request]:
        """What it is asked for: the pocket sample under a strategy that can be demonstrated, two draws each."""
        strategy = self._strategy()
        return [
            Request(
                problem,
                strategy,
                strategy.teacher_prompt(problem),
                draw,
                int(digest([problem.id, draw])[:12], 16),
            )
            for problem in pocket_sample(3, self.registry)
            for draw in range(2)
        ]

    def test_every_request_is_answered_once(self) -> None:
        """`generate` yields each request's index once, in any order, with a Completion that has a text, a reason for
        its end, and numbers of tokens."""
        requests = self.requests()
        found = self._generated(self._ready(), requests)
        self.check(
            sorted(place for place, _ in found) == list(range(len(requests))),
            f"for {len(requests)} requests the indices were {shown([place for place, _ in found])}",
            "Yield (index, completion) once for every request, the index being its place in `requests`.",
        )
        for _, completion in found:
            self.check(
                isinstance(completion, Completion) and isinstance(completion.text, str),
                f"it yielded {shown(completion)}",
                "Yield a siked_core.Completion with the text that was written.",
            )
            self.check(
                completion.finish_reason in REASONS,
                f"the finish_reason is {shown(completion.finish_reason)}",
                'It is "stop", or "length" where the text was cut off, or "refused".',
            )
            self.check(
                completion.prompt_tokens >= 0 and completion.completion_tokens >= 0,
                f"the tokens are {completion.prompt_tokens} and {completion.completion_tokens}",
                "Count tokens, or words where there is no tokenizer: they are what a run is reckoned by.",
            )
            known = completion.logprob
            self.check(
                known is None or (math.isfinite(known) and known <= 1e-6),
                f"the logprob is {shown(known)}",
                "It is the sum of the tokens' log-probabilities, 0 or less; None where that is not known.",
            )

    def test_no_request_is_no_completion(self) -> None:
        """Of no request it makes nothing, and does not raise."""
        found = self._generated(self._ready(), [])
        self.check(not found, f"it yielded {shown(found)}", "Yield one completion for each request.")

    def test_the_same_seed_writes_the_same(self) -> None:
        """The same request, with the same seed, gets the same text from another generator with the same options, so
        that a resumed run equals an unbroken one."""
        if not self.repeats:
            self.skip("it does not promise to")
        requests = self.requests()
        one, other = dict(self._generated(self._ready(), requests)), dict(self._generated(self._ready(), requests))
        for place, completion in one.items():
            self.check(
                other.get(place) == completion,
                f"request {place} was answered {shown(completion)} and then {shown(other.get(place))}",
                "Seed what is drawn for a request with request.seed, and nothing else.",
            )

    def test_other_requests_do_not_sway_a_completion(self) -> None:
        """A request is answered alike whatever else is asked with it, unless the generator says `batch_sensitive`."""
        if not self.repeats or self.plugin.batch_sensitive:
            self.skip("it says that what else is in a batch sways a completion")
        requests = self.requests()
        generator = self._ready()
        whole = dict(self._generated(generator, requests))
        for place in (0, len(requests) - 1):
            alone = dict(self._generated(generator, [requests[place]]))[0]
            self.check(
                alone == whole[place],
                f"request {place} was answered {shown(whole[place])} among others and {shown(alone)} alone",
                "Seed each request by itself, or set batch_sensitive = True.",
            )

    def test_its_fingerprint_says_what_it_writes_with(self) -> None:
        """`fingerprint` is a text, the same for the same options: samples are kept under it."""
        one, other = self._ready().fingerprint, self._ready().fingerprint
        self.check(isinstance(one, str) and bool(one), f"it is {shown(one)}", "Name model and options in a short text.")
        self.check(one == other, f"it was {shown(one)} and then {shown(other)}", "Leave out what changes by itself.")

    def test_it_says_what_it_takes_at_once(self) -> None:
        """`chunk_size` is a number of 1 or more, and `rendered` gives the text that the model reads, or None."""
        generator = self._ready()
        self.check(
            isinstance(generator.chunk_size, int) and generator.chunk_size >= 1,
            f"its chunk_size is {shown(generator.chunk_size)}",
            "Return how many requests are best handed over at once.",
        )
        prompt = self.requests()[0].prompt
        text = self.tried("rendered", lambda: generator.rendered(prompt), "Return None where it is not known.")
        self.check(
            text is None or (isinstance(text, str) and text == generator.rendered(prompt)),
            f"rendered gave {shown(text)}",
            "Return the same text for the same prompt, or None.",
        )

    # What these use

    def _ready(self) -> Generator:
        """The generator, unless this machine lacks what it works with."""
        generator: Generator = self.made()
        try:
            generator.check_machine()
        except SikedError as lacking:
            self.skip(str(lacking))
        return generator

    def _strategy(self) -> Strategy:
        solution = pocket_sample(1, self.registry)[0].solution
        for strategy in ready_strategies(self.registry).values():
            if solution is not None and strategy.demonstrate(solution) is not None:
                return strategy
        return self.skip("no strategy is installed that can demonstrate a solution")

    def _generated(self, generator: Generator, requests: Sequence[Request]) -> list[tuple[int, Completion]]:
        return list(generator.generate(requests, self.sampling))
