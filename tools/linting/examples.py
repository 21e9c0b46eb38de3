# SPDX-License-Identifier: MIT
"""The self-test of tools/lint: for each rule files that it must find, and files that it must not.

An example is (rule or None, path, text): the rule must find something at the line that has the
word HERE, or in the file anywhere if no line has it; None: no rule may find anything.
"""

import subprocess
import tempfile

from . import tree_rules
from .source import Tree

SPDX = "/* SPDX-License-Identifier: MIT */\n"
HASH = "# SPDX-License-Identifier: MIT\n"
LONG_BODY = "\tx();\n" * 70

BAD = [
    ("layering", "src/core/a.c", SPDX + '#include "base/log.h" /* HERE */\n'),
    ("layering", "src/core/a.c", SPDX + "#include <pthread.h> /* HERE */\n"),
    ("layering", "src/base/a.c", SPDX + '#include "core/epc.h" /* HERE */\n'),
    ("layering", "src/ctl/a.c", SPDX + '#include "front/daemon.h" /* HERE */\n'),
    ("layering", "src/front/a.c", SPDX + '#include "core/list.h" /* HERE */\n'),
    ("layering", "src/front/a.c", SPDX + '#include "daemon.h" /* HERE */\n'),
    ("layering", "src/front/a.c", SPDX + '#include "front/b.c" /* HERE */\n'),
    ("layering", "bench/a.c", SPDX + '#include "front/misc.h" /* HERE */\n'),
    ("layering", "tests/client/a.c", SPDX + '#include "base/log.h" /* HERE */\n'),
    ("banned-call", "src/ctl/a.c", SPDX + "int f(void)\n{\n\treturn sprintf(b, c); /* HERE */\n}\n"),
    ("banned-call", "tests/unit/a.c", SPDX + "void f(void)\n{\n\tusleep (5); /* HERE */\n}\n"),
    ("banned-call", "bench/a.c", SPDX + "int f(void)\n{\n\treturn atoi(b) + system(c); /* HERE */\n}\n"),
    ("banned-call", "src/core/a.c", SPDX + "void *f(void)\n{\n\treturn malloc(1); /* HERE */\n}\n"),
    ("banned-call", "src/core/a.c", SPDX + "int f(void)\n{\n\treturn errno; /* HERE */\n}\n"),
    ("banned-call", "src/core/a.c", SPDX + "void f(void)\n{\n\tpthread_mutex_lock(m); /* HERE */\n}\n"),
    ("banned-call", "tests/e2e/test_a.py", HASH + "import time\ntime.sleep(1)  # HERE\n"),
    ("typedef", "src/base/a.h", SPDX + "typedef struct a { /* HERE */\n\tint b;\n} a;\n"),
    ("typedef", "src/base/a.h", SPDX + "typedef int (*handler)(int); /* HERE */\n"),
    ("mutable-global", "src/base/a.c", SPDX + "static int count; /* HERE */\n"),
    ("mutable-global", "src/base/a.c", SPDX + "const char *name = 0; /* HERE */\n"),
    ("mutable-global", "src/base/a.c", SPDX + "static const char *const *names[] = { 0 }; /* HERE */\n"),
    ("mutable-global", "src/base/a.c", SPDX + "static int (*hook)(int); /* HERE */\n"),
    ("mutable-global", "src/base/a.c", SPDX + "struct a { /* HERE */\n\tint b;\n} all;\n"),
    ("mutable-global", "src/base/a.c", SPDX + "void f(void)\n{\n\tstatic int n = 1; /* HERE */\n}\n"),
    ("function-length", "src/base/a.c", SPDX + "int f(void) /* HERE */\n{\n" + LONG_BODY + "}\n"),
    ("function-length", "tests/e2e/test_a.py", HASH + "def f():  # HERE\n" + "    x()\n" * 70),
    ("file-length", "tools/a.sh", "#!/bin/sh\n" + HASH + "true\n" * 700),
    ("licence", "src/base/a.c", "int f(void); /* HERE */\n"),
    ("licence", "tools/a", "#!/bin/sh\necho # HERE\n"),
    ("licence", "src/base/meson.build", "base = 1 # HERE\n"),
    ("white-space", "src/base/a.c", SPDX + "int f(void); /* HERE */ \n"),
    ("white-space", "src/base/a.c", SPDX + "int f(void); /* HERE */"),
    ("width", "src/base/a.c", SPDX + "/* HERE" + "x" * 100 + "*/\n"),
    ("machine-path", "HACKING.md", "cd /" + "work/main HERE\n"),
    ("machine-path", "tests/e2e/test_a.py", HASH + "P = '/" + "root/x'  # HERE\n"),
    ("python", "tests/e2e/test_a.py", HASH + "def f(:  # HERE\n"),
    ("python", "tools/a", "#!/usr/bin/env python3 HERE\n" + HASH),
    ("dead-file", "src/base/dead.c", SPDX + "int f(void);\n"),
    ("dead-file", "src/base/dead.h", SPDX + "int f(void);\n"),
    ("dead-file", "tests/e2e/helper.py", HASH + "x = 1\n"),
    ("documents", "HACKING.md", "Type `make nothing`. HERE\n"),
    ("documents", "HACKING.md", "Look into src/core/none.c. HERE\n"),
    ("documents", "README.md", "```\nmake check\napt-get install x # HERE\n```\n"),
]

