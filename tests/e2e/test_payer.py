# SPDX-License-Identifier: MIT
"""Who pays when opener and requester are not one, or in other pid namespaces than the daemon."""
import os
import signal
import sys
from pathlib import Path

import pytest

from harness.sentence import PAGE
from harness.wait import eventually

# Opens argv[1] and hands it to whoever listens at argv[2].
OPENER = """
import os, socket, sys
fd = os.open(sys.argv[1], os.O_RDWR)
there = socket.socket(socket.AF_UNIX)
there.connect(sys.argv[2])
socket.send_fds(there, [b"x"], [fd])
os.close(fd)
print("sent", flush=True)
sys.stdin.read()
"""

# Takes it, listening at argv[1]; then writes the page of each line of input.
TOUCHER = """
import mmap, socket, sys
here = socket.socket(socket.AF_UNIX)
here.bind(sys.argv[1])
here.listen(1)
print("listens", flush=True)
_, fds, _, _ = socket.recv_fds(here.accept()[0], 1, 1)
memory = mmap.mmap(fds[0], 64 * 4096)
for line in sys.stdin:
    memory[int(line) * 4096] = 1
    print("wrote", flush=True)
"""


class Pair:
    """One process opens the node, another one touches it."""

    def __init__(self, world, node, opener, toucher, prefix=()):
        socket = world.directory / "socket"
        self.toucher = world.run([sys.executable, "-c", TOUCHER, socket], cgroup=toucher)
        assert self.toucher.stdout.take_line() == "listens", self.toucher.describe()
        self.opener = world.run([*prefix, sys.executable, "-c", OPENER, node, socket], cgroup=opener)
        assert self.opener.stdout.wait_line("sent"), self.opener.describe()

    def end_opener(self):
        """By the end of its input: nsenter must outlive it, else nobody may wait for it in time."""
        self.opener.stdin.close()
        assert self.opener.wait() == 0, self.opener.describe()

    def touch(self, page):
        self.toucher.stdin.write(f"{page}\n".encode())
        self.toucher.stdin.flush()
        return self.toucher.stdout.take_line()


def test_requester_pays_not_the_opener(world, epcd, cgroup):
    """Goal: C2: who faults pays. Method: a descriptor goes to a process of another cgroup."""
    daemon = epcd("--epc", "1M@0")
    opener, toucher = cgroup("opener"), cgroup("toucher")
    daemon.set_max(opener, 0)
    daemon.set_max(toucher, 2 * PAGE)
    pair = Pair(world, daemon.vepc, opener, toucher)
    assert [pair.touch(page) for page in (0, 9)] == ["wrote", "wrote"]
    assert daemon.misc(toucher, "misc.current") == 2 * PAGE
    assert daemon.misc(opener, "misc.current") == 0
    info, = daemon.instances()
    assert info["pid"] == pair.opener.pid and info["cgroup"] == opener.name
    # Whoever opened it may go: the instance is whose it is now.
    pair.end_opener()
    assert pair.touch(5) is None
    assert pair.toucher.wait() == -signal.SIGBUS
    refused, = daemon.history("refused")
    assert refused["limit_cgroup"] == toucher.name
    daemon.wait_all_free()


def test_client_in_a_pid_namespace_below(world, epcd, cgroup):
    """Goal: a container's processes have their cgroup. Method: a client with pid 1 of its own."""
    daemon = epcd("--epc", "1M@0")
    group = cgroup("container")
    user = world.run(["unshare", "--pid", "--fork", "--kill-child",
                      world.build / "tests/client/vepc"], cgroup=group)
    user.stdin.write(f"open 0 {daemon.vepc}\nmmap 0 4\npid\nwrite 0 0 3 1\n".encode())
    user.stdin.flush()
    assert user.stdout.wait_line("wrote 0"), user.describe()
    assert "pid 1" in user.stdout.lines()
    assert daemon.misc(group, "misc.current") == 4 * PAGE
    info, = daemon.instances()
    assert info["cgroup"] == group.name and info["command"] == "vepc"
    assert info["pid"] in group.pids()


@pytest.fixture
def enclosed(world):
    """A daemon in a pid namespace of its own: its pid as we see it, its run directory for us."""
    run_dir = world.directory / "enclosed"
    outer = world.run(["unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
                       world.build / "src/front/epcd", "--epc", "1M@0", "--run-dir", run_dir],
                      merged=True)
    assert outer.stdout.wait_line("epcd: ready"), outer.describe()
    pid = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
    yield pid, Path(f"/proc/{pid}/root{run_dir}")
    os.kill(pid, signal.SIGTERM)
    assert outer.wait() == 0, outer.describe()


def misc(run_dir, group, name):
    where = run_dir / "cgroup" / group.name.lstrip("/") if group else run_dir / "cgroup"
    return int((where / name).read_text().split()[1])


def set_max(run_dir, group, limit):
    (run_dir / "cgroup" / group.name.lstrip("/") / "misc.max").write_text(f"sgx_epc {limit}\n")


def test_requester_out_of_sight_pays_through_the_opener(world, enclosed, cgroup):
    """Goal: C2: who is in another pid namespace pays through the opener's cgroup, and its limit.

    Method: the opener is in the daemon's namespace, the requester is outside: to the daemon it is
    process 0.
    """
    pid, run_dir = enclosed
    opener, toucher = cgroup("opener"), cgroup("toucher")
    set_max(run_dir, opener, 2 * PAGE)
    pair = Pair(world, f"{world.directory}/enclosed/dev/sgx_vepc", opener, toucher,
                prefix=["nsenter", f"--pid=/proc/{pid}/ns/pid_for_children",
                        f"--mount=/proc/{pid}/ns/mnt"])
    assert [pair.touch(page) for page in (0, 9)] == ["wrote", "wrote"]
    assert misc(run_dir, opener, "misc.current") == 2 * PAGE
    assert misc(run_dir, toucher, "misc.current") == 0
    assert pair.touch(5) is None
    assert pair.toucher.wait() == -signal.SIGBUS
    pair.end_opener()
    eventually(lambda: misc(run_dir, None, "misc.current") == 0)
    assert misc(run_dir, opener, "misc.current") == 0


def test_opener_out_of_sight_is_the_root_s(world, enclosed, cgroup):
    """Goal: with nobody to charge the root pays. Method: opener and requester are outside."""
    _, run_dir = enclosed
    group = cgroup("outside")
    pair = Pair(world, run_dir / "dev/sgx_vepc", group, group)
    assert [pair.touch(page) for page in (0, 9)] == ["wrote", "wrote"]
    assert misc(run_dir, group, "misc.current") == 0
    assert misc(run_dir, None, "misc.current") == 2 * PAGE
    name, = os.listdir(run_dir / "instances")
    info = (run_dir / "instances" / name / "info").read_text()
    assert '"cgroup":"/"' in info.replace('": ', '":') and '"pid":0' in info.replace('": ', '":')
    pair.toucher.kill()
    pair.end_opener()
    eventually(lambda: misc(run_dir, None, "misc.current") == 0)
