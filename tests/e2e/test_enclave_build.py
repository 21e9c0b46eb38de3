# SPDX-License-Identifier: MIT
"""Building enclaves through sgx_enclave: each errno that the kernel's driver has, in its order."""
import ctypes
import os
import struct
from errno import EACCES, EBUSY, EFAULT, EINVAL, EIO, ENOTTY, EPERM

import pytest

from harness.enclave import (CREATE, DEBUG, LIBC, MEASURE, MODE64BIT, PAGE, PRIVATE, READ,
                             SECINFO_REG_RW, SECINFO_TCS, Enclave, Memory, contents, ioctl,
                             is_eio, mapped, sigstruct, tcs_page)

NOWHERE = 0x10000  # below mmap_min_addr, nothing is mapped there
PRESET = 77
PROVISIONKEY, EINITTOKENKEY, KSS, RESERVED_ATTRIBUTE = 0x10, 0x20, 0x80, 0x8
MS_NOEXEC, MNT_DETACH = 8, 2
SIZE = 1 << 20


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


# CREATE.

def test_create(enclave):
    """Goal: once only, a failure undoes everything. Method: odd SECS first, then a good one."""
    mine = enclave()
    assert mine.create_from(NOWHERE) == EFAULT
    for odd in ({"size": SIZE + PAGE}, {"size": 0}, {"base": mine.base + PAGE}, {"xfrm": 0},
                {"attributes": MODE64BIT | 1}, {"attributes": MODE64BIT | RESERVED_ATTRIBUTE},
                {"size": 1 << 60, "base": 0}):
        assert mine.create(**odd) == EIO, odd
    assert mine.create() == 0
    assert mine.create() == EINVAL
    assert mine.create_from(NOWHERE) == EINVAL, "before it looks at the SECS"
    assert ioctl(mine.file, CREATE, None) == EFAULT


def test_before_create(enclave):
    """Goal: there is nothing to add to. Method: the others without CREATE, and unknown numbers."""
    mine = enclave()
    source = Memory(contents(1))
    assert (mine.add_from(source.address, 0, PAGE), mine.count) == (EINVAL, PRESET)
    assert mine.init(bytes(1808)) == EINVAL
    assert mine.restrict(0, PAGE, READ) == EINVAL
    assert mine.modify(0, PAGE, 4) == EINVAL
    assert mine.remove(0, PAGE) == EINVAL
    for number in (0xA404, 0xA408, 0x5401, 0x8008A400):
        assert ioctl(mine.file, number, bytearray(64)) == ENOTTY, hex(number)


# ADD_PAGES.

@pytest.mark.parametrize("offset, length", [
    (0, 0), (0, 1), (0, PAGE + 1), (1, PAGE), (SIZE, PAGE), (SIZE - PAGE, 2 * PAGE),
    (0, SIZE + PAGE), (2 ** 64 - PAGE, PAGE), (PAGE, 2 ** 64 - PAGE), (2 ** 64 - PAGE, 2 * PAGE)])
def test_add_outside(enclave, offset, length):
    """Goal: a range that is none is EINVAL, count untouched. Method: edges and wraps."""
    mine = enclave()
    assert mine.create() == 0
    assert (mine.add_from(NOWHERE, offset, length, secinfo=NOWHERE), mine.count) == (EINVAL, PRESET)
    assert (mine.add(SIZE - PAGE, contents(1)), mine.count) == (0, PAGE), "the last one is inside"


def secinfo(flags, reserved=bytes(56)):
    return Memory(struct.pack("<Q", flags) + reserved).address


@pytest.mark.parametrize("flags, reserved", [
    (0x003, bytes(56)), (0x303, bytes(56)), (0x403, bytes(56)), (0x503, bytes(56)),
    (0x202, bytes(56)), (0x206, bytes(56)), (0x101, bytes(56)), (0x103, bytes(56)),
    (0x20B, bytes(56)), (0x213, bytes(56)), (0x223, bytes(56)), (0x10203, bytes(56)),
    (0x203, bytes(55) + b"\1"), (0x203, b"\1" + bytes(55))])
def test_add_secinfo(enclave, flags, reserved):
    """Goal: a SECINFO that cannot be is EINVAL, count untouched. Method: one of each kind."""
    mine = enclave()
    assert mine.create() == 0
    source = Memory(contents(1))
    info = secinfo(flags, reserved)
    assert (mine.add_from(source.address, 0, PAGE, secinfo=info), mine.count) == (EINVAL, PRESET)


