# SPDX-License-Identifier: MIT
"""A child process: its output by lines, its end by pidfd, never by a pid that may be another's."""
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from .wait import TIMEOUT_S, Timeout, wait_readable


class Output:
    """The lines of a pipe, read by a thread of its own so that the writer never waits."""

    def __init__(self, pipe):
        self._pipe = pipe
        self._changed = threading.Condition()
        self._lines = []
        self._is_at_end = False
        self._taken = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        with self._pipe:
            for line in self._pipe:
                with self._changed:
                    self._lines.append(line.decode(errors="backslashreplace").rstrip("\n"))
                    self._changed.notify_all()
        with self._changed:
            self._is_at_end = True
            self._changed.notify_all()

    def lines(self):
        with self._changed:
            return list(self._lines)

    def text(self):
        return "\n".join(self.lines())

    def wait_end(self, timeout=TIMEOUT_S):
        self._thread.join(timeout)

    def wait_line(self, part, timeout=TIMEOUT_S):
        """Waits for a line that contains part, from the start; None when the output has ended."""
        seen = 0
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                for line in self._lines[seen:]:
                    if part in line:
                        return line
                seen = len(self._lines)
                if self._is_at_end:
                    return None
                if not self._changed.wait(end - time.monotonic()):
                    raise Timeout(f"no line with {part!r} within {timeout:g} s; output so far:\n"
                                  + "\n".join(self._lines))

    def take_line(self, timeout=TIMEOUT_S):
        """The next line that was not taken yet; None when the output has ended."""
        with self._changed:
            if not self._changed.wait_for(
                    lambda: self._taken < len(self._lines) or self._is_at_end, timeout):
                raise Timeout(f"no line within {timeout:g} s; output so far:\n"
                              + "\n".join(self._lines))
            if self._taken == len(self._lines):
                return None
            self._taken += 1
            return self._lines[self._taken - 1]


class Process:
    """Starts args; in cgroup (a harness.cgroup.Cgroup) if there is one. Output is kept in memory.

    With merged=True stderr goes where stdout goes.
    """

    def __init__(self, args, cgroup=None, merged=False, cwd=None, env=None):
        self.args = [str(arg) for arg in args]
        # Who runs the tests may have signals ignored (nohup, a shell's &): that would be inherited.
        args = ["/usr/bin/env", "--default-signal", *self.args]
        if cgroup is not None:
            # The shell is in the cgroup before the program is there at all.
            args = ["/bin/sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"',
                    cgroup.path, *args]
        self._popen = subprocess.Popen(
            [str(arg) for arg in args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE, cwd=cwd, env=env,
            start_new_session=True)
        self.pid = self._popen.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.stdin = self._popen.stdin
        self.stdout = Output(self._popen.stdout)
        self.stderr = self.stdout if merged else Output(self._popen.stderr)

    @property
    def is_alive(self):
        return self._popen.returncode is None and self._popen.poll() is None

    def signal(self, number):
        if self._popen.returncode is None:
            signal.pidfd_send_signal(self.pidfd, number)

    def wait(self, timeout=TIMEOUT_S):
        """Waits for the end; the exit code, -N for signal N."""
        if self._popen.returncode is None:
            try:
                wait_readable([self.pidfd], timeout)
            except Timeout:
                raise Timeout(f"{self.args[0]} ({self.pid}) has not ended within {timeout:g} s\n"
                              f"{self.describe()}") from None
            self._popen.wait()
            self.stdout.wait_end(5)
            self.stderr.wait_end(5)
        return self._popen.returncode

    def kill(self, timeout=TIMEOUT_S):
        try:
            self.signal(signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.wait(timeout)

    def close(self):
        """After the end: gives the descriptors back."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        try:
            self.stdin.close()
        except OSError:
            pass

    def thread_states(self):
        """The letter of each thread: R, S, D, Z ..."""
        states = []
        for stat in Path(f"/proc/{self.pid}/task").glob("*/stat"):
            try:
                states.append(stat.read_text().rpartition(")")[2].split()[0])
            except OSError:
                continue
        return states

    def describe(self):
        """What the process does and has said: for a message about a hang."""
        parts = [f"command: {' '.join(self.args)}"]
        for task in sorted(Path(f"/proc/{self.pid}/task").glob("*")):
            try:
                state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                where = (task / "wchan").read_text()
                parts.append(f"thread {task.name}: {state} in {where}")
            except OSError:
                continue
        parts.append("output:\n" + self.stdout.text())
        if self.stderr is not self.stdout:
            parts.append("errors:\n" + self.stderr.text())
        return "\n".join(parts)
