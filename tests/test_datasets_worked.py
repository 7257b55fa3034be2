"""Human solutions as worked solutions: arithmetic, written-out sums, names, questions, and what is refused."""

from __future__ import annotations

import ast
import keyword
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siked_core import Step, WorkedSolution
from siked_plugins.datasets.calculator import (
    NotArithmetic,
    as_text,
    evaluate,
    plain_number,
    read_expression,
    split_marks,
    stated,
    write_expression,
)
from siked_plugins.datasets.sums import find_sums
from siked_plugins.datasets.wording import ask_for, name_result
from siked_plugins.datasets.worked import Uncovered, work_out


def worked(question: str, solution: str, gold: str) -> WorkedSolution:
    result = work_out(question, solution, gold)
    assert isinstance(result, WorkedSolution), result
    return result


def compute(steps: tuple[Step, ...]) -> Fraction:
    """Compute the steps independently of the module under test, over Python's own syntax tree."""
    values: dict[str, Fraction] = {}

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int() | float() as number):
                return Fraction(str(number))
            case ast.Name(id=name):
                return values[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return value(left) + value(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return value(left) - value(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return value(left) * value(right)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return value(left) / value(right)
            case ast.BinOp(left=left, op=ast.FloorDiv(), right=right):
                return Fraction(value(left) // value(right))
        raise AssertionError(ast.dump(node))

    for step in steps:
        values[step.name] = value(ast.parse(step.expression, mode="eval").body)
    return values[steps[-1].name]


# -- arithmetic


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48/2", "24"),
        ("0.1+0.2", "0.3"),
        ("20*.01*30", "6"),
        ("3(10)", "30"),
        ("(1/2)(20)", "10"),
        ("2×3", "6"),
        ("2 x 3", "6"),
        ("6÷4", "1.5"),
        ("10−3", "7"),
        ("1,000 + 1", "1001"),
        ("007+1", "8"),
        ("-2**2", "-4"),
        ("2^10", "1024"),
        ("2**-1", "0.5"),
        ("7//2", "3"),
        ("-(3-5)", "2"),
    ],
)
def test_arithmetic_is_exact(text: str, value: str) -> None:
    assert evaluate(read_expression(text)) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1+",
        "1/0",
        "(1",
        "1)",
        "2 3",
        "x+1",
        "__import__('os')",
        "9**9**9",
        "1e5",
        "10**60",
        "(" * 60 + "1" + ")" * 60,
        "+".join(["1"] * 300),
        "0**-1",
        "2**0.5",
        "5%",
    ],
)
def test_what_is_not_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(NotArithmetic):
        evaluate(read_expression(text))


EXPRESSIONS = st.recursive(
    st.integers(0, 999).map(str) | st.decimals(0, 99, places=2).map(str),
    lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=6,
)


@given(EXPRESSIONS)
def test_reading_agrees_with_pythons_own_reading(text: str) -> None:
    try:
        expected = compute((Step("", "", "result", text, ""),))
    except ZeroDivisionError:
        with pytest.raises(NotArithmetic):
            evaluate(read_expression(text))
        return
    expression = read_expression(text)
    assert evaluate(expression) == expected
    written = write_expression(expression)
    assert evaluate(read_expression(written)) == expected
    assert compute((Step("", "", "result", written, ""),)) == expected


@given(st.fractions(-1000, 1000, max_denominator=10_000))
def test_values_are_written_as_they_are_or_to_twelve_digits(value: Fraction) -> None:
    assert abs(Fraction(as_text(value)) - value) <= abs(value) / 10**11


@pytest.mark.parametrize(("text", "plain"), [("1,080", "1080"), ("21.00", "21"), (".50", "0.5"), ("007", "7")])
def test_plain_numbers(text: str, plain: str) -> None:
    assert plain_number(text) == plain


@pytest.mark.parametrize(
    ("exact", "text", "relation"),
    [
        ("24", "24", "exact"),
        ("100/3", "33.33", "rounded"),
        ("100/3", "33", "rounded"),
        ("37.6", "37", "floored"),
        ("37.2", "38", "raised"),
        ("37", "38", "different"),
        ("0.338", "0.33", "rounded"),
        ("0.338", "0.35", "different"),
    ],
)
def test_how_a_stated_result_relates_to_the_exact_one(exact: str, text: str, relation: str) -> None:
    assert stated(Fraction(exact), text) == relation


# -- sums in text