def test_add_addresses(enclave):
    """Goal: what is not there is EFAULT, each in its place. Method: SECINFO, then source, nowhere."""
    mine = enclave()
    assert mine.create() == 0
    source = Memory(contents(1))
    assert (mine.add_from(source.address + 8, 0, PAGE), mine.count) == (EINVAL, PRESET)
    assert (mine.add_from(source.address, 0, PAGE, secinfo=NOWHERE), mine.count) == (EFAULT, PRESET)
    assert (mine.add_from(NOWHERE, 0, PAGE), mine.count) == (EFAULT, 0)
    two, info = mapped(3 * PAGE), secinfo(SECINFO_REG_RW)
    ctypes.memmove(two, contents(5) + contents(6), 2 * PAGE)
    LIBC.munmap(two + 2 * PAGE, PAGE)
    assert (mine.add_from(two, 0, 3 * PAGE, secinfo=info), mine.count) == (EFAULT, 2 * PAGE)
    assert mine.pread(PAGE) == contents(6)
    LIBC.mprotect(two, PAGE, 0)
    assert (mine.add_from(two, 8 * PAGE, PAGE), mine.count) == (EFAULT, 0)


def test_add_existing(enclave):
    """Goal: a page that is there is EBUSY, before its source counts. Method: add onto the third."""
    mine = enclave()
    assert mine.create() == 0
    assert mine.add(2 * PAGE, contents(1)) == 0
    source = Memory(b"".join(contents(number) for number in range(4)))
    assert (mine.add_from(source.address, 0, 4 * PAGE), mine.count) == (EBUSY, 2 * PAGE)
    assert (mine.add_from(NOWHERE, 2 * PAGE, PAGE), mine.count) == (EBUSY, 0)
    assert mine.pread(2 * PAGE) == contents(1)


@pytest.fixture
def noexec(tmp_path):
    """A directory on a file system that is mounted noexec."""
    where = os.fsencode(tmp_path)
    if LIBC.mount(b"tmpfs", where, b"tmpfs", MS_NOEXEC, None):
        pytest.fail(os.strerror(ctypes.get_errno()))
    yield tmp_path
    LIBC.umount2(where, MNT_DETACH)


def file_mapped(path, nr_pages):
    path.write_bytes(b"".join(contents(page) for page in range(nr_pages)))
    file = os.open(path, os.O_RDONLY)
    address = mapped(nr_pages * PAGE, READ, PRIVATE, file)
    os.close(file)
    return address


def test_add_from_noexec(enclave, noexec, world):
    """Goal: EACCES for a file that may not be executed, only for that. Method: two file systems."""
    mine = enclave()
    assert mine.create() == 0
    good = file_mapped(world.directory / "good", 2)
    assert (mine.add_from(good, 0, 2 * PAGE), mine.count) == (0, 2 * PAGE)
    bad = file_mapped(noexec / "bad", 2)
    assert (mine.add_from(bad, 4 * PAGE, PAGE), mine.count) == (EACCES, 0)
    assert (mine.add_from(bad, 0, PAGE), mine.count) == (EBUSY, 0)


def test_add_from_the_device(enclave):
    """Goal: pages of an enclave are no source, as for the kernel. Method: the own mapping."""
    mine, other = enclave(), enclave()
    other.build()
    assert mine.create() == 0
    assert (mine.add_from(other.map(), 0, PAGE), mine.count) == (EFAULT, 0)
    other.unmap()


def test_add_flags(enclave):
    """Goal: unknown flags are ignored, MEASURE counts. Method: with and without, then INIT."""
    mine = enclave()
    assert mine.create() == 0
    assert mine.add(0, contents(1), measure=0) == 0
    source = Memory(contents(2))
    assert mine.add_from(source.address, PAGE, PAGE, measure=MEASURE | 0xFFFFFFFFFFFFFFF0) == 0
    mine.measurement.add(PAGE, SECINFO_REG_RW)
    for at in range(0, PAGE, 256):
        mine.measurement.extend(PAGE + at, contents(2)[at:at + 256])
    assert mine.add(0x20000, tcs_page(PAGE), SECINFO_TCS) == 0
    assert mine.init() == 0
    assert mine.pread(0) == contents(1) and mine.pread(PAGE) == contents(2)
    assert mine.pread(0x20000) == b"\xff" * PAGE, "a TCS is hidden"


def test_add_bad_tcs(enclave):
    """Goal: what EADD refuses is EIO, and the page is not there. Method: a TCS with reserved bits."""
    mine = enclave()
    assert mine.create() == 0
    assert (mine.add(0, b"\xff" * PAGE, SECINFO_TCS), mine.count) == (EIO, 0)
    assert (mine.add(0, tcs_page(PAGE), SECINFO_TCS), mine.count) == (0, PAGE)


