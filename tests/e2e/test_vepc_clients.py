# SPDX-License-Identifier: MIT
"""Clients other than QEMU: many threads at the limit, and deaths at any moment under load."""
import os
import random
import threading

import pytest

from harness.vm import MIB
from harness.wait import Timeout, wait_readable

IS_LONG = os.environ.get("EPCD_LONG") == "1"
NR_DEATHS = 1000 if IS_LONG else 150
NR_AT_ONCE = 6
LIFE_MAX_S = 0.06


def test_threads_in_huge_pages_at_the_limit(epcd, cgroup, client):
    """Goal: no deadlock of clusters, write-backs and faults. Method: 64 threads, half fits."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    daemon.set_max(group, 4 * MIB)
    crowd = client(daemon, group)
    crowd.map(0, 2048, hugepage=True)
    crowd.do("crew 0 64 0 2047 3")
    assert crowd.command("join") == "joined, 1024 written, 1024 refused"
    # Once more over what is dirty: what is there stays.
    crowd.do("crew 0 64 0 2047 3")
    assert crowd.command("join") == "joined, 1024 written, 1024 refused"
    assert daemon.misc(group, "misc.current") == 4 * MIB


def test_threads_share_a_full_epc(epcd, cgroup, client):
    """Goal: the same between two clients. Method: both want all of it; together they get it."""
    daemon = epcd("--epc", "4M@0", "--epc", "4M@1")
    crowds = [client(daemon, cgroup()) for _ in range(2)]
    for crowd in crowds:
        crowd.map(0, 2048, hugepage=True)
    for crowd in crowds:
        crowd.do("crew 0 32 0 2047 3")
    answers = [crowd.command("join").split() for crowd in crowds]
    assert [answer[0] for answer in answers] == ["joined,", "joined,"]
    assert sum(int(answer[1]) for answer in answers) == 2048
    assert daemon.status()["epc"]["free_bytes"] == 0


class Victim:
    """A client that does a random series of things and does not live long."""

    def __init__(self, client, daemon, cgroup, seed):
        self.random = random.Random(seed)
        self.client = client(daemon, cgroup)
        nr_pages = self.random.choice((16, 300, 1024))
        last = nr_pages - 1
        commands = [f"open 0 {daemon.vepc}", f"mmap 0 {nr_pages}"]
        if self.random.random() < 0.5:
            commands.append("hugepage 0")
        commands += [self.random.choice((
            f"write 0 0 {last} 1", f"touch 0 0 {last}", f"populate 0 0 {last}",
            f"crew 0 8 0 {last} 2", "join", "ioctl 0 0xa404 0", f"punch 0 0 {last // 2}",
            f"reset 0 0 {last}", f"fork 0 0 {last} 4", "unmap 0", f"mmap 0 {nr_pages}"))
            for _ in range(self.random.randrange(1, 12))]
        try:
            self.client.send("\n".join(commands))
        except BrokenPipeError:
            pass

    def die(self):
        """SIGKILL after a random part of its life; there is no event to wait for."""
        try:
            wait_readable([self.client.process.pidfd], self.random.random() * LIFE_MAX_S)
        except Timeout:
            pass
        self.client.process.kill()
        self.client.process.close()


@pytest.mark.limit(1800 if IS_LONG else 150)
def test_deaths_under_load(epcd, cgroup, client):
    """Goal: nothing leaks, nothing hangs. Method: clients killed at random moments, a seed each."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    daemon = epcd("--epc", "4M@0", "--epc", "4M@1")
    limited = cgroup("limited")
    daemon.set_max(limited, MIB)
    groups = [limited, limited, cgroup("free")]
    steady = client(daemon, cgroup("steady"))
    steady.map(0, 64)
    steady.do("write 0 0 63 9")

    def victims(first):
        for number in range(first, NR_DEATHS, NR_AT_ONCE):
            Victim(client, daemon, groups[number % 3], seed + number).die()

    threads = [threading.Thread(target=victims, args=(first,), daemon=True)
               for first in range(NR_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1700 if IS_LONG else 140)
        assert not thread.is_alive()
    steady.do("verify 0 0 63 9")
    steady.do("close 0")
    steady.do("unmap 0")
    daemon.wait_all_free()
