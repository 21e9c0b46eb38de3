# SPDX-License-Identifier: MIT
"""EPC_IOC_VEPC_LEAF as a program sees it: enclaves, bad requests, bad arguments, floods."""
import ctypes
import errno
import fcntl
import mmap
import signal
import struct

import pytest

from harness.leaf import (EACCEPT, EADD, EAUG, ECREATE, EDBGRD, EDBGWR, EENTER, EEXIT, ENCLU, EPA,
                          EREMOVE, FAULT, GP, IOC_INFO, IOC_LEAF, IOC_RESET_VM, PAGE, PF_RCX,
                          PF_SECS, SOMEWHERE, Enclave, Leaf, Place, Section, address_of,
                          ioctl_at, leaf_request, script)
from harness.wait import eventually

ENCLAVE_ACT, CHILD_PRESENT, PAGE_ATTRIBUTES_MISMATCH = 14, 13, 19
ALL_ONES = b"\xff" * PAGE
CALLS_S = 30


@pytest.fixture
def daemon(epcd):
    return epcd("--epc", "4M@0")


@pytest.fixture
def section(daemon):
    """section(): another instance of this process' VM."""
    made = []

    def new():
        made.append(Section(daemon.vepc))
        return made[-1]
    yield new
    for each in made:
        each.close()


@pytest.fixture
def other(daemon, client):
    """The id of an instance that belongs to another VM."""
    user = client(daemon)
    user.map(0, 4)
    user.do("write 0 0 3 1")
    return next(info["id"] for info in daemon.instances() if info["pid"] == user.pid)


def refused_with(call, *arguments):
    """The errno of a call, 0 when it goes well."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0


def state(daemon):
    """What a request that was not executed leaves alone."""
    infos = [(info["id"], info["owned_bytes"], info["nr_secs"]) for info in daemon.instances()]
    return infos, daemon.status()["epc"]["used_bytes"]


# Enclaves.

def test_an_enclave_that_runs_is_not_removed(daemon, section):
    """Goal: REMOVE_ALL is EBUSY while a thread is inside. Method: ENTER, both resets, LEAVE."""
    first, second = section(), section()
    enclave = Enclave((first, 7), second, 0).build()
    assert (first.info().nr_secs, second.info().nr_secs) == (1, 0)
    assert enclave.enter() == 0
    for _ in range(2):
        assert refused_with(second.remove_all) == errno.EBUSY
        assert refused_with(fcntl.ioctl, first.file, IOC_RESET_VM) == errno.EBUSY
    assert first.remove_all() == 1, "its children are in the other one"
    assert enclave.remove(1) == ENCLAVE_ACT
    assert enclave.leave() == 0
    assert enclave.leave() == GP, "nobody is inside"
    assert first.remove_all() == 1
    assert second.remove_all() == 0
    assert first.remove_all() == 0
    assert first.info().nr_secs == 0
    assert [each.map(8)[:] for each in (first, second)] == [bytes(8 * PAGE)] * 2


def test_one_call_for_all(section):
    """Goal: RESET_VM leaves nothing, whatever the layout. Method: SECS and children both ways."""
    sections = [section() for _ in range(3)]
    for index in range(3):
        Enclave((sections[index], 20), sections[(index + 1) % 3], 3).build()
        Enclave((sections[index], 30), sections[index], 10 if index else 33).build(False)
    assert sum(each.info().nr_secs for each in sections) == 6
    assert fcntl.ioctl(sections[1].file, IOC_RESET_VM) == 0
    assert [each.info().nr_secs for each in sections] == [0, 0, 0]
    Enclave((sections[0], 20), sections[1], 3).build()


def test_contents(section):
    """Goal: SECS and TCS are hidden, the guest's bytes are the page. Method: look, write, look."""
    both = section()
    memory = both.map(16)
    memory[5 * PAGE:5 * PAGE + 4] = b"gone"
    enclave = Enclave((both, 0), both, 3).build(is_initialised=False)
    assert memory[:PAGE] == ALL_ONES and memory[3 * PAGE:4 * PAGE] == ALL_ONES
    assert struct.unpack_from("<2Q", memory, 4 * PAGE) == (256, 257)
    # Whoever writes sees his own bytes as long as the page stays mapped; the enclave never does.
    memory[:PAGE] = memory[3 * PAGE:4 * PAGE] = bytes(PAGE)
    memory[4 * PAGE + 2048:4 * PAGE + 2056] = b"arrived!"
    assert both.leaf(EDBGRD, rcx=both.place(0)) == PF_RCX
    assert memory[:PAGE] == ALL_ONES, "that leaf had to unmap it"
    request = leaf_request(EDBGRD, rcx=both.place(3, 16))  # OSSA of the TCS
    assert (both.execute(request), struct.unpack_from("<Q", request.data)[0]) == (0, PAGE)
    assert enclave.init() == 0, "its SECS and what was measured are as they were"
    request = leaf_request(EDBGRD, rcx=both.place(4, 2048))
    assert (both.execute(request), bytes(request.data[:8])) == (0, b"arrived!")
    assert both.leaf(EDBGWR, rcx=both.place(5, 8), data=b"debugger") == 0
    assert memory[5 * PAGE + 8:5 * PAGE + 16] == b"debugger"
    assert enclave.remove(0) == 0
    assert memory[3 * PAGE:4 * PAGE] == bytes(PAGE)
    assert memory[:PAGE] == ALL_ONES


