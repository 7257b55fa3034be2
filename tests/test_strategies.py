# ruff: noqa: E501  (one line a case)
"""What the strategies read and write: what models really write, and what must hold for any text."""

from __future__ import annotations

import ast
import keyword
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_core import Equation, Problem, Rationale, Step, Strategy, Unreadable, WorkedSolution
from siked_plugins.strategies.cot import ChainOfThought
from siked_plugins.strategies.eot import EquationOfThought
from siked_plugins.strategies.kpdd import KeyPoints
from siked_plugins.strategies.kpdd_pot import KeyPointsProgram
from siked_plugins.strategies.l2m import LeastToMost
from siked_plugins.strategies.pot import ProgramOfThoughts
from siked_plugins.strategies.socratic import Socratic

STRATEGIES: list[Strategy] = [
    ChainOfThought(),
    ProgramOfThoughts(),
    LeastToMost(),
    EquationOfThought(),
    KeyPoints(),
    KeyPointsProgram(),
    Socratic(),
]
COT, POT, L2M, EOT, KPDD, KPDD_POT, SOCRATIC = STRATEGIES
by_name = pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda strategy: strategy.name)

CLIPS = WorkedSolution(
    steps=(
        Step("How many clips did she sell in May?", "She sold 48 / 2 = 24 clips in May.", "may", "48 / 2", "24"),
        Step("How many clips did she sell altogether?", "That is 48 + 24 = 72 clips.", "total", "48 + may", "72"),
    ),
    answer="72",
)
COT_TEXT = "She sold 48 / 2 = 24 clips in May.\nThat is 48 + 24 = 72 clips.\nThe answer is 72."
POT_TEXT = "may = 48 / 2\nanswer = 48 + may"
L2M_TEXT = (
    "Q: How many clips did she sell in May?\nA: She sold 48 / 2 = 24 clips in May.\n"
    "Q: How many clips did she sell altogether?\nA: That is 48 + 24 = 72 clips.\nThe answer is 72."
)
SOCRATIC_TEXT = (
    "Q1: How many clips did she sell in May?\nQ2: How many clips did she sell altogether?\n"
    "A1: She sold 48 / 2 = 24 clips in May.\nA2: That is 48 + 24 = 72 clips.\nThe answer is 72."
)
EOT_TEXT = "may = 48 / 2\nans = 48 + may"
KEY_POINTS = "Core question: How many clips did she sell altogether?\nNeeded information: 48, 2\nSolution:\n"


def read(strategy: Strategy, text: str) -> Rationale:
    result = strategy.parse(text)
    assert isinstance(result, Rationale), result
    assert result.strategy == strategy.name
    return result


def why(strategy: Strategy, text: str) -> str:
    result = strategy.parse(text)
    assert isinstance(result, Unreadable), result
    assert "\n" not in result.why
    assert result.why.endswith(".")
    return result.why


