# SPDX-License-Identifier: MIT
"""The harness itself: it must see what a test leaves behind, and clear it away all the same."""
import os

import pytest

import harness.world
from harness.cgroup import NAME, Cgroup, remove_leftovers, start_time
from harness.daemon import mounts_below
from harness.world import World


@pytest.fixture
def other(build, monkeypatch):
    """A world to look at: close() gives what it found; after it nothing may be there."""
    monkeypatch.setattr(harness.world, "ORPHAN_TIMEOUT_S", 0.2)
    this = World(build, 100.0)
    yield this
    if this.directory.exists():
        this.close()
    assert mounts_below(this.directory) == []
    assert this._top is None or not this._top.path.exists()


def test_nothing_to_tell(other):
    """Goal: no false alarm. Method: a daemon, a client with pages, cgroups below cgroups, killed."""
    daemon = other.epcd("--epc", "1M")
    client = other.client(daemon, other.cgroup("a").child("b"))
    client.map(0, 16)
    client.do("write 0 0 15 1")
    assert other.close() == []


def test_a_process_that_is_left(other):
    """Goal: it is named, and ended. Method: a sleep in a session of its own, in a cgroup below."""
    process = other.run(["sh", "-c", "setsid sleep 1000 & exit 0"], cgroup=other.cgroup("a"))
    assert process.wait() == 0
    problem, = other.close()
    assert "processes are left" in problem and "sleep 1000" in problem


def test_a_daemon_that_died(other):
    """Goal: its death is told, its mount is taken away. Method: SIGKILL behind the world's back."""
    daemon = other.epcd("--epc", "1M")
    daemon.process.kill()
    problems = "\n".join(other.close())
    assert "epcd ended with -9" in problems and "a mount is left" in problems


def test_pages_that_are_left(other, monkeypatch):
    """Goal: a page that stays owned fails a test. Method: a client that the world does not know."""
    monkeypatch.setattr(harness.world, "TIMEOUT_S", 1.0)
    daemon = other.epcd("--epc", "1M")
    client = other.client(daemon)
    client.map(0, 4)
    client.do("write 0 0 3 1")
    other.processes.remove(client.process)
    assert any("EPC is not all free" in problem for problem in other.close())
    client.process.kill()


def test_what_the_daemon_says(other):
    """Goal: an error in its log fails a test. Method: a line put into what it has said."""
    daemon = other.epcd("--epc", "1M")
    daemon.process.stdout._lines.append("epcd: error: something")
    assert other.close() == ["epcd said: epcd: error: something"]


def test_out_of_time(build, monkeypatch):
    """Goal: a test that hangs comes back. Method: a limit of 0.3 s, a process that does not end."""
    monkeypatch.setattr(harness.world, "ORPHAN_TIMEOUT_S", 0.2)
    short = World(build, 0.3)
    assert short.run(["sleep", "1000"]).wait() == -9
    assert short.close() == ["the test took more than 0.3 s and was ended"]


def test_leftovers_of_a_killed_run(world):
    """Goal: cgroups of test runs that were killed go, others stay. Method: one of each kind."""
    top = world.top()
    mine, now = os.getpid(), start_time(os.getpid())
    gone = [top.child(f"{NAME}4194303-77-1"), top.child(f"{NAME}{mine}-1-2")]
    gone[0].child("a").child("epcd-run-1-2")
    stays = [top.child(f"{NAME}{mine}-{now}-3"), top.child(f"{NAME}something"),
             top.child(f"{NAME}4194303-78-1")]
    world.run(["sh", "-c", "echo there; exec sleep 1000"], cgroup=Cgroup(stays[2].path / "in", top.mount)
              ).stdout.wait_line("there")
    remove_leftovers(top.path)
    assert [group.path.exists() for group in gone] == [False, False]
    assert [group.path.exists() for group in stays] == [True, True, True]
