"""The cage: what it reads as an answer, what it stops, and how it recovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siked_core.errors import SandboxError
from siked_core.sandbox import Limits, Outcome, ProgramPool, seccomp
from siked_core.sandbox.client import Helper
from siked_core.sandbox.report import read_report

linux = pytest.mark.skipif(sys.platform != "linux", reason="the cage is Linux's")


@pytest.fixture(scope="module")
def pool() -> Iterator[ProgramPool]:
    limits = Limits(timeout_s=2, memory_mib=128, output_kib=16)
    with ProgramPool(limits, workers=2, allow_unsafe=sys.platform != "linux") as pool:
        yield pool


def outcome(pool: ProgramPool, code: str) -> Outcome:
    return pool.run([code])[0]


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("answer = 2", "2"),
        ("answer = 0.1 + 0.2", "0.30000000000000004"),
        ("answer = -0.0", "-0.0"),
        ("answer = 2**200", str(2**200)),
        ("from fractions import Fraction\nanswer = Fraction(1, 3)", "1/3"),
        ("from fractions import Fraction\nanswer = Fraction(6, 3)", "2"),
        ("from decimal import Decimal\nanswer = Decimal('1.50')", "1.50"),
        ("answer = ' 18 apples '", "18 apples"),
        ("answer = [3]", "3"),
        ("answer = {'x': (3,)}", "3"),
        ("def solution():\n    return 7", "7"),
        ("def solution():\n    return 7\nanswer = 8\nprint(9)", "8"),
        ("def solution():\n    return 7\nprint(9)", "7"),
        ("answer = None\nprint('Total:', 9)\nprint('done')", "Total: 9"),
        ("ans = 9", "9"),
        ("ans = 9\nprint('it is', 10)", "it is 10"),
        ("import math, datetime, statistics\nanswer = statistics.mean([math.floor(2.5), 4])", "3"),
        ("import datetime\nanswer = (datetime.datetime.strptime('2020-03-01', '%Y-%m-%d')).day", "1"),
        ("if __name__ == '__main__':\n    answer = 4", "4"),
        ("import sys\nanswer = 5\nsys.exit()", "5"),
        ("class N(int):\n    def __str__(self): return '9'\n    __repr__ = __str__\nanswer = N(3)", "3"),
        ("class F(float):\n    def __repr__(self): return '42'\nanswer = F(1)", "1.0"),
        ("class S(str):\n    def strip(self): return '42'\n    __str__ = strip\nanswer = S('3')", "3"),
        ("import enum\nclass E(enum.IntEnum):\n    A = 3\nanswer = E.A", "3"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    n: int\nanswer = P(3).n", "3"),
    ],
)
def test_reads_the_answer(pool: ProgramPool, code: str, answer: str) -> None:
    assert (outcome(pool, code).status, outcome(pool, code).answer) == ("answered", answer)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("answer = sympy.Rational(7, 2)", "7/2"),
        ("answer = sympy.solve(sympy.Symbol('x') * 2 - 7)", "7/2"),
        ("answer = sympy.Float('0.5')", "0.50000000000000000"),
        ("answer = sympy.sqrt(2)", "1.41421356237309504880168872421"),
        ("x, y = sympy.symbols('x y')\nanswer = sympy.solve([x + y - 3, x - y - 1])[x]", "2"),
        ("x = sympy.Symbol('x')\nanswer = sympy.solveset(x - 3, x)", "3"),
        ("x = sympy.Symbol('x')\nanswer = sympy.integrate(x, (x, 0, 2))", "2"),
        ("n = sympy.Symbol('n', integer=True)\nanswer = sympy.summation(n**2, (n, 1, 10))", "385"),
        ("x = sympy.Symbol('x')\nanswer = sympy.solve(sympy.Eq(sympy.exp(x), 1), x)", "0"),
        ("x = sympy.Symbol('x')\nanswer = sympy.nsolve(x**2 - 4, x, 1)", "2.0000000000000000"),
        ("from sympy.parsing.sympy_parser import parse_expr\nanswer = parse_expr('3/2 + 1')", "5/2"),
        ("answer = max(sympy.diophantine(sympy.sympify('3*x - 3')))", "1"),
    ],
)
def test_reads_sympy_answers(pool: ProgramPool, code: str, answer: str) -> None:
    found = outcome(pool, "import sympy\n" + code)
    assert (found.status, found.answer) == ("answered", answer), found


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("", "no_answer", "neither"),
        ("x = 3", "no_answer", "neither"),
        ("answer = True", "no_answer", "bool"),
        ("answer = float('nan')", "no_answer", "not finite"),
        ("answer = -float('inf')", "no_answer", "not finite"),
        ("from decimal import Decimal\nanswer = Decimal('NaN')", "no_answer", "not finite"),
        ("answer = 3 + 0j", "no_answer", "complex"),
        ("answer = [3, 4]", "no_answer", "2 values"),
        ("answer = object()", "no_answer", "object"),
        ("answer = ' '", "no_answer", "empty"),
        ("import sympy\nanswer = sympy.Symbol('x')", "no_answer", "expression"),
        ("import sympy\nanswer = sympy.I", "no_answer", "real"),
        ("import sympy\nanswer = sympy.oo", "no_answer", "real"),
        ("1 / 0", "crashed", "ZeroDivisionError"),
        ("answer = (", "crashed", "SyntaxError"),
        ("def f(): return f()\nf()", "crashed", "RecursionError"),
        ("import sys\nsys.exit('no')", "crashed", "exit code no"),
        ("import os\nos._exit(0)", "crashed", "ended itself"),
        ("input()", "crashed", "EOFError"),
        ("answer = 10**5000", "too_large", "bits"),
        ("answer = '9' * 10**5", "too_large", "characters"),
        ("while True: print('x' * 1000)", "too_large", "printed"),
        ("x = 1\n" * 200_000, "too_large", "characters"),
        ("while True: pass", "timeout", "2 s"),
        ("import time\ntime.sleep(100)", "timeout", "2 s"),
    ],
)
def test_says_why_there_is_none(pool: ProgramPool, code: str, status: str, why: str) -> None:
    found = outcome(pool, code)
    assert (found.status, found.answer) == (status, "")
    assert why in found.why
    assert "\n" not in found.why


def test_outcomes_are_in_order(pool: ProgramPool) -> None:
    programs = [f"{'import sympy' if n % 7 == 0 else ''}\nanswer = {n}" for n in range(60)]
    assert [found.answer for found in pool.run(programs)] == [str(n) for n in range(60)]


def test_chance_is_the_same_in_every_run(pool: ProgramPool) -> None:
    code = "import random\nanswer = random.random()"
    assert len({found.answer for found in pool.run([code] * 4)}) == 1


def test_programs_do_not_see_each_other(pool: ProgramPool) -> None:
    spoil = (
        "import builtins, math, sys\nmath.pi = 3\nbuiltins.len = lambda _: 7\nsys.modules['math'] = None\nanswer = 1"
    )
    check = "import math\nanswer = len('ab') + math.pi"
    assert [found.answer for found in pool.run([spoil, check, spoil, check])][1::2] == ["5.141592653589793"] * 2


DEEP = """
import sys
frame = sys._getframe()
while not ("self" in frame.f_locals and hasattr(frame.f_locals["self"], "_cage")):
    frame = frame.f_back
