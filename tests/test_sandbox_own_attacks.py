"""Attacks of our own, in kinds that lists of attacks lack: Python's own corners, and bombs that are not plain loops.

Those against the kernel's calls, from a program that already holds our handle on the C library, are in
`test_sandbox.py`. Each is followed by a harmless program, which must give its answer, in time.
"""

# ruff: noqa: E501 - programs are easier to read in few lines

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from siked_core.sandbox import Limits, Outcome, ProgramPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the cage is Linux's")
TIMEOUT_S = 2.0
MARK = Path("/tmp/siked_own_attack")

FRAMES = (
    "import sys\nframe, frames = sys._getframe(), []\nwhile frame:\n    frames.append(frame); frame = frame.f_back\n"
)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProgramPool]:
    with ProgramPool(Limits(timeout_s=TIMEOUT_S, memory_mib=128, output_kib=16), workers=2) as pool:
        yield pool


def run(pool: ProgramPool, code: str) -> Outcome:
    """Run an attack, then a harmless program, and see that nothing is left."""
    started = time.monotonic()
    found = pool.run([code])[0]
    assert time.monotonic() - started < TIMEOUT_S + 5
    assert len(found.answer) + len(found.why) < 3_000
    assert not MARK.exists()
    assert pool.run(["def solution():\n    return 6 * 7"])[0].answer == "42"
    return found


