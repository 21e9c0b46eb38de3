# SPDX-License-Identifier: MIT
"""cgroup v2 directories of a test's own."""
import os
import select
from pathlib import Path

from .wait import TIMEOUT_S, Timeout


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


class Cgroup:
    """A directory, made on construction. name is what epcd calls it."""

    def __init__(self, path, mount):
        self.path = Path(path)
        self.mount = mount
        self.children = []
        self.path.mkdir()

    @property
    def name(self):
        return "/" + str(self.path.relative_to(self.mount))

    def child(self, name):
        child = Cgroup(self.path / name, self.mount)
        self.children.append(child)
        return child

    def pids(self):
        """The processes in it and below."""
        pids = []
        for procs in [self.path / "cgroup.procs", *self.path.glob("**/cgroup.procs")]:
            pids += [int(pid) for pid in procs.read_text().split()]
        return sorted(set(pids))

    def kill(self, timeout=TIMEOUT_S):
        """Kills all that is in it and waits until nothing is."""
        (self.path / "cgroup.kill").write_text("1")
        fd = os.open(self.path / "cgroup.events", os.O_RDONLY)
        try:
            poll = select.poll()
            poll.register(fd, select.POLLPRI)
            while b"populated 1" in os.pread(fd, 4096, 0):
                if not poll.poll(timeout * 1000):
                    raise Timeout(f"{self.name} still has processes: {self.pids()}")
        finally:
            os.close(fd)

    def remove(self):
        """Removes it and all below it, whoever made that; it must be empty of processes."""
        below = [path for path in self.path.glob("**/") if path != self.path]
        for path in sorted(below, key=lambda path: len(path.parts), reverse=True):
            path.rmdir()
        self.path.rmdir()