server = frame.f_locals["self"]
libc = server._cage._libc
ctypes = sys.modules["ctypes"] = __import__("gc") and frame.f_globals["Cage"].enclose.__globals__["ctypes"]
"""
"""A program that has found our own handle on the C library: from here on only the kernel protects."""


@linux
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("open", "libc.open(b'/etc/passwd', 0)"),
        ("open_root", "libc.open(b'/', 0)"),
        ("creat", "libc.creat(b'/tmp/siked_was_here', 0o600)"),
        ("memfd", "libc.memfd_create(b'x', 0)"),
        ("socket_inet", "libc.socket(2, 1, 0)"),
        ("socket_unix", "libc.socket(1, 1, 0)"),
        ("socket_netlink", "libc.socket(16, 3, 0)"),
        ("socketpair", "libc.socketpair(1, 1, 0, (ctypes.c_int * 2)())"),
        ("fork", "libc.fork()"),
        ("vfork_exec", "libc.execve(b'/bin/sh', None, None)"),
        ("clone3", "libc.syscall(435, None, 0)"),
        ("kill_init", "libc.kill(1, 9)"),
        ("kill_all", "libc.kill(-1, 9)"),
        ("kill_group", "libc.kill(0, 9)"),
        ("tgkill", "libc.syscall(234, 1, 1, 9)"),
        ("pidfd_open", "libc.syscall(434, 1, 0)"),
        ("ptrace", "libc.ptrace(16, 1, None, None)"),
        ("vm_read", "libc.process_vm_readv(1, None, 0, None, 0, 0)"),
        ("unshare", "libc.unshare(0x10000000)"),
        ("setns", "libc.setns(0, 0)"),
        ("mount", "libc.mount(b'none', b'/', b'tmpfs', 0, None)"),
        ("chroot", "libc.chroot(b'/')"),
        ("setuid", "libc.setuid(0)"),
        ("capset", "libc.capset(None, None)"),
        ("prctl_dumpable", "libc.prctl(4, 1, 0, 0, 0)"),
        ("seccomp", "libc.syscall(317, 1, 0, None)"),
        ("bpf", "libc.syscall(321, 0, None, 0)"),
        ("io_uring", "libc.syscall(425, 8, None)"),
        ("userfaultfd", "libc.syscall(323, 0)"),
        ("perf", "libc.syscall(298, None, 0, -1, -1, 0)"),
        ("keyctl", "libc.syscall(250, 0, -3)"),
        ("shmget", "libc.shmget(0x5151, 4096, 0o1666)"),
        ("msgget", "libc.msgget(0x5151, 0o1666)"),
        ("semget", "libc.semget(0x5151, 1, 0o1666)"),
        ("mq_open", "libc.syscall(240, b'/siked', 0o102, 0o600, None)"),
        ("setrlimit", "libc.setrlimit(9, (ctypes.c_uint64 * 2)(2**40, 2**40))"),
        ("prlimit", "libc.prlimit(0, 9, (ctypes.c_uint64 * 2)(2**40, 2**40), None)"),
        ("setpriority", "libc.setpriority(0, 0, -20)"),
        ("sched_setaffinity", "libc.sched_setaffinity(0, 8, (ctypes.c_uint64 * 1)(1))"),
        ("personality", "libc.personality(0x0040000)"),
        ("dup_stdin", "libc.dup(0)"),
        ("pipe", "libc.pipe((ctypes.c_int * 2)())"),
        ("ioctl", "libc.ioctl(0, 0x5401, None)"),
        ("fcntl", "libc.fcntl(3, 1)"),
        ("setsid", "libc.setsid()"),
        ("alarm_clock", "libc.settimeofday((ctypes.c_uint64 * 2)(0, 0), None)"),
        ("reboot", "libc.syscall(169, 0xfee1dead, 672274793, 0, None)"),
        ("kexec", "libc.syscall(246, 0, 0, None, 0)"),
        ("init_module", "libc.syscall(175, None, 0, None)"),
        ("sethostname", "libc.sethostname(b'x', 1)"),
        ("name_to_handle", "libc.syscall(303, -100, b'/', None, None, 0)"),
        ("open_by_handle", "libc.syscall(304, -100, None, 0)"),
        ("landlock", "libc.syscall(444, None, 0, 1)"),
    ],
)
def test_the_kernel_refuses_what_python_cannot(pool: ProgramPool, name: str, code: str) -> None:
    if name in ("tgkill", "seccomp", "bpf") and os.uname().machine != "x86_64":
        pytest.skip("these numbers are x86-64's")
    assert outcome(pool, f"{DEEP}answer = {code}").answer == "-1"
    assert outcome(pool, "answer = 6").answer == "6"


@linux
@pytest.mark.parametrize(
    "code",
    [
        "ctypes.string_at(0)",
        "libc.abort()",
        "libc.exit(0)",
        "libc._exit(7)",
        "libc.syscall(0x40000000 + 39)",  # the x32 entry point
        "libc.close(3)\nwhile True: pass",
        "libc.memset(ctypes.c_void_p(id(server)), 255, 4096)\nserver.serve()",
        "server.__dict__.clear()\nimport os\nos._exit(0)",
        "libc.write(3, b'\\xff' * 10**6, 10**6)\nwhile True: pass",
    ],
)
def test_a_program_that_wrecks_itself_harms_nobody(pool: ProgramPool, code: str) -> None:
    assert outcome(pool, DEEP + code).status in ("crashed", "timeout", "too_large")
    assert outcome(pool, "answer = 6").answer == "6"


@linux
def test_nothing_of_ours_is_inherited(pool: ProgramPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "s3cr3t")
    look = "import os, sys\nanswer = str([dict(os.environ), sys.argv, os.getpid() < 10**5, sorted(sys.path)])"
    with ProgramPool(Limits(timeout_s=5)) as fresh:
        found = outcome(fresh, look).answer
    assert "s3cr3t" not in found
    assert found.endswith("['program'], True, []]")


@linux
def test_only_the_result_and_null_are_open(pool: ProgramPool) -> None:
    code = "import os\nfound = []\nfor fd in range(200):\n    try:\n        os.lseek(fd, 0, 1); found.append(fd)\n"
    code += "    except OSError as error:\n        if error.errno != 9: found.append(fd)\nanswer = str(found)"
    assert outcome(pool, code).answer == "[0, 1, 2, 3]"


@linux
def test_a_process_with_many_open_files_and_low_limits() -> None:
    script = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3000, 3000))\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (500, 500))\n"
        "opened = [os.open('/dev/null', 0) for _ in range(1500)]\n"
        "from siked_core.sandbox import ProgramPool\n"
        "with ProgramPool() as pool:\n"
        "    code = 'import os\\nfound = []\\nfor fd in range(2500):\\n    try:\\n'\n"
        "    code += '        os.lseek(fd, 0, 1); found.append(fd)\\n'\n"
        "    code += '    except OSError as error:\\n        if error.errno != 9: found.append(fd)\\n'\n"
        "    code += 'answer = str(found)'\n"
        "    print(pool.run([code])[0].answer)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[0, 1, 2, 3]"


@linux
def test_a_forged_report_is_only_the_programs_own_answer(pool: ProgramPool) -> None:
    forge = 'import os\nos.write(3, b\'{"status": "answered", "answer": "7"}\')\nos._exit(0)'
    assert [found.status for found in pool.run([forge, "answer = 6"])] == ["crashed", "answered"]


@given(st.one_of(st.none(), st.text(max_size=80), st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["status", "answer", "why", "lines"]), inner, max_size=4), max_leaves=8,
).map(lambda value: __import__("json").dumps(value))))  # fmt: skip
def test_any_report_is_texts_or_nothing(text: str | None) -> None:
    found = read_report(text)
    assert found is None or all(isinstance(field, str) for field in (*found[:3], *found[3]))


@linux
def test_every_layer_that_this_kernel_grants_is_listed(pool: ProgramPool) -> None:
    layers = {layer.name: layer for layer in pool.layers()}
    assert layers["seccomp"].active
    assert layers["rlimits"].active
    assert layers["no_new_privs"].active
    assert all(layer.detail for layer in layers.values())


@linux
def test_a_zygote_that_dies_is_replaced_and_its_programs_are_judged() -> None:
    with ProgramPool(Limits(timeout_s=20), workers=2) as pool:
        pool.run(["answer = 1"])
        victim = pool._zygotes[False]._process.pid
        threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
        found = pool.run([f"import time\ntime.sleep(0.2)\nanswer = {n}" for n in range(10)])
        assert [one.answer for one in found] == [str(n) for n in range(10)]
        assert pool._zygotes[False]._process.pid != victim


@linux
def test_a_cage_that_cannot_be_closed_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core.sandbox import client as module

    broken = "from siked_core.sandbox.cage import Cage\nCage.close_around_program = lambda *_: 1 / 0\nmain(int"
    monkeypatch.setattr(module, "BOOTSTRAP", module.BOOTSTRAP.replace("main(int", broken))
    with ProgramPool() as pool, pytest.raises(SandboxError, match="harmless programs too"):
        pool.run(["answer = 1"])


@linux
def test_what_keeps_killing_its_zygote_is_given_up() -> None:
    with ProgramPool(Limits(timeout_s=20), workers=2) as pool:
        stop = threading.Event()

        def assassin() -> None:
            while not stop.wait(0.02):
                zygote = pool._zygotes.get(False)
                if zygote is not None and any(index == 0 for index, _ in zygote.running.values()):
                    zygote._process.kill()

        thread = threading.Thread(target=assassin)
        thread.start()
        try:
            found = pool.run(["import time\ntime.sleep(15)\nanswer = 1"])
        finally:
            stop.set()
            thread.join()
        assert found[0].status == "crashed"
        assert pool.run(["answer = 1"])[0].answer == "1"


@pytest.fixture
def bare_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that grants neither namespaces nor Landlock, as in many containers."""
    from siked_core.sandbox import client as module

    bare = (
        "from siked_core.sandbox.cage import Cage\n"
        "Cage._try_unshare = lambda self, flag: False\n"
        "Cage._landlock = lambda self: self.layers.update(landlock=(False, 'none'))\n"
        "main(int"
    )
    monkeypatch.setattr(module, "BOOTSTRAP", module.BOOTSTRAP.replace("main(int", bare))


