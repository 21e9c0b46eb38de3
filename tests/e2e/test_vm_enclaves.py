# SPDX-License-Identifier: MIT
"""Enclaves of guests under QEMU: across sections, used, paged, and reset without cleaning up."""
import struct

import pytest

from harness.leaf import (EBLOCK, EDBGRD, EDBGWR, EENTER, EEXIT, EINIT, ELDU, ENCLS, ENCLU, EPA,
                          EREMOVE, ETRACK, EWB, GP, PF_RCX)
from harness.sigstruct import CHUNK, SECINFO_REG_RW, SECINFO_TCS, Measurement, sigstruct
from harness.vm import MIB
from harness.wait import eventually

SECTIONS = [(2 * MIB, 0), (2 * MIB, 0)]
NR_PAGES = 512
PAGE = 4096
ENCLAVE_SIZE = 64 << 30  # as in tests/guest/enclave.c
RAM = 16 * MIB  # the guest has nothing there
ALL_ONES = (1 << 64) - 1
BLKSTATE, MAC_COMPARE_FAIL, PAGE_NOT_BLOCKED, CHILD_PRESENT, ENCLAVE_ACT = 3, 9, 10, 13, 14

# number, section and page of the SECS, section, first and count of its pages
ACROSS = [(0, 0, 5, 1, 10, 12), (1, 1, 0, 0, 100, 9)]
WITHIN = [(2, 0, 300, 0, 301, 3), (3, 1, 302, 1, 298, 4)]


@pytest.fixture
def daemon(epcd):
    return epcd("--epc", "16M@0")


@pytest.fixture
def group(cgroup):
    return cgroup("vm")


@pytest.fixture
def machine(daemon, group, vm):
    return vm(daemon, SECTIONS, cgroup=group, enclaves=True)


def nr_secs(daemon):
    return sum(info["nr_secs"] for info in daemon.instances())


def build(machine, enclaves):
    for enclave in enclaves:
        machine.build_enclave(*enclave)


def is_reset_well(daemon, machine):
    """The guest finds all of its EPC empty; the daemon has no SECS; QEMU did not complain."""
    assert nr_secs(daemon) == 0
    for section in range(len(SECTIONS)):
        machine.zero(section, 0, NR_PAGES - 1)
    assert "cannot reset vEPC" not in machine.process.stderr.text()
    assert machine.process.stderr.text() == ""


@pytest.mark.parametrize("enclaves", [ACROSS[:1], ACROSS[1:], ACROSS, ACROSS + WITHIN],
                         ids=["secs in the first", "secs in the second", "both", "and within"])
def test_unclean_reset(daemon, group, machine, enclaves):
    """Goal: nothing of an enclave outlives a reset. Method: build, reset, look; the same again."""
    for _ in range(2):
        build(machine, enclaves)
        assert nr_secs(daemon) == len(enclaves)
        _, secs_section, secs_page, section, first, _ = enclaves[0]
        assert machine.peek(machine.address(secs_section, secs_page)) == ALL_ONES
        assert machine.peek(machine.address(section, first)) == ALL_ONES
        machine.write(0, 400, NR_PAGES - 1, 3)
        charged = daemon.misc(group, "misc.current")
        machine.reset()
        assert daemon.misc(group, "misc.current") == charged
        is_reset_well(daemon, machine)
    build(machine, enclaves)
    assert machine.quit() == 0
    assert machine.relay.wait() == 0
    daemon.wait_all_free()
    assert daemon.misc(group, "misc.current") == 0


def test_two_resets_in_a_row(daemon, machine):
    """Goal: a second reset finds nothing to do. Method: two, and no command of the guest between."""
    build(machine, ACROSS)
    machine.reset()
    machine.reset()
    is_reset_well(daemon, machine)
    build(machine, ACROSS)
    machine.remove_enclave(0)
    machine.remove_enclave(1)
    assert machine.quit() == 0


def test_reset_in_the_middle_of_a_build(daemon, machine):
    """Goal: a half of an enclave goes too. Method: reset when its SECS is there; thrice."""
    for _ in range(3):
        machine.send("enclave 0 0 5 1 0 400")
        eventually(lambda: nr_secs(daemon) == 1)
        machine.reset()
        is_reset_well(daemon, machine)
    build(machine, ACROSS)
    assert machine.quit() == 0


@pytest.mark.parametrize("ends", ["quit", "kill"])
def test_end_with_enclaves(daemon, group, machine, ends):
    """Goal: the end of a VM leaves no zombie. Method: enclaves both ways across, quit or SIGKILL."""
    build(machine, ACROSS + WITHIN)
    assert daemon.misc(group, "misc.current") > 0
    if ends == "quit":
        assert machine.quit() == 0
    else:
        assert machine.kill() == -9
    assert machine.relay.wait() == 0
    daemon.wait_all_free()
    assert daemon.misc(group, "misc.current") == 0
    assert daemon.instances() == []


def test_guest_cleans_up(daemon, machine):
    """Goal: EREMOVE as the SDM has it. Method: SECS first, children, SECS, the same pages again."""
    for _ in range(2):
        build(machine, ACROSS)
        secs = machine.address(0, 5)
        rax, _, is_zero, is_carry = machine.leaf(ENCLS, EREMOVE, rcx=secs)
        assert (rax, is_zero, is_carry) == (CHILD_PRESENT, 1, 0)
        machine.remove_enclave(0)
        assert nr_secs(daemon) == 1
        assert machine.leaf(ENCLS, EREMOVE, rcx=secs)[:1] == (0,), "a page that is free"
        machine.remove_enclave(1)
        assert nr_secs(daemon) == 0
        machine.zero(1, 10, 21)
        machine.write(0, 100, 108)
        machine.verify(0, 100, 108)
        machine.reset()


