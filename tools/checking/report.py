# SPDX-License-Identifier: MIT
"""What the runner says: a line for each part, the words of failures, and the sum in the last line.

How jobs are run is jobs.py's, what tests said results.py's.
"""

import os
import time

from . import results

TAIL_LINES = 40
DETAILS_MAX = 20  # failures of one part that are shown with their words; the others by name


class Report:
    """Counts, and says in lines what came out. A job without tests of its own counts as one."""

    def __init__(self, logs, skips):
        self.began = time.monotonic()
        self.logs = logs
        self.skips = results.Skips(skips)
        self.counts = dict.fromkeys((results.PASSED, results.FAILED, results.SKIPPED), 0)
        self.failures = []

    def say(self, text):
        print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

    def add(self, job):
        found = job.read() if hasattr(job, "read") and job.exit_code is not None else []
        found = [self.judge(job, result) for result in found]
        if not found and not job.is_good:
            found = [results.Result(job.name, results.FAILED, self.why(job))]
        elif not found and hasattr(job, "read"):
            found = [results.Result(job.name, results.FAILED, "ran no test")]
        elif not found:
            found = [results.Result(job.name, results.PASSED)]
        elif not job.is_good and not any(r.outcome == results.FAILED for r in found):
            found.append(results.Result(job.name, results.FAILED, self.why(job)))
        self.count(job, found)

    @staticmethod
    def why(job):
        return "\n".join(job.notes or [f"exit code {job.exit_code}"])

    def judge(self, job, result):
        if result.outcome == results.SKIPPED:
            self.say(f"{job.name}: skipped {result.name}: {result.detail}")
            if not self.skips.allows(result):
                return results.Result(result.name, results.FAILED,
                                      f"skipped, and tools/skips.txt does not allow it: {result.detail}")
        return result

    def count(self, job, found):
        nr_of = {outcome: sum(r.outcome == outcome for r in found) for outcome in self.counts}
        for outcome, nr in nr_of.items():
            self.counts[outcome] += nr
        self.say(f"{job.name}: " + ", ".join(f"{nr} {outcome}" for outcome, nr in nr_of.items() if nr)
                 + f" in {job.took_s:.1f} s")
        for note in job.notes:
            self.say(f"{job.name}: {note}")
        failed = [r for r in found if r.outcome == results.FAILED]
        for number, result in enumerate(sorted(failed, key=lambda r: r.name)):
            name = job.name if result.name == job.name else f"{job.name}: {result.name}"
            self.failures.append(name)
            if number < DETAILS_MAX:
                print(f"--- {name} failed: {result.detail}", flush=True)
        path = os.path.join(self.logs, f"{job.name}.log")
        if failed and job.exit_code is not None and os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                print(f"--- the end of build/logs/{job.name}.log:\n"
                      + results.last_lines(file.read(), TAIL_LINES) + "\n---", flush=True)

    def finish(self):
        for failure in self.failures:
            print(f"failed: {failure}")
        skipped = f", {self.counts['skipped']} skipped" if self.counts["skipped"] else ""
        print(f"{self.counts['passed']} passed, {self.counts['failed']} failed{skipped}", flush=True)
        return 1 if self.failures else 0