def test_accept(section):
    """Goal: the leaves of an enclave find their SECINFO in it. Method: EAUG, EACCEPT, odd and good."""
    both = section()
    enclave = Enclave((both, 0), both, 1).build()
    memory = both.map(16)
    new = enclave.BASE + 0x10000
    assert both.leaf(EAUG, rcx=both.place(9), rbx=SOMEWHERE, linaddr=new, secs=enclave.secs) == 0

    def accept(flags):
        memory[3 * PAGE + 2048:3 * PAGE + 2112] = struct.pack("<Q56x", flags)
        return both.leaf(EACCEPT, instruction=ENCLU, rcx=both.place(9), linaddr=new,
                         secs=enclave.secs, rbx_place=both.place(3, 2048),
                         rbx=enclave.BASE + 2 * PAGE + 2048)
    assert accept(0x205 | 8) == PAGE_ATTRIBUTES_MISMATCH
    assert accept(0x203 | 8) == 0
    assert accept(0x203 | 8) == PAGE_ATTRIBUTES_MISMATCH


@pytest.mark.parametrize("first_closed", ["secs", "children"])
def test_zombies(daemon, cgroup, section, first_closed):
    """Goal: a SECS outlives its instance while it has children. Method: close the one, the other."""
    secs, children = Section(daemon.vepc), Section(daemon.vepc)
    Enclave((secs, 2), children, 4).build()
    closed, left = (secs, children) if first_closed == "secs" else (children, secs)
    closed.close()
    if first_closed == "secs":
        eventually(lambda: [info["nr_zombies"] for info in daemon.instances()] == [1, 0])
        assert daemon.instances()[0]["owned_bytes"] == PAGE
        assert left.remove_all() == 0
        eventually(lambda: len(daemon.instances()) == 1)
        assert daemon.instances()[0]["nr_zombies"] == 0
    else:
        eventually(lambda: len(daemon.instances()) == 1)
        assert left.info().nr_secs == 1
        assert left.remove_all() == 0
        assert left.info().nr_secs == 0
    left.close()
    daemon.wait_all_free()


def test_both_closed_at_once(daemon):
    """Goal: no zombie is left in the end. Method: close both, the SECS first, without any reset."""
    secs, children = Section(daemon.vepc), Section(daemon.vepc)
    for page in range(0, 40, 4):
        Enclave((secs, page), children, page).build(False)
    secs.close()
    children.close()
    daemon.wait_all_free()
    assert daemon.instances() == []


@pytest.mark.parametrize("first_closed", ["secs", "children"])
def test_close_with_a_thread_inside(daemon, first_closed):
    """Goal: who has gone is not inside any more. Method: ENTER, close both without LEAVE."""
    secs, children = Section(daemon.vepc), Section(daemon.vepc)
    assert Enclave((secs, 2), children, 4).build().enter() == 0
    for each in (secs, children) if first_closed == "secs" else (children, secs):
        each.close()
    daemon.wait_all_free()
    assert daemon.instances() == []


# Requests that cannot be.

def place_outside(section):
    return Place(section.id, 1 << 47)