ESCAPES = {
    "pickle_reduce": "import pickle\nclass E:\n    def __reduce__(self): return (__import__('os').system, ('touch MARK',))\n"
    "answer = pickle.loads(pickle.dumps(E()))",
    "pickle_answer": 'class E:\n    def __reduce__(self): return (exec, (\'open("MARK", "w")\',))\nanswer = [E()]',
    "copyreg": "import copyreg, copy\nclass E: pass\n"
    "copyreg.pickle(E, lambda e: (__import__('os').system, ('touch MARK',)))\nanswer = copy.copy(E())",
    "import_hook": "import sys\nclass F:\n    def find_spec(self, name, path=None, target=None):\n"
    "        from importlib.machinery import ModuleSpec, SourceFileLoader\n"
    "        return ModuleSpec(name, SourceFileLoader(name, '/etc/passwd'))\n"
    "sys.meta_path.insert(0, F())\nimport anything\nanswer = 1",
    "meta_path_reset": "import sys\nfrom importlib.machinery import PathFinder, FileFinder, SourceFileLoader\n"
    "sys.meta_path[:] = [PathFinder]\nsys.path_hooks[:] = [FileFinder.path_hook((SourceFileLoader, ['.py']))]\n"
    "sys.path[:] = ['/usr/lib/python3/dist-packages', '/usr/lib/python3.11']\nimport socket\n"
    "answer = str(socket.socket())",
    "zipimport": "import zipimport\nanswer = str(zipimport.zipimporter('/usr/lib/python3.11/x.zip'))",
    "extension_loader": "from importlib.machinery import ExtensionFileLoader, ModuleSpec\nimport _imp\n"
    "answer = str(_imp.create_dynamic(ModuleSpec('_ctypes', None, origin='/usr/lib/python3.11/lib-dynload/_ctypes.so')))",
    "builtin_posix": "import posix\nposix.system('touch MARK')\nposix.open('MARK', posix.O_CREAT | posix.O_WRONLY)",
    "reload_ctypes": "import sys, importlib\nmodule = type(sys)('ctypes')\nsys.modules['ctypes'] = module\n"
    "ctypes = importlib.reload(module)\nctypes.CDLL(None).system(b'touch MARK')",
    "ctypes_of_our_frames": FRAMES + "ctypes = [f.f_globals['ctypes'] for f in frames if 'ctypes' in f.f_globals]\n"
    "import gc\nctypes += [o for o in gc.get_objects() if getattr(o, '__name__', '') == 'ctypes']\n"
    "[c.CDLL(None).system(b'touch MARK') for c in ctypes]\nanswer = open('MARK').read()",
    "codecs_open": "import codecs\nanswer = codecs.open('/etc/passwd').read()",
    "codec_register": "import codecs\ndef find(name): return codecs.CodecInfo(lambda *a: (b'', 0),"
    " lambda *a: (open('/etc/passwd').read(), 0), name=name)\ncodecs.register(find)\nanswer = codecs.decode(b'x', 'evil')",
    "source_encoding": "# -*- coding: unicode_escape -*-\nx = 1 \\u000aopen('/etc/passwd')",
    "linecache": "import linecache\nanswer = linecache.getline('/etc/passwd', 1) or open('/etc/passwd').read()",
    "traceback_source": "import traceback\ntry:\n    exec(compile('1/0', '/etc/passwd', 'exec'))\n"
    "except Exception:\n    answer = traceback.format_exc()\nassert 'root' not in answer\nopen('/etc/passwd')",
    "opener": "import io\nanswer = io.FileIO('/etc/passwd', opener=lambda *a: 3).read()",
    "file_on_result": "import io\nfile = io.FileIO(3, 'r+b', closefd=False)\nfile.seek(0)\nanswer = str(file.read(9))",
    "proc_self_mem": "file = open('/proc/self/mem', 'r+b', 0)\nfile.seek(4096)\nanswer = str(file.write(b'x'))",
    "proc_self_fd": "import os\nanswer = open('/proc/self/fd/3', 'wb').write(b'x')",
    "dev_tty": "open('/dev/tty', 'w').write('x')",
    "dup_of_result": "import os\nfor fd in range(4, 50):\n    os.dup2(3, fd)\nanswer = 1",
    "sendfile": "import os\nanswer = os.sendfile(3, 0, 0, 10)",
    "memfd": "import os\nfd = os.memfd_create('x')\nos.write(fd, b'#!/bin/sh\\ntouch MARK')\nos.execve(fd, ['x'], {})",
    "timers": "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\nanswer = 1",
    "alarm_of_zygote": "import os, signal\nos.kill(os.getppid(), signal.SIGSTOP)\nanswer = 1",
    "prlimit_parent": "import resource, os\nresource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))\nanswer = 1",
    "asyncio_server": "import asyncio\nasync def main():\n    await asyncio.start_server(lambda *a: None, '127.0.0.1', 0)\n"
    "asyncio.run(main())\nanswer = 1",
    "asyncio_subprocess": "import asyncio\nasync def main():\n"
    "    await asyncio.create_subprocess_shell('touch MARK')\nasyncio.run(main())\nanswer = 1",
    "concurrent_processes": "from concurrent.futures import ProcessPoolExecutor\n"
    "answer = ProcessPoolExecutor(2).submit(pow, 2, 3).result()",
    "shared_memory": "from multiprocessing.shared_memory import SharedMemory\nSharedMemory('siked_own', True, 100)",
    "mmap_file": "import mmap\nanswer = str(mmap.mmap(3, 4096)[:9])",
    "sqlite": "import sqlite3\nsqlite3.connect('MARK').execute('create table t (a)')",
    "webbrowser": "import webbrowser\nwebbrowser.open('http://127.0.0.1')",
    "antigravity_of_pip": "import ensurepip\nensurepip.bootstrap()",
    "breakpoint": "import sys\nsys.breakpointhook = lambda: open('/etc/passwd').read()\nanswer = breakpoint()",
    "unicode_names": "𝐨𝐬 = __import__('ºs'.replace('º', 'o'))\nanswer = 𝐨𝐬.𝐬𝐲𝐬𝐭𝐞𝐦('touch MARK') or 𝐨𝐩𝐞𝐧('/etc/passwd').𝐫𝐞𝐚𝐝()",
    "code_object": "f = lambda: 0\nf.__code__ = compile('open(\"/etc/passwd\")', '', 'eval')\nanswer = f()",
    "builtins_of_a_frame": FRAMES + "b = frames[-1].f_builtins\nanswer = b['open']('/etc/passwd').read()",
    "warnings_hook": "import warnings, sys\nwarnings.showwarning = lambda *a: open('MARK', 'w')\nwarnings.warn('x')",
}
"""Programs that reach for something outside. None may get an answer out of it."""


@pytest.mark.parametrize("name", ESCAPES)
def test_what_reaches_out_is_stopped(pool: ProgramPool, name: str) -> None:
    found = run(pool, ESCAPES[name].replace("MARK", str(MARK)))
    if found.status == "answered":  # refused quietly: an error code, or nothing done
        assert found.answer in ("1", "-1", "32512", "b''"), found
    assert "root:" not in found.answer + found.why