@linux
@pytest.mark.usefixtures("bare_bootstrap")
def test_without_namespaces_and_landlock_seccomp_still_holds() -> None:
    pool = ProgramPool(Limits(timeout_s=2), workers=2)
    thread = threading.Thread(target=pool.layers)
    thread.start()
    thread.join()  # the zygote must outlive the thread that started it
    with pool:
        assert [layer.name for layer in pool.layers() if not layer.active] == ["namespaces", "empty root", "landlock"]
        attacks = ["libc.open(b'/etc/passwd', 0)", "libc.socket(2, 1, 0)", "libc.fork()", "libc.kill(-1, 9)"]
        attacks += ["libc.unshare(0x10000000)", "libc.shmget(0x5151, 4096, 0o1666)", "libc.ptrace(16, 1, None, None)"]
        assert [found.answer for found in pool.run([f"{DEEP}answer = {attack}" for attack in attacks])] == ["-1"] * 7
        assert outcome(pool, "while True: pass").status == "timeout"


@linux
@pytest.mark.usefixtures("bare_bootstrap")
def test_without_namespaces_programs_die_with_their_zygote() -> None:
    _kill_while_busy(ProgramPool(Limits(timeout_s=60), workers=2))


@linux
def test_killing_a_busy_zygote_ends_every_process() -> None:
    _kill_while_busy(ProgramPool(Limits(timeout_s=60), workers=2))