# -- writing a known solution down ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "text", "source"),
    [
        (COT, COT_TEXT, "72"),
        (POT, POT_TEXT, POT_TEXT),
        (L2M, L2M_TEXT, "72"),
        (EOT, EOT_TEXT, EOT_TEXT),
        (KPDD, KEY_POINTS + COT_TEXT, "72"),
        (KPDD_POT, KEY_POINTS + POT_TEXT, POT_TEXT),
        (SOCRATIC, SOCRATIC_TEXT, "72"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_demonstrates_in_its_exact_form(strategy: Strategy, text: str, source: str) -> None:
    assert strategy.demonstrate(CLIPS) == text
    assert read(strategy, text).text == text
    assert read(strategy, text).answer_source == source


def test_eot_writes_the_system_where_there_is_one() -> None:
    system = (Equation("x = ans - 5", "5 less than & at first"), Equation("2x = 20"))
    text = "% 5 less than & at first\nx = ans - 5\n2x = 20"
    assert EOT.demonstrate(WorkedSolution(CLIPS.steps, "15", system)) == text
    assert read(EOT, text).answer_source == "x = ans - 5\n2x = 20"


def step(name: str, expression: str, question: str = "How many?", text: str = "It is so.") -> Step:
    return Step(question, text, name, expression, "1")


@pytest.mark.parametrize(
    ("strategy", "steps"),
    [
        (COT, ()),
        (COT, (step("a", "1", text="The answer is 5. Or so."), step("b", "2"))),
        (L2M, (step("a", "1", question=""), step("b", "2"))),
        (L2M, ()),
        (POT, ()),
        (POT, (step("two words", "1"), step("b", "2"))),
        (POT, (step("class", "1"), step("b", "2"))),
        (POT, (step("a", "1"), step("b", "c + 1"))),
        (POT, (step("a", "b + 1"), step("b", "1"))),
        (POT, (step("a", "1 +"), step("b", "1"))),
        (POT, (step("a", "__import__('os').getpid()"),)),
        (POT, (step("a", "1\nimport os"),)),
        (EOT, ()),
        (EOT, (step("a", "1"), step("a", "a + 1"), step("b", "a"))),
        (EOT, (step("ans", "1"), step("b", "ans + 1"))),
        (EOT, (step("a", "7 // 2"),)),
        (EOT, (step("a", "7 % 2"),)),
        (EOT, (step("a", "max(7, 2)"),)),
        (KPDD, ()),
        (KPDD, (step("a", "1", question=""),)),
        (KPDD, (step("a", "b + c"),)),
        (KPDD_POT, (step("a", "1 +"),)),
    ],
)
def test_demonstrates_nothing_that_it_could_not_read_back(strategy: Strategy, steps: tuple[Step, ...]) -> None:
    assert strategy.demonstrate(WorkedSolution(steps, "1")) is None


_words = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["She had 3 × 4 = 12.", "Half of it – 6 – is left.", "The answer is 5.", "Q: why?", "A: so", "", "a\r\nb", "#### 3"]
)
_names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
_numbers = st.integers(0, 9999).map(str) | st.decimals(0, 999, places=2).map(str)


@st.composite
def _solutions(draw: st.DrawFn) -> WorkedSolution:
    steps: list[Step] = []
    for _ in range(draw(st.integers(0, 4))):
        parts = _numbers | st.sampled_from([step.name for step in steps]) if steps else _numbers
        expression = draw(parts)
        for sign in draw(st.lists(st.sampled_from(["+", "-", "*", "/", "//", "%", "**"]), max_size=2)):
            expression = f"{expression} {sign} {draw(parts)}"
        value = draw(_numbers)
        sentence = draw(_words | st.just(f"That is {expression} = {value}."))
        steps.append(Step(draw(_words), sentence, draw(_names), expression, value))
    system = st.lists(st.builds(Equation, _words | st.just("2 * ans + 5 = 20"), _words), max_size=3).map(tuple)
    return WorkedSolution(tuple(steps), draw(_numbers | _words), draw(system))


@by_name
@given(solution=_solutions())
@settings(deadline=None)
def test_reads_back_exactly_what_it_demonstrates(strategy: Strategy, solution: WorkedSolution) -> None:
    text = strategy.demonstrate(solution)
    if text is not None:
        assert read(strategy, text).text == text


_sane_names = _names.filter(lambda name: name not in {"ans", "answer"} and not keyword.iskeyword(name))
_sentences = st.lists(
    st.sampled_from(["She", "buys", "12", "apples", "for", "$3.50", "+", "=", "left"]), min_size=2, max_size=9
)
_asked = _sentences.map(lambda words: f"How many {' '.join(words)}?")


@st.composite
def _sane_solutions(draw: st.DrawFn) -> WorkedSolution:
    names = draw(st.lists(_sane_names, min_size=1, max_size=5, unique=True))
    steps = []
    for number, name in enumerate(names):
        right = draw(
            _numbers.map(lambda text: text.lstrip("0") or "1") if number == 0 else st.sampled_from(names[:number])
        )
        left = draw(st.integers(1, 999))
        sign = draw(st.sampled_from("+-*/"))
        said = f"So {' '.join(draw(_sentences))}."
        steps.append(Step(draw(_asked), said, name, f"{left} {sign} {right}", "1"))
    return WorkedSolution(
        tuple(steps), draw(st.integers(-99, 9999).map(str) | st.sampled_from(["0.5", "1/2", "$8.60"]))
    )


@by_name
@given(solution=_sane_solutions())
@settings(deadline=None)
def test_demonstrates_every_ordinary_solution(strategy: Strategy, solution: WorkedSolution) -> None:
    text = strategy.demonstrate(solution)
    assert text is not None
    assert read(strategy, text).text == text
    if strategy is POT:
        ast.parse(text)


# -- reading what models write -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("5 + 3 = 8. The answer is 8.", "5 + 3 = 8.\nThe answer is 8."),
        ("Answer: 5 + 3 = 8 apples.\nSo the answer is 8 apples.", "5 + 3 = 8 apples.\nThe answer is 8 apples."),
        ("**Solution:**\n\n5 + 3 = 8.\n\n**The final answer is 8.**", "5 + 3 = 8.\nThe answer is 8."),
        ("5 + 3 = 8.\n\nAnswer: 8", "5 + 3 = 8.\nThe answer is 8."),
        ("Total = 8.\nAnswer: 8", "Total = 8.\nThe answer is 8."),
        ("5 + 3 = 8.\n### Final Answer:\n8", "5 + 3 = 8.\nThe answer is 8."),
        ("5 + 3 = 8.\n**Final answer**: **8**", "5 + 3 = 8.\nThe answer is 8."),
        ("5 + 3 = 8\n#### 8", "5 + 3 = 8\nThe answer is 8."),
        ("5 + 3 = 8\n\n$\\boxed{8}$", "5 + 3 = 8\nThe answer is 8."),
        ("Altogether 5 + 3 = \\boxed{8} apples.", "Altogether 5 + 3 = 8 apples.\nThe answer is 8."),
        ("That is half.\nThe answer is $\\boxed{\\frac{1}{2}}$.", "That is half.\nThe answer is \\frac{1}{2}."),
        ("5 + 3 = 8.\r\nThe answer is 8.\r\n", "5 + 3 = 8.\nThe answer is 8."),
        ("9 − 3 × 2 ÷ 2 = 6.\nThe answer is −6.", "9 - 3 * 2 / 2 = 6.\nThe answer is -6."),
        ("5 + 3 = 8.\nThe answer is 8.\n\nQuestion: Bo has 2.\nAnswer: 2. The answer is 2.", "5 + 3 = 8.\nThe answer is 8."),
        ("5 + 3 = 8.\nThe answer is 8. The answer is 8. The", "5 + 3 = 8.\nThe answer is 8."),
        ("5 + 3 = 8.\nThe answer is 8.<|im_end|>\n<|im_start|>user", "5 + 3 = 8.\nThe answer is 8."),
        ("```\n5 + 3 = 8.\nThe answer is 8.\n```", "5 + 3 = 8.\nThe answer is 8."),
        ("Question: How many?\nAnswer: 5 + 3 = 8.\nThe answer is 8.", "5 + 3 = 8.\nThe answer is 8."),
        ("It costs $4.50 + $4.10.\nThe answer is $8.60.", "It costs $4.50 + $4.10.\nThe answer is $8.60."),
        ("The balls are mixed.\nThe answer is Purple.", "The balls are mixed.\nThe answer is Purple."),
        ("Let x be the number.\nx = 5 + 3\nx = 8\nThe answer is 8.", "Let x be the number.\nx = 5 + 3\nx = 8\nThe answer is 8."),
    ],
)  # fmt: skip
def test_cot_reads(written: str, text: str) -> None:
    rationale = read(COT, written)
    assert rationale.text == text
    assert text.endswith(f"\nThe answer is {rationale.answer_source}.")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("Answer:", "empty"),
        ("5 + 3 = 8 apples.", "no final answer"),
        ("5 + 3 = 8.\nThe answer is .", "no final answer"),
        ("5 + 3 = 8.\n\nQuestion: Bo has 2.\nAnswer: 2. The answer is 2.", "no final answer"),
        ("The answer is 8.", "no step"),
        ("#### 8", "no step"),
        (POT_TEXT, "program"),
        (POT_TEXT + "\nThe answer is 72.", "program"),
        (f"Here is the program:\n```python\n{POT_TEXT}\n```\nThe answer is 72.", "program"),
        ("def solution():\n    return 72\n\nThe answer is 72.", "program"),
    ],
)
def test_cot_does_not_read(written: str, reason: str) -> None:
    assert reason in why(COT, written)