LINGERING = {
    "del_at_exit": "class D:\n    def __del__(self):\n        while True: pass\nd = D()\nanswer = 5",
    "atexit_loop": "import atexit\natexit.register(lambda: [None for _ in iter(int, 1)])\nanswer = 5",
    "atexit_file": "import atexit\natexit.register(open, 'MARK', 'w')\nanswer = 5",
    "thread_at_exit": "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()\nanswer = 5",
    "timer_at_exit": "import threading\nthreading.Timer(60, print).start()\nanswer = 5",
    "weakref_at_exit": "import weakref\nclass C: pass\nc = C()\nweakref.finalize(c, open, 'MARK', 'w')\nanswer = 5",
    "excepthook": "import sys\ndef hook(*a):\n    while True: pass\nsys.excepthook = sys.unraisablehook = hook\nanswer = 5",
    "gc_callback": "import gc\ngc.callbacks.append(lambda *a: open('MARK', 'w'))\nanswer = 5",
    "signal_handlers": "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
    "    except (OSError, ValueError): pass\nanswer = 5",
    "settrace": "import sys\nsys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\nanswer = 5",
    "stdout_replaced": "import sys\nsys.stdout = sys.stderr = sys.__stdout__ = None\nanswer = 5",
    "json_replaced": "import json, builtins\njson.dumps = json.JSONEncoder.encode = lambda *a, **k: '[]'\n"
    "builtins.str = builtins.isinstance = builtins.len = None\nanswer = 5",
    "os_write_replaced": "import os\nos.write = lambda *a: 0\nos._exit = lambda *a: None\nanswer = 5",
}
"""Programs that answer 5 and leave something behind that wants to run on, or to change how they are reported."""


@pytest.mark.parametrize("name", LINGERING)
def test_what_lingers_is_ended(pool: ProgramPool, name: str) -> None:
    found = run(pool, LINGERING[name].replace("MARK", str(MARK)))
    assert found.answer in ("5", "")
    assert found.status in ("answered", "crashed", "timeout", "no_answer"), found


BOMBS = {
    "int_to_text": "import sys\nsys.set_int_max_str_digits(0)\nanswer = len(str(7 ** 5_000_000))",
    "text_to_int": "import sys\nsys.set_int_max_str_digits(0)\nanswer = int('7' * 3_000_000) % 10",
    "hash_collisions": "m = sys_hash = (1 << 61) - 1\nanswer = len({i * m for i in range(60_000)})",
    "decimal_precision": "from decimal import *\ngetcontext().prec = 40_000_000\nanswer = Decimal(1) / Decimal(7)",
    "decimal_power": "from decimal import *\ngetcontext().prec = 10**6\nanswer = Decimal(3) ** Decimal('1234567.5')",
    "fraction_growth": "from fractions import Fraction\nx = Fraction(1, 3)\nwhile True: x = x * x + Fraction(1, 7)",
    "nested_f_strings": "answer = f'{1:{10**9}}'",
    "format_width": "answer = '%999999999d' % 1",
    "compile_bomb": "exec('x = ' + '+'.join(['1'] * 400_000))\nanswer = 1",
    "deep_brackets": "exec('(' * 50_000 + ')' * 50_000)",
    "deep_ast": "import ast\nnode = ast.Constant(1)\nfor _ in range(200_000):\n    node = ast.UnaryOp(ast.USub(), node)\n"
    "answer = eval(compile(ast.fix_missing_locations(ast.Expression(node)), '', 'eval'))",
    "many_constants": "exec('\\n'.join(f'a{i} = {i}' for i in range(150_000)))",
    "regex_nested": "import re\nre.match(r'(a|a)*$', 'a' * 60 + 'b')",
    "regex_compile": "import re\nre.compile('(' * 3_000 + 'a' + '){1,50}' * 3_000)",
    "json_depth": "import json\njson.loads('[' * 10**6)",
    "itertools_product": "import itertools\nanswer = sum(1 for _ in itertools.product(range(10), repeat=12))",
    "list_product": "answer = len([0] * 10**10)",
    "bytes_growth": "x = b'1'\nwhile True: x += x",
    "sum_of_range_list": "answer = sum(list(range(10**9)))",
    "sort_with_a_lying_key": "class K:\n    def __lt__(self, other):\n        while True: pass\nsorted([K(), K()])",
    "permutation_repr": "x = []\nfor _ in range(60): x = [x, x]\nanswer = x",
    "recursive_repr": "class R:\n    def __repr__(self): return repr(self)\nanswer = R()\nprint(answer)",
    "generator_recursion": "def g():\n    yield from g()\nlist(g())",
    "thread_flood": "import threading\nwhile True: threading.Thread(target=threading.Event().wait).start()",
    "exception_chain": "try:\n    raise ValueError\nexcept ValueError as e:\n    while True:\n        try: raise ValueError from e\n"
    "        except ValueError as f: e = f",
    "stdout_by_characters": "while True: print('x', end='', flush=True)",
    "surrogates_printed": "print('\\ud800' * 1000)\nanswer = '\\udfff' * 1500",
    "factorial": "import math\nanswer = math.factorial(10**8)",
    "comb": "import math\nanswer = math.comb(10**7, 5 * 10**6)",
    "date_loop": "import calendar\nanswer = calendar.TextCalendar(0).formatyear(1, 10**8)",
}
"""Programs that burn: each ends in time, within its memory."""


