# SPDX-License-Identifier: MIT
"""tests/client/epcload, started with the options of a test, and its report."""
import json
import os
import re
import signal

from .wait import TIMEOUT_S

BEGUN = re.compile(r"epcload: process (\d+) is (\d+), enclave at (0x[0-9a-f]+)")


class Load:
    """A running epcload. options: those of its command line, with _ for -, True for no value."""

    def __init__(self, world, device, cgroup=None, key=None, **options):
        options.setdefault("verify_all", True)
        if key:
            options["key"] = key
        words = []
        for name, value in options.items():
            if value is not False:
                words.append("--" + name.replace("_", "-"))
            if not isinstance(value, bool):
                words.append(str(value))
        self.nr_processes = options.get("processes", 1)
        self.process = world.run([world.build / "tests/client/epcload", "--json", *words, device],
                                 cgroup=cgroup)

    @property
    def pidfd(self):
        return self.process.pidfd

    @property
    def is_alive(self):
        return self.process.is_alive

    def pids(self, timeout=TIMEOUT_S):
        """Of its processes, all of which have built their enclaves; None when it has ended."""
        found = {}
        for number in range(self.nr_processes):
            line = self.process.stderr.wait_line(f"epcload: process {number} is ", timeout)
            if line is None:
                return None
            found[number] = int(BEGUN.search(line)[2])
        return [found[number] for number in range(self.nr_processes)]

    def kill_process(self, number):
        """SIGKILL for one of its processes, which epcload outlives and reports."""
        pid = self.pids()[number]
        # It is epcload's child, not waited for before it is reported: the pid is still its own.
        os.kill(pid, signal.SIGKILL)

    def stop(self):
        """Ends it early, when it has begun; it verifies all pages before, as ever."""
        self.pids()
        self.process.signal(signal.SIGTERM)

    def report(self, timeout=TIMEOUT_S):
        """Waits for the end."""
        self.process.wait(timeout)
        text = self.process.stdout.text()
        assert text, f"epcload said nothing\n{self.process.describe()}"
        return json.loads(text)

    def right(self, timeout=TIMEOUT_S):
        """The report of a load that went well, to its end: every word was right."""
        report = self.report(timeout)
        assert report["right"] and report["wrong"] == 0, self.process.describe()
        assert report["sigbus"] == 0, self.process.describe()
        assert self.process.wait() == 0, self.process.describe()
        return report