SOLUTION = "def solution():\n    may = 48 / 2\n    return 48 + may"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (f"```python\n{POT_TEXT}\n```", POT_TEXT),
        (f"Here is the program:\n\n```python\n{POT_TEXT}\n```\n\nIt gives 72. The answer is 72.", POT_TEXT),
        (f"```py\r\n{POT_TEXT}".replace("\n", "\r\n"), POT_TEXT),
        (f"{POT_TEXT}\n```", POT_TEXT),
        (f"Answer:\n{POT_TEXT}\n\nQuestion: Bo has 2.\nAnswer:\nanswer = 2", POT_TEXT),
        (f"Solution: Here is a program.\n{POT_TEXT}\n\nThe answer is 72.\nI hope this helps!", POT_TEXT),
        (f"# Clips\n{POT_TEXT}\n", f"# Clips\n{POT_TEXT}"),
        (f"```\nx = 1\n```\nNow the whole:\n```\n{POT_TEXT}\n```", POT_TEXT),
        ("```\nmay = 48 / 2\n```\nand then\n```\nanswer = 48 + may\n```", POT_TEXT),
        ("may = 48 ÷ 2\nanswer = 3 × (48 − may)", "may = 48 / 2\nanswer = 3 * (48 - may)"),
        (SOLUTION, SOLUTION),
        (f"{SOLUTION}\n\nprint(solution())", f"{SOLUTION}\n\nprint(solution())"),
        (f"  ```python\n  {POT_TEXT.replace(chr(10), chr(10) + '  ')}\n  ```", POT_TEXT),
        ("total = 72\nprint(total)", "total = 72\nprint(total)"),
        ("if True:\n\tanswer = 1", "if True:\n    answer = 1"),
        ("answer, rest = divmod(7, 2)", "answer, rest = divmod(7, 2)"),
        ("n = 0\nfor n in range(3):\n    answer = n", "n = 0\nfor n in range(3):\n    answer = n"),
        ("answer = sum([\n    1,\n    2,\n])", "answer = sum([\n    1,\n    2,\n])"),
    ],
)
def test_pot_reads(written: str, text: str) -> None:
    rationale = read(POT, written)
    assert rationale.text == text
    assert rationale.answer_source == text


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "empty"),
        (COT_TEXT, "no Python code"),
        (L2M_TEXT, "no Python code"),
        ("may = 48 / 2\ntotal = 48 + may", "gives no answer"),
        ("def solution():\n    answer = 5\n", "gives no answer"),
        ("def f():\n    return 5", "gives no answer"),
        ("print()", "gives no answer"),
        ("may = 48 /\nanswer = 2", "Syntax error on line 1 of the code ('may = 48 /')"),
        ("may = 48\nanswer = (may +", "Syntax error on line 2"),
        ("```python\nmay = 48\nfor x in y\n    answer = 2\n```", "Syntax error on line"),
        ("def solution():\n    total = 5\n    return total +", "Syntax error on line 3"),
        ("answer = " + "(" * 5000 + "1" + ")" * 5000, "Syntax error"),
    ],
)
def test_pot_does_not_read(written: str, reason: str) -> None:
    assert reason in why(POT, written)


