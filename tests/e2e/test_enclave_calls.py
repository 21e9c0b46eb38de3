# SPDX-License-Identifier: MIT
"""ioctls of sgx_enclave that wait, hang, are interrupted or killed; and processes that share one."""
import os
import signal
import threading
from errno import EBUSY, EFAULT, EINTR, EINVAL, EPERM

import pytest

from harness.enclave import (ADD_PAGES, PAGE, PT_TCS, PT_TRIM, READ, UNSERVED, WRITE, Enclave,
                             Memory, contents, ends_by_signal, ioctl, is_eio, read_at, script,
                             write_at)
from harness.wait import eventually

MIB = 1 << 20
CALLS_S = 60
NR_HANGING = 20


@pytest.fixture
def daemon(epcd):
    daemon = epcd("--epc", "4M@0")
    yield daemon
    daemon.wait_all_free()


@pytest.fixture
def enclave(daemon):
    """enclave(...): one that is open."""
    made = []

    def new(**options):
        made.append(Enclave(daemon.enclave, **options))
        return made[-1]
    yield new
    for each in made:
        each.close()


# Memory that does not come.

HANGS = UNSERVED + """
mine = Enclave(sys.argv[1])
what, nr_there = sys.argv[2], int(sys.argv[3])
if what != "create":
    assert mine.create() == 0
address = unserved(nr_there)
print("begins")
if what == "create":
    error = mine.create_from(address)
elif what == "init":
    error = mine.init_from(address)
elif what == "secinfo":
    error = mine.add_from(address, 0, 16 * PAGE, secinfo=address)
else:
    error = mine.add_from(address, 0, 16 * PAGE)
print("ended", error, mine.count)
"""


def hangs(process):
    """Until it is inside of a system call and stays there; the script has said that it begins."""
    assert process.stdout.wait_line("begins")
    eventually(lambda: process.thread_states()[0] in "SD")


@pytest.mark.limit(CALLS_S)
@pytest.mark.parametrize("what, nr_there", [("create", 0), ("secinfo", 0), ("add", 0), ("add", 3),
                                            ("init", 0)])
def test_memory_that_never_comes(daemon, world, enclave, what, nr_there):
    """Goal: its client waits, killable; nobody else. Method: unserved userfaultfd ranges."""
    callers = [world.run(script(HANGS, daemon.enclave, what, nr_there)) for _ in range(NR_HANGING)]
    for caller in callers:
        hangs(caller)
    if nr_there:
        eventually(lambda: daemon.status()["epc"]["used_bytes"]
                   == NR_HANGING * (nr_there + 2) * PAGE)
    assert enclave().build().pread(PAGE) == contents(1)
    for caller in callers:
        assert caller.is_alive and "ended" not in caller.stdout.text()
        assert caller.kill() == -signal.SIGKILL


THREADS = UNSERVED + """
import threading
def one():
    mine = Enclave(sys.argv[1])
    mine.create_from(address)
address = unserved(0)
for _ in range(100):
    threading.Thread(target=one, daemon=True).start()
print("begins")
threading.Event().wait()
"""


