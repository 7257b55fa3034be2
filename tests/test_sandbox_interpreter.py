"""The fast tier: what it judges is what CPython says, and whatever happens to it, every program is judged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siked_core.sandbox import Limits, Outcome, ProgramPool
from siked_core.sandbox.screen import look_at

pytest.importorskip("pydantic_monty")
DATA = Path(os.environ.get("SIKED_DATA_DIR") or Path(__file__).resolve().parents[2] / "shared" / "data")
PROGRAMS = DATA / "gsm_hard_programs_400.jsonl"
UNSAFE = sys.platform != "linux"


@pytest.fixture(scope="module")
def fast() -> Iterator[ProgramPool]:
    with ProgramPool(Limits(timeout_s=10, memory_mib=128, output_kib=16), 2, allow_unsafe=UNSAFE, fast=True) as pool:
        yield pool


@pytest.fixture(scope="module")
def caged() -> Iterator[ProgramPool]:
    with ProgramPool(Limits(timeout_s=10, memory_mib=128, output_kib=16), 2, allow_unsafe=UNSAFE) as pool:
        yield pool


def words(outcome: Outcome) -> tuple[str, str, str]:
    return outcome.status, outcome.answer, outcome.why


# Programs of the arithmetic subset, mistakes included: not every operation suits every value.

INTEGERS = st.one_of(
    st.integers(0, 30),
    st.integers(-(10**6), 10**6),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0, 1, -1, 2**53 + 1]),
).map(lambda n: f"({n})" if n < 0 else str(n))
FLOATS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-100_000, 100_000).map(lambda n: n / 100),
    st.integers(-1_000, 1_000).map(lambda n: n + 0.5),
    st.sampled_from([0.1, 2.675, 1.005, 1e16, 1e22, 5e-324, 1.7976931348623157e308]),
).map(lambda x: f"({x!r})")
TEXTS = st.text("abc 1.,'-\\\n", max_size=6).map(repr)
NAMES = st.sampled_from(["a", "b", "x", "y", "s", "v", "w", "d"])
ATOMS = st.one_of(
    NAMES, NAMES, INTEGERS, FLOATS, TEXTS, st.sampled_from(["True", "False", "None", "[]", "[1, 2.5, 3]"])
)
ONE_ARGUMENT = st.one_of(
    st.sampled_from(["abs", "int", "float", "str", "bool", "len", "round", "sum", "min", "max", "sorted", "list", "f"]),
    st.sampled_from(["tuple", "any", "all", "math.floor", "math.ceil", "math.sqrt", "math.trunc", "math.fabs"]),
)
TWO_ARGUMENTS = st.sampled_from(["min", "max", "round", "divmod", "g", "math.gcd"])
FORMATS = st.sampled_from(["", ":.2f", ":.0f", ":,", ":,.1f"])


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["+", "-", "*", "/", "//", "%", "<", "<=", "==", "!=", ">", "and", "or", "in", "not in"])
    small = st.sampled_from(["2", "3", "0", "-1", "0.5", "1.5", "-2"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
        st.builds("({} ** {})".format, inner, small),
        st.builds("({}{})".format, st.sampled_from(["-", "+", "not "]), inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("{}({})".format, ONE_ARGUMENT, inner),
        st.builds("{}({}, {})".format, TWO_ARGUMENTS, inner, inner),
        st.builds("round({}, {})".format, inner, st.sampled_from(["0", "1", "2", "-1", "None"])),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("({}, {})".format, inner, inner),
        st.builds("{{'k': {}, {}: 2}}".format, inner, inner),
        st.builds("{}[{}]".format, inner, st.sampled_from(["0", "-1", "1", "1:", ":2", "::-1", "'k'", "7"])),
        st.builds("f'{{{}{}}}'".format, NAMES, FORMATS),
        st.builds("[({}) for i in {}]".format, inner, inner),
        st.builds("sum(i * {} for i in {})".format, inner, inner),
        st.builds("sum(({}) for i in range({}))".format, inner, st.sampled_from(["3", "a", "len(v)"])),
        st.builds("max(i for i, j in zip({}, {}))".format, inner, inner),
        st.builds("{}.{}".format, inner, st.sampled_from(
            ["count(1)", "index(2)", "split()", "strip()", "get('k')", "replace('a', 'bb')", "copy()", "pop()",
             "startswith('a')", "join(['1', '2'])"])),
    )  # fmt: skip


NUMERIC = st.recursive(
    st.one_of(st.sampled_from(["a", "b", "x", "y"]), INTEGERS, FLOATS),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
        st.builds("{}({})".format, st.sampled_from(["abs", "int", "float", "round", "-", "f"]), inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max", "g"]), inner, inner),
        st.builds("round({}, {})".format, inner, st.sampled_from(["0", "1", "2", "-1"])),
        st.builds("sum([{}, {}, i * 0.1])".format, inner, inner),
        st.builds("({} if {} > {} else 1)".format, inner, inner, inner),
        st.builds("({} ** {})".format, inner, st.sampled_from(["2", "3", "0.5", "-1"])),
    ),
    max_leaves=8,
)
EXPRESSIONS = st.one_of(NUMERIC, NUMERIC, st.recursive(ATOMS, larger, max_leaves=8))
SIMPLE = st.one_of(
    st.builds("{} = {}".format, NAMES, EXPRESSIONS),
    st.builds("{} {}= {}".format, NAMES, st.sampled_from(["+", "-", "*", "//", "/", "%"]), EXPRESSIONS),
    st.builds("print({}, {})".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("print({}, end=' ')".format, EXPRESSIONS),
    st.builds("{}.append({})".format, NAMES, EXPRESSIONS),
    st.builds("v[{}] = {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("d[{}] = {}".format, EXPRESSIONS, EXPRESSIONS),
    st.builds("{}, {} = {}".format, NAMES, NAMES, EXPRESSIONS),
    st.builds("{} = {}".format, NAMES, NAMES),
)


def block(statements: list[str]) -> str:
    return "\n".join("    " + line for statement in statements for line in statement.splitlines())


BLOCKS = st.lists(SIMPLE, min_size=1, max_size=3).map(block)
STATEMENTS = st.one_of(
    SIMPLE,
    SIMPLE,
    st.builds("if {}:\n{}\nelse:\n{}".format, EXPRESSIONS, BLOCKS, BLOCKS),
    st.builds("for i in range({}):\n{}".format, st.integers(0, 5), BLOCKS),
    st.builds("for i in {}:\n{}\n    if i == 3: break".format, EXPRESSIONS, BLOCKS),
    st.builds("for i, j in enumerate({}):\n{}".format, EXPRESSIONS, BLOCKS),
    st.builds("for i, j in {}.items():\n{}".format, NAMES, BLOCKS),
    st.builds("i = 0\nwhile i < {}:\n{}\n    i += 1".format, st.integers(0, 5), BLOCKS),
)
HEAD = """\
import math
i = 7
a, b, x, y, s = {a}, {b}, {x}, {y}, {s}
v, w, d = [1, 2, 3], [a, x], {{'k': a, 2: x}}
def f(x):
    return x * 2 + a
