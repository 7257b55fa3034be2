"""Documents of the corpus that reckon: calculations, tables, chains, comparisons, number words."""

from __future__ import annotations

from siked_plugins.pocket.sketch import Draw, evaluate, plain
from siked_plugins.pocket.words import PEOPLE, THINGS, spoken


def number(draw: Draw) -> int:
    """A number of the corpus: small ones are common."""
    return draw.between(2, draw.pick([9, 20, 20, 60, 100, 100, 999, 999, 4000]))


def calculation(draw: Draw, small: bool = True) -> str:
    """One operation, small enough to be learnt by heart; else of two or three digits."""
    sign = draw.pick("++--**/")
    if sign in "+-":
        top = draw.pick([10, 20, 50, 100, 100]) if small else draw.pick([200, 999])
        x, y = draw.between(0, top), draw.between(0, top)
        return f"{x} + {y}" if sign == "+" else f"{max(x, y)} - {min(x, y)}"
    top = draw.pick([5, 10, 12]) if small else 30
    x, y = draw.between(1, top), draw.between(1, top)
    return f"{x} * {y}" if sign == "*" else f"{x * y} / {y}"


def solved(expression: str) -> str:
    return f"{expression} = {plain(evaluate(expression))}"


def arithmetic(draw: Draw) -> str:
    """Lines of calculations, now and then in a sentence, now and then with the last result stated."""
    small = draw.chance(0.9)
    thing = draw.pick(THINGS)
    form = draw.pick(["{}", "{}", "{}.", f"{{}} {thing}.", "{}, so it is done."])
    lines = [form.replace("{}", solved(calculation(draw, small))) for _ in range(draw.between(2, 7))]
    if draw.chance(0.3):
        last = solved(calculation(draw, small))
        lines += [f"{last}.", f"The answer is {last.split(' = ')[1]}."]
    return "\n".join(lines)


def table(draw: Draw) -> str:
    """A run of a times table or of sums."""
    sign = draw.pick(["*", "*", "+", "-", "/"])
    x = draw.between(2, 12 if sign in "*/" else 60)
    start = draw.between(1, 7 if sign in "*/" else 40)
    lines = []
    for y in range(start, start + 6):
        lines.append({"*": f"{y} * {x}", "+": f"{y + x} + {x}", "-": f"{y + x} - {x}", "/": f"{y * x} / {x}"}[sign])
    return "\n".join(solved(line) for line in lines)


def chain(draw: Draw) -> str:
    """Calculations of which each starts from the result of the one before it."""
    value = draw.between(2, 60)
    lines = []
    for _ in range(draw.between(2, 4)):
        sign = draw.pick("+-*/")
        amount = draw.between(2, min(60, max(2, value - 1)))
        divisors = [n for n in range(2, 13) if value % n == 0]
        if sign == "*" and value <= 12:
            line = f"{value} * {draw.between(2, 12)}"
        elif sign == "/" and divisors:
            line = f"{value} / {draw.pick(divisors)}"
        elif sign == "-" and value > amount:
            line = f"{value} - {amount}"
        else:
            line = f"{value} + {amount}"
        lines.append(solved(line))
        value = int(evaluate(line))
    if draw.chance(0.5):
        lines = [f"{line}." for line in lines] + [f"The answer is {value}."]
    return "\n".join(lines)


def combined(draw: Draw) -> str:
    """Two calculations, and one on their results; a difference starts from the larger one."""
    first, second = calculation(draw), calculation(draw)
    x, y = int(evaluate(first)), int(evaluate(second))
    low, high = min(x, y), max(x, y)
    lines = [first, second]
    kind = draw.pick(["difference", "difference", "sum", "low", "high", "limit"])
    if kind == "difference":
        lines.append(f"{high} - {low}")
    elif kind == "sum":
        lines.append(f"{x} + {y}")
    elif kind in ("low", "high"):
        lines.append(f"{low if kind == 'low' else high} * {draw.between(2, 9)}")
    solutions = [solved(line) for line in lines]
    if kind in ("low", "high"):
        solutions[2:2] = [f"{'lower' if kind == 'low' else 'higher'}: {low if kind == 'low' else high}"]
    if kind == "limit":
        return "\n".join(
            f"{solution}, which is {'above' if value > limit else 'not above'} {limit}."
            for solution, value in zip(solutions, (x, y), strict=True)
            for limit in [max(0, value + draw.between(-9, 8))]
        )
    return "\n".join(draw.pick([solutions, [f"{line}." for line in solutions]]))


