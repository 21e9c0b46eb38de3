# SPDX-License-Identifier: MIT
"""Rules that look into one C file. Each yields findings for one Source."""

import re

from .source import Finding

CORE_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "string.h", "errno.h", "limits.h"}

# room: the rooms of src that it may include, and epc, the public headers in include/. tests/unit,
# tests/sim and tests/fuzz are not here: they may all.
LAYERS = {
    "src/base": {"base"},
    "src/sgx": {"sgx"},
    "src/core": {"core", "sgx"},
    "src/front": {"base", "core", "front", "epc"},
    "src/sign": {"base", "sgx", "sign"},
    "src/vepc": {"vepc", "epc"},
    "src/ctl": {"base", "ctl"},
    "bench": {"core", "sgx"},
    "tests/client": {"epc"},
    "examples": {"epc"},
    "tests/guest": set(),
}
ROOMS_OF_SRC = ("base", "sgx", "core", "front", "ctl", "sign", "vepc")

BANNED = {
    "sprintf": "use snprintf",
    "vsprintf": "use vsnprintf",
    "strcpy": "use memcpy with a length that was checked",
    "strcat": "use snprintf or memcpy with a length that was checked",
    "strncpy": "it may leave no end: use memcpy or snprintf",
    "gets": "use fgets or getline",
    "system": "use posix_spawn or fork and execv, without a shell",
    "popen": "use posix_spawn or fork and execv, without a shell",
    "atoi": "use strtoull and check errno and the end (src/base/size.h)",
    "atol": "use strtoull and check errno and the end (src/base/size.h)",
    "alloca": "allocate from the heap or have a bounded array",
    "sleep": "wait for the event itself",
    "usleep": "wait for the event itself",
    "nanosleep": "wait for the event itself",
    "clock_nanosleep": "wait for the event itself",
    "strtok": "use strsep or memchr",
}

CORE_BANNED = {
    **dict.fromkeys(("malloc", "calloc", "realloc", "free"), "use the allocator of the configuration"),
    **dict.fromkeys(("time", "clock_gettime", "gettimeofday"), "time comes in with epc_tick()"),
    **dict.fromkeys(("printf", "fprintf", "snprintf", "puts"), "the core says nothing: leave a record"),
    **dict.fromkeys(("rand", "random", "getrandom"), "randomness comes in with the configuration"),
    **dict.fromkeys(("abort", "exit", "getenv", "open", "read", "write"), "no system calls in the core"),
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)
CALL = re.compile(r"(?<![\w.])(?<!->)([A-Za-z_]\w*)\s*\(")


def layering(source):
    room = LAYERS.get(source.room)
    if room is None or not source.is_c:
        return
    is_src = source.path.startswith("src/")
    for match in INCLUDE.finditer(source.text):
        kind, name = match.groups()
        line = source.line_of(match.start())
        first = name.split("/")[0]
        if kind == '"' and "/" not in name and is_src:
            yield Finding(source.path, line, "layering", f'write the room: "ROOM/{name}"')
        elif kind == '"' and first not in room and (is_src or first in ROOMS_OF_SRC):
            yield Finding(source.path, line, "layering", f"{source.room} may include of src only "
                          f"{', '.join(sorted(room)) or 'nothing'}: turn the arrow round")
        elif kind == '"' and name.endswith(".c"):
            yield Finding(source.path, line, "layering", "do not include a .c file")
        elif kind == '"' and first == "core" and source.room != "src/core" and name != "core/epc.h":
            yield Finding(source.path, line, "layering", "only core/epc.h is the core's interface")
        elif name == "sgx/internal.h" and source.room not in ("src/sgx", "tests/unit"):
            yield Finding(source.path, line, "layering", "sgx/sgx.h is the processor's interface")
        elif kind == "<" and source.room == "src/core" and name not in CORE_HEADERS:
            yield Finding(source.path, line, "layering", f"the core may not need <{name}>: "
                          "let the caller bring what it gives")


def banned_calls(source):
    if not source.is_c or source.room == "tools":
        return
    banned = {**BANNED, **CORE_BANNED} if source.room == "src/core" else BANNED
    for match in CALL.finditer(source.statements):
        name = match.group(1)
        line = source.line_of(match.start())
        remedy = banned.get(name)
        if remedy is None and source.room == "src/core" and name.startswith("pthread_"):
            remedy = "the core has no thread and no lock"
        if remedy and not source.allows(line, "banned-call"):
            yield Finding(source.path, line, "banned-call", f"{name}(): {remedy}")
    if source.room == "src/core":
        for match in re.finditer(r"(?<!\w)errno(?!\w)", source.statements):
            yield Finding(source.path, source.line_of(match.start()), "banned-call",
                          "errno: the core returns -E... and has no global error")


