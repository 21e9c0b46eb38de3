# SPDX-License-Identifier: MIT
"""The runner's own test: what hangs is ended and named, what is left behind is found and fails, and
what tests say is read rightly. Each check compares with a list of words that must be there."""

import contextlib
import io
import json
import os
import subprocess
import tempfile

from . import results
from .jobs import PREFIX, Job, Runner, descendants
from .report import Report

MARK = "PYTEST_CURRENT_TEST=test_x.py::test_hangs"


def run(jobs):
    with tempfile.TemporaryDirectory() as logs:
        return {job.name: job for job in Runner(logs, slots=2, say=lambda text: None).run(jobs)}


def of_jobs():
    """A hang in a session of its own, an orphan, a failed need, a second command after a failure."""
    jobs = run([
        Job("hangs", [["sh", "-c", f"{MARK} setsid sleep 1000 & wait"]], timeout_s=1),
        # It ends when the orphan is what it is to be.
        Job("orphan", [["sh", "-c", f'{MARK} setsid sleep 1001 & '
                        'until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done']]),
        Job("fails", [["false"], ["touch", "/nowhere/at/all"]]),
        Job("needs", [["true"]], needs=["fails"]),
        Job("closed", [["sh", "-c", "test ! -t 0 && cat && test -d $TMPDIR"]]),
    ])
    notes = {name: "\n".join(job.notes) for name, job in jobs.items()}
    yield "time limit", "its time limit" in notes["hangs"]
    yield "a hanging test is named", "sleep 1000" in notes["hangs"] and "test_hangs" in notes["hangs"]
    yield "it is not good", not jobs["hangs"].is_good
    yield "an orphan is named", "left a process: sleep 1001" in notes["orphan"]
    yield "an orphan fails its job", jobs["orphan"].exit_code == 0 and not jobs["orphan"].is_good
    yield "no command after a failed one", jobs["fails"].exit_code == 1 and jobs["fails"].next_command == 1
    yield "what needs a failed job is not run", "needs fails" in notes["needs"]
    yield "no terminal, no input", jobs["closed"].is_good
    yield "nothing is left running", not descendants(os.getpid())


def of_mounts():
    if os.getuid() != 0:
        return
    job = run([Job("mounts", [["sh", "-c", "mkdir $TMPDIR/m && mount -t tmpfs none $TMPDIR/m"]])])["mounts"]
    yield "a mount is found", job.exit_code == 0 and "left a mount" in "\n".join(job.notes)
    yield "and unmounted", not os.path.exists(job.tmp)
    left = os.path.join(tempfile.gettempdir(), f"{PREFIX}4194303-x")
    os.makedirs(f"{left}/m", exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", f"{left}/m"], check=True)
    run([])
    yield "what a killed runner has left is removed", not os.path.exists(left)


JUNIT = """<testsuites><testsuite>
<testcase classname="tests.e2e.test_a" name="test_fine"/>
<testcase classname="tests.e2e.test_a" name="test_bad"><failure message="1 == 2">x</failure></testcase>
<testcase classname="tests.e2e.test_a" name="test_skip"><skipped message="no /dev/kvm"/></testcase>
<testcase classname="tests.e2e.test_a" name="test_end"/>
<testcase classname="tests.e2e.test_a" name="test_end"><error message="left a page"/></testcase>
</testsuite></testsuites>"""

MESON = [
    {"name": "good", "result": "OK",
     "stdout": "[  SKIPPED ] 1 test(s), listed below:\n[  SKIPPED ] test_inner\n"},
    {"name": "slow", "result": "TIMEOUT", "stdout": "seed 7\n"},
    {"name": "left_out", "result": "SKIP", "stdout": "no memory\n"},
]


def of_results():
    with tempfile.TemporaryDirectory() as folder:
        junit, meson, skips = (os.path.join(folder, name) for name in ("a.xml", "a.json", "skips.txt"))
        with open(junit, "w", encoding="utf-8") as file:
            file.write(JUNIT)
        with open(meson, "w", encoding="utf-8") as file:
            file.write("\n".join(json.dumps(test) for test in MESON))
        with open(skips, "w", encoding="utf-8") as file:
            file.write("# words\ne2e/test_a.py::* | no /dev/kvm | needs a host that has it\n")
        tests = {r.name: r for r in results.of_pytest(junit) + results.of_meson(meson)}
        allowed = results.Skips(skips)
    outcomes = {name.replace("e2e/test_a.py::test_", ""): r.outcome for name, r in tests.items()}
    yield "outcomes", outcomes == {
        "fine": "passed", "bad": "failed", "skip": "skipped", "end": "failed",
        "good": "passed", "good:test_inner": "skipped", "slow": "failed", "left_out": "skipped"}
    yield "a time-out is named", "TIMEOUT" in tests["slow"].detail and "seed 7" in tests["slow"].detail
    yield "a listed skip", allowed.allows(tests["e2e/test_a.py::test_skip"])
    yield "an unlisted skip", not allowed.allows(tests["left_out"])


def job_ended(name, tests=None, exit_code=0, notes=()):
    job = Job(name, [["true"]])
    job.exit_code, job.notes = exit_code, list(notes)
    if tests is not None:
        job.read = lambda: [results.Result(f"{name}:{number}", *test)
                            for number, test in enumerate(tests)]
    return job


def said(jobs):
    """All that is printed about these jobs, and the exit code."""
    with (tempfile.TemporaryDirectory() as folder,
          contextlib.redirect_stdout(io.StringIO()) as out):
        skips = os.path.join(folder, "skips.txt")
        with open(skips, "w", encoding="utf-8") as file:
            file.write("*:* | no /dev/kvm | needs a host that has it\n")
        report = Report(folder, skips)
        for job in jobs:
            report.add(job)
        code = report.finish()
    return out.getvalue(), code


def of_report():
    skip = (results.SKIPPED, "no /dev/kvm")
    text, code = said([job_ended("good", [(results.PASSED,)] * 3), job_ended("plain")])
    yield "all good", code == 0 and text.endswith("\n4 passed, 0 failed\n")
    text, code = said([job_ended("good", [(results.PASSED,), skip])])
    yield "a listed skip", code == 0 and text.endswith("\n1 passed, 0 failed, 1 skipped\n")
    yield "a skip's reason", "skipped good:1: no /dev/kvm" in text
    text, code = said([job_ended("good", [(results.PASSED,), (results.SKIPPED, "no time")])])
    yield "an unlisted skip fails", code == 1 and text.endswith("\n1 passed, 1 failed\n")
    text, code = said([job_ended("bad", [(results.PASSED,), (results.FAILED, "1 == 2")], 1)])
    yield "a failure", code == 1 and "1 == 2" in text and text.endswith("\n1 passed, 1 failed\n")
    for what, job in {
            "crashed": job_ended("x", [(results.PASSED,)], 139), "empty": job_ended("x", []),
            "not run": job_ended("x", exit_code=None, notes=["not run"]),
            "left something": job_ended("x", [(results.PASSED,)], 0, ["left a process: y"]),
            "plain failed": job_ended("x", exit_code=1)}.items():
        text, code = said([job])
        yield what, code == 1 and text.endswith(" passed, 1 failed\n")


def main():
    parts = (of_jobs, of_mounts, of_results, of_report)
    failed = [name for part in parts for name, is_good in part() if not is_good]
    for name in failed:
        print(f"check: self-test: {name}: failed")
    print("check: the runner does what it says" if not failed else f"check: {len(failed)} failed")
    return 1 if failed else 0