def test_pot_never_executes(tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("pot") / "touched"
    read(POT, f"open({str(target)!r}, 'w')\nanswer = 1")
    assert not target.exists()


@pytest.mark.parametrize(
    "written",
    [
        f"Let's split it up.\n\n{L2M_TEXT}",
        L2M_TEXT.replace("\n", "\r\n"),
        L2M_TEXT.replace("\n", "\n\n") + "\n\nQuestion: Bo has 2 pens.\nQ: How many?\nA: 2.\nThe answer is 2.",
        L2M_TEXT.replace("\nThe answer", " The answer"),
        L2M_TEXT.replace("Q:", "**Q:**").replace("A:", "**A:**"),
        L2M_TEXT.replace("Q:", "Sub-question:").replace("A:", "Answer:"),
        L2M_TEXT.replace("Q: How many clips did she sell in", "Question 1: How many clips did she sell in")
        .replace("Q:", "Question 2:")
        .replace("The answer is", "Final answer:"),
        L2M_TEXT.replace("A: ", ""),
        L2M_TEXT.replace("24 clips", "24\nclips").replace("/", "÷"),
        f"```\n{L2M_TEXT}\n```",
        L2M_TEXT.replace("The answer is 72.", "#### 72"),
        L2M_TEXT.replace("The answer is 72.", "\\boxed{72}"),
        L2M_TEXT + "\nQ: What else?\nA: Nothing.\nThe answer is 0.",
    ],
)
def test_l2m_reads(written: str) -> None:
    rationale = read(L2M, written)
    assert rationale.text == L2M_TEXT
    assert rationale.answer_source == "72"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "empty"),
        (COT_TEXT, "no sub-question"),
        (POT_TEXT, "program"),
        ("Q: How many?\nQ: How many more?\nA: 5.\nThe answer is 5.", "Sub-question 1 has no answer"),
        ("Q:\nA: 5.\nThe answer is 5.", "Sub-question 1 has no question"),
        ("Q: How many?\nA: 5 + 3 = 8.", "no final answer"),
    ],
)
def test_l2m_does_not_read(written: str, reason: str) -> None:
    assert reason in why(L2M, written)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (f"```\n{EOT_TEXT}\n```", EOT_TEXT),
        (f"Here is the system:\n\n{EOT_TEXT}\n\nSolving it gives 72 clips.\nThe answer is 72.", EOT_TEXT),
        (f"Answer: {EOT_TEXT}\n\nQuestion: Bo has 2.\nAnswer:\nans = 2", EOT_TEXT),
        (EOT_TEXT.replace("\n", "\r\n"), EOT_TEXT),
        ("1. may = 48 ÷ 2\n2. ans = 48 + may.", EOT_TEXT),
        ("\\[\nmay &= 48 / 2 \\\\\nans &= 48 + may\n\\]", EOT_TEXT),
        ("$may = 48 / 2$\n$ans = 48 + may$", EOT_TEXT),
        ("may = 48 / 2  # half of April\nans = 48 + may", f"% half of April\n{EOT_TEXT}"),
        ("may = 48 / 2  % half of April\nans = 48 + may", f"% half of April\n{EOT_TEXT}"),
        (f"% a = comment\n{EOT_TEXT}\n% after all", f"% a = comment\n{EOT_TEXT}"),
        ("x − 5 = 20\n2ans = 3(x + 1) = y", "x - 5 = 20\n2ans = 3(x + 1) = y"),
        ("ans = 20% * 1,500", "ans = 20% * 1,500"),
        ("2x + 5 = 20", "2x + 5 = 20"),
        ("a == 20% of 50; ans = a - 1", "a = 20% of 50\nans = a - 1"),
        ("ans + 0.25 ans = $5.00", "ans + 0.25 ans = $5.00"),
    ],
)
def test_eot_reads(written: str, text: str) -> None:
    rationale = read(EOT, written)
    assert rationale.text == text
    assert rationale.answer_source == "\n".join(line for line in text.split("\n") if not line.startswith("%"))


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", "empty"),
        ("She has 48 / 2 of them.", "no equation"),
        ("The number of clips = 72", "no equation"),
        ("% ans = 5", "no equation"),
        ("a + 1\nans <= 5", "no equation"),
        ("xans + 5 = ans_x", "`ans`"),
        ("answer = 20", "`ans`"),
        (SOLUTION, "`ans`"),
    ],
)
def test_eot_does_not_read(written: str, reason: str) -> None:
    assert reason in why(EOT, written)