def typedefs(source):
    if not source.is_c:
        return
    for match in re.finditer(r"(?<!\w)typedef\b([^;{]*)", source.statements):
        line = source.line_of(match.start())
        text = match.group(1)
        if re.match(r"\s*(struct|union|enum)\b[^(]*$", text):
            yield Finding(source.path, line, "typedef", "no typedef of a struct, union or enum")
        elif "(" in text and not re.search(r"\w_fn\s*\)?\s*\(", text):
            yield Finding(source.path, line, "typedef", "the name of a function type ends in _fn")


def file_scope(source):
    """Yields (line, text, kind) for what stands at file scope: kind is function, or other with its
    braces emptied; for a function also the line of its closing brace."""
    text = source.statements
    depth, start, shown, opened, index = 0, None, [], 0, 0
    for index, char in enumerate(text):
        if depth == 0 and start is None and not char.isspace():
            start, shown = index, []
        if char == "{":
            if depth == 0:
                opened = index
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
            if depth == 0:
                head = "".join(shown).strip()
                is_body = re.search(r"\)\s*(__attribute__\s*\(\(.*\)\)\s*)?$", head) and "=" not in head
                if is_body:
                    yield source.line_of(start), head, "function", source.line_of(index), opened
                    start = None
                continue
        elif depth == 0 and char == ";":
            yield (source.line_of(start), "".join(shown).strip(), "other", source.line_of(index), opened)
            start = None
        if depth == 0 and char not in "{}":
            shown.append(char)


NO_VARIABLE = re.compile(r"^(typedef\b|_Static_assert\b|static_assert\b|(struct|union|enum)(\s+\w+)?\s*$)")


def is_mutable(declaration):
    """Of a declaration without function body: does it make an object that can change?"""
    head = re.split(r"[=]", declaration, maxsplit=1)[0].strip()
    head = re.sub(r"__attribute__\s*\(\(.*?\)\)", "", head).strip()
    if not head or NO_VARIABLE.match(head):
        return False
    if "(" in head and not re.search(r"\(\s*\*", head):
        return False
    if re.search(r"\(\s*\*", head) and not re.search(r"\(\s*\*\s*const\b", head):
        # (*f)(...) is an object; f(void (*g)(...)) is a prototype with a parameter
        return head.index("(") == re.search(r"\(\s*\*", head).start()
    if "*" in head and "(" not in head:
        return not re.search(r"\*\s*const\b[^*]*$", head)
    return not re.search(r"\bconst\b", head)


# The two exceptions: stderr is the process's, and so is the question how much of it is written; a
# signal handler is called without anything that is its owner's.
MUTABLE_ALLOWED = {
    "src/base/log.c": "static atomic_int log_threshold",
    "src/vepc/sigbus.c": "static struct guard_table guards",
}


def mutable_globals(source):
    if not source.path.startswith("src/") or not source.is_c or source.path.endswith("main.c"):
        return
    remedy = "no mutable variables outside main.c: put it into the struct of its owner"
    for line, text, kind, _, _ in file_scope(source):
        is_allowed = text.split(" =")[0] == MUTABLE_ALLOWED.get(source.path)
        if kind == "other" and is_mutable(text) and not is_allowed:
            yield Finding(source.path, line, "mutable-global", remedy)
    for number, text in enumerate(source.statements.split("\n"), 1):
        if re.match(r"\s+static\s", text) and is_mutable(text.strip().rstrip(";{ ")):
            yield Finding(source.path, number, "mutable-global", remedy)


def function_length(source, limit=70):
    if not source.is_c:
        return
    for line, head, kind, last, _ in file_scope(source):
        if kind == "function" and last - line + 1 > limit:
            names = CALL.findall(head)
            yield Finding(source.path, line, "function-length",
                          f"{names[0] if names else '?'}() has {last - line + 1} lines, "
                          f"{limit} is the limit: split it")


RULES = [layering, banned_calls, typedefs, mutable_globals, function_length]
