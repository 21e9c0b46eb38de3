# SPDX-License-Identifier: MIT
"""QEMU at its cgroup's EPC limit: what just fits runs, the first page too many is refused in words."""
import signal

import pytest

from harness.sentence import PAGE, QEMU_COMM, refusal, refusal_full
from harness.vm import MIB, Ended, refused_inside

SECTIONS = [(2 * MIB, 0), (MIB, 0)]
SUM = 3 * MIB


def write_all(machine):
    for section in range(len(machine.sections)):
        machine.write(section, 0, machine.nr_pages(section) - 1, seed=section)
    for section in range(len(machine.sections)):
        machine.verify(section, 0, machine.nr_pages(section) - 1, seed=section)


def dies_at(machine, section, page):
    """The guest writes this page, and QEMU ends with SIGBUS."""
    with pytest.raises(Ended):
        machine.write(section, page, page)
    assert machine.wait() == -signal.SIGBUS, machine.process.describe()


def refused_once(daemon, machine):
    """The one refusal that there was."""
    records = refused_inside(daemon, machine)
    assert len(records) == 1, records
    return records[0]


@pytest.mark.parametrize("prealloc", [True, False], ids=["prealloc", "on-demand"])
@pytest.mark.parametrize("excess", [0, 4095])
def test_exact_limit_runs(epcd, cgroup, vm, prealloc, excess):
    """Goal: a limit of the sections' sum is enough, though clusters reach further. Method: fill."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    daemon.set_max(group, SUM + excess)
    machine = vm(daemon, SECTIONS, cgroup=group, prealloc=prealloc)
    write_all(machine)
    assert daemon.misc(group, "misc.current") == SUM
    assert daemon.misc(group, "misc.max") == SUM + excess
    machine.reset()
    machine.zero(0, 0, 511)
    machine.zero(1, 0, 255)
    write_all(machine)
    assert machine.quit() == 0
    assert refused_inside(daemon, machine) == []
    assert daemon.events_count(group) == len(daemon.history("refused"))


@pytest.mark.parametrize("limit", [SUM - PAGE, SUM - 1], ids=["one-page-less", "rounded-down"])
def test_one_page_less_on_demand(epcd, cgroup, vm, limit):
    """Goal: the last page is refused, SIGBUS, in words. Method: all but one page, then that."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup("one less")
    daemon.set_max(group, limit)
    machine = vm(daemon, SECTIONS, cgroup=group)
    machine.write(0, 0, 511)
    machine.write(1, 0, 254)
    machine.verify(0, 0, 511)
    machine.verify(1, 0, 254)
    assert daemon.misc(group, "misc.current") == SUM - PAGE
    dies_at(machine, 1, 255)
    record = refused_once(daemon, machine)
    assert record["text"] == refusal(machine.pid, QEMU_COMM, group.name, limit)
    assert record["pid"] == machine.pid
    assert record["command"] == QEMU_COMM
    assert record["cgroup"] == record["limit_cgroup"] == group.name
    assert record["limit"] == "misc.max"
    assert record["limit_bytes"] == limit
    assert record["usage_bytes"] == SUM - PAGE
    assert record["wanted_bytes"] == PAGE
    assert record["offset"] == 255 * PAGE
    assert record["text"] in daemon.process.stdout.text()
    nr_refused = len(daemon.history("refused"))
    assert daemon.events_count(group) == nr_refused
    assert daemon.events_count(group, "misc.events.local") == nr_refused
    daemon.wait_all_free()
    assert daemon.misc(group, "misc.current") == 0


@pytest.mark.parametrize("limit", [SUM - PAGE, SUM - 1], ids=["one-page-less", "rounded-down"])
def test_one_page_less_prealloc(epcd, cgroup, vm, limit):
    """Goal: QEMU does not start, epcd says why. Method: prealloc=on, one page too few."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup("one less")
    daemon.set_max(group, limit)
    machine = vm(daemon, SECTIONS, cgroup=group, prealloc=True, boots=False)
    assert machine.wait() == 1, machine.process.describe()
    assert "Bad address" in machine.process.stderr.text()
    record = refused_once(daemon, machine)
    assert record["text"] == refusal(machine.pid, QEMU_COMM, group.name, limit)
    assert record["offset"] == 255 * PAGE
    daemon.wait_all_free()


def test_limit_in_the_middle_of_a_section(epcd, cgroup, vm):
    """Goal: the limit holds to the page anywhere. Method: 1.5 of 2 MiB, page by page at the end."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    limit = MIB + MIB // 2
    daemon.set_max(group, limit)
    machine = vm(daemon, SECTIONS, cgroup=group)
    machine.write(0, 0, 300)
    for page in range(301, 384):
        machine.write(0, page, page)
    machine.verify(0, 0, 383)
    assert daemon.misc(group, "misc.current") == limit
    dies_at(machine, 0, 384)
    assert refused_once(daemon, machine)["text"] == refusal(machine.pid, QEMU_COMM, group.name, limit)