@pytest.mark.parametrize("name", BOMBS)
def test_what_burns_is_put_out(pool: ProgramPool, name: str) -> None:
    found = run(pool, BOMBS[name])
    assert found.status in ("timeout", "crashed", "too_large", "no_answer", "refused", "answered"), found
    assert found.status != "answered" or len(found.answer) < 2_001


FORGERIES = {
    "nonce_by_gc": "import gc, os\nseen = [o for o in gc.get_objects() if isinstance(o, (bytes, tuple, list, dict))]\n"
    "nonces = [b for o in seen for b in (o.values() if isinstance(o, dict) else o) if isinstance(b, bytes) and len(b) == 16]\n"
    'for nonce in nonces:\n    body = b\'{"status": "answered", "answer": "99", "why": "", "lines": []}\'\n'
    "    os.write(3, nonce + len(body).to_bytes(4, 'big') + body)\nos._exit(0)",
    "nonce_by_frames": FRAMES + "import os\nfor f in frames:\n    for v in f.f_locals.values():\n"
    "        if isinstance(v, bytes) and len(v) == 16:\n"
    '            body = b\'{"status": "answered", "answer": "99", "why": "", "lines": []}\'\n'
    "            os.write(3, v + len(body).to_bytes(4, 'big') + body)\nos._exit(0)",
    "every_small_frame": "import os\nfor n in range(0, 60_000, 16):\n    os.write(3, n.to_bytes(16, 'big'))\nanswer = 99",
    "closed_byte": "import os\nos.write(3, b'!' * 100)\nanswer = 99",
    "huge_length": "import os\nos.write(3, b'\\xff' * 24)\nanswer = 99",
    "not_json": "import os\nos.write(3, b'\\x00\\x00\\x00\\x02[[')\nanswer = 99",
    "another_request": 'import os\nos.write(3, b\'{"id": 1, "status": "answered", "answer": "42"}\')\nos._exit(0)',
    "inf_status": 'import os\nos.write(3, b\'{"status": Infinity, "answer": NaN}\')\nos._exit(0)',
}
"""Programs that write to the channel of their own result: at most their own answer may be what they say."""


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_report_is_at_most_the_forgers_own(pool: ProgramPool, name: str) -> None:
    outcomes = pool.run([FORGERIES[name], "answer = 6", FORGERIES[name], "answer = 7"])
    assert [outcomes[1].answer, outcomes[3].answer] == ["6", "7"]
    assert all(outcome.answer in ("", "99") for outcome in outcomes[::2])
    assert run(pool, "answer = 5").answer == "5"


def test_there_are_enough_of_our_own() -> None:
    assert len(ESCAPES) + len(LINGERING) + len(BOMBS) + len(FORGERIES) >= 40


BECOME_A_USER = """\
import ctypes, os, sys
if ctypes.CDLL(None).unshare(0x10000000) != 0:
    sys.exit(77)
for name, text in (("setgroups", "deny"), ("uid_map", "1000 0 1"), ("gid_map", "1000 0 1")):
    with open(f"/proc/self/{name}", "w") as file:
        file.write(text)
os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
"""
"""Keeps root's right to read the interpreter's files, as their owner, and has no other: no capability is left."""
AS_A_USER = """\
import os, sys
assert os.getuid() == 1000
assert "CapEff:\\t0000000000000000" in open("/proc/self/status").read()
from siked_core.sandbox import Limits, ProgramPool
with ProgramPool(Limits(timeout_s=2, memory_mib=128), workers=2) as pool:
    for code in sys.stdin.read().split("\\0"):
        found = pool.run([code])[0]
        assert "root:" not in found.answer + found.why, code
        assert pool.run(["answer = 42"])[0].answer == "42", code
"""


def test_the_cage_holds_for_an_unprivileged_user_too() -> None:
    if os.getuid() != 0:
        pytest.skip("the tests run as an unprivileged user: all of the above did")
    programs = [*ESCAPES.values(), *LINGERING.values(), *FORGERIES.values()]
    programs = [code.replace("MARK", str(MARK)) for code in programs]
    command = [sys.executable, "-c", BECOME_A_USER, AS_A_USER]
    done = subprocess.run(command, input="\0".join(programs), text=True, capture_output=True, check=False)
    if done.returncode == 77:
        pytest.skip("the kernel grants no user namespace")
    assert done.returncode == 0, done.stderr
    assert not MARK.exists()
