# SPDX-License-Identifier: MIT
"""What `make demo` shows, once it is built."""
import os
import re
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parents[2] / "tools" / "demo"
WANTED = [r"QEMU: a section of 4 MiB on node 0", r"QEMU: a section of 2 MiB on node 1",
          r"guest> write 0 .* wrote 0 0 1023 1", r"guest> verify 0 .* verified 0 0 1023 1",
          r"guest: ready, after system_reset", r"guest> zero 0 .* clean 0 0 1023",
          r"guest> write 1 .*\(refused: QEMU got SIGBUS",
          r"VM \d+ \(qemu-system-x86\) was refused EPC: .*: misc.max 5242880, used 5242880, "
          r"4096 more bytes were wanted", r"epcd: run: EPC used: peak 5 MiB"]


def test_demo(world):
    """Goal: wrote, verified, reset, clean again, refused in words. Method: the demo's lines."""
    process = world.run([sys.executable, DEMO], env={**os.environ, "EPCD_BUILD": str(world.build)},
                        merged=True)
    assert process.wait() == 0, process.describe()
    said = process.stdout.text()
    at = 0
    for pattern in WANTED:
        found = re.compile(pattern).search(said, at)
        assert found, f"no {pattern!r} after what came before it, in:\n{said}"
        at = found.end()
    assert list(world.top().path.glob("*/")) == []