def _kill_while_busy(pool: ProgramPool) -> None:
    pool.run(["answer = 1"])
    process = pool._zygotes[False]._process
    wait = "import time\ntime.sleep(2)\nanswer = 1"
    thread = threading.Thread(target=lambda: pool.run([wait]))
    thread.start()
    time.sleep(0.5)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and _session(process.pid):
        time.sleep(0.05)
    left = _session(process.pid)
    thread.join()
    pool.close()
    assert left == []


def _session(leader: int) -> list[int]:
    """The processes of the session that a zygote leads."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def test_refuses_where_programs_cannot_be_caged(monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core.sandbox import client as module

    plain = module.BOOTSTRAP.replace("main(int", "import platform; platform.machine = lambda: 'riscv64'\nmain(int")
    monkeypatch.setattr(module, "BOOTSTRAP", plain)
    with ProgramPool() as refusing, pytest.raises(SandboxError, match="allow_unsafe_exec"):
        refusing.run(["answer = 1"])
    with ProgramPool(allow_unsafe=True) as allowed:
        assert allowed.run(["answer = 1"])[0].answer == "1"


def test_a_zygote_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from siked_core.sandbox import client as module

    monkeypatch.setattr(module, "BOOTSTRAP", "raise RuntimeError('no such luck')")
    with ProgramPool() as pool, pytest.raises(SandboxError, match="no such luck"):
        pool.run(["answer = 1"])


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_a_program_with_an_outcome(pool: ProgramPool, code: str) -> None:
    found = outcome(pool, code)
    assert (found.answer != "") == (found.status == "answered")


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_filters_allow_only_what_they_list(machine: str) -> None:
    column = 0 if machine == "x86_64" else 1
    audit = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    for allowed in (seccomp.SERVER, seccomp.PROGRAM):
        program = seccomp.assemble(allowed, machine)
        numbers = {seccomp._NUMBERS[name][column] for name in allowed}
        for number in range(600):
            expected = 0x7FFF0000 if number in numbers else 0x00050026 if number == 435 else 0x00050001
            assert _run_filter(program, number, audit) == expected, number
        assert _run_filter(program, 0, 0x40000003) == 0x80000000  # 32-bit x86
        assert _run_filter(program, 0x40000000, audit) == 0x80000000  # x32


def _run_filter(program: bytes, number: int, architecture: int) -> int:
    """A small interpreter for the four instructions that the filters use."""
    import struct

    code = list(struct.iter_unpack("=HBBI", program))
    accumulator = at = 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        if operation == 0x20:
            accumulator = {0: number, 4: architecture}[value]
        elif operation == 0x15:
            at += if_true if accumulator == value else if_false
        elif operation == 0x35:
            at += if_true if accumulator >= value else if_false
        else:
            return value


def test_an_interruption_while_it_starts_is_no_fault_of_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Noted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *arguments: object, **named: object) -> None:
            super().__init__(*arguments, **named)  # type: ignore[call-overload]
            started.append(self)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("siked_core.sandbox.client.subprocess.Popen", Noted)
    monkeypatch.setattr("siked_core.sandbox.client.receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Helper("siked_core.sandbox.zygote", {"paths": []})
    assert [process.poll() for process in started] == [-signal.SIGKILL]
