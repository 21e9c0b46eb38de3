# SPDX-License-Identifier: MIT
"""tests/client/vepc, driven line by line."""
from .process import Process
from .wait import TIMEOUT_S


class Client:
    """A process that opens, maps and touches vEPC; its commands stand in tests/client/vepc.c."""

    def __init__(self, build, daemon, cgroup=None, cwd=None):
        self.daemon = daemon
        self.process = Process([build / "tests/client/vepc"], cgroup=cgroup, cwd=cwd)

    @property
    def pid(self):
        return self.process.pid

    def send(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def receive(self, timeout=TIMEOUT_S):
        """The next answer; None when the client has ended."""
        return self.process.stdout.take_line(timeout)

    def command(self, command, timeout=TIMEOUT_S):
        self.send(command)
        return self.receive(timeout)

    def do(self, command, answer=None, timeout=TIMEOUT_S):
        """A command that must go well: any answer but an error, a SIGBUS or a bad page."""
        got = self.command(command, timeout)
        if got is None:
            raise AssertionError(f"{command!r}: the client ended with {self.process.wait()}")
        if answer is not None:
            assert got == answer, f"{command!r}: {got!r}, wanted {answer!r}"
        else:
            assert not got.startswith(("error", "sigbus", "bad")), f"{command!r}: {got!r}"
        return got

    def map(self, slot, nr_pages, hugepage=False):
        """Opens the daemon's node and maps so many pages."""
        self.do(f"open {slot} {self.daemon.vepc}")
        self.do(f"mmap {slot} {nr_pages}")
        if hugepage:
            self.do(f"hugepage {slot}")
