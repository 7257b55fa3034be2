"""A teacher that costs nothing: it writes down the worked solutions that came with the data.

The source is a data set's own solutions, e.g. GSM8K's human ones with their calculator marks (Cobbe et al. 2021, arXiv
2110.14168), which the data set turns into `Problem.solution`; each strategy writes them in its own form
(`Strategy.demonstrate`). What is written is verified like any teacher's samples.

A problem without a usable solution, or one that a strategy cannot write down, gets an empty completion: its verdict is
"unreadable". All draws of one prompt are the same text. Tokens are counted as words between spaces, for there is no
tokenizer here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from siked_core import Completion, Generator, Request, Sampling, hookimpl


class Annotations(Generator):
    """Writes the data's own worked solutions under each strategy: a teacher that costs nothing."""

    name = "annotations"
    reads_solution = True

    @property
    def fingerprint(self) -> str:
        return f"annotations {self.version}"

    @property
    def chunk_size(self) -> int:
        return 4096

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Write each solution down; `sampling` changes nothing, and no text is cut at its limits."""
        for index, request in enumerate(requests):
            solution, strategy = request.problem.solution, request.strategy
            text = strategy.demonstrate(solution) if solution is not None and strategy is not None else None
            yield index, Completion(text or "", "stop", words(request), len((text or "").split()))


def words(request: Request) -> int:
    """Words in a request's prompt: what stands for prompt tokens where there is no tokenizer."""
    return sum(len(message.content.split()) for message in request.prompt.messages) + len(request.prompt.prefix.split())


@hookimpl
def siked_generators() -> list[type[Generator]]:
    return [Annotations]