def named(draw: Draw) -> str:
    """Calculations that belong to somebody, and then whose result was which, or which was larger."""
    people = draw.some([person.name for person in PEOPLE], draw.pick([2, 2, 3]))
    lines, results = [], {}
    for name in people:
        line = calculation(draw)
        results[name] = int(evaluate(line))
        lines.append(f"{name}: {solved(line)}")
    kind = draw.pick(["again", "larger", "difference", "sum", "times"])
    asked = draw.some(people, len(people))
    if kind == "again":
        lines += [f"{name} has {results[name]}." for name in asked]
    elif kind == "larger":
        low, high = sorted(asked[:2], key=lambda name: results[name])
        if results[low] == results[high]:
            return named(draw)
        lines.append(f"{results[high]} is more than {results[low]}: {high} has more, {low} has less.")
    elif kind == "difference":
        low, high = sorted(asked[:2], key=lambda name: results[name])
        lines.append(f"{high}, {low}: {solved(f'{results[high]} - {results[low]}')}")
    elif kind == "sum":
        lines.append(f"{asked[0]}, {asked[1]}: {solved(f'{results[asked[0]]} + {results[asked[1]]}')}")
    else:
        lines.append(f"{asked[0]}: {solved(f'{results[asked[0]]} * {draw.between(2, 9)}')}")
    return "\n".join(lines)


def simplify(draw: Draw) -> str:
    """An expression worked out from left to right: "3 * 4 + 5 = 12 + 5 = 17"."""
    x, y, z = draw.between(2, 12), draw.between(2, 12), draw.between(2, 60)
    product = x * y
    text = draw.pick([f"{x} * {y} + {z} = {product} + {z}", f"{z} + {x} * {y} = {z} + {product}"])
    if draw.chance(0.4):
        a, b = draw.between(2, 50), draw.between(2, 50)
        text, product = f"{a} + {b} + {z} = {a + b} + {z}", a + b
    return f"{text} = {product + z}"


def comparison(draw: Draw) -> str:
    """Which of two numbers is larger."""
    top = draw.pick([20, 50, 100, 100, 300])
    lines = []
    for _ in range(draw.between(2, 5)):
        x = draw.between(1, top)
        y = draw.pick([n for n in {*range(max(1, x - 9), x + 10), *range(1, top)} if n != x])
        low, high = sorted((x, y))
        lines.append(
            draw.pick(
                [
                    f"{high} is more than {low}.",
                    f"{low} is less than {high}.",
                    f"{x} and {y}: {high} is more than {low}.",
                    f"{x} is {'above' if x > y else 'not above'} {y}.",
                    f"Of {x} and {y} the larger is {high} and the smaller is {low}.",
                    f"{x} and {y}, from the larger one: {high} - {low} = {high - low}.",
                ]
            )
        )
    return "\n".join(lines)


def counting(draw: Draw) -> str:
    """Counting up or down, and number words."""
    if draw.chance(0.5):
        numbers = [draw.between(0, draw.pick([20, 99])) for _ in range(draw.between(3, 8))]
        return "\n".join(draw.pick([f"{spoken(n)} is {n}", f"{n} is {spoken(n)}"]) for n in numbers)
    start, step = draw.between(0, draw.pick([20, 100, 900])), draw.pick([1, 1, 1, 2, 5, 10])
    numbers = [start + step * n for n in range(draw.between(5, 12))]
    return ", ".join(map(str, numbers if draw.chance(0.7) else reversed(numbers)))