@pytest.mark.parametrize(
    ("line", "expression", "value"),
    [
        ("She sold 48/2 = <<48/2=24>>24 clips.", "48 / 2", "24"),
        ("She sold 48/2 = 24 clips.", "48 / 2", "24"),
        ("Weng earns 12/60 = $<<12/60=0.2>>0.2 per minute.", "12 / 60", "0.2"),
        ("It costs 4 × $0.95 = $3.80.", "4 * 0.95", "3.8"),
        ("12000 flowers/unicorn * 6 unicorns = 72,000 flowers", "12000 * 6", "72000"),
        ("Working 50 minutes, she earned 0.2 x 50 = $10.", "0.2 * 50", "10"),
        ("20% of 50 is 20% of 50 = 10", "(20 / 100) * 50", "10"),
        ("That is 100% - 30% = 70%", "100 - 30", "70"),
        ("So 45 / 90 * 100% = 50%", "45 / 90 * 100", "50"),
        ("The chance is 60% * 50% = 30%", "((60 / 100) * (50 / 100)) * 100", "30"),
        ("The share is 10/20 = 50%", "(10 / 20) * 100", "50"),
        ("She needs 3 / 4 * 2 = 1 1/2 feet.", "3 / 4 * 2", "1.5"),
        ("It takes 2 + 1 1/2 = 3 1/2 feet.", "2 + 1.5", "3.5"),
        ("44(.50)=22", "44 * (0.5)", "22"),
        ("State quarters:35(2/5)=14 quarters", "35 * (2 / 5)", "14"),
        ("Billy ran 2 plus 3 equals 5 miles", "2 + 3", "5"),
        ("They drink 20 divided by 5 = 4 cups", "20 / 5", "4"),
        ("100 / 3 = <<100/3=33>>33 stickers each", "(100 / 3) // 1", "33"),
        ("40 / 30 = <<40/30=2>>2 buses", "-(-(40 / 30) // 1)", "2"),
        ("40 nickels = 40 * $0.05 = $<<40*0.05=2>>2", "40 * 0.05", "2"),
    ],
)
def test_a_sum_is_found(line: str, expression: str, value: str) -> None:
    text, marks = split_marks(line)
    sums, wrong = find_sums(text, marks)
    assert not wrong
    assert [(write_expression(found.expression), found.value) for found in sums] == [(expression, Fraction(value))]
    assert evaluate(sums[0].expression) == Fraction(value)


@pytest.mark.parametrize(
    "line",
    [
        "2 + 2 = 5 apples",
        "There are 7 = 7 days",
        "x = <<16=16>>16",
        "3w - 6 + w = 54",
        "2x = 130",
        "He leaves at 6:00+18 hours = 00:00",
        "An apple costs $3 and a pear $4.",
        "1/3 + 1/4 = 4/12 + 3/12",
    ],
)
def test_what_only_looks_like_a_sum_is_left_alone(line: str) -> None:
    text, marks = split_marks(line)
    assert find_sums(text, marks) == ([], [])


def test_a_wrong_mark_is_reported() -> None:
    text, marks = split_marks("She has 2 + 2 = <<2+2=5>>5 apples")
    sums, wrong = find_sums(text, marks)
    assert not sums
    assert "<<2+2=5>> is wrong: it comes to 4" in wrong[0].why


def test_marks_are_taken_out_and_placed() -> None:
    text, marks = split_marks("So 1+1 = <<1+1=2>>2 and 2*3 = <<2*3=6>>6.")
    assert text == "So 1+1 = 2 and 2*3 = 6."
    assert [text[mark.position :][0] for mark in marks] == ["2", "6"]


@given(st.text(alphabet="0123456789+-*/=().,$% <>abcx×½\n", max_size=80))
def test_any_text_can_be_searched(text: str) -> None:
    clean, marks = split_marks(text)
    sums, _ = find_sums(clean, marks)
    for found in sums:
        assert 0 <= found.start <= found.end <= len(clean)
        assert stated(evaluate(found.expression), as_text(found.value)) != "different"


# -- worked solutions


NATALIA = "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. How many?"
NATALIA_SOLUTION = (
    "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n"
    "Natalia sold 48+24 = <<48+24=72>>72 clips altogether in April and May.\n#### 72"
)


def test_steps_chain_by_name() -> None:
    solution = worked(NATALIA, NATALIA_SOLUTION, "72")
    assert solution.answer == "72"
    assert [(step.name, step.expression, step.value) for step in solution.steps] == [
        ("clips_may", "48 / 2", "24"),
        ("clips_april_may", "48 + clips_may", "72"),
    ]
    assert solution.steps[0].text == "Natalia sold 48/2 = 24 clips in May."
    assert solution.steps[0].question == "Natalia sold how many clips in May?"


