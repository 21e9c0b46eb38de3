# SPDX-License-Identifier: MIT
"""Debian's QEMU, unmodified, with EPC from epcd: sections, reset, death, company, probe, link."""
import json

import pytest

from harness.sentence import QEMU_COMM
from harness.vm import MIB, refused_inside


def test_two_sections_on_two_nodes(epcd, cgroup, vm):
    """Goal: two sections work at once. Method: fill both, read both, look at the figures."""
    daemon = epcd("--epc", "8M@0", "--epc", "8M@1")
    group = cgroup("two sections")
    machine = vm(daemon, [(4 * MIB, 0), (2 * MIB, 1)], cgroup=group, smp=2, numa=True)
    sgx = machine.qmp.execute("query-sgx")
    assert sorted((part["node"], part["size"]) for part in sgx["sections"]) == [
        (0, 4 * MIB), (1, 2 * MIB)]

    machine.write(0, 0, 1023, seed=1)
    machine.write(1, 0, 511, seed=2)
    machine.verify(0, 0, 1023, seed=1)
    machine.verify(1, 0, 511, seed=2)

    infos = daemon.instances()
    assert len(infos) == 2
    for info in infos:
        assert info["pid"] == machine.pid
        assert info["command"] == QEMU_COMM
        assert info["cgroup"] == group.name
        assert info["device"] == "sgx_vepc"
        assert info["last_refusal"] is None
    assert sorted(info["touched_bytes"] for info in infos)[0] >= 2 * MIB
    assert daemon.misc(group, "misc.current") >= 6 * MIB
    epc = daemon.status()["epc"]
    assert [section["node"] for section in epc["sections"]] == [0, 1]
    assert epc["total_bytes"] == 16 * MIB
    assert epc["used_bytes"] == epc["total_bytes"] - epc["free_bytes"]
    assert machine.quit() == 0
    daemon.wait_all_free()


@pytest.mark.parametrize("prealloc", [True, False], ids=["prealloc", "on-demand"])
def test_prealloc(epcd, cgroup, vm, prealloc):
    """Goal: both ways in which QEMU gets its pages. Method: look before the guest has touched any."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    machine = vm(daemon, [(4 * MIB, 0), (MIB, 0)], cgroup=group, prealloc=prealloc)
    if prealloc:
        assert [info["owned_bytes"] >= size for info, size
                in zip(daemon.instances(), [4 * MIB, MIB])] == [True, True]
        assert daemon.misc(group, "misc.current") >= 5 * MIB
    else:
        assert daemon.instances() == []
        assert daemon.misc(group, "misc.current") == 0
    machine.zero(0, 0, 1023)
    machine.write(0, 0, 1023)
    machine.write(1, 0, 255)
    machine.verify(0, 0, 1023)
    machine.verify(1, 0, 255)
    assert machine.quit() == 0
    daemon.wait_all_free()
    assert daemon.misc(group, "misc.current") == 0


@pytest.mark.parametrize("prealloc", [True, False], ids=["prealloc", "on-demand"])
def test_system_reset(epcd, cgroup, vm, prealloc):
    """Goal: a reset guest finds cleared EPC. Method: write, system_reset by QMP, look; twice."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    machine = vm(daemon, [(2 * MIB, 0), (2 * MIB, 0)], cgroup=group, prealloc=prealloc)
    for seed in (1, 2):
        for section in (0, 1):
            machine.write(section, 0, 511, seed)
            machine.verify(section, 0, 511, seed)
        machine.reset()
        for section in (0, 1):
            machine.zero(section, 0, 511)
    assert daemon.counters()["resets"] >= 4
    assert daemon.misc(group, "misc.current") >= 4 * MIB
    assert machine.quit() == 0


def test_reset_under_four_processors(epcd, cgroup, vm):
    """Goal: a reset in the middle of faults. Method: four vCPUs write and verify; reset; look."""
    daemon = epcd("--epc", "8M@0")
    group = cgroup()
    machine = vm(daemon, [(2 * MIB, 0), (2 * MIB, 0)], cgroup=group, smp=4)
    assert machine.command("hammer 0 0 511 1 4 20") == "hammering"
    assert machine.receive() == "hammered 0 0 511 1 4 20"
    for section in (0, 1):
        # So many rounds that they do not end by themselves.
        assert machine.command(f"hammer {section} 0 511 1 4 1000000000") == "hammering"
        machine.reset()
        machine.zero(section, 0, 511)
    assert refused_inside(daemon, machine) == []
    assert machine.quit() == 0
    daemon.wait_all_free()


