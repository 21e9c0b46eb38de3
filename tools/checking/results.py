# SPDX-License-Identifier: MIT
"""What tests said: meson's testlog.json and pytest's JUnit file become lists of Result.

Also the list of skips that are allowed. Running the tests is jobs.py's.
"""

import fnmatch
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
DETAIL_LINES = 12


@dataclass(frozen=True)
class Result:
    name: str
    outcome: str
    detail: str = ""


def last_lines(text, nr_lines=DETAIL_LINES):
    return "\n".join(text.rstrip().split("\n")[-nr_lines:])


def of_meson(path):
    """One Result a test program, and one for each test that a cmocka program says it skipped."""
    if not os.path.exists(path):
        return []
    results = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            test = json.loads(line)
            name = test["name"]
            output = test.get("stdout", "") + test.get("stderr", "")
            if test["result"] == "SKIP":
                results.append(Result(name, SKIPPED, last_lines(output, 1)))
                continue
            is_good = test["result"] in ("OK", "EXPECTEDFAIL")
            detail = "" if is_good else f"{test['result']}\n{last_lines(output)}"
            results.append(Result(name, PASSED if is_good else FAILED, detail))
            for skipped in sorted(set(re.findall(r"^\[  SKIPPED \] (?!\d+ test)(\w+)", output, re.M))):
                results.append(Result(f"{name}:{skipped}", SKIPPED, "cmocka skip()"))
    return results


def of_pytest(path):
    """One Result a test. An error in setting up or ending a test counts as its failure."""
    if not os.path.exists(path):
        return []
    results = {}
    for case in ElementTree.parse(path).iter("testcase"):
        module = case.get("classname", "").replace(".", "/")
        name = f"{module.removeprefix('tests/')}.py::{case.get('name')}"
        outcome, detail = PASSED, ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, detail = FAILED, child.get("message") or ""
            elif child.tag == "skipped" and outcome == PASSED:
                outcome, detail = SKIPPED, child.get("message") or ""
        known = results.get(name)
        if known is None or known.outcome == PASSED:
            results[name] = Result(name, outcome, "\n".join(detail.split("\n")[:DETAIL_LINES]))
    return list(results.values())


class Skips:
    """tools/skips.txt: a skip is allowed if one line fits its name and its reason."""

    def __init__(self, path):
        self.allowed = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip() or line.startswith("#"):
                    continue
                fields = [field.strip() for field in line.split("|")]
                if len(fields) != 3 or not all(fields):
                    raise ValueError(f"{path}:{number}: a line is: TEST | REASON | WHY")
                self.allowed.append(fields[:2])

    def allows(self, result):
        return any(fnmatch.fnmatchcase(result.name, name) and fnmatch.fnmatchcase(result.detail, reason)
                   for name, reason in self.allowed)