def test_the_socratic_form_gives_the_questions() -> None:
    solution = worked("A robe takes 2 bolts.", "How many white bolts? ** It takes 2/2=<<2/2=1>>1 bolt\n#### 1", "1")
    assert solution.steps[0].question == "How many white bolts?"
    assert solution.steps[0].text == "It takes 2/2=1 bolt"


def test_lines_without_a_sum_stay_with_the_next_or_the_last_step() -> None:
    solution = worked("?", "First we count.\n3 + 4 = <<3+4=7>>7 cats\nSo there are 7 cats in all,", "7")
    assert [step.text for step in solution.steps] == ["First we count. 3 + 4 = 7 cats. So there are 7 cats in all."]


def test_a_line_with_two_sums_becomes_two_steps() -> None:
    solution = worked("Of 349, 108 and 153 go.", "349 - 108 = 241 and 241 - 153 = 88\nThere are 88 left.", "88")
    assert [(step.text, step.expression) for step in solution.steps] == [
        ("349 - 108 = 241", "349 - 108"),
        ("and 241 - 153 = 88. There are 88 left.", f"{solution.steps[0].name} - 153"),
    ]


def test_a_number_of_the_question_stays_a_number_once_the_step_was_used() -> None:
    solution = worked(
        "Ann has 6 hens and 3 dogs.", "3*2=<<3*2=6>>6 eggs\n6+1=<<6+1=7>>7 boxes\n7*6=<<7*6=42>>42 legs", "42"
    )
    assert [step.expression for step in solution.steps] == ["3 * 2", "eggs + 1", "boxes * 6"]


def test_equal_results_are_each_used() -> None:
    solution = worked(
        "12 phones less 10, 7 less 5.", "12-10=<<12-10=2>>2 Samsung\n7-5=<<7-5=2>>2 iPhone\n2+2=<<2+2=4>>4 phones", "4"
    )
    assert solution.steps[-1].expression == "samsung + iphone"


def test_a_result_can_be_used_twice_in_one_sum() -> None:
    solution = worked("Base 20, height 40.", "20*40/2=<<20*40/2=400>>400 cm\n400+400=<<400+400=800>>800 cm", "800")
    assert solution.steps[-1].expression == f"{solution.steps[0].name} + {solution.steps[0].name}"


def test_a_rounded_result_is_not_linked_where_that_would_miss_the_gold() -> None:
    lines = "100/3=<<100/3=33.33>>33.33 each\n33.33*100=<<33.33*100=3333>>3333 cents"
    solution = worked("Three share 100.", lines, "3333")
    assert compute(solution.steps) == 3333
    assert solution.steps[1].expression == "33.33 * 100"


@pytest.mark.parametrize(
    ("solution", "gold", "expression"),
    [
        ("3 / 4 = <<3/4=0.75>>0.75, which is 75 percent.", "75", "(3 / 4) * 100"),
        ("50 * 3 = <<50*3=150>>150 cents or $1.5", "1.5", "(50 * 3) / 100"),
        ("120/16 = <<120/16=7.5>>7.5 cans, so 8 cans.", "8", "-(-(120 / 16) // 1)"),
        ("120/16 = <<120/16=7.5>>7.5 cans, so 7 full cans.", "7", "(120 / 16) // 1"),
    ],
)
def test_the_last_step_is_brought_to_the_gold_answer(solution: str, gold: str, expression: str) -> None:
    steps = worked("?", solution, gold).steps
    assert steps[-1].expression == expression
    assert compute(steps) == Fraction(gold)


def test_remarks_after_the_answer_are_kept_as_words() -> None:
    lines = "2*8=<<2*8=16>>16 pens\nCheck: 16/8=<<16/8=2>>2, so she has 16 pens."
    steps = worked("She has 8 boxes of 2.", lines, "16").steps
    assert [step.expression for step in steps] == ["2 * 8"]
    assert steps[0].text.endswith("so she has 16 pens.")


@pytest.mark.parametrize(
    ("solution", "gold", "why"),
    [
        ("She has five.", "5", "no calculation is written out"),
        ("2+2=<<2+2=5>>5", "5", "the mark <<2+2=5>> is wrong"),
        ("2+2=<<2+2=4>>4 cats", "9", "the last calculation comes to 4, and the gold answer is 9"),
        ("2+2=<<2+2=4>>4 cats\nSo 9 in all.", "9", "the gold answer 9 is stated without one"),
        ("2+2=<<2/0=4>>4", "4", None),
        ("2+2=<<2/0=4>>cats", "4", "cannot be computed"),
        ("2+2=<<2+2=four>>4", "4", None),
        ("2+2=4", "Purple", "is not a plain number"),
    ],
)
def test_what_cannot_be_used_says_why(solution: str, gold: str, why: str | None) -> None:
    result = work_out("?", solution, gold)
    if why is None:
        assert isinstance(result, WorkedSolution)  # the sum that is written out stands in for the broken mark
    else:
        assert isinstance(result, Uncovered)
        assert why in result.why