BAD_REQUESTS = {
    "reserved": lambda mine, other: leaf_request(EREMOVE, rcx=mine.place(0), reserved=1),
    "reserved2": lambda mine, other: leaf_request(
        EREMOVE, rcx=mine.place(0), reserved2=(ctypes.c_uint64 * 3)(0, 0, 1)),
    "instruction": lambda mine, other: leaf_request(EREMOVE, instruction=2, rcx=mine.place(0)),
    "leaf 16": lambda mine, other: leaf_request(16, rcx=mine.place(0)),
    "leaf of all ones": lambda mine, other: leaf_request(0xFFFFFFFF, rcx=mine.place(0)),
    "EREPORT": lambda mine, other: leaf_request(0, instruction=ENCLU, rcx=mine.place(0)),
    "ERESUME": lambda mine, other: leaf_request(3, instruction=ENCLU, rcx=mine.place(0)),
    "leaf 8 of ENCLU": lambda mine, other: leaf_request(8, instruction=ENCLU, rcx=mine.place(0)),
    "offset": lambda mine, other: leaf_request(EREMOVE, rcx=place_outside(mine)),
    "offset of all ones": lambda mine, other: leaf_request(
        EREMOVE, rcx=Place(mine.id, (1 << 64) - 1)),
    "offset of rdx": lambda mine, other: leaf_request(
        EREMOVE, rcx=mine.place(0), rdx=place_outside(mine)),
    "offset of secs": lambda mine, other: leaf_request(
        EREMOVE, rcx=mine.place(0), secs=place_outside(mine)),
    "no such id": lambda mine, other: leaf_request(EREMOVE, rcx=Place(other + 1000, 0)),
    "id of all ones": lambda mine, other: leaf_request(EREMOVE, rcx=Place((1 << 64) - 1, 0)),
}
OTHERS = {
    "rcx": lambda mine, other: leaf_request(EREMOVE, rcx=Place(other, 0)),
    "rdx": lambda mine, other: leaf_request(EREMOVE, rcx=mine.place(0), rdx=Place(other, 0)),
    "secs": lambda mine, other: leaf_request(EREMOVE, rcx=mine.place(0), secs=Place(other, 0)),
    "rbx_place": lambda mine, other: leaf_request(
        EACCEPT, instruction=ENCLU, rcx=mine.place(0), rbx_place=Place(other, 0)),
    "a new page": lambda mine, other: leaf_request(
        EPA, rbx=3, rcx=Place(other, 100 * PAGE)),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_requests(daemon, section, other, name):
    """Goal: EINVAL, and nothing has changed. Method: a table, over a page of an enclave."""
    mine = section()
    assert mine.leaf(EPA, rbx=3, rcx=mine.place(0)) == 0
    before = state(daemon)
    assert refused_with(mine.execute, BAD_REQUESTS[name](mine, other)) == errno.EINVAL
    assert state(daemon) == before
    assert mine.leaf(EPA, rbx=3, rcx=mine.place(0)) == PF_RCX, "it is there"


@pytest.mark.parametrize("name", OTHERS)
def test_places_of_another_vm(daemon, section, other, name):
    """Goal: EPERM, and nothing has changed. Method: its id in each operand."""
    mine = section()
    assert mine.leaf(EPA, rbx=3, rcx=mine.place(0)) == 0
    before = state(daemon)
    assert refused_with(mine.execute, OTHERS[name](mine, other)) == errno.EPERM
    assert state(daemon) == before


def test_no_operand(daemon, section):
    """Goal: an operand outside of the EPC is the guest's fault. Method: leaves without places."""
    mine = section()
    assert mine.leaf(EREMOVE) == PF_RCX
    assert mine.leaf(EADD, rcx=mine.place(0), rbx=SOMEWHERE, srcpge=SOMEWHERE,
                     secinfo=SOMEWHERE) == PF_SECS
    assert mine.leaf(EENTER, instruction=ENCLU) & FAULT
    assert mine.leaf(EEXIT, instruction=ENCLU) == GP
    assert mine.leaf(EREMOVE, rcx=mine.place(3)) == 0, "a page that was never there"
    assert mine.info().charged_bytes == PAGE, "EADD's: it was asked for before the leaf"


def test_refused_page(client, daemon, section):
    """Goal: a leaf is refused a page as a touch is. Method: fill the EPC, EPA, free, EPA."""
    mine = section()
    hoarder = client(daemon)
    hoarder.map(0, 1024)
    hoarder.do("write 0 0 1023 1")
    assert refused_with(mine.execute, leaf_request(EPA, rbx=3, rcx=mine.place(0))) == errno.EIO
    assert mine.info().charged_bytes == 0
    hoarder.do("punch 0 0 0")
    assert mine.leaf(EPA, rbx=3, rcx=mine.place(0)) == 0
    assert mine.info().charged_bytes == PAGE


# Arguments that cannot be read, or not now.

def test_unreadable_arguments(daemon, section):
    """Goal: EFAULT and nothing has changed. Method: no memory, half of it, none to write to."""
    mine = section()
    request = leaf_request(EPA, rbx=3, rcx=mine.place(0))
    size = ctypes.sizeof(Leaf)
    memory = mmap.mmap(-1, 4 * PAGE)
    address = address_of(memory)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect(ctypes.c_void_p(address + 2 * PAGE), ctypes.c_size_t(PAGE), 0)
    half = address + 2 * PAGE - size + 100
    for bad in (0, 8, (1 << 47) - PAGE, (1 << 64) - PAGE, address + 2 * PAGE):
        assert refused_with(ioctl_at, mine.file, IOC_LEAF, bad) == errno.EFAULT, hex(bad)
        assert refused_with(ioctl_at, mine.file, IOC_INFO, bad) == errno.EFAULT, hex(bad)
    ctypes.memmove(half, ctypes.addressof(request), size - 100)
    assert refused_with(ioctl_at, mine.file, IOC_LEAF, half) == errno.EFAULT
    assert mine.info().charged_bytes == 0

    # It can be read but the answer cannot be written: the leaf has been executed.
    ctypes.memmove(address, ctypes.addressof(request), size)
    libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(2 * PAGE), mmap.PROT_READ)
    assert refused_with(ioctl_at, mine.file, IOC_LEAF, address) == errno.EFAULT
    assert mine.info().charged_bytes == PAGE
    assert mine.execute(request) == PF_RCX, "it is there"


