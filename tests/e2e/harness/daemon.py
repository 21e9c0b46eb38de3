# SPDX-License-Identifier: MIT
"""epcd, with a run directory of its own, and its control files."""
import ctypes
import json
import os
import re
import signal
from pathlib import Path

from .process import Process
from .wait import TIMEOUT_S, eventually

MNT_FORCE = 1
MNT_DETACH = 2
BAD_OUTPUT = re.compile(r"\berror\b|Sanitizer|runtime error|assert", re.IGNORECASE)


def mounts_below(path):
    """Mount points at path or below it, the last mounted first."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split()[4].encode().decode("unicode_escape")
        if point == str(path) or point.startswith(f"{path}/"):
            found.append(point)
    return found[::-1]


def mount_end(point):
    """Ends a FUSE mount whose daemon may be dead or hang: aborts the connection, takes the name.

    The system call itself: umount(8) would look at the mount first, and hang with it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(os.fsencode(point), MNT_FORCE)
    libc.umount2(os.fsencode(point), MNT_DETACH)


class Daemon:
    """A running epcd; it has said that it is ready."""

    def __init__(self, build, run_dir, options, cgroup=None, cwd=None, env=None):
        self.run_dir = Path(run_dir)
        self.is_over = False
        self.process = Process([build / "src/front/epcd", *options, "--run-dir", run_dir],
                               cgroup=cgroup, merged=True, cwd=cwd, env=env)

    def wait_ready(self, timeout=TIMEOUT_S):
        if self.process.stdout.wait_line("epcd: ready", timeout) is None:
            raise AssertionError(f"epcd ended with {self.process.wait()} instead of getting ready:\n"
                                 + self.process.stdout.text())
        return self

    # The control tree.

    @property
    def vepc(self):
        return self.run_dir / "dev" / "sgx_vepc"

    @property
    def enclave(self):
        return self.run_dir / "dev" / "sgx_enclave"

    @property
    def provision(self):
        return self.run_dir / "dev" / "sgx_provision"

    def status(self):
        return json.loads((self.run_dir / "status").read_text())

    def counters(self):
        return self.status()["counters"]

    def history(self, kind=None):
        """The last records, of one kind if one is asked for."""
        records = [json.loads(line)
                   for line in (self.run_dir / "history").read_text().splitlines()]
        return [record for record in records if kind in (None, record["kind"])]

    def instances(self):
        """The info of each instance, by id."""
        infos = []
        for name in sorted(os.listdir(self.run_dir / "instances"), key=int):
            try:
                infos.append(json.loads((self.run_dir / "instances" / name / "info").read_text()))
            except FileNotFoundError:
                continue  # closed meanwhile
        return infos

    def misc_path(self, cgroup, file):
        return self.run_dir / "cgroup" / cgroup.name.lstrip("/") / file

    def misc(self, cgroup, file):
        """The number of misc.current, misc.peak or misc.max; None for max. 0 for no line yet."""
        words = self.misc_path(cgroup, file).read_text().split()
        if not words:
            return 0
        assert words[0] == "sgx_epc", words
        return None if words[1] == "max" else int(words[1])

    def events_count(self, cgroup, file="misc.events"):
        words = self.misc_path(cgroup, file).read_text().split()
        if not words:
            return 0
        assert words[0] == "sgx_epc.max", words
        return int(words[1])

    def set_max(self, cgroup, limit):
        with open(self.misc_path(cgroup, "misc.max"), "wb", buffering=0) as file:
            file.write(f"sgx_epc {'max' if limit is None else limit}\n".encode())

    def hold_unmaps(self, holds):
        """With --debug: unmappings wait, or go on."""
        with open(self.run_dir / "debug" / "hold-unmaps", "wb", buffering=0) as file:
            file.write(b"1" if holds else b"0")

    def wait_all_free(self, timeout=TIMEOUT_S):
        """Waits until no page is used, no instance is left and nothing waits."""
        def is_free():
            status = self.status()
            epc = status["epc"]
            return (epc["free_bytes"] == epc["total_bytes"] and epc["used_bytes"] == 0
                    and status["instances"] == 0 and status["parked"] == 0
                    and status["unmaps"] == 0)
        try:
            eventually(is_free, timeout)
        except AssertionError:
            raise AssertionError(f"EPC is not all free: {self.status()}") from None

    def wait_parked(self, count, timeout=TIMEOUT_S):
        eventually(lambda: self.status()["parked"] == count, timeout, f"{count} parked")

    # The end.

    def stop(self, timeout=TIMEOUT_S):
        """SIGTERM, and all that must be so afterwards; returns what was not."""
        problems = []
        self.is_over = True
        self.process.signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        if code != 0:
            problems.append(f"epcd ended with {code} on SIGTERM")
        problems += [f"a mount is left: {point}" for point in mounts_below(self.run_dir)]
        problems += [f"epcd said: {line}" for line in self.process.stdout.lines()
                     if BAD_OUTPUT.search(line)]
        return problems

    def kill(self):
        """SIGKILL, as a test may want it, and the mount's end."""
        self.is_over = True
        self.process.signal(signal.SIGKILL)
        for point in mounts_below(self.run_dir):
            mount_end(point)
        return self.process.wait()
