"""What every strategy must do."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from siked_core.bank import Shot
from siked_core.contracts import Strategy
from siked_core.errors import PluginError, SandboxError
from siked_core.records import Claim, Equation, Problem, Prompt, Rationale, Status, Step, Unreadable, WorkedSolution
from siked_core.stages.turns import MOST_TURNS
from siked_core.testing.contracts.contract import Broken, Contract, described, shown
from siked_core.testing.contracts.nasty import NASTY, spoilt
from siked_core.testing.contracts.sample import pocket_sample, shots_of

CPU_S = 2.0
"""For one text of at most some ten thousand characters; a reader that is linear takes a hundredth of it."""
ODD_SOLUTIONS = (
    WorkedSolution((), "5"),
    WorkedSolution((Step("", "", "", "", ""),), ""),
    WorkedSolution((Step("How | many?\nOr not?", "It is\n5 | 6.", "two words", "2 +", "five"),), "five"),
    WorkedSolution((Step("How many?", "The answer is 5. Or so.", "class", "__import__('os')", "5"),), "5"),
    WorkedSolution((Step("How many?", "So 5.", "a", "b + 1", "5"), Step("And?", "6.", "a", "a + 1", "6")), "6"),
    WorkedSolution((Step("How many?", "So 5.", "ans", "ans", "5"),), "5", (Equation("ans = ("), Equation("", "%"))),
)
"""Solutions that cannot well be written down: None is the answer to most."""


class StrategyContract(Contract):
    """Reads what it writes, says why it cannot read the rest, and asks the same question the same way."""

    plugin: type[Strategy]
    more_texts: Sequence[str] = ()
    """Further completions to be read without an exception."""

    def test_its_worked_examples_are_read_as_they_stand(self) -> None:
        """`parse` reads each worked example of its bank, and leaves it as it is: they are in the form that it keeps."""
        strategy = self.made()
        shots = self._shots(strategy)
        if not shots:
            self.skip("it has no worked examples")
        for shot in shots:
            read = self._read(strategy, shot.completion)
            if not isinstance(read, Rationale):
                raise Broken(
                    f"the example {shown(shot.question)} cannot be read: {getattr(read, 'why', shown(read))}",
                    "Write the example in the form that parse reads, or let parse read it.",
                )
            self.check(
                read.text == shot.completion,
                f"the example {shown(shot.completion)} became {shown(read.text)}",
                "Write the example as parse returns it: a teacher copies what it is shown.",
            )

    def test_its_worked_examples_have_their_gold_answers(self) -> None:
        """The verifier that it names judges every worked example to be correct."""
        strategy = self.made()
        claims = []
        for number, shot in enumerate(self._shots(strategy)):
            read = self._read(strategy, shot.completion)
            if isinstance(read, Rationale):
                claims.append(Claim(Problem(str(number), shot.question, shot.answer), read))
        self._all_correct(strategy, claims, "Mend the example's completion or its answer.")

    def test_its_verifier_exists(self) -> None:
        """`verifier` names a verifier that is installed: it judges the strategy unless a recipe names another."""
        named = getattr(self.plugin, "verifier", None)
        names = self.plugins.names("verifier")
        self.check(
            named in names,
            f"it names {named!r}, which is not among {', '.join(names)}",
            "Name one of these, or let your package depend on the one that offers it.",
        )

    def test_no_text_makes_it_raise(self) -> None:
        """`parse` returns a Rationale or an Unreadable for any text whatever, soon: what a model wrote is data."""
        strategy = self.made()
        for text in self._texts(strategy):
            started = time.thread_time()
            read = self._read(strategy, text)
            took = time.thread_time() - started
            self.check(
                took < CPU_S,
                f"reading {len(text):,} characters took {took:.1f} s: {shown(text)}",
                "Look for a pattern that can match one text in many ways, or for a loop in a loop over the text.",
            )
            if isinstance(read, Unreadable):
                self.check(
                    bool(read.why.strip()) and "\n" not in read.why,
                    f"it says {shown(read.why)} of {shown(text)}",
                    "Give Unreadable one line that says why.",
                )
                continue
            self.check(
                isinstance(read, Rationale),
                f"it returned {shown(read)} for {shown(text)}",
                "Return siked_core.Rationale, or siked_core.Unreadable with a reason.",
            )
            self.check(
                read.strategy == strategy.name and bool(read.text.strip()),
                f"it returned {shown(read)} for {shown(text)}",
                "A Rationale has the strategy's own name and a text to be trained on.",
            )

    def test_what_it_has_read_is_read_again_as_it_is(self) -> None:
        """`parse` of a rationale's text gives the same rationale: the student is trained to write that text."""
        strategy = self.made()
        for text in self._texts(strategy):
            read = self._read(strategy, text)
            if not isinstance(read, Rationale):
                continue
            again = self._read(strategy, read.text)
            self.check(
                again == read,
                f"{shown(text)} was read as {shown(read)}, and that as {shown(again)}",
                "Bring a text into one form that parse leaves alone.",
            )

    def test_prompts_are_the_same_for_the_same_problem(self) -> None:
        """`teacher_prompt` and `student_question` depend on problem and options alone, have the question in them, and
        not the gold answer."""
        one, other = self.made(), self.made()
        for problem in (
            *(Problem(one_.id, one_.question, "314159265") for one_ in pocket_sample(3, self.registry)),
            Problem("odd", 'Is {question} or {answer} "more" than 50 %?\nWhy?', "314159265"),
        ):
            prompt = self.tried(
                f"teacher_prompt for {shown(problem.question)}",
                lambda problem=problem: one.teacher_prompt(problem),  # type: ignore[misc]
                "Put the question in with str.replace: what it holds in braces is text.",
            )
            self.check(
                prompt == one.teacher_prompt(problem) == other.teacher_prompt(problem),
                f"two prompts for {shown(problem.question)} differ",
                "Draw no random numbers and read no clock: a sample is kept under its prompt.",
            )
            self.check(
                bool(prompt.messages) and prompt.messages[-1].role == "user",
                f"the last message is {shown(prompt.messages[-1:])}",
                "End with the user's turn: the question.",
            )
            self.check(
                problem.question.strip() in prompt.messages[-1].content
                and problem.question.strip() in one.student_question(problem),
                f"the question {shown(problem.question)} is not whole in what is asked",
                "Ask the question as it stands.",
            )
            self.check(
                one.student_question(problem) == other.student_question(problem),
                f"two student_questions for {shown(problem.question)} differ",
                "Draw no random numbers and read no clock.",
            )
            told = " ".join(message.content for message in prompt.messages) + one.student_question(problem)
            self.check(
                problem.answer not in told,
                "the gold answer is in the prompt",
                "Use Problem.question only: a gold answer must not be given away.",
            )

    def test_its_turns_end_whatever_is_written(self) -> None:
        """Where a teacher writes in several turns, `next_prompt` ends within 16 for any texts, asks the same for the
        same texts and tells no gold answer; `joined` makes one text of the turns, which `parse` reads or says why."""
        strategy, other = self.made(), self.made()
        self.check(
            isinstance(strategy.turns, str) and strategy.turns == other.turns,
            f"its turns are {shown(strategy.turns)}, and {shown(other.turns)} when it is made again",
            "Return a short text, as a hash of the options and texts that decide what is asked; '' for one turn.",
        )
        if not strategy.turns:
            return
        problem = Problem("odd", 'Is {question} or {answer} "more" than 50 %?\nWhy?', "314159265")
        told = [one.content for one in strategy.teacher_prompt(problem).messages if one.role == "assistant"]
        for first in (*told, *NASTY, *spoilt(told[:2])):
            for reply in ("So it is 5.", "", first):
                written = [first]
                while (prompt := self._asked(strategy, problem, written)) is not None:
                    self.check(
                        len(written) < MOST_TURNS,
                        f"after {len(written)} turns it asks again, of {shown(first)} and then {shown(reply)}",
                        "Return None when all is answered, an answer is blank, or there are too many: written[0] may "
                        "ask for anything.",
                    )
                    self.check(
                        prompt == self._asked(other, problem, written),
                        f"two prompts after {shown(written)} differ",
                        "Draw no random numbers, read no clock, and keep nothing between turns.",
                    )
                    self.check(
                        bool(prompt.messages) and prompt.messages[-1].role == "user",
                        f"the last message is {shown(prompt.messages[-1:])}",
                        "End with the user's turn: what is asked.",
                    )
                    self.check(
                        not any(problem.answer in message.content for message in prompt.messages),
                        "the gold answer is in a prompt",
                        "Use Problem.question only: a gold answer must not be given away.",
                    )
                    self._whole(strategy, written)  # it may be cut off after any turn
                    written.append(reply)
                self._whole(strategy, written)

    def test_what_it_demonstrates_is_read_back_and_right(self) -> None:
        """What `demonstrate` writes is read by `parse` as it stands, and judged correct; what cannot be written is
        None."""
        strategy = self.made()
        claims = []
        for problem in pocket_sample(16, self.registry):
            assert problem.solution is not None
            written = self._demonstrated(strategy, problem.solution)
            if written is None:
                continue
            claims.append(Claim(problem, written))
        for solution in ODD_SOLUTIONS:
            self._demonstrated(strategy, solution)
        if not claims:
            self.skip("it demonstrates no solution of the pocket sample: free teachers cannot use it")
        self._all_correct(strategy, claims, "Let demonstrate write the solution's own answer.")

    # What these use

    def _shots(self, strategy: Strategy) -> tuple[Shot, ...]:
        return self.tried(
            "reading its bank",
            lambda: shots_of(strategy),
            'Write a bank, and name it: bank_path = Path(__file__).with_name("bank.yaml"). What it holds is in '
            "siked_core/bank.py.",
        )

    def _read(self, strategy: Strategy, text: str) -> Rationale | Unreadable:
        try:
            return strategy.parse(text)
        except Exception as error:
            raise Broken(
                f"parse of {shown(text)} raised {described(error)}",
                "Return Unreadable with a reason instead: a text that cannot be read is data, not an error.",
            ) from error

    def _asked(self, strategy: Strategy, problem: Problem, written: Sequence[str]) -> Prompt | None:
        return self.tried(
            f"next_prompt after {shown(written)}",
            lambda: strategy.next_prompt(problem, tuple(written)),
            "Return None where what was written leaves nothing to ask.",
        )

    def _whole(self, strategy: Strategy, written: Sequence[str]) -> None:
        text = self.tried(
            f"joined of {shown(written)}",
            lambda: strategy.joined(tuple(written)),
            "Return what was written as it is where it does not fit together: parse says why.",
        )
        self.check(isinstance(text, str), f"joined returned {shown(text)}", "Return one text.")
        self._read(strategy, text)

    def _texts(self, strategy: Strategy) -> Iterator[str]:
        good = [shot.completion for shot in self._shots(strategy)]
        good += [
            text
            for problem in pocket_sample(4, self.registry)
            if problem.solution and (text := strategy.demonstrate(problem.solution))
        ]
        yield from (*good, *NASTY, *spoilt(good), *self.more_texts)

    def _demonstrated(self, strategy: Strategy, solution: WorkedSolution) -> Rationale | None:
        text = self.tried(
            f"demonstrate of {shown(solution)}",
            lambda: strategy.demonstrate(solution),
            "Return None for a solution that cannot be written under this strategy.",
        )
        if text is None:
            return None
        read = self._read(strategy, text)
        if not isinstance(read, Rationale) or read.text != text:
            raise Broken(
                f"it wrote {shown(text)}, which parse reads as {shown(read)}",
                "Parse the text before it is returned, and return None where it is not read as it stands.",
            )
        return read

    def _all_correct(self, strategy: Strategy, claims: Sequence[Claim], mend: str) -> None:
        try:
            verifier = self.plugins.create("verifier", strategy.verifier)
        except PluginError as error:
            self.skip(str(error))
        try:
            verifier.bind({}, self.plugins.create)
            verdicts = verifier.verify(claims)
        except SandboxError as error:
            self.skip(str(error))
        except Exception as error:
            raise Broken(
                f"the verifier '{verifier.name}' raised {described(error)}", "Look at the verifier."
            ) from error
        finally:
            verifier.close()
        for claim, verdict in zip(claims, verdicts, strict=True):
            if verdict.status is Status.UNDECIDED:
                continue
            self.check(
                verdict.correct,
                f"{shown(claim.rationale.text)} is {verdict.status.value} for the gold answer "
                f"{shown(claim.problem.answer)}: {shown(verdict.why or verdict.answer, plain=True)}",
                mend,
            )