@pytest.mark.limit(CALLS_S)
def test_argument_in_its_own_mapping(section):
    """Goal: it is memory as any other. Method: the request in a section, and in the page it names."""
    mine = section()
    memory = mine.map(16)
    address = address_of(memory)
    request = leaf_request(EPA, rbx=3, rcx=mine.place(9))
    memory[:ctypes.sizeof(Leaf)] = bytes(request)
    ioctl_at(mine.file, IOC_LEAF, address)
    assert Leaf.from_buffer_copy(memory).result == 0
    ioctl_at(mine.file, IOC_LEAF, address)
    assert Leaf.from_buffer_copy(memory).result == PF_RCX

    # The page of the request becomes a SECS: the answer goes nowhere, but nobody waits for ever.
    secs = struct.pack("<QQI28xQQ", 0x2000, 0, 1, 4, 3)
    request = leaf_request(ECREATE, rcx=mine.place(4), rbx=SOMEWHERE, srcpge=SOMEWHERE,
                           secinfo=SOMEWHERE, data=secs)
    memory[4 * PAGE:4 * PAGE + ctypes.sizeof(Leaf)] = bytes(request)
    ioctl_at(mine.file, IOC_LEAF, address + 4 * PAGE)
    assert mine.info().nr_secs == 1
    assert mine.leaf(EDBGRD, rcx=mine.place(4)) == PF_RCX
    assert memory[4 * PAGE:5 * PAGE] == ALL_ONES
    assert mine.remove_all() == 0
    assert memory[4 * PAGE:5 * PAGE] == bytes(PAGE)


def others_go_on(client, daemon):
    """Nobody else waits: another VM touches, resets and executes."""
    user = client(daemon)
    user.map(0, 2)
    user.do("write 0 0 1 1")
    user.do("ioctl 0 0xa404 0", "returned 0")
    mine = Section(daemon.vepc)
    assert mine.leaf(EPA, rbx=3, rcx=mine.place(0)) == 0
    assert mine.leaf(EREMOVE, rcx=mine.place(0)) == 0
    assert mine.remove_all() == 0
    mine.close()


def waits(process):
    """Until it is inside of a system call and stays there; the script has said that it begins."""
    assert process.stdout.wait_line("begins")
    eventually(lambda: process.thread_states()[0] in "SD")