GOOD = [
    ("src/core/a.c", SPDX + '#include "core/epc.h"\n#include <errno.h>\n#include <string.h>\n'),
    ("src/front/a.c", SPDX + '#include "base/log.h"\n#include "core/epc.h"\n#include <fuse_lowlevel.h>\n'),
    ("tests/unit/a.c", SPDX + '#include "core/list.h"\n#include "a.h"\n'),
    ("bench/a.c", SPDX + '#include "core/epc.h"\n#include "b.h"\n'),
    ("src/core/a.c", SPDX + "/* malloc(3), errno */\nvoid f(struct epc *e)\n{\n"
     "\te->allocator.free_fn(e);\n\te->free(x);\n\te.time(y);\n}\n"),
    ("src/ctl/a.c", SPDX + 'const char *f(void)\n{\n\treturn "system(x) sleep(1)";\n}\n'),
    ("tests/e2e/test_a.py",
     HASH + "import time\n# lint: allow banned-call: nothing tells of it\ntime.sleep(1)\n"),
    ("src/base/a.h", SPDX + "typedef int (*handler_fn)(int);\ntypedef void visit_fn(int);\n"),
    ("src/base/a.c", SPDX + "struct a {\n\tint b;\n\tvoid (*c)(int);\n};\nenum e { A, B };\nstruct b;\n"
     "static int g(void (*visit)(int));\nint f(int x) __attribute__((format(printf, 1, 2)));\n"
     "static const struct a table[] = { { .b = 1 }, { .b = 2 } };\n"
     "static const char *const names[] = { \"a\", \"b\" };\nextern const struct a other;\n"
     "_Static_assert(sizeof(struct a) == 16, \"size\");\nstatic int (*const hook)(int) = f;\n"
     "#define X(a) \\\n\tstatic int a;\n"
     "int f(int x)\n{\n\tstatic const int n = 1;\n\tstruct a y = { 0 };\n\treturn n + y.b;\n}\n"),
    ("src/front/main.c", SPDX + "static volatile int is_ending;\n"),
    ("src/base/a.c", SPDX + "int f(void)\n{\n" + "\tx();\n" * 67 + "}\n"),
    ("tests/e2e/test_a.py", HASH + "GROUP = 'a/" + "work/b'\n"),
    ("README.md", "Look into src/base/.\n```\nmake demo\nmake check\n```\n"),
]

# The least of a tree in which nothing is to be found; an example is laid over it.
AROUND = {
    "README.md": "epcd\n",
    "Makefile": HASH + "check:\ndemo:\n",
    "src/base/meson.build": HASH + "lib = ['a.c', 'keep.c']\n",
    "src/base/keep.c": SPDX + '#include "base/a.h"\n',
    "src/core/meson.build": HASH + "lib = ['a.c']\n",
    "src/front/meson.build": HASH + "lib = ['a.c', 'main.c']\n",
    "src/ctl/meson.build": HASH + "lib = ['a.c']\n",
    "tests/unit/meson.build": HASH + "lib = ['a.c']\n",
    "tests/client/meson.build": HASH + "lib = ['a.c']\n",
    "bench/meson.build": HASH + "lib = ['a.c']\n",
}


def failures(findings_of):
    of_format = format_failure()
    messages = [of_format] if of_format else []
    for rule, path, text in BAD:
        found = [f for f in findings_of(Tree({**AROUND, path: text})) if f.path == path and f.rule == rule]
        lines = [number for number, line in enumerate(text.split("\n"), 1) if "HERE" in line]
        if not any(f.line in lines or not lines for f in found):
            messages.append(f"lint: {rule} does not find this:\n{text[:300]}")
    for path, text in GOOD:
        for finding in findings_of(Tree({**AROUND, path: text})):
            messages.append(f"lint: a false finding: {finding}\n{text[:300]}")
    return messages


def format_failure():
    """clang-format needs files: a bad one and a good one, with the style given in the folder."""
    with tempfile.TemporaryDirectory() as top:
        for name, text in (("bad.c", "int  f( void );\n"), ("good.c", "int f(void);\n")):
            with open(f"{top}/{name}", "w", encoding="utf-8") as file:
                file.write(text)
        try:
            found = [f.path for f in tree_rules.formatting(Tree.from_disk(top))]
        except (OSError, subprocess.SubprocessError) as error:
            return f"lint: format: {error}"
    return "" if found == ["bad.c"] else f"lint: format: found {found} instead of bad.c"
