# SPDX-License-Identifier: MIT
"""libvepc with a real device: examples/vmm is refused, informed, limited, reset, killed."""
import signal

import pytest

from harness.sentence import PAGE
from harness.wait import eventually

SIZES = (8 * PAGE, 4 * PAGE)


class Vmm:
    """examples/vmm with two sections; a line in, a line out."""

    def __init__(self, world, daemon, cgroup):
        self.process = world.run([world.build / "examples/vmm", daemon.vepc, *SIZES], cgroup=cgroup)
        self.cpuid = [self.receive() for _ in range(len(SIZES) + 1)]

    def receive(self):
        return self.process.stdout.take_line()

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def do(self, line):
        """The answer; None: it has ended."""
        self.say(line)
        return self.receive()

    def write(self, section, first, count):
        for page in range(first, first + count):
            assert self.do(f"write {section} {page}") == f"wrote page {page} of section {section}"

    def end(self):
        """Its exit code and the lines of stderr."""
        return self.process.wait(), self.process.stderr.lines()


@pytest.fixture
def vmm(world):
    return lambda daemon, cgroup: Vmm(world, daemon, cgroup)


def at_limit(section, page, why, limit):
    return (f"section {section} was refused EPC at offset {page * PAGE}: {why} {limit * PAGE}, "
            f"used {limit * PAGE}, {PAGE} more bytes were wanted")


def by_cgroup(section, page, group, limit):
    return at_limit(section, page, f"cgroup {group.name} is at its limit: misc.max", limit)


def test_life(epcd, cgroup, vmm):
    """Goal: V8: placed, preallocated, reset, given back. Method: misc.current after each step."""
    daemon, group = epcd("--epc", "1M@0"), cgroup()
    this = vmm(daemon, group)
    assert this.cpuid == ["CPUID 12H.2: 00000001 00000001 00008001 00000000",
                          "CPUID 12H.3: 00008001 00000001 00004001 00000000",
                          "CPUID 12H.4: 00000000 00000000 00000000 00000000"]
    assert daemon.misc(group, "misc.current") == 0
    this.write(1, 2, 1)
    assert daemon.misc(group, "misc.current") == PAGE
    assert this.do("prealloc") == f"{8 * PAGE} of {12 * PAGE} bytes"
    assert this.receive() == f"{12 * PAGE} of {12 * PAGE} bytes"
    assert this.receive() == "preallocate: Success"
    assert daemon.misc(group, "misc.current") == 12 * PAGE
    assert this.do("reset") == "reset: done, in one call"
    assert daemon.counters()["resets"] >= 1
    this.write(0, 7, 1)
    this.say("quit")
    assert this.end() == (0, [])
    daemon.wait_all_free()


def test_refused_by_its_cgroup(epcd, cgroup, vmm):
    """Goal: V8: SIGBUS in words: whose limit, how much of it. Method: one page too much."""
    daemon, group = epcd("--epc", "1M@0"), cgroup()
    daemon.set_max(group, 5 * PAGE)
    this = vmm(daemon, group)
    this.write(0, 0, 3)
    this.write(1, 0, 2)
    assert this.do("write 1 3") is None
    assert this.end() == (-signal.SIGBUS, ["libvepc: " + by_cgroup(1, 3, group, 5)])
    daemon.wait_all_free()


def test_refused_by_an_ancestor_and_by_capacity(epcd, cgroup, vmm):
    """Goal: the limit that is named is the one that was met. Method: a parent's, then the EPC's."""
    daemon, parent = epcd("--epc", f"{8 * PAGE}@0"), cgroup("parent")
    daemon.set_max(parent, 2 * PAGE)
    this = vmm(daemon, parent.child("vm"))
    this.write(0, 0, 2)
    assert this.do("write 0 2") is None
    assert this.end() == (-signal.SIGBUS, ["libvepc: " + by_cgroup(0, 2, parent, 2)])

    this = vmm(daemon, cgroup("unlimited"))
    this.write(0, 0, 8)
    assert this.do("write 1 0") is None
    full = at_limit(1, 0, "the EPC is full: capacity", 8)
    assert this.end() == (-signal.SIGBUS, ["libvepc: " + full])
    daemon.wait_all_free()