def g(x, y=3):
    z = x - y
    return z
"""
HEADS = st.builds(lambda a, b, x, y, s: HEAD.format(a=a, b=b, x=x, y=y, s=s), INTEGERS, INTEGERS, FLOATS, FLOATS, TEXTS)
ENDS = st.one_of(
    st.builds("answer = {}".format, EXPRESSIONS),
    st.builds("def solution():\n    return {}".format, EXPRESSIONS),
    st.builds("print({})".format, EXPRESSIONS),
    st.builds("ans = {}".format, EXPRESSIONS),
    st.builds("answer = None\ndef solution():\n    print({})".format, EXPRESSIONS),
)
GENERATED = st.builds(
    lambda head, body, end: "\n".join([head, *body, end]), HEADS, st.lists(STATEMENTS, max_size=3), ENDS
)


def test_generated_programs_mean_the_same_as_in_cpython(fast: ProgramPool, caged: ProgramPool) -> None:
    served = 0

    @settings(max_examples=int(os.environ.get("SIKED_DIFFERENTIAL", "60")), deadline=None, database=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.lists(GENERATED, min_size=8, max_size=8))
    def compare(programs: list[str]) -> None:
        nonlocal served
        found = [(code, outcome) for code, outcome in zip(programs, fast.run(programs), strict=True)]
        plain = [(code, outcome) for code, outcome in found if outcome.tier == 1]
        served += len(plain)
        for (code, outcome), real in zip(plain, caged.run([code for code, _ in plain]), strict=True):
            assert words(outcome) == words(real), code

    compare()
    assert served > 100


ODD = {
    "a list that grows": "x = [1, 2]\nfor i in x:\n    if len(x) < 6: x.append(i)\nanswer = len(x)",
    "a dict that grows": "d = {1: 1}\nfor k in d:\n    d[k + 1] = 1\nanswer = len(d)",
    "equal keys": "d = {}\nd[1] = 2\nd[1.0] = 3\nd[True] = 4\nprint(d, len(d), 7)",
    "aliases": "a = [1]\nb = a\nb += [2]\nprint(a, 3)",
    "a list in itself": "x = [1, 2]\nx.append(x)\nprint(x, 3)",
    "a dict in itself": "d = {}\nd['k'] = d\nprint(d, 1)",
    "complex power": "answer = (-8) ** (1 / 3)",
    "overflow": "answer = 2.0 ** 5000",
    "infinity": "answer = 1e308 * 10",
    "huge true division": "answer = (10**30 + 1) / 10**15",
    "huge floor": "answer = -10**30 // 7",
    "smallest int by -1": "answer = (-9223372036854775807 - 1) // -1",
    "too many digits": "print(10**5000)",
    "rounding": "answer = round(2.675, 2)",
    "rounding 1.005": "answer = round(1.005, 2) + round(0.5) + round(-2.5)",
    "rounding by None": "answer = round(2.5, None)",
    "a round of its own": "def round(x, n):\n    return x * n\nanswer = round(2.675, 2)",
    "round as a variable": "round = 3\nanswer = round",
    "sum of floats": "answer = sum([0.1] * 10)",
    "sum of lists": "answer = sum([[1], [2]], [])",
    "nan and max": "answer = max(float('nan'), 1)",
    "formats": "answer = f'{0.5:.0f}{1.5:.0f}{2.5:.0f} {1234567.891:,.2f} {-0.001:.1f} {1e22:,}'",
    "quotes": "print(['it\\'s', 'a\"b'], 1)",
    "a function": "def f():\n    return 1\nanswer = f",
    "a built-in function": "answer = max",
    "a range": "answer = range(3)",
    "a function printed": "def solution():\n    return 1\nprint(solution)\nanswer = None",
    "text that looks like a function": "answer = '<function 5>'",
    "text": "answer = ' 18 apples '",
    "one in a list": "answer = [[5]]",
    "one text in a list": "answer = ['5']",
    "bool": "answer = True",
    "large int": "answer = 2**8000",
    "long text": "answer = '9' * 2001",
    "nothing": "x = 3",
    "answer, then solution": "answer = 0\ndef solution():\n    return 5",
    "None, then solution": "answer = None\ndef solution():\n    return 5",
    "None, then print": "answer = None\nprint('Total:', 9)\nprint('done')",
    "None, then ans": "answer = None\nans = 4",
    "ans or print": "ans = 9\nprint('it is', 10)",
    "answer not reached": "if False:\n    answer = 5\nprint(3)",
    "solution with arguments": "def solution(x):\n    return x",
    "local answer": "def solution():\n    answer = 5\n    return answer\nprint(6)",
    "answer in a comprehension": "x = [answer for answer in [1, 2]]\nprint(6)",
    "answer of a loop": "for answer in range(4): pass",
    "lines": "print('a 5\\x0cb')\nprint('x ' * 300 + '5')\nfor i in range(12): print('no', end='\\n')",
    "syntax": "answer = (",
    "indentation": "answer = 1\n  x = 2",
    "return outside": "return 5",
    "old print": "print 5",
    "name error": "answer = apples",
    "zero": "answer = 1 / 0",
    "deep": "def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\nanswer = f(900)",
    "too deep": "def f(n):\n    return 1 + f(n + 1)\nanswer = f(0)",
    "much memory": "x = [0] * 10**9\nanswer = 1",
    "much text": "print('x' * 20_000)",
    "very nested": "answer = " + "(" * 150 + "1" + ")" * 150,
    "many signs": "answer = " + "-" * 5_000 + "1",
    "long sum": "answer = " + "1 + " * 3_000 + "1",
    "unicode digits": "answer = int('\u0665')",
    "unicode names": "x\u00b5 = 5\nanswer = x\u03bc",
    "form feed": "answer = 5\x0c",
    "null": "answer = 5\x00",
    "surrogate": "answer = '\ud800'",
    "our own names": "siked_value = 3\nanswer = siked_value",
    "their isinstance": "def isinstance(a, b):\n    return True\nanswer = range(3)",
    "isinstance as a variable": "isinstance = 3\nanswer = 4",
    "str as a variable": "str = 3\nanswer = '4'",
    "main": "if __name__ == '__main__':\n    answer = 4",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_programs_mean_the_same_as_in_cpython(fast: ProgramPool, caged: ProgramPool, name: str) -> None:
    assert words(fast.run([ODD[name]])[0]) == words(caged.run([ODD[name]])[0])


@pytest.mark.parametrize(
    "code",
    [
        "answer = 2",
        "def solution():\n    '''Janet\u2019s ducks'''\n    eggs = 16\n    return (eggs - 3) * 2.5",
        "import math\nanswer = math.ceil(7 / 2)",
        "from math import floor\nprint(f'{floor(2.5):.2f}')",
        "total = 0\nfor name, price in {'a': 2, 'b': 3.5}.items():\n    total += price\nanswer = round(total, 1)",
        "x = [n**2 for n in range(10) if n % 2]\nx.sort(reverse=True)\nans = sum(x) // len(x)",
        "def solution() -> float:\n    return max(1, 2.5)\nprint(solution())",
        "answer = (",
    ],
)
def test_plain_programs_are_served_by_the_fast_tier(fast: ProgramPool, code: str) -> None:
    assert fast.run([code])[0].tier == 1


@pytest.mark.parametrize(
    "code",
    [
        "import random\nanswer = random.random()",
        "import datetime\nanswer = 1",
        "import os\nanswer = 1",
        "import math as m\nanswer = m.pi",
        "import math\nanswer = math.sin(1)",
        "from math import *\nanswer = 1",
        "class A:\n    pass\nanswer = 1",
        "answer = {1, 2}",
        "answer = (lambda: 1)()",
        "answer = '%d' % 5",
        "answer = '{}'.format(5)",
        "answer = hash(5)",
        "answer = 1 is 1",
        "answer = [].__class__",
        "answer = eval('1')",
        "answer = open('x')",
        "try:\n    answer = 1\nexcept ValueError:\n    pass",
        "z = zip([1], [2])\nanswer = 1",
        "g = (i for i in [1])\nanswer = sum(g)",
        "def f(*a):\n    return 1\nanswer = f()",
        "answer = f'{5!r}'",
        "def f(x=[]):\n    return 1\nanswer = f()",
        "from __future__ import annotations\nanswer = 1",
        "def f():\n    yield 1\nanswer = 1",
        "global x\nanswer = 1",
        "x: list[int] = []\nanswer = 1",
        "exit()",
        "def f():\n    return 1\nprint(f)",
        "answer = 5\x0c",
        "answer = siked_value",
    ],
)
def test_what_is_not_surely_the_same_is_not_plain(code: str) -> None:
    assert look_at(code) is None


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(max_size=200), st.text("ab(){}[]:=+-*.,'\"\n 12", max_size=120)))
def test_any_text_can_be_looked_at(code: str) -> None:
    try:
        look_at(code)
    except SyntaxError:
        with pytest.raises(SyntaxError):
            compile(code, "<program>", "exec")


def test_outcomes_are_in_order_whichever_tier_they_come_from(fast: ProgramPool) -> None:
    heads = ["", "import re\n", "import sympy\n", "1 / 0 if False else 2\n"]
    found = fast.run([f"{heads[n % 4]}answer = {n}" for n in range(80)])
    assert [one.answer for one in found] == [str(n) for n in range(80)]
    assert {one.tier for one in found} == {1, 2}


def test_programs_do_not_see_each_other(fast: ProgramPool) -> None:
    found = fast.run(["left = 5\nanswer = left", "answer = left if True else 1\nif False: left = 1"] * 10)
    assert [one.status for one in found] == ["answered", "crashed"] * 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("victim", ["helper", "interpreter"])
def test_processes_that_die_are_replaced_and_their_programs_judged(victim: str) -> None:
    slow = "x = 0\nfor i in range(100_000):\n    x += i\nanswer = x"
    with ProgramPool(Limits(timeout_s=20), workers=1, fast=True) as pool:
        assert pool.run(["answer = 1"])[0].tier == 1
        assert pool._fast is not None
        helper = pool._fast._helpers[0]._process.pid
        (interpreter,) = children(helper)
        pid = helper if victim == "helper" else interpreter
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        found = pool.run([slow] * 100)
        assert {one.answer for one in found} == {str(sum(range(100_000)))}
        assert pool.run(["answer = 1"])[0].tier == 1
        assert not running(pid)
        assert not running(interpreter)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_when_the_pool_is_closed() -> None:
    with ProgramPool(fast=True) as pool:
        pool.run(["answer = 1"] * 50)
        assert pool._fast is not None
        helpers = [helper._process.pid for helper in pool._fast._helpers]
        processes = helpers + [child for helper in helpers for child in children(helper)]
    deadline = time.monotonic() + 5
    while any(running(pid) for pid in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(running(pid) for pid in processes)
    assert pool.run(["answer = 2"])[0].answer == "2"
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_interpreter_inherits_nothing_and_has_given_things_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "s3cr3t")
    with ProgramPool(Limits(memory_mib=64), workers=1, fast=True) as pool:
        pool.run(["answer = 1"])
        assert pool._fast is not None
        helper = pool._fast._helpers[0]._process.pid
        for pid in (helper, *children(helper)):
            assert b"s3cr3t" not in Path(f"/proc/{pid}/environ").read_bytes()
            assert "NoNewPrivs:\t1" in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            assert str((64 + 512) * 2**20) in Path(f"/proc/{pid}/limits").read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", ["import", "binary", "start"])
def test_without_the_interpreter_the_cage_judges_all(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    from siked_core.sandbox import fast as module

    if fault == "import":
        monkeypatch.setitem(sys.modules, "pydantic_monty._binary", None)
    elif fault == "binary":
        monkeypatch.setattr("pydantic_monty._binary.find_monty_binary", lambda: "/bin/false")
    else:
        monkeypatch.setattr(module, "_MODULE", "no.such.module")
    with ProgramPool(allow_unsafe=UNSAFE, fast=True) as pool:
        assert [(one.answer, one.tier) for one in pool.run(["answer = 1"] * 3)] == [("1", 2)] * 3
        assert isinstance(pool.fast_layers(), str)


def test_a_pool_of_the_forked_parent_is_not_used() -> None:
    script = (
        "import os\nfrom siked_core.sandbox import ProgramPool\n"
        f"pool = ProgramPool(fast=True, allow_unsafe={UNSAFE})\nprint(pool.run(['answer = 1'])[0].answer, flush=True)\n"
        "pid = os.fork()\nprint(pool.run(['answer = 2'])[0].answer, flush=True)\npool.close()\n"
        "if pid: os.waitpid(pid, 0)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["1", "2", "2"]


@pytest.mark.skipif(not PROGRAMS.exists(), reason=f"{PROGRAMS} is not there")
def test_published_programs_give_the_same_values_in_both_tiers(fast: ProgramPool, caged: ProgramPool) -> None:
    programs = [json.loads(line)["code"] for line in PROGRAMS.read_text(encoding="utf-8").splitlines()]
    found = fast.run(programs)
    assert [words(one) for one in found] == [words(one) for one in caged.run(programs)]
    assert sum(one.tier == 1 for one in found) >= 396


def children(pid: int) -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _parent(entry) == pid]


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