# -- whatever the text ---------------------------------------------------------------------------------------------

_PIECES = [
    *(COT_TEXT, POT_TEXT, L2M_TEXT, EOT_TEXT, SOLUTION, KEY_POINTS),
    *("Core question: ", "\nNeeded information:", "\n**Solution", "key question", "Information"),
    *("```", "```python\n", "\n", "\n\n", "\r\n", " ", "  ", "\t", "~~~\n", "**", "*", "#", "### ", "####", "% ", "//", "$"),
    *("Answer:", "Solution:", "Question:", "Q:", "A:", "Q1:", "Sub-question 2: ", "User:", "<|im_end|>", "</s>", "[INST]"),
    *("The answer is", "the final answer is:", "the answer is 5. ", "answer = 5", "answer: 7", "#### 8", "So ", "72", "."),
    *("\\boxed{", "\\boxed{5}", "}", "\\frac{1}{2}", "\\[", "\\)", "\\\\", "&", "1. ", "2) ", "• ", "x = 5", "2x", "(", ")"),
    *("ans", "ans = 5 ", "= ", "−", "×", "½", "'''", '"', ",", ":", "print(x)", "return x", "if x:", "e", "\x00", "\x0c", "\u2028"),
]  # fmt: skip
_messes = st.lists(st.sampled_from(_PIECES) | st.text(max_size=5), max_size=14).map("".join)