def test_sigkill_returns_every_page(world, epcd, cgroup, vm):
    """Goal: a killed VM leaves nothing. Method: SIGKILL with dirty pages; figures, epcctl."""
    daemon = epcd("--epc", "8M@0")
    group = cgroup()
    machine = vm(daemon, [(2 * MIB, 0), (2 * MIB, 0)], cgroup=group)
    machine.write(0, 0, 511)
    machine.write(1, 0, 511)
    assert daemon.misc(group, "misc.current") >= 4 * MIB
    assert machine.kill() == -9
    daemon.wait_all_free()
    assert daemon.misc(group, "misc.current") == 0
    assert daemon.misc(group, "misc.peak") >= 4 * MIB
    assert daemon.instances() == []
    ctl = world.run([world.build / "src/ctl/epcctl", "--run-dir", daemon.run_dir, "--json",
                     "status"])
    assert ctl.wait() == 0, ctl.describe()
    assert json.loads(ctl.stdout.text())["epc"]["free_bytes"] == 8 * MIB


def test_four_vms_at_once(epcd, cgroup, vm):
    """Goal: VMs do not see each other. Method: four write, verify, reset, die at the same time."""
    daemon = epcd("--epc", "8M@0", "--epc", "8M@1")
    groups = [cgroup(f"vm{number}") for number in range(4)]
    machines = [vm(daemon, [(2 * MIB, 0), (MIB, 1)], cgroup=group, boots=False)
                for group in groups]
    for machine in machines:
        machine.boot()
    for seed, machine in enumerate(machines):
        machine.send(f"write 0 0 511 {seed}")
        machine.send(f"write 1 0 255 {seed}")
    for seed, machine in enumerate(machines):
        assert machine.receive() == f"wrote 0 0 511 {seed}"
        assert machine.receive() == f"wrote 1 0 255 {seed}"
    for seed, machine in enumerate(machines):
        machine.verify(0, 0, 511, seed)
        machine.verify(1, 0, 255, seed)
        assert daemon.misc(groups[seed], "misc.current") >= 3 * MIB
    machines[0].reset()
    machines[0].zero(0, 0, 511)
    assert machines[1].kill() == -9
    for seed in (2, 3):
        machines[seed].verify(0, 0, 511, seed)
        machines[seed].verify(1, 0, 255, seed)
    assert machines[2].quit() == 0
    machines[3].verify(0, 0, 511, 3)
    assert machines[3].kill() == -9
    machines[0].zero(1, 0, 255)
    assert machines[0].quit() == 0
    daemon.wait_all_free()
    assert [daemon.misc(group, "misc.current") for group in groups] == [0, 0, 0, 0]


def test_probe_leaves_no_trace(epcd, cgroup, vm):
    """Goal: QEMU's opens that only ask cost nothing. Method: a QEMU without sections, asked too."""
    daemon = epcd("--epc", "4M@0")
    group = cgroup()
    machine = vm(daemon, [], cgroup=group)
    machine.qmp.execute("query-sgx-capabilities")
    assert daemon.status()["instances"] == 0
    assert machine.quit() == 0
    status = daemon.status()
    assert status["instances"] == 0
    assert status["peak_bytes"] == 0
    assert daemon.history() == []
    assert daemon.instances() == []
    assert daemon.misc(group, "misc.peak") == 0


def test_link_removed_under_a_running_vm(world, epcd, vm):
    """Goal: only opens need the link. Method: remove it in the VM's /dev; fault, reset, quit."""
    daemon = epcd("--epc", "8M@0")
    machine = vm(daemon, [(2 * MIB, 0), (MIB, 0)])
    machine.write(0, 0, 10)
    removal = world.run(["nsenter", f"--mount=/proc/{machine.pid}/ns/mnt", "rm", "/dev/sgx_vepc"])
    assert removal.wait() == 0, removal.describe()
    machine.write(0, 0, 511)
    machine.write(1, 0, 255)
    machine.verify(0, 0, 511)
    machine.reset()
    machine.zero(0, 0, 511)
    machine.zero(1, 0, 255)
    assert machine.quit() == 0
    daemon.wait_all_free()
