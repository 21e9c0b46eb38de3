# SPDX-License-Identifier: MIT
"""Rules for one file of any language: licence, length, width, white space, paths, Python's own."""

import ast
import re

from .source import Finding

FILE_LINES = 700
FUNCTION_LINES = 70
WIDTHS = {".c": 100, ".h": 100, ".py": 110, ".S": 100, ".md": 140}

# Put together here, so that this file does not find itself.
MACHINE_PATH = re.compile(
    r"(?<![\w.$/}-])/" + r"work(?![\w-])|\." + r"library\b|\.\./" + r"shared\b|/" + r"root/|/" + r"home/\w")


def needs_licence(source):
    is_code = source.is_c or source.is_python or source.is_shell or source.suffix in (".S", ".ld")
    return is_code or source.path.endswith(("meson.build", "meson_options.txt", "Makefile"))


def licence(source):
    if not needs_licence(source):
        return
    first = 1 if source.lines[0].startswith("#!") else 0
    line = source.lines[first] if len(source.lines) > first else ""
    if "SPDX-License-Identifier: MIT" not in line:
        yield Finding(source.path, first + 1, "licence",
                      "begin with a comment: SPDX-License-Identifier: MIT")


def file_length(source):
    is_code = source.is_c or source.is_python or source.is_shell
    nr_lines = source.text.count("\n")
    if is_code and nr_lines > FILE_LINES:
        yield Finding(source.path, FILE_LINES, "file-length",
                      f"{nr_lines} lines, {FILE_LINES} is the limit: find the second role of this file")


def white_space(source):
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield Finding(source.path, number, "white-space", "no blanks at the end of a line")
    if source.text and not source.text.endswith("\n"):
        yield Finding(source.path, len(source.lines), "white-space", "end the file with a newline")


def width(source):
    limit = WIDTHS.get(source.suffix, 110 if source.is_python or source.is_shell else 0)
    for number, line in enumerate(source.lines, 1):
        columns = len(line.expandtabs(8))
        is_table = source.suffix == ".md" and line.startswith("|")
        if limit and columns > limit and not is_table and "http" not in line:
            yield Finding(source.path, number, "width", f"{columns} columns, {limit} is the limit")


def machine_paths(source):
    for number, line in enumerate(source.lines, 1):
        match = MACHINE_PATH.search(line)
        if match:
            yield Finding(source.path, number, "machine-path",
                          f"{match.group(0)}: a path of one machine has no place in the tree")


def python_functions(source):
    if not source.is_python:
        return
    try:
        module = ast.parse(source.text)
    except SyntaxError as error:
        yield Finding(source.path, error.lineno or 1, "python", f"does not parse: {error.msg}")
        return
    for node in ast.walk(module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nr_lines = node.end_lineno - node.lineno + 1
            if nr_lines > FUNCTION_LINES:
                yield Finding(source.path, node.lineno, "function-length",
                              f"{node.name}() has {nr_lines} lines, {FUNCTION_LINES} is the limit: split it")
        is_sleep = (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
                    and node.func.attr == "sleep")
        if is_sleep and source.path.startswith("tests/") and not source.allows(node.lineno, "banned-call"):
            yield Finding(source.path, node.lineno, "banned-call",
                          "sleep(): wait for the event; if it cannot be waited for, say so: "
                          "`# lint: allow banned-call: REASON`")


def python_interpreter(source):
    if source.lines[0].startswith("#!") and "python" in source.lines[0]:
        if source.lines[0] != "#!/usr/bin/python3":
            yield Finding(source.path, 1, "python", "begin with #!/usr/bin/python3: Debian's, which "
                          "has the packages that tools/setup installs")


RULES = [licence, file_length, white_space, width, machine_paths, python_functions, python_interpreter]