# INIT and PROVISION.

def test_init_order(enclave):
    """Goal: the errno of each stage. Method: SIGSTRUCTs that are wrong in one way, then a good one."""
    mine = enclave().build(is_initialised=False)
    good = sigstruct(mine.measurement.digest())

    def changed(at, data):
        return good[:at] + data + good[at + len(data):]
    assert mine.init_from(NOWHERE) == EFAULT
    assert mine.init(changed(16, struct.pack("<I", 0x8087))) == EINVAL, "vendor"
    assert mine.init(changed(928, struct.pack("<Q", MODE64BIT | DEBUG | RESERVED_ATTRIBUTE))) == EINVAL
    assert mine.init(changed(900, struct.pack("<II", 0x80, 0xFFFFFFFF))) == EINVAL, "MISCSELECT"
    assert mine.init(changed(936, struct.pack("<QQQ", 1 << 62, 0, 1 << 62))) == EINVAL, "XFRM"
    assert mine.init(changed(16, struct.pack("<I", 0x8086))) == EPERM, "the signature covers it"
    assert mine.init(changed(600, b"\0" * 8)) == EPERM, "signature"
    assert mine.init(sigstruct(bytes(32))) == EPERM, "measurement"
    assert mine.init(bytes(1808)) == EPERM
    assert mine.init(b"\xff" * 1808) == EINVAL
    assert mine.init(good) == 0
    assert mine.init(good) == EINVAL
    assert mine.init_from(NOWHERE) == EINVAL
    assert (mine.add(8 * PAGE, contents(1)), mine.count) == (EINVAL, PRESET)


def test_provision(daemon, enclave, world):
    """Goal: the key only for who shows the device. Method: without, wrong descriptors, the device."""
    attributes = MODE64BIT | DEBUG | PROVISIONKEY
    device = os.open(daemon.provision, os.O_RDONLY)
    mine = enclave(attributes=attributes)
    assert mine.provision(device) == 0, "but CREATE takes it back"
    mine.build(is_initialised=False)
    assert mine.init() == EACCES
    other = os.open(world.directory, os.O_RDONLY)
    for wrong in (other, mine.file, 1000, 2 ** 32 - 1):
        assert mine.provision(wrong) == EINVAL, wrong
    assert mine.init() == EACCES
    assert mine.provision(2 ** 32 + device) == 0, "the kernel takes it for 32 bits"
    assert mine.init() == 0
    token = enclave(attributes=MODE64BIT | EINITTOKENKEY).build(is_initialised=False)
    assert token.provision(device) == 0
    assert token.init() == EACCES
    kss = enclave(attributes=MODE64BIT | KSS).build(is_initialised=False)
    assert kss.init() in (0, EPERM), "nobody's permission is needed"
    os.close(device)
    os.close(other)


# Pages.

def test_pages_before_and_after_init(enclave):
    """Goal: never added is SIGBUS, after INIT it comes to be. Method: the same offsets twice."""
    mine = enclave().build(is_initialised=False)
    assert mine.pread(3 * PAGE) == contents(3)
    assert is_eio(mine.pread, 4 * PAGE)
    assert is_eio(mine.pread, SIZE)
    assert mine.init() == 0
    assert mine.pread(4 * PAGE) == bytes(PAGE)
    assert is_eio(mine.pread, SIZE) and is_eio(mine.pread, -PAGE)


def test_opens_are_enclaves(daemon, enclave):
    """Goal: each open is its own; one without CREATE costs nothing. Method: two at one address."""
    first, second, third = enclave(), enclave(), enclave()
    second.base = first.base
    first.build(2)
    assert second.create() == 0
    assert second.add(0, contents(9)) == 0
    assert (first.pread(0), second.pread(0)) == (contents(0), contents(9))
    assert is_eio(third.pread, 0)
    # 2 SECS, 2 VA pages, 3 of their own.
    assert daemon.status()["epc"]["used_bytes"] == 7 * PAGE


def readable(enclave):
    try:
        return enclave.pread(0) != b""
    except OSError:
        return False


def test_secs_is_no_address(enclave):
    """Goal: nothing beyond the addresses can be read. Method: the end of the file, and behind."""
    mine = enclave().build()
    mine.base = (1 << 47) - PAGE
    assert is_eio(mine.pread, 0)
    mine.base = (1 << 47) + PAGE
    assert not readable(mine)
