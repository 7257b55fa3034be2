"""What the base student has read: no problem of any split, and never a question together with its solution."""

from __future__ import annotations

import re
from itertools import islice

import pytest

from siked_plugins.pocket.corpus import KINDS, documents
from siked_plugins.pocket.sketch import Difficulty, Draw, evaluate
from siked_plugins.pocket.train_base import CORPUS_SEED
from siked_plugins.pocket.world import SPLITS, sample

ARITHMETIC = re.compile(r"\d\s*[-+*/]\s*[\w(]|\w\s[-+*/]\s\d|=")
LINE = re.compile(r"(?:\d+ [-+*/] \d+(?: [-+*/] \d+)*)(?: = [\d +*/-]+)+(?=\D*$)")


@pytest.fixture(scope="module")
def corpus() -> list[str]:
    """A stretch of the corpus that the shipped base was trained on."""
    return list(islice(documents(CORPUS_SEED), 30_000))


def test_a_document_depends_on_seed_and_index_only(corpus: list[str]) -> None:
    assert list(islice(documents(CORPUS_SEED, start=1234), 50)) == corpus[1234:1284]
    assert list(islice(documents(CORPUS_SEED + 1), 50)) != corpus[:50]


def test_no_problem_of_any_split_is_in_the_corpus(corpus: list[str]) -> None:
    text = "\n\n".join(corpus)
    for difficulty in Difficulty:
        for split in SPLITS:
            for problem in sample(1, split, 420, difficulty):
                assert problem.question not in text


def test_a_document_with_a_question_has_no_arithmetic(corpus: list[str]) -> None:
    asking = [document for document in corpus if "?" in document]
    assert len(asking) > 3000
    for document in asking:
        assert not ARITHMETIC.search(document), document


def test_questions_are_answered_by_what_the_text_says_as_it_stands(corpus: list[str]) -> None:
    """An answer holds no number that its story does not tell, in digits or in words."""
    read_back = [document for document in corpus if "?" in document and "\nA:" in document]
    assert len(read_back) > 2000
    for document in read_back:
        story = document.split("\n")[0]
        for line in document.split("\n"):
            if line.startswith("A:"):
                for number in re.findall(r"\d+", line):
                    assert re.search(rf"\b{number}\b", story) or _in_words(int(number)) in story, document


def _in_words(number: int) -> str:
    from siked_plugins.pocket.words import spoken

    return spoken(number) if number <= 99 else "(no such word)"


def test_a_story_is_followed_by_nothing_that_is_worked_out(corpus: list[str]) -> None:
    """Numbers taken down from a story are the story's own: one to a line, with no operation."""
    for document in corpus:
        story, _, rest = document.removeprefix("Q: ").partition("\n")
        if re.match(r"[A-Z][a-z]+ (has|keeps|bought|found|lost|gave|sold|made|needs|paid|is|had|makes)\b", story):
            for line in rest.split("\n"):
                assert not re.search(r"= *[\w.]+ *[-+*/]", line), document


def test_the_arithmetic_is_right(corpus: list[str]) -> None:
    checked = 0
    for document in corpus:
        for line in document.split("\n"):
            if found := LINE.match(line):
                values = {evaluate(side) for side in found[0].rstrip().split(" = ")}
                assert len(values) == 1, line
                checked += 1
    assert checked > 20_000


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_document_is_plain_text_and_varied(kind) -> None:  # type: ignore[no-untyped-def]
    drawn = {kind(Draw(f"test/{index}", Difficulty.MEDIUM)) for index in range(200)}
    assert len(drawn) > 120
    assert all(document.isascii() and document.strip() == document and document for document in drawn)