@by_name
@given(text=_messes | st.text())
@settings(deadline=None, max_examples=400)
def test_never_raises_and_reading_twice_changes_nothing(strategy: Strategy, text: str) -> None:
    first = strategy.parse(text)
    if isinstance(first, Unreadable):
        assert first.why
        assert "\n" not in first.why
    else:
        assert strategy.parse(first.text) == first


@by_name
@pytest.mark.parametrize(
    "piece",
    [
        "\\boxed{",
        "Q: a\n",
        "Q: a\nA: b\n",
        "**a",
        "#### ",
        "the answer is ",
        "```\n",
        "x = 5\n",
        "a ",
        "(",
        "1. ",
        "Answer:",
        "-",
        "Core question: a\nNeeded information: b\nSolution:\n",
        "Core question:\nInformation\n- ",
    ],
)
def test_long_runs_are_read_in_time(strategy: Strategy, piece: str) -> None:
    started = time.perf_counter()
    strategy.parse(piece * (20_000 // len(piece)))
    assert time.perf_counter() - started < 2


# -- what the teacher is asked -------------------------------------------------------------------------------------


@by_name
def test_the_teacher_sees_instruction_shots_and_question(strategy: Strategy) -> None:
    prompt = strategy.teacher_prompt(Problem("1", "Bo has {2} pens. How many?", "2"))
    assert [message.role for message in prompt.messages] == ["system", *["user", "assistant"] * 8, "user"]
    assert prompt.messages[-1].content == "Question: Bo has {2} pens. How many?"