def test_limit_of_a_grandparent(epcd, cgroup, vm):
    """Goal: an ancestor's limit counts and is named. Method: two VMs below it fill it together."""
    daemon = epcd("--epc", "16M@0")
    top = cgroup("top")
    first, second = top.child("mid").child("first"), top.child("other")
    daemon.set_max(top, 2 * MIB)
    daemon.set_max(first, 2 * MIB)
    one = vm(daemon, SECTIONS, cgroup=first)
    two = vm(daemon, SECTIONS, cgroup=second)
    one.write(0, 0, 255)
    two.write(0, 0, 255)
    one.verify(0, 0, 255)
    assert daemon.misc(top, "misc.current") == 2 * MIB
    dies_at(one, 1, 0)
    assert refused_once(daemon, one)["text"] == refusal(one.pid, QEMU_COMM, first.name, 2 * MIB,
                                                   refuser=top.name)
    assert daemon.events_count(top, "misc.events.local") == len(daemon.history("refused"))
    assert daemon.events_count(first, "misc.events.local") == 0
    two.verify(0, 0, 255)
    two.write(1, 0, 255)
    assert two.quit() == 0


def test_full_epc(epcd, cgroup, vm):
    """Goal: a full EPC is said to be one. Method: a section larger than the EPC."""
    daemon = epcd("--epc", "1M@0", "--epc", "1M@1")
    machine = vm(daemon, [(4 * MIB, 0)], cgroup=cgroup())
    machine.write(0, 0, 511)
    machine.verify(0, 0, 511)
    dies_at(machine, 0, 512)
    assert refused_once(daemon, machine)["text"] == refusal_full(machine.pid, QEMU_COMM, 2 * MIB)


def test_clusters_past_the_end_cost_nobody_a_page(epcd, cgroup, vm):
    """Goal: what reading ahead took is given up. Method: two VMs that fill the EPC to the page."""
    daemon = epcd("--epc", "4M@0")
    small = vm(daemon, [(MIB, 0)], cgroup=cgroup())
    large = vm(daemon, [(3 * MIB, 0)], cgroup=cgroup())
    small.touch(0, 0, 0)
    large.write(0, 0, 767)
    small.write(0, 0, 255)
    large.verify(0, 0, 767)
    small.verify(0, 0, 255)
    assert daemon.status()["epc"]["free_bytes"] == 0
    small.reset()
    small.zero(0, 0, 255)
    large.verify(0, 0, 767)
    assert refused_inside(daemon, small) == []
    assert refused_inside(daemon, large) == []
    assert small.quit() == 0
    large.verify(0, 0, 767)
    assert large.quit() == 0


def test_raised_limit(epcd, cgroup, client, vm):
    """Goal: a raised limit can be used at once. Method: a client that survives, then a new VM."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    daemon.set_max(group, 10 * PAGE)
    survivor = client(daemon, group)
    survivor.map(0, 768)
    survivor.do("write 0 0 9 1")
    assert survivor.command("write 0 10 10 1") == "sigbus 10"
    info, = daemon.instances()
    assert info["last_refusal"]["text"] == refusal(survivor.pid, "vepc", group.name, 10 * PAGE)
    assert info["counters"]["refusals"] == 1
    daemon.set_max(group, 11 * PAGE)
    survivor.do("write 0 10 10 1")
    survivor.do("verify 0 0 10 1")
    assert survivor.command("touch 0 11 11") == "sigbus 11"
    survivor.do("close 0")
    survivor.do("unmap 0")
    daemon.wait_all_free()

    daemon.set_max(group, MIB)
    machine = vm(daemon, SECTIONS, cgroup=group)
    machine.write(0, 0, 255)
    dies_at(machine, 0, 256)
    daemon.set_max(group, SUM)
    write_all(vm(daemon, SECTIONS, cgroup=group))
    limits = daemon.history("limit")
    assert [(record["old_limit_bytes"], record["limit_bytes"]) for record in limits] == [
        (None, 10 * PAGE), (10 * PAGE, 11 * PAGE), (11 * PAGE, MIB), (MIB, SUM)]


def test_running_vm_uses_a_raised_limit(epcd, cgroup, vm):
    """Goal: raising helps a VM that runs. Method: raise before its next page is needed."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    daemon.set_max(group, MIB)
    machine = vm(daemon, SECTIONS, cgroup=group)
    machine.write(0, 0, 255)
    assert daemon.misc(group, "misc.current") == MIB
    daemon.set_max(group, None)
    write_all(machine)
    assert machine.quit() == 0
    assert refused_inside(daemon, machine) == []


def test_lowered_limit_refuses_only_new_pages(epcd, cgroup, vm):
    """Goal: what a VM has it keeps. Method: a limit below its usage; verify, then one page more."""
    daemon = epcd("--epc", "16M@0")
    group = cgroup()
    machine = vm(daemon, SECTIONS, cgroup=group)
    machine.write(0, 0, 511)
    daemon.set_max(group, MIB)
    machine.verify(0, 0, 511)
    machine.write(0, 0, 511, seed=3)
    machine.verify(0, 0, 511, seed=3)
    dies_at(machine, 1, 255)
    assert refused_once(daemon, machine)["limit_bytes"] == MIB