@given(
    st.lists(
        st.tuples(
            st.sampled_from("+-*"), st.integers(1, 60), st.sampled_from(["clips", "in May", "", "hours for her"])
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(1, 50),
)
def test_any_chain_of_sums_comes_to_its_result(chain: list[tuple[str, int, str]], first: int) -> None:
    lines, total = [], first
    for operator, number, words in chain:
        result = {"+": total + number, "-": total - number, "*": total * number}[operator]
        lines.append(f"This is {total} {operator} {number} = <<{total}{operator}{number}={result}>>{result} {words}")
        total = result
    solution = work_out(f"Start with {first}.", "\n".join(lines), str(total))
    assert isinstance(solution, WorkedSolution)
    assert compute(solution.steps) == total
    names = [step.name for step in solution.steps]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and not keyword.iskeyword(name) for name in names)


@given(
    st.text(max_size=30),
    st.lists(st.text(alphabet="0123456789+-*/=().,$% <>abxyof½²٣\n#*", max_size=40), max_size=4),
    st.sampled_from(["5", "-3", "1/2", "1/0", "", "0.25", "9" * 5000]),
)
def test_any_text_is_worked_out_or_says_why(question: str, pieces: list[str], gold: str) -> None:
    marks = ["<<2+3=5>>5", "1/2 = <<1/2=1/0>>0.5", "7 = <<=7>>7", "<<9**99=1>>"]
    lines = "\n".join(part for pair in zip(pieces, marks, strict=False) for part in pair)
    result = work_out(question, lines, gold)
    if isinstance(result, WorkedSolution):
        assert compute(result.steps) == Fraction(gold)
    else:
        assert result.why


def test_a_number_beyond_reading_is_said() -> None:
    result = work_out("?", f"1 + 1 = {'9' * 5000}", "2")
    assert result == Uncovered("it has a number of more than 40 digits")


# -- words


@pytest.mark.parametrize(
    ("before", "after", "money", "name"),
    [
        ("Natalia sold", " clips in May.", False, "clips_may"),
        ("The total cost of the toys is", ".", True, "cost_toys_dollars"),
        ("Weng earns", " per minute.", True, "dollars_per_minute"),
        ("It is", "", False, "result"),
        ("The", " max", False, "max_count"),
        ("Il y a", " cafés", False, "cafes"),
        ("The", " class", False, "class_count"),
        ("", " 1/2 answer", False, "answer_count"),
    ],
)
def test_names_come_from_the_steps_words(before: str, after: str, money: bool, name: str) -> None:
    assert name_result(before, after, set(), money=money) == name


def test_a_taken_name_gets_a_word_or_a_number() -> None:
    assert name_result("Annika will be", " years old", {"years_old"}, money=False) == "annika_years_old"
    assert name_result("She is", " years old", {"years_old"}, money=False) == "years_old_2"


@given(st.text(max_size=60), st.text(max_size=60), st.booleans())
def test_names_are_always_usable(before: str, after: str, money: bool) -> None:
    taken: set[str] = set()
    for _ in range(3):
        name = name_result(before, after, taken, money=money)
        assert name.isascii()
        assert name.isidentifier()
        assert not keyword.iskeyword(name)
        assert name not in taken | {"answer", "ans", "sum", "print"}
        taken.add(name)


@pytest.mark.parametrize(
    ("before", "calculation", "after", "money", "question"),
    [
        ("Natalia sold", "48/2", " clips in May.", False, "Natalia sold how many clips in May?"),
        ("So Betty's grandparents gave her", "15 * 2", ".", True, "Betty's grandparents gave her how much?"),
        ("First find the number of sticks:", "15+30", " sticks", False, "What is the number of sticks?"),
        ("", "349 - 108", "", False, "What is 349 - 108?"),
        ("Working 50 minutes, she earned", "0.2 x 50", ". Good.", True, "Working 50 minutes, she earned how much?"),
    ],
)
def test_a_question_asks_for_the_sum(before: str, calculation: str, after: str, money: bool, question: str) -> None:
    assert ask_for(before, calculation, after, money=money) == question
