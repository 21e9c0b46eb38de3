# SPDX-License-Identifier: MIT
"""Files of the tree as the rules see them. No rule belongs here.

Tree      the files by path, from disk or, for the self-test, from a dictionary
Source    one file: its text, and for C its text without comments and strings, line for line
Finding   file:line: rule: what is wrong and what to do
"""

import os
import re
from dataclasses import dataclass

SKIPPED_DIRS = re.compile(r"^(\.git|build.*|__pycache__|\.pytest_cache)$")


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    remedy: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}: {self.remedy}"


class Source:
    """One file. room is the part of the path that layering knows: src/core, tests/e2e, bench."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        parts = path.split("/")
        self.room = "/".join(parts[:2]) if parts[0] in ("src", "tests") else parts[0]
        self.suffix = os.path.splitext(path)[1]
        self.is_c = self.suffix in (".c", ".h")
        first = self.lines[0]
        self.is_python = self.suffix == ".py" or (first.startswith("#!") and "python" in first)
        self.is_shell = self.suffix == ".sh" or (first.startswith("#!") and "sh" in first.split("/")[-1])
        self._code = None

    @property
    def code(self):
        """C text with comments, strings and character constants blanked out, same line numbers."""
        if self._code is None:
            self._code = blank(self.text)
        return self._code

    @property
    def statements(self):
        """code without preprocessor lines, same line numbers."""
        lines, continues = [], False
        for line in self.code.split("\n"):
            is_directive = continues or line.lstrip().startswith("#")
            continues = is_directive and line.endswith("\\")
            lines.append("" if is_directive else line)
        return "\n".join(lines)

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def allows(self, line, rule):
        """True if the line, or the one before it, has a comment `lint: allow RULE: reason`."""
        near = self.lines[max(0, line - 2):line]
        return any(re.search(rf"lint: allow {rule}: \S", text) for text in near)


COMMENT_OR_STRING = re.compile(
    r"""/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.S | re.X)


def blank(text):
    def keep_shape(match):
        token = match.group(0)
        if token[0] == '"':
            return '"' + " " * (len(token) - 2) + '"'
        return re.sub(r"[^\n]", " ", token)

    return COMMENT_OR_STRING.sub(keep_shape, text)


class Tree:
    def __init__(self, files, top=None):
        self.top = top
        self.sources = [Source(path, text) for path, text in sorted(files.items())]
        self.by_path = {source.path: source for source in self.sources}

    @classmethod
    def from_disk(cls, top):
        files = {}
        for folder, names, leaves in os.walk(top):
            names[:] = [name for name in names if not SKIPPED_DIRS.match(name)]
            for leaf in leaves:
                full = os.path.join(folder, leaf)
                if os.path.islink(full):
                    continue
                with open(full, encoding="utf-8", errors="replace") as file:
                    text = file.read()
                path = os.path.relpath(full, top)
                # Inputs of the fuzzers are bytes: they are there, and no rule looks into them.
                files[path] = "" if path.startswith("tests/fuzz/corpus/") else text
        return cls(files, top)

    def has_path(self, path):
        return path in self.by_path or any(p.startswith(path.rstrip("/") + "/") for p in self.by_path)