def test_faults_reach_the_guest(machine):
    """Goal: what the SDM forbids faults. Method: operands that are taken, odd, or elsewhere."""
    build(machine, ACROSS)
    assert machine.command("enclave 7 0 5 1 200 1") == (
        f"error: ECREATE of page {machine.address(0, 5):#018x} gave {PF_RCX:#018x}")
    assert machine.leaf(ENCLS, EREMOVE, rcx=machine.address(0, 5) + 8)[0] == GP
    assert machine.leaf(ENCLS, EREMOVE, rcx=RAM)[0] == PF_RCX
    assert machine.leaf(ENCLS, EREMOVE, rcx=0)[0] == PF_RCX
    assert machine.leaf(ENCLS, EPA, rbx=1, rcx=machine.address(0, 0))[0] == GP
    assert machine.leaf(ENCLU, EENTER, rbx=machine.address(1, 10),
                        rdx=machine.address(0, 5))[0] == GP, "it is not initialised"
    machine.remove_enclave(0)
    machine.remove_enclave(1)


def measure(machine, section, first, count):
    """MRENCLAVE of what tests/guest/enclave.c builds."""
    measurement = Measurement(ENCLAVE_SIZE)
    for page in range(count):
        address = machine.address(section, first + page)
        content = struct.pack("<32Q", *range(address, address + CHUNK, 8))
        if not page:
            content = struct.pack("<QQQIIQQQQQ", 0, 0, address + PAGE, 0, 1, address + PAGE,
                                  0, 0, 0, ALL_ONES)
        measurement.add(address, SECINFO_REG_RW if page else SECINFO_TCS)
        measurement.extend(address, content)
    return measurement.digest()


def test_enter_and_leave(daemon, machine):
    """Goal: pages of an enclave that runs stay. Method: EINIT, EENTER, EREMOVE, EEXIT, EREMOVE."""
    build(machine, ACROSS[:1])
    secs, tcs = machine.address(0, 5), machine.address(1, 10)
    machine.poke(RAM, sigstruct(measure(machine, 1, 10, 12)))
    machine.poke(RAM + PAGE, bytes(304))  # no token
    assert machine.leaf(ENCLS, EINIT, rbx=RAM, rcx=secs, rdx=RAM + PAGE)[0] == 0
    assert machine.leaf(ENCLU, EENTER, rbx=tcs, rdx=secs)[0] == EENTER
    assert machine.leaf(ENCLU, EENTER, rbx=tcs, rdx=secs)[0] == GP, "the TCS is busy"
    assert machine.leaf(ENCLS, EREMOVE, rcx=tcs + PAGE)[0] == ENCLAVE_ACT
    assert machine.leaf(ENCLU, EEXIT)[0] == EEXIT
    assert machine.leaf(ENCLU, EEXIT)[0] == GP, "nobody is inside"
    machine.remove_enclave(0)
    assert nr_secs(daemon) == 0


def test_paging(machine):
    """Goal: a page that left comes back as it was, or not at all. Method: EWB, tampering, ELDU."""
    build(machine, ACROSS[:1])
    secs, page, va = machine.address(0, 5), machine.address(1, 11), machine.address(0, 50)
    target = machine.address(1, 400)
    pageinfo, pcmd, blob = RAM, RAM + PAGE, RAM + 2 * PAGE
    slot = {"rbx": pageinfo, "rdx": va + 8}
    assert machine.leaf(ENCLS, EPA, rbx=3, rcx=va)[0] == EPA, "a leaf without a code leaves RAX"
    assert machine.leaf(ENCLS, EDBGWR, rbx=0x1122334455667788, rcx=page + 4088)[0] == 0
    machine.poke(pageinfo, struct.pack("<QQQQ", 0, blob, pcmd, 0))
    assert machine.leaf(ENCLS, EWB, rcx=page, **slot)[0] == PAGE_NOT_BLOCKED
    assert machine.leaf(ENCLS, EBLOCK, rcx=page)[0] == 0
    assert machine.leaf(ENCLS, EBLOCK, rcx=page) == (BLKSTATE, 0, 0, 1)
    assert machine.leaf(ENCLS, ETRACK, rcx=secs)[0] == 0
    assert machine.leaf(ENCLS, EWB, rcx=page, **slot)[0] == 0
    assert machine.peek(pageinfo) == page, "LINADDR, which is the physical address here"
    machine.zero(1, 11, 11)

    machine.poke(pageinfo, struct.pack("<QQQQ", page, blob, pcmd, secs))
    sealed = struct.pack("<QQQQ", *(machine.peek(blob + 8 * word) for word in range(4)))
    machine.poke(blob, bytes([sealed[0] ^ 1]) + sealed[1:])
    assert machine.leaf(ENCLS, ELDU, rcx=target, **slot)[0] == MAC_COMPARE_FAIL
    machine.zero(1, 400, 400)
    machine.poke(blob, sealed)
    assert machine.leaf(ENCLS, ELDU, rcx=target, **slot)[0] == 0
    assert machine.leaf(ENCLS, EDBGRD, rcx=target + 4088)[:2] == (0, 0x1122334455667788)
    assert machine.leaf(ENCLS, EDBGRD, rcx=target)[:2] == (0, page), "as it was built"
    assert machine.leaf(ENCLS, ELDU, rcx=page, **slot)[0] == MAC_COMPARE_FAIL, "its slot is empty"
