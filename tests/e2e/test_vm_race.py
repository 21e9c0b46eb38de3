# SPDX-License-Identifier: MIT
"""The race of a reset by unmapping, which REMOVE_ALL was made against (discussion of 2021).

Another process hungers for EPC all the while. It must not get a page of a VM that is being reset;
and it must get some of a VMM that closes and opens again, or the test would prove nothing.
"""
import re

import pytest

from harness.leaf import REMOVE_ALL
from harness.vm import MIB, refused_inside
from test_vm_enclaves import ACROSS, build, is_reset_well

pytestmark = pytest.mark.no_tsan  # the daemon's part is that of test_vm_enclaves, which is

NR_PAGES = 512
SECTIONS = [(2 * MIB, 0), (2 * MIB, 0)]
NR_HUNGRY_PAGES = 256
NR_RESETS = 10
NR_OPENS = 50  # so many attempts of the hungry one before and after each reset
PAGE = 4096


class Hungry:
    """A process that has a part of the EPC and tries to get more."""

    def __init__(self, client, daemon, group):
        self.daemon, self.group = daemon, group
        self.client = client(daemon, group)
        self.client.map(0, NR_HUNGRY_PAGES)
        self.client.do(f"populate 0 0 {NR_HUNGRY_PAGES - 1}")
        self.client.do(f"write 0 0 {NR_HUNGRY_PAGES - 1} 9")

    def begin(self):
        assert self.daemon.status()["epc"]["free_bytes"] == 0
        self.client.do(f"hunger 16 {self.daemon.vepc}")
        self.fast()

    def fast(self):
        """Until it has tried often since now."""
        self.client.do(f"fast {NR_OPENS}")

    def has_eaten(self):
        return self.daemon.misc(self.group, "misc.current") > NR_HUNGRY_PAGES * PAGE

    def end(self):
        """How many attempts, pages that it got, attempts that were refused."""
        return tuple(map(int, re.findall(r"\d+", self.client.do("sate"))))


@pytest.fixture
def daemon(epcd):
    return epcd("--epc", "5M@0")


@pytest.mark.parametrize("prealloc", [True, False], ids=["prealloc", "on-demand"])
def test_reset_of_a_vm(daemon, cgroup, client, vm, prealloc):
    """Goal: a VM keeps its pages through resets. Method: a full EPC, a hungry process, resets."""
    group = cgroup("vm")
    machine = vm(daemon, SECTIONS, cgroup=group, prealloc=prealloc, enclaves=True)
    for section in (0, 1):
        machine.write(section, 0, NR_PAGES - 1, section)
    hungry = Hungry(client, daemon, cgroup("hungry"))
    hungry.begin()
    for _ in range(NR_RESETS):
        build(machine, ACROSS)
        machine.write(1, 30, NR_PAGES - 1, 5)
        hungry.fast()
        machine.reset()
        assert daemon.misc(group, "misc.current") == 4 * MIB
        hungry.fast()
        is_reset_well(daemon, machine)
    nr_opens, nr_eaten, nr_refused = hungry.end()
    assert nr_eaten == 0
    assert nr_refused == nr_opens >= 2 * NR_RESETS * NR_OPENS
    assert daemon.misc(group, "misc.current") == 4 * MIB
    assert sorted(info["owned_bytes"] for info in daemon.instances()
                  if info["pid"] == machine.pid) == [2 * MIB, 2 * MIB]
    assert refused_inside(daemon, machine) == []
    assert machine.quit() == 0


def reset_by_ioctl(vmm):
    vmm.do(f"ioctl 0 {REMOVE_ALL} 0", "returned 0")


def reset_by_opening_again(vmm):
    vmm.do(f"reopen 0 {vmm.daemon.vepc}")


@pytest.mark.parametrize("reset, loses", [(reset_by_ioctl, False), (reset_by_opening_again, True)],
                         ids=["remove-all", "close-and-open"])
def test_reset_of_a_vmm(daemon, cgroup, client, reset, loses):
    """Goal: what the ioctl is for. Method: a small VMM, reset the one way and the other."""
    vmm = client(daemon, cgroup("vmm"))
    vmm.map(0, 2 * NR_PAGES)
    vmm.do(f"write 0 0 {2 * NR_PAGES - 1} 1")
    hungry = Hungry(client, daemon, cgroup("hungry"))
    hungry.begin()
    answers = []
    for _ in range(NR_RESETS):
        reset(vmm)
        hungry.fast()
        answers.append(vmm.command(f"write 0 0 {2 * NR_PAGES - 1} 1"))
        if loses and hungry.has_eaten():
            break
    _, nr_eaten, _ = hungry.end()
    if loses:
        assert nr_eaten > 0
        assert answers[-1].startswith("sigbus "), "there was no page for it any more"
    else:
        assert nr_eaten == 0
        assert answers == ["wrote 0"] * NR_RESETS
