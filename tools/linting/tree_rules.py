# SPDX-License-Identifier: MIT
"""Rules that need the whole tree: dead files, what the documents claim, clang-format."""

import os
import re
import subprocess

from .c_rules import INCLUDE
from .source import Finding

CLANG_FORMAT = "clang-format"
CLANG_FORMAT_VERSION = "14."


def dead_files(tree):
    builds = {s.path: s.text for s in tree.sources if s.path.endswith("meson.build")}
    included = {os.path.basename(m.group(2)) for s in tree.sources if s.is_c or s.suffix == ".S"
                for m in INCLUDE.finditer(s.text)}
    python = "\n".join(s.text for s in tree.sources if s.is_python)
    for source in tree.sources:
        name = os.path.basename(source.path)
        if source.suffix == ".h":
            if name not in included:
                yield Finding(source.path, 1, "dead-file", "no file includes it: remove it")
        elif source.suffix in (".c", ".S", ".ld"):
            if not is_built(source.path, builds) and name not in included:
                yield Finding(source.path, 1, "dead-file", "no meson.build above names it: do, or remove it")
        elif source.suffix == ".py" and source.path.startswith("tests/"):
            module = name[:-3]
            is_collected = module.startswith("test_") or module in ("conftest", "__init__")
            imports = rf"import\b.*\b{module}\b|from\s+[\w.]*\b{module}\s"
            if not is_collected and not re.search(imports, python):
                yield Finding(source.path, 1, "dead-file", "no module imports it: remove it")


def is_built(path, builds):
    """True if a meson.build in the folder of path, or above it, names it by its way from there."""
    folder = os.path.dirname(path)
    while True:
        text = builds.get(os.path.join(folder, "meson.build"), "")
        name = os.path.relpath(path, folder or ".")
        stem = os.path.splitext(name)[0]
        if re.search(rf"'{re.escape(name)}'", text) or re.search(rf"'{re.escape(stem)}'", text):
            return True
        if not folder:
            return False
        folder = os.path.dirname(folder)


def documents(tree):
    """Commands and paths that documents name exist; README has no command but the two."""
    makefile = tree.by_path.get("Makefile")
    targets = set(re.findall(r"^([\w-]+):", makefile.text, re.M)) if makefile else set()
    for source in tree.sources:
        if source.suffix != ".md":
            continue
        for number, line in enumerate(source.lines, 1):
            for target in re.findall(r"(?:`|^\s+|^)make ([a-z][\w-]*)", line):
                if target not in targets:
                    yield Finding(source.path, number, "documents", f"the Makefile has no target {target}")
            for path in re.findall(r"(?<![\w/.-])((?:src|tests|tools|bench|doc)/[\w./-]*[\w/])", line):
                if not tree.has_path(path):
                    yield Finding(source.path, number, "documents", f"there is no {path} in the tree")
    readme = tree.by_path.get("README.md")
    if readme is None:
        yield Finding("README.md", 1, "documents", "write one")
        return
    is_block = False
    for number, line in enumerate(readme.lines, 1):
        if line.startswith("```"):
            is_block = not is_block
        elif is_block and line.strip() and not re.match(r"make (demo|check)\b", line):
            yield Finding("README.md", number, "documents",
                          "its commands are make demo and make check, which CI runs; others go to HACKING.md")


def formatting(tree):
    if tree.top is None:
        return
    files = [s.path for s in tree.sources if s.is_c]
    version = subprocess.run([CLANG_FORMAT, "--version"], capture_output=True, text=True, check=True).stdout
    if f"version {CLANG_FORMAT_VERSION}" not in version:
        yield Finding(".clang-format", 1, "format",
                      f"needs clang-format {CLANG_FORMAT_VERSION}x (Debian 12's), not {version.strip()}")
        return
    if not files:
        return
    # With --dry-run it names the first difference of each file, among others, on stderr.
    run = subprocess.run([CLANG_FORMAT, "--dry-run", "--ferror-limit=0", *files], cwd=tree.top,
                         capture_output=True, text=True, check=False)
    seen = set()
    for path, line in re.findall(r"^(\S+?):(\d+):\d+: (?:warning|error):", run.stderr, re.M):
        if path not in seen:
            seen.add(path)
            yield Finding(path, int(line), "format", f"run clang-format -i {path}")
    if run.returncode != 0 and not seen:
        yield Finding(".clang-format", 1, "format", run.stderr.strip().split("\n")[-1])


RULES = [dead_files, documents, formatting]