UNSERVED = """
import mmap, os
UFFDIO_API, UFFDIO_REGISTER = 0xC018AA3F, 0xC020AA00
uffd = LIBC.syscall(323, os.O_CLOEXEC)
assert uffd >= 0
fcntl.ioctl(uffd, UFFDIO_API, struct.pack("<3Q", 0xAA, 0, 0))
memory = mmap.mmap(-1, 4 * PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
address = address_of(memory)
fcntl.ioctl(uffd, UFFDIO_REGISTER, struct.pack("<4Q", address, 4 * PAGE, 1, 0))
mine = Section(sys.argv[1])
print("begins")
ioctl_at(mine.file, IOC_LEAF, address)
print("ended")
"""

IN_A_PARKED_PAGE = """
mine = Section(sys.argv[1])
memory = mine.map(4)
address = address_of(memory)
print("begins")
ioctl_at(mine.file, IOC_LEAF, address)
print("ended")
"""


@pytest.mark.limit(CALLS_S)
def test_argument_that_never_comes(daemon, world, client):
    """Goal: its caller waits, killable, nobody else. Method: an unserved userfaultfd range."""
    callers = [world.run(script(UNSERVED, daemon.vepc)) for _ in range(20)]
    for caller in callers:
        waits(caller)
    others_go_on(client, daemon)
    for caller in callers:
        assert caller.is_alive and "ended" not in caller.stdout.text()
        assert caller.kill() == -signal.SIGKILL


@pytest.mark.limit(CALLS_S)
def test_argument_in_a_parked_page(epcd, world, client):
    """Goal: the same for a page that it must wait for. Method: hold the unmappings it waits for."""
    daemon = epcd("--epc", "4M@0", "--debug")
    hoarder = client(daemon)
    hoarder.map(0, 4096, hugepage=True)
    hoarder.do("touch 0 0 0")
    # All but the last page of what reading ahead has left is used up by writing.
    free = daemon.status()["epc"]["free_bytes"] // PAGE
    user = client(daemon)
    user.map(0, 1024)
    if free:
        user.do(f"write 0 0 {free - 1} 1")
    daemon.hold_unmaps(True)
    callers = [world.run(script(IN_A_PARKED_PAGE, daemon.vepc)) for _ in range(4)]
    daemon.wait_parked(len(callers))
    user.do("verify 0 0 0 1" if free else "pid")
    mine = Section(daemon.vepc)
    assert mine.leaf(EREMOVE, rcx=mine.place(0)) == 0
    mine.close()
    assert callers[0].kill() == -signal.SIGKILL
    daemon.wait_parked(len(callers) - 1)
    daemon.hold_unmaps(False)
    for caller in callers[1:]:
        assert caller.wait() == 0, caller.describe()
        assert "ended" in caller.stdout.text()


FLOOD = """
import threading
mine = Section(sys.argv[1])
memory = mine.map(8)
mine.leaf(EPA, rbx=3, rcx=mine.place(4))
counts = [0] * 4
def flood(number):
    while True:
        memory[number * PAGE] = 1  # mapped again: each leaf has to unmap it
        try:
            mine.leaf(EREMOVE, rcx=mine.place(number))
        except OSError:
            pass
        counts[number] += 1
for number in range(4):
    threading.Thread(target=flood, args=(number,), daemon=True).start()
print("begins")
for line in sys.stdin:
    print(sum(counts))
"""


def count_of(process):
    process.stdin.write(b"\n")
    process.stdin.flush()
    return int(process.stdout.take_line())


def test_flood(daemon, world, client, section):
    """Goal: a flood of one VM does not stop others. Method: floods; others use leaves and touches."""
    floods = [world.run(script(FLOOD, daemon.vepc)) for _ in range(2)]
    for flood in floods:
        assert flood.stdout.take_line() == "begins"
    before = [count_of(flood) for flood in floods]
    mine = section()
    user = client(daemon)
    user.map(0, 256)
    for seed in range(1, 6):
        enclave = Enclave((mine, 0), mine, 1, 10).build(False)
        user.do(f"write 0 0 255 {seed}")
        user.do(f"verify 0 0 255 {seed}")
        user.do("ioctl 0 0xa404 0", "returned 0")
        assert enclave.remove_secs() == CHILD_PRESENT
        assert mine.remove_all() == 0
    after = [count_of(flood) for flood in floods]
    assert all(last > first for first, last in zip(before, after)), "there was a flood"
    for flood in floods:
        assert flood.kill() == -signal.SIGKILL
