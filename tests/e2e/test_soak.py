# SPDX-License-Identifier: MIT
"""Sixteen enclaves of six times the EPC, with all that may happen to them, for as long as wanted.

Environment: SOAK, how many seconds; else 3600 with EPCD_LONG, 15 without. SOAK_SEED, which events.
"""
import collections
import errno
import os
import random
import subprocess
import time

import pytest

from harness.load import Load
from harness.wait import Timeout, wait_readable

MIB = 1 << 20
SOAK_S = int(os.environ.get("SOAK") or (3600 if os.environ.get("EPCD_LONG") == "1" else 15))
NR_LOADS = 16
NR_GROUPS = 4
END_S = 120  # all have to look at all of their pages once more
LIMIT_LEAST = 2 * MIB  # of four enclaves: far beyond what they cannot do without
MOMENT_MAX_S = 0.1
PATTERNS = ["sequential", "random", "zipf:0.9", "zipf:1.2", "phased"]
GROWTH_MAX = 2 * MIB


def rss_bytes(daemon):
    for line in open(f"/proc/{daemon.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Soak:
    """The loads, and what happens to them."""

    def __init__(self, world, daemon, key, groups, seed):
        self.world, self.daemon, self.key, self.groups = world, daemon, key, groups
        self.random = random.Random(seed)
        self.happened = collections.Counter()
        self.loads = [self.start(number) for number in range(NR_LOADS)]

    def start(self, number):
        choose = self.random
        return Load(self.world, self.daemon.run_dir / "dev" / "sgx_enclave",
                    self.groups[number % NR_GROUPS], self.key, size="3M", seconds=2 * SOAK_S + 60,
                    pattern=choose.choice(PATTERNS), writes=choose.randrange(0, 101),
                    threads=choose.choice([1, 1, 2, 4]), seed=choose.randrange(1 << 32),
                    fork_every=choose.choice([200, 1000, 5000]), sgx2_every=500,
                    measure=choose.random() < 0.2)

    def take_report(self, number, ends=()):
        """How one has ended: rightly, or as ends says: "killed", "lost"."""
        report = self.loads[number].report(END_S)
        process, = report["processes"]
        what = self.loads[number].process.describe
        assert report["wrong"] == 0, what()
        assert report["sigbus"] == 0 or "lost" in ends, what()
        if process["signal"] == 9 and "killed" in ends:
            self.happened["killed"] += 1
        elif "lost" in ends:
            # An ioctl may be the first to meet it (as a page that does not load), or nobody does.
            assert process["signal"] == 0 and process["error"] in (0, errno.EIO, errno.EFAULT), what()
            self.happened["lost"] += 1
        else:
            assert process["exit"] == 0 and process["signal"] == 0, what()
            self.happened["ended"] += 1
        for name in ("touches", "major_faults", "forks", "restricted", "trimmed"):
            self.happened[name] += report[name]

    def begun_pid(self, number):
        pids = self.loads[number].pids()
        if pids is None:
            raise AssertionError(f"it ended by itself\n{self.loads[number].process.describe()}")
        return pids[0]

    def lose(self, number):
        """EPC loss for one: it dies of it."""
        pid = self.begun_pid(number)
        instance, = [info["id"] for info in self.daemon.instances() if info["pid"] == pid]
        with open(self.daemon.run_dir / "instances" / str(instance) / "lose", "wb",
                  buffering=0) as file:
            file.write(b"1")
        self.take_report(number, ("lost",))

    def kill(self, number):
        self.begun_pid(number)
        self.loads[number].kill_process(0)
        self.take_report(number, ("killed",))

    def kill_at_once(self, number):
        """All of it, perhaps while its enclave is being built; that leaves no report."""
        self.loads[number].process.kill()
        self.happened["killed at once"] += 1

    def stop(self, number):
        self.loads[number].stop()
        self.take_report(number)

    def replace(self, end):
        """One ends somehow, at any moment of its life; another one begins."""
        number = self.random.randrange(NR_LOADS)
        end(number)
        process = self.loads[number].process
        process.close()
        self.world.processes.remove(process)
        self.loads[number] = self.start(number)

    def limit(self):
        group = self.random.choice(self.groups)
        limit = self.random.choice([None, self.random.randrange(LIMIT_LEAST, 4 * LIMIT_LEAST)])
        self.daemon.set_max(group, limit)
        self.happened["raised" if limit is None else "limited"] += 1

    def moment(self):
        """Some time goes by; nobody may end in it."""
        fds = {load.pidfd: load for load in self.loads}
        try:
            # There is no event to wait for: any moment is as good as another one.
            ended = wait_readable(list(fds), self.random.random() * MOMENT_MAX_S)
        except Timeout:
            return
        load = fds[ended[0]]
        load.process.wait()
        raise AssertionError(f"it ended by itself\n{load.process.describe()}")

    def step(self):
        self.moment()
        what = self.random.choices([self.kill, self.kill_at_once, self.stop, self.lose, None],
                                   [3, 4, 1, 1, 6])[0]
        if what:
            self.replace(what)
        else:
            self.limit()

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def end(self):
        for group in self.groups:
            self.daemon.set_max(group, None)
        for load in self.loads:
            load.stop()
        for number in range(NR_LOADS):
            self.take_report(number)


@pytest.mark.limit(2 * SOAK_S + 200)
@pytest.mark.timeout(2 * SOAK_S + 300)  # of pytest itself, instead of what tools/check says
def test_soak(world, epcd, cgroup):
    """Goal: everything at once, nothing wrong, nothing left. Method: random events, a seed."""
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"seed {seed}")
    key = world.directory / "key.pem"
    subprocess.run([world.build / "src/sign/epcsign", "--new-key", key], check=True)
    daemon = epcd("--epc", "4M@0", "--epc", "4M@1", "--swap-max", "128M")
    groups = [cgroup() for _ in range(NR_GROUPS)]
    soak = Soak(world, daemon, key, groups, seed)
    for load in soak.loads:
        assert load.pids(), load.process.describe()
    soak.run(SOAK_S / 2)
    # By now threads have their memory, and the history is filling: the steady state.
    rss = rss_bytes(daemon)
    soak.run(SOAK_S / 2)
    soak.end()
    daemon.wait_all_free()
    status = daemon.status()
    print(sorted(soak.happened.items()), status["counters"])
    assert status["swap"]["used_bytes"] == 0, status
    assert status["counters"]["evictions"] > 0
    grown = rss_bytes(daemon) - rss
    # A sanitizer keeps memory of its own.
    assert world.build.name in ("asan", "tsan") or grown <= GROWTH_MAX, grown