def test_name_that_clears_screens(epcd, cgroup, vmm):
    """Goal: a cgroup's name is text and nothing else. Method: an escape, a C1 one, a letter."""
    daemon, group = epcd("--epc", "1M@0"), cgroup("a\x1b[2J\x9b\u00e9")
    daemon.set_max(group, 0)
    this = vmm(daemon, group)
    assert this.do("write 0 0") is None
    code, (sentence,) = this.end()
    print(repr(sentence))
    assert code == -signal.SIGBUS
    assert "is at its limit: misc.max 0, used 0, 4096 more bytes were wanted" in sentence
    assert "/a\\x1b[2J\\xc2\\x9b\\xc3\\xa9 is" in sentence


def test_preallocation_is_refused(epcd, cgroup, vmm):
    """Goal: V8: EFAULT in words, too, and the VMM goes on. Method: less than both sections."""
    daemon, group = epcd("--epc", "1M@0"), cgroup()
    daemon.set_max(group, 9 * PAGE)
    this = vmm(daemon, group)
    assert this.do("prealloc") == f"{8 * PAGE} of {12 * PAGE} bytes"
    assert this.receive() == "cannot preallocate: " + by_cgroup(1, 1, group, 9)
    this.write(0, 0, 8)
    this.write(1, 0, 1)
    assert this.do("reset") == "reset: done, in one call"
    this.write(1, 0, 1)
    assert daemon.misc(group, "misc.current") == 9 * PAGE


def test_guest_is_informed(epcd, cgroup, vmm):
    """Goal: V11: the VMM's callback has the refusal, and the VM lives. Method: the limit is raised."""
    daemon, group = epcd("--epc", "1M@0"), cgroup()
    daemon.set_max(group, PAGE)
    this = vmm(daemon, group)
    this.say("inform")
    this.write(0, 4, 1)
    for section, page in ((0, 5), (1, 0), (0, 5)):
        assert (this.do(f"write {section} {page}")
                == "machine check for the guest: " + by_cgroup(section, page, group, 1))
    daemon.set_max(group, 2 * PAGE)
    this.write(0, 5, 1)
    this.say("quit")
    assert this.end() == (0, [])


def test_limit_of_its_own(epcd, cgroup, vmm):
    """Goal: V11: a section's limit, set by the VMM. Method: below, at and above what it has."""
    daemon, group = epcd("--epc", "1M@0"), cgroup()
    this = vmm(daemon, group)
    this.write(0, 0, 2)
    assert this.do(f"limit 0 {2 * PAGE}") == "limit: Success"
    this.write(1, 0, 4)
    this.say("inform")
    why = "the section is at its own limit: limit"
    assert this.do("write 0 6") == "machine check for the guest: " + at_limit(0, 6, why, 2)
    assert this.do(f"limit 0 {3 * PAGE}") == "limit: Success"
    this.write(0, 6, 1)
    assert this.do("write 0 7") == "machine check for the guest: " + at_limit(0, 7, why, 3)
    assert this.do("limit 7 0") == "limit: Invalid argument"


def kill(daemon, group, this, number):
    this.write(0, 0, 8)
    this.process.signal(number)
    assert this.end() == (-number, [])
    eventually(lambda: daemon.misc(group, "misc.current") == 0)
    daemon.wait_all_free()


def test_killed(epcd, cgroup, vmm):
    """Goal: nothing of it is left. Method: SIGKILL in the middle of its life."""
    daemon, group = epcd("--epc", "1M@0"), cgroup()
    kill(daemon, group, vmm(daemon, group), signal.SIGKILL)


@pytest.mark.no_tsan  # ThreadSanitizer's handler was there before the library's, and reports it
def test_foreign_sigbus(epcd, cgroup, vmm):
    """Goal: a SIGBUS that somebody sends is no refusal, and ends it. Method: one is sent."""
    daemon, group = epcd("--epc", "1M@0"), cgroup()
    kill(daemon, group, vmm(daemon, group), signal.SIGBUS)


def test_daemon_is_killed(epcd, cgroup, vmm):
    """Goal: a device that is gone is said to be. Method: SIGKILL to epcd, then a new page."""
    daemon = epcd("--epc", "1M@0")
    this = vmm(daemon, cgroup())
    this.write(0, 0, 1)
    daemon.kill()
    assert this.do("reset") == ("reset: section 0: Transport endpoint is not connected, "
                                "0 SECS pages remain")
    assert this.do("write 0 1") is None
    assert this.end() == (-signal.SIGBUS, [
        f"libvepc: section 0 was refused EPC at offset {PAGE}: the device is gone, and all content "
        "of the section with it"])
