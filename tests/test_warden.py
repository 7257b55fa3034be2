"""When a warden counts its owner as gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from siked_core import warden


def test_who_has_another_parent_has_lost_its_owner() -> None:
    assert warden._gone(os.getpid())
    assert not warden._gone(os.getppid())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what is left of a process that ends")
def test_an_owner_that_has_ended_is_gone_before_its_children_have_another_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "import sys; print('there', flush=True); sys.stdin.read()"
    owner = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    monkeypatch.setattr(os, "getppid", lambda: owner.pid)
    try:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"there\n"
        assert not warden._gone(owner.pid)
        owner.kill()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
        assert warden._gone(owner.pid)
    finally:
        owner.communicate()
