# SPDX-License-Identifier: MIT
"""Clients other than QEMU: many threads at the limit, and deaths at any moment under load."""
import collections
import os
import random
import threading

import pytest

from harness.vm import MIB
from harness.wait import Timeout, wait_readable

IS_LONG = os.environ.get("EPCD_LONG") == "1"
NR_DEATHS = 1000 if IS_LONG else 150
NR_AT_ONCE = 6


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


NR_PAGES = 300
# What a victim does over and over until it dies of it; each line is answered by one.
SETUP = ["open 0 {node}", f"mmap 0 {NR_PAGES}"]
LIVES = {
    "open": ([], ["open 0 {node}", "close 0"]),
    "mmap": (SETUP[:1], [f"mmap 0 {NR_PAGES}", "touch 0 0 0", "unmap 0"]),
    "fault": (SETUP, [f"write 0 0 {NR_PAGES - 1} 1", f"punch 0 0 {NR_PAGES - 1}"]),
    "cluster": ([*SETUP, "hugepage 0"], [f"populate 0 0 {NR_PAGES - 1}", f"punch 0 0 {NR_PAGES - 1}"]),
    "crew": (SETUP, [f"crew 0 8 0 {NR_PAGES - 1} 2", "join", f"punch 0 7 {NR_PAGES // 2}"]),
    "fork": (SETUP, [f"fork 0 0 {NR_PAGES - 1} 4", "ioctl 0 0xa404 0"]),
    "ioctl": ([*SETUP, f"write 0 0 {NR_PAGES - 1} 3"], ["ioctl 0 0xa404 0", "touch 0 5 9"]),
    "reset": (SETUP, [f"write 0 0 {NR_PAGES - 1} 3", f"reset 0 0 {NR_PAGES // 2}"]),
}
NR_REPEATS = 20
MOMENT_MAX_S = 0.002


class Victim:
    """A client that does one thing over and over, and is killed in the middle of it."""

    def __init__(self, client, daemon, cgroup, seed):
        self.random = random.Random(seed)
        self.client = client(daemon, cgroup)
        self.kind = self.random.choice(sorted(LIVES))
        setup, rounds = LIVES[self.kind]
        self.nr_setup, self.nr_lines = len(setup), len(setup) + NR_REPEATS * len(rounds)
        self.client.send("\n".join(setup + NR_REPEATS * rounds).format(node=daemon.vepc))

    def die(self):
        """SIGKILL after a random number of answers and a moment; whether it was in the middle."""
        for _ in range(self.nr_setup + self.random.randrange(NR_REPEATS)):
            self.client.receive()
        try:
            # There is no event to wait for: any moment is as good as another one.
            wait_readable([self.client.process.pidfd], self.random.random() * MOMENT_MAX_S)
        except Timeout:
            pass
        self.client.process.kill()
        nr_answers = len(self.client.process.stdout.lines())
        self.client.process.close()
        return nr_answers < self.nr_lines


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

    deaths = collections.Counter()
    failures = []

    def victims(first):
        try:
            for number in range(first, NR_DEATHS, NR_AT_ONCE):
                victim = Victim(client, daemon, groups[number % 3], seed + number)
                deaths[victim.kind, victim.die()] += 1
        except Exception as error:  # shown by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=victims, args=(first,), daemon=True)
               for first in range(NR_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1700 if IS_LONG else 140)
        assert not thread.is_alive()
    assert not failures, failures
    print(sorted(deaths.items()))
    assert deaths.total() == NR_DEATHS
    for kind in LIVES:
        assert deaths[kind, True] > 0, f"nobody died in the middle of {kind}"
    steady.do("verify 0 0 63 9")
    steady.do("close 0")
    steady.do("unmap 0")
    daemon.wait_all_free()
