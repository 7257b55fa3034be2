"""What every data set must do."""

from __future__ import annotations

from siked_core.contracts import Dataset
from siked_core.numbers import same_answer
from siked_core.records import Excluded, Loaded, Problem
from siked_core.testing.contracts.contract import Contract, shown

SPLITS = ("train", "validation", "test")
FEW = 5


class DatasetContract(Contract):
    """The same problems every time, each with an id of its own, and a reason for what is left out."""

    plugin: type[Dataset]

    def test_it_names_its_splits(self) -> None:
        """`splits` names one or more of train, validation and test, each once."""
        splits = self.made().splits()
        self.check(
            len(splits) > 0 and len(set(splits)) == len(splits) and set(splits) <= set(SPLITS),
            f"it names {shown(splits)}",
            "Return a tuple of those among 'train', 'validation' and 'test' that there are; siked holds a validation "
            "split out of train where there is none.",
        )

    def test_problems_have_questions_answers_and_ids_of_their_own(self) -> None:
        """Every problem has an id that no other of its split has, a question and a gold answer as texts; what cannot
        be used is Excluded with a reason."""
        data = self.made()
        for split in data.splits():
            loaded = data.load(split)
            self.check(
                isinstance(loaded, Loaded) and all(isinstance(one, Problem) for one in loaded.problems),
                f"{split}: it returned {shown(loaded)}",
                "Return siked_core.Loaded(problems, excluded).",
            )
            self.check(bool(loaded.problems), f"{split}: there is no problem", "Name only splits that hold problems.")
            ids = [problem.id for problem in loaded.problems]
            twice = next((one for one in ids if ids.count(one) > 1), None) if len(set(ids)) < len(ids) else None
            self.check(
                twice is None and all(isinstance(one, str) and one.strip() for one in ids),
                f"{split}: the id {shown(twice)} is there more than once, or one is blank",
                "Number the rows of the file, or take an id from it: samples are kept under it.",
            )
            for problem in loaded.problems:
                self.check(
                    isinstance(problem.question, str) and bool(problem.question.strip()),
                    f"{split}: the question of {shown(problem.id)} is {shown(problem.question)}",
                    "Leave a problem without a question out, as Excluded.",
                )
                self.check(
                    isinstance(problem.answer, str),
                    f"{split}: the answer of {shown(problem.id)} is {shown(problem.answer)}",
                    "A gold answer is a text, also where it is a number; empty where none is known.",
                )
            for left_out in loaded.excluded:
                self.check(
                    isinstance(left_out, Excluded) and bool(left_out.why.strip()),
                    f"{split}: {shown(left_out)} has no reason",
                    "Say in Excluded.why why the problem cannot be used.",
                )

    def test_a_limit_takes_the_first(self) -> None:
        """`load(split, limit)` gives the first `limit` usable problems of the split, as they are without a limit."""
        data = self.made()
        for split in data.splits():
            whole, some = data.load(split).problems, data.load(split, limit=FEW).problems
            self.check(
                len(some) == min(FEW, len(whole)) and tuple(some) == tuple(whole[: len(some)]),
                f"{split}: with a limit of {FEW} the ids are {shown([one.id for one in some])}, without one "
                f"{shown([one.id for one in whole[:FEW]])}",
                "Stop when so many usable problems have been read, and do not shuffle.",
            )

    def test_the_same_problems_come_every_time(self) -> None:
        """Two data sets with the same options hold the same problems in the same order."""
        one, other = self.made(), self.made()
        for split in one.splits():
            self.check(
                one.load(split) == other.load(split),
                f"{split}: two readings differ",
                "Seed what is made up, and sort what a folder or a set gives.",
            )

    def test_completing_adds_solutions_only(self) -> None:
        """`complete` returns the same problems in the same order, with at most their solutions added; a solution comes
        to the gold answer."""
        data = self.made()
        for split in data.splits():
            given = data.load(split, limit=FEW).problems
            completed = self.tried("complete", lambda given=given: data.complete(given), "Leave a problem as it is.")  # type: ignore[misc]
            self.check(
                [(one.id, one.question, one.answer) for one in completed]
                == [(one.id, one.question, one.answer) for one in given],
                f"{split}: other problems came back than were given",
                "Return one problem for each, in order, changed by dataclasses.replace(problem, solution=...).",
            )
            for problem in completed:
                answer = problem.solution.answer if problem.solution is not None else problem.answer
                self.check(
                    same_answer(answer, problem.answer) or answer == problem.answer,
                    f"{split}: {shown(problem.id)} is solved with {shown(answer)}, not {shown(problem.answer)}",
                    "Leave a solution out that does not come to the gold answer.",
                )