def nr_threads(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/task"))


@pytest.mark.limit(CALLS_S)
def test_threads_that_hang(daemon, world, enclave):
    """Goal: a process can hang one thread of the daemon's. Method: a hundred of its threads do."""
    before = nr_threads(daemon)
    caller = world.run(script(THREADS, daemon.enclave))
    hangs(caller)
    for _ in range(3):
        enclave().build()
    assert nr_threads(daemon) <= before + 2
    assert caller.kill() == -signal.SIGKILL
    enclave().build()


@pytest.mark.limit(CALLS_S)
def test_end_of_the_daemon(epcd, world):
    """Goal: threads that hang keep it from nothing. Method: SIGTERM with five of them."""
    daemon = epcd("--epc", "4M@0")
    callers = [world.run(script(HANGS, daemon.enclave, "add", 1)) for _ in range(5)]
    for caller in callers:
        hangs(caller)
    assert daemon.stop() == []
    for caller in callers:
        eventually(lambda: not caller.is_alive or "ended" in caller.stdout.text())
        caller.kill()


SIGNALLED = UNSERVED + """
import signal, threading
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.siginterrupt(signal.SIGUSR1, True)
mine = Enclave(sys.argv[1])
assert mine.create() == 0
nr_there = int(sys.argv[2])
address = unserved(nr_there)
print("begins")
error = mine.add_from(address, 0, 16 * PAGE)
print("ended", error, mine.count)
print("contents", all(mine.pread(page * PAGE) == contents(page) for page in range(nr_there)))
"""


@pytest.mark.limit(CALLS_S)
@pytest.mark.parametrize("nr_there, outcome", [(0, f"ended {EINTR} 0"), (3, f"ended 0 {3 * PAGE}")])
def test_signal_while_adding(daemon, world, nr_there, outcome):
    """Goal: the count of what is done; EINTR for nothing. Method: a signal while a page hangs."""
    caller = world.run(script(SIGNALLED, daemon.enclave, nr_there))
    hangs(caller)
    eventually(lambda: daemon.status()["epc"]["used_bytes"] >= (nr_there + 1) * PAGE)
    caller.signal(signal.SIGUSR1)
    assert caller.stdout.wait_line("ended").strip() == outcome
    assert caller.stdout.wait_line("contents").strip() == "contents True"
    assert caller.wait() == 0


@pytest.mark.limit(CALLS_S)
def test_one_at_a_time(enclave):
    """Goal: EBUSY at once for any other, known or not. Method: while a child's ADD_PAGES hangs."""
    mine, good = enclave(), Memory(contents(1))
    assert mine.create() == 0
    child = os.fork()
    if child == 0:
        names = {}
        exec("from harness.enclave import *" + UNSERVED, names)
        mine.add_from(names["unserved"](0), 0, PAGE)
        os._exit(0)
    eventually(lambda: mine.remove(0, PAGE) == EBUSY)
    assert [mine.init_from(good.address), mine.create(), mine.provision(0), mine.remove(0, PAGE),
            ioctl(mine.file, 0x5401, bytearray(8))] == [EBUSY] * 5
    assert ioctl(mine.file, ADD_PAGES, None) == EFAULT, "FUSE copies it before anybody looks"
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert mine.add_from(good.address, 9 * PAGE, PAGE) == 0


ADDS = """
mine = Enclave(sys.argv[1], size=1 << 30)
assert mine.create() == 0
source = Memory(bytes(16 << 20))
print("begins")
while True:
    mine.add_from(source.address, 0, source.size)
"""


@pytest.mark.limit(CALLS_S)
def test_killed_while_adding(epcd, world):
    """Goal: nothing leaks. Method: kill ADD_PAGES at some point, also where it waits for a page."""
    daemon = epcd("--epc", "1M@0", "--swap-max", "128M")
    for _ in range(4):
        callers = [world.run(script(ADDS, daemon.enclave)) for _ in range(3)]
        for caller in callers:
            assert caller.stdout.wait_line("begins")
        eventually(lambda: daemon.status()["counters"]["evictions"] > 0)
        for caller in callers:
            assert caller.kill() == -signal.SIGKILL
    daemon.wait_all_free()
    assert daemon.status()["swap"]["used_bytes"] == 0


# Processes and threads.

def test_two_threads_on_one_page(epcd):
    """Goal: both have it. Method: threads that touch the same pages, out and new, together."""
    daemon = epcd("--epc", "1M@0")
    mine = Enclave(daemon.enclave, size=4 * MIB).build(600)
    memory = mine.map()
    barrier = threading.Barrier(4)
    wrong = []

    def touch():
        for page in range(0, 700):
            if page % 50 == 0:
                barrier.wait()
            expected = contents(page) if page < 600 else bytes(PAGE)
            if read_at(memory + page * PAGE) != expected:
                wrong.append(page)
    threads = [threading.Thread(target=touch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    mine.unmap()
    mine.close()
    daemon.wait_all_free()


def test_fork_shares(daemon, enclave):
    """Goal: a child has the same enclave, also when its parent has none. Method: write, read."""
    mine = enclave().build()
    memory = mine.map()

    def child():
        if read_at(memory + PAGE) == contents(1):
            write_at(memory + PAGE, contents(77))
    assert ends_by_signal(child) == 0
    assert read_at(memory + PAGE) == contents(77)
    assert len(daemon.instances()) == 1
    mine.unmap()


def test_touching_nothing(enclave):
    """Goal: SIGBUS where there is no page, not where one can come to be. Method: children touch."""
    mine = enclave().build(is_initialised=False)
    memory = mine.map()
    assert ends_by_signal(lambda: read_at(memory + PAGE)) == 0
    assert ends_by_signal(lambda: read_at(memory + 9 * PAGE)) == signal.SIGBUS
    assert mine.init() == 0
    assert ends_by_signal(lambda: write_at(memory + 9 * PAGE, b"x")) == 0
    assert read_at(memory + 9 * PAGE, 2) == b"x\0"
    mine.unmap()


def test_info(daemon, enclave):
    """Goal: it is shown what it is. Method: the control file after each step."""
    mine = enclave()
    assert daemon.instances() == []
    mine.build(3, is_initialised=False)
    info, = daemon.instances()
    assert (info["kind"], info["device"], info["pid"]) == ("enclave", "sgx_enclave", os.getpid())
    assert info["owned_bytes"] == 5 * PAGE and info["nr_secs"] == 1
    assert info["enclave"] == {"base": mine.base, "size": mine.size, "is_initialised": False,
                               "inactive_bytes": 3 * PAGE, "evicted_bytes": 0, "va_bytes": PAGE}
    assert mine.init() == 0
    assert daemon.instances()[0]["enclave"]["is_initialised"]


# SGX2.

def test_sgx2_arguments(enclave):
    """Goal: EINVAL for all that cannot be, and nothing is done. Method: one of each kind."""
    mine = enclave().build(is_initialised=False)
    assert mine.restrict(0, PAGE, READ) == EINVAL, "not before INIT"
    assert mine.init() == 0
    for offset, length in ((0, 0), (1, PAGE), (0, 1), (mine.size, PAGE), (2 ** 64 - PAGE, 2 * PAGE)):
        assert mine.restrict(offset, length, READ) == EINVAL
        assert mine.modify(offset, length, PT_TRIM) == EINVAL
        assert mine.remove(offset, length) == EINVAL
    for permissions in (8, WRITE, 1 << 63):
        assert mine.restrict(0, PAGE, permissions) == EINVAL
    for page_type in (0, 2, 3, 5, 0x104, 1 << 32 | PT_TRIM):
        assert mine.modify(0, PAGE, page_type) == EINVAL
    for preset in ({"result": 1}, {"count": PAGE}):
        assert mine.restrict(0, PAGE, READ, **preset) == EINVAL
        assert mine.modify(0, PAGE, PT_TRIM, **preset) == EINVAL
    assert mine.remove(0, PAGE, count=1) == EINVAL
    assert mine.remove(0, PAGE) == EPERM, "no TRIM"


def test_sgx2_partial(enclave):
    """Goal: count is what is done, when one page of many cannot be. Method: a hole behind three."""
    mine = enclave().build(3)
    assert (mine.restrict(0, 5 * PAGE, READ), mine.count, mine.result) == (EFAULT, 3 * PAGE, 0)
    assert (mine.modify(0, 5 * PAGE, PT_TRIM), mine.count, mine.result) == (EFAULT, 3 * PAGE, 0)
    assert (mine.remove(0, PAGE), mine.count) == (EPERM, 0), "not accepted"
    assert (mine.remove(4 * PAGE, PAGE), mine.count) == (EFAULT, 0)
    assert (mine.modify(0, PAGE, PT_TRIM), mine.count) == (EINVAL, 0), "it is one"
    assert (mine.restrict(0, PAGE, READ), mine.count) == (EINVAL, 0)


def test_sgx2_types(enclave):
    """Goal: a REG page becomes a TCS if it was added with R and W. Method: one with, one without."""
    mine = enclave()
    assert mine.create() == 0
    assert mine.add(0, contents(1)) == 0
    assert mine.add(PAGE, contents(2), flags=0x201) == 0
    assert mine.init() == 0
    assert mine.modify(PAGE, PAGE, PT_TCS) == EPERM
    assert (mine.modify(0, PAGE, PT_TCS), mine.count) == (0, PAGE)
    assert mine.pread(0) == b"\xff" * PAGE, "hidden from now on"
    assert not is_eio(mine.pread, PAGE)
