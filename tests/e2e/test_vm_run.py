# SPDX-License-Identifier: MIT
"""QEMU under `epcd run`: everything comes and goes with one command."""
import json

from harness.sentence import PAGE
from harness.vm import MIB, Ended

SECTIONS = [(2 * MIB, 0), (MIB, 1)]


def cgroups_below(group):
    return [path for path in group.path.iterdir() if path.is_dir()]


def run_prefix(world, *options):
    return [world.build / "src/front/epcd", "run", "--epc", "4M@0", "--epc", "4M@1", *options, "--"]


def test_vm_under_run(world, cgroup, vm):
    """Goal: one command is all it takes. Method: use, reset, quit; summary and what is left."""
    group = cgroup("run")
    summary = world.directory / "summary.json"
    machine = vm(None, SECTIONS, cgroup=group, prefix=run_prefix(world, "--summary", summary))
    machine.write(0, 0, 511)
    machine.write(1, 0, 255)
    machine.verify(0, 0, 511)
    machine.reset()
    machine.zero(0, 0, 511)
    machine.zero(1, 0, 255)
    assert machine.quit() == 0, machine.process.describe()
    assert "EPC used: peak" in machine.process.stderr.text()
    assert json.loads(summary.read_text())
    assert cgroups_below(group) == []


def test_limit_of_run(world, cgroup, vm):
    """Goal: --max is the VM's limit, and is said. Method: fill it, then one page more: 135."""
    group = cgroup("run")
    machine = vm(None, SECTIONS, cgroup=group, prefix=run_prefix(world, "--max", "2M"))
    machine.write(0, 0, 511)
    machine.verify(0, 0, 511)
    try:
        raise AssertionError(machine.command("write 1 0 0 1"))
    except Ended:
        pass
    assert machine.wait() == 128 + 7, machine.process.describe()
    wanted = f"is at its limit: misc.max {2 * MIB}, used {2 * MIB}, {PAGE} more bytes were wanted"
    assert any("(qemu-system-x86) was refused EPC: cgroup " in line and line.endswith(wanted)
               for line in machine.process.stderr.lines()), machine.process.describe()
    assert cgroups_below(group) == []


def test_prealloc_over_limit_of_run(world, cgroup, vm):
    """Goal: words beside QEMU's "Bad address". Method: prealloc=on, one page less than it needs."""
    group = cgroup("run")
    machine = vm(None, SECTIONS, cgroup=group, prealloc=True, boots=False,
                 prefix=run_prefix(world, "--max", str(3 * MIB - PAGE)))
    assert machine.wait() == 1, machine.process.describe()
    said = machine.process.stderr.text()
    assert "Bad address" in said
    assert f"is at its limit: misc.max {3 * MIB - PAGE}" in said
    assert cgroups_below(group) == []
