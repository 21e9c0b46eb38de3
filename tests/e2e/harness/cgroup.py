# SPDX-License-Identifier: MIT
"""cgroup v2 directories of a test's own."""
import errno
import os
import re
import select
from pathlib import Path

from .wait import TIMEOUT_S, Timeout, eventually

LEFTOVER_TIMEOUT_S = 5.0
NAME = "epcd-e2e-"
OWNER = re.compile(re.escape(NAME) + r"(\d+)-(\d+)-\d+")  # pid, start time, number


def cgroup2_mount():
    """Where the cgroup2 hierarchy is mounted, or None."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.split()[0] == "cgroup2":
            return Path(fields.split()[4])
    return None


def own_cgroup(mount):
    """The directory of this process, where it can be named; else the hierarchy's top."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            path = mount / line[4:].lstrip("/")
            if path.is_dir() and ".." not in path.parts:
                return path
    return mount


def start_time(pid):
    """When it began, in ticks since the machine's start; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])


def name_of_own(number):
    """A name that says whose it is, also to a run that comes later."""
    return f"{NAME}{os.getpid()}-{start_time(os.getpid())}-{number}"


def is_populated(path):
    try:
        return "populated 1" in (path / "cgroup.events").read_text()
    except OSError:
        return False  # gone meanwhile


def remove_leftovers(parent):
    """Removes what a test run has left that was killed: its process is gone, nothing is inside."""
    for path in sorted(parent.glob(f"{NAME}*/")):
        owner = OWNER.fullmatch(path.name)
        if owner and start_time(owner[1]) != int(owner[2]) and not is_populated(path):
            try:
                remove(path, LEFTOVER_TIMEOUT_S)
            except (OSError, Timeout):
                continue  # somebody else removes it too, or uses it again


def try_rmdir(path):
    """Whether it is gone now. A cgroup is busy for a moment after its last process has ended."""
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def remove(path, timeout=TIMEOUT_S):
    """Removes it and all below it, whoever made that; it must be empty of processes."""
    below = sorted(path.glob("**/"), key=lambda path: len(path.parts), reverse=True)
    for part in below:
        eventually(lambda part=part: try_rmdir(part), timeout, f"the end of cgroup {part}")


class Cgroup:
    """A directory, made on construction. name is what epcd calls it."""

    def __init__(self, path, mount):
        self.path = Path(path)
        self.mount = mount
        self.path.mkdir()

    @property
    def name(self):
        return "/" + str(self.path.relative_to(self.mount))

    def child(self, name):
        return Cgroup(self.path / name, self.mount)

    def pids(self):
        """The processes in it and below."""
        pids = set()
        for path in self.path.glob("**/"):
            try:
                pids.update(int(pid) for pid in (path / "cgroup.procs").read_text().split())
            except OSError:
                continue  # gone meanwhile; or a threaded one: its processes are its domain's
        return sorted(pids)

    def wait_empty(self, timeout=TIMEOUT_S):
        """Until no process is in it or below, not even one that is only ending."""
        fd = os.open(self.path / "cgroup.events", os.O_RDONLY)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            while b"populated 1" in os.pread(fd, 4096, 0):
                if not poll.poll(timeout * 1000):
                    raise Timeout(f"{self.name} still has processes: {self.pids()}")
        finally:
            os.close(fd)

    def kill(self, timeout=TIMEOUT_S):
        """Kills all that is in it and waits until nothing is."""
        (self.path / "cgroup.kill").write_text("1")
        self.wait_empty(timeout)

    def remove(self, timeout=TIMEOUT_S):
        """Removes it and all below it, whoever made that; it must be empty of processes."""
        remove(self.path, timeout)
