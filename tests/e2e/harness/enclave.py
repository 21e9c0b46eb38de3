# SPDX-License-Identifier: MIT
"""An enclave of a host process: the ioctls of sgx_enclave, and its pages in our address space.

The numbers are Linux's, asm/sgx.h. Contract of the mapping: offset in the file = linear address.
"""
import ctypes
import errno
import faulthandler
import itertools
import os
import struct
import sys
from pathlib import Path

from harness.sigstruct import (CHUNK, DEBUG, MODE64BIT, PAGE, SECINFO_REG_RW, SECINFO_TCS,
                               XFRM_LEGACY, Measurement, sigstruct)

CREATE, ADD_PAGES, INIT, PROVISION = 0x4008A400, 0xC030A401, 0x4008A402, 0x4008A403
RESTRICT, MODIFY, REMOVE = 0xC028A405, 0xC028A406, 0xC018A407
MEASURE = 1
PT_TCS, PT_REG, PT_TRIM = 1, 2, 4
READ, WRITE, EXEC, SHARED, PRIVATE, ANONYMOUS, FIXED = 1, 2, 4, 1, 2, 0x20, 0x100000
FAILED = 2 ** 64 - 1

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.mmap.restype = ctypes.c_uint64
LIBC.mmap.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                      ctypes.c_uint64]
LIBC.munmap.argtypes = [ctypes.c_uint64, ctypes.c_uint64]
LIBC.mprotect.argtypes = [ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int]

# Far from whatever the kernel chooses; each enclave has its own, aligned to its size.
BASES = itertools.count(0x100000000000, 1 << 36)


def ioctl(fd, cmd, argument):
    """The errno, 0 when it went well; a struct or bytearray gets what comes back."""
    if isinstance(argument, bytearray):
        argument = (ctypes.c_char * len(argument)).from_buffer(argument)
    return 0 if LIBC.ioctl(fd, ctypes.c_ulong(cmd), argument) >= 0 else ctypes.get_errno()


def mapped(size, rights=READ | WRITE, flags=PRIVATE | ANONYMOUS, fd=-1, address=0, offset=0):
    where = LIBC.mmap(address, size, rights, flags | (FIXED if address else 0), fd, offset)
    if where == FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    return where


class Memory:
    """Pages of ours, for sources: .address, and bytes by slice."""

    def __init__(self, contents):
        self.size = -(-len(contents) // PAGE) * PAGE
        self.address = mapped(self.size)
        ctypes.memmove(self.address, contents, len(contents))

    def free(self):
        LIBC.munmap(self.address, self.size)


def secs_page(base, size, attributes=MODE64BIT | DEBUG, xfrm=XFRM_LEGACY):
    return struct.pack("<QQII24xQQ", size, base, 1, 0, attributes, xfrm).ljust(PAGE, b"\0")


def tcs_page(ssa_offset):
    return struct.pack("<QQQIIQQQQII", 0, 0, ssa_offset, 0, 1, 0, 0, 0, 0, 0xFFF, 0xFFF).ljust(
        PAGE, b"\0")


def contents(number):
    """What a page has that is made of this number, everywhere different."""
    return struct.pack("<Q", number) * (PAGE // 8)


class Enclave:
    """One open of sgx_enclave. Methods return errnos."""

    def __init__(self, path, size=1 << 20, attributes=MODE64BIT | DEBUG):
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.size, self.attributes = size, attributes
        self.base = next(BASES)
        self.measurement = Measurement(size)
        self.count = self.result = None

    def create(self, **changes):
        fields = {"base": self.base, "size": self.size, "attributes": self.attributes, **changes}
        return self.create_from(Memory(secs_page(**fields)).address)

    def create_from(self, address):
        return ioctl(self.file, CREATE, bytearray(struct.pack("<Q", address)))

    def add_from(self, source, offset, length, flags=SECINFO_REG_RW, measure=MEASURE,
                 secinfo=None, preset=77):
        """preset: what count is before; afterwards it is in self.count."""
        info = Memory(struct.pack("<Q56x", flags)) if secinfo is None else None
        argument = bytearray(struct.pack("<QQQQQQ", source, offset, length,
                                         info.address if info else secinfo, measure, preset))
        error = ioctl(self.file, ADD_PAGES, argument)
        self.count = struct.unpack_from("<Q", argument, 40)[0]
        if info:
            info.free()
        return error

    def add(self, offset, data, flags=SECINFO_REG_RW, measure=MEASURE):
        """All of the data, and it is measured here too."""
        source = Memory(data)
        error = self.add_from(source.address, offset, source.size, flags, measure)
        source.free()
        for page in range(0, self.count, PAGE):
            self.measurement.add(offset + page, flags)
            if not measure:
                continue
            for at in range(page, page + PAGE, CHUNK):
                self.measurement.extend(offset + at, data[at:at + CHUNK])
        return error

    def init(self, data=None):
        data = data or sigstruct(self.measurement.digest(), self.attributes)
        memory = Memory(data)
        error = self.init_from(memory.address)
        memory.free()
        return error

    def init_from(self, address):
        return ioctl(self.file, INIT, bytearray(struct.pack("<Q", address)))

    def provision(self, fd):
        return ioctl(self.file, PROVISION, bytearray(struct.pack("<Q", fd)))

    def _change(self, cmd, offset, length, *more, result=0, count=0):
        has_result = cmd != REMOVE
        argument = bytearray(struct.pack("<QQ", offset, length)
                             + b"".join(struct.pack("<Q", each) for each in more)
                             + (struct.pack("<Q", result) if has_result else b"")
                             + struct.pack("<Q", count))
        error = ioctl(self.file, cmd, argument)
        self.count = struct.unpack_from("<Q", argument, len(argument) - 8)[0]
        if has_result:
            self.result = struct.unpack_from("<Q", argument, len(argument) - 16)[0]
        return error

    def restrict(self, offset, length, permissions, **preset):
        return self._change(RESTRICT, offset, length, permissions, **preset)

    def modify(self, offset, length, page_type, **preset):
        return self._change(MODIFY, offset, length, page_type, **preset)

    def remove(self, offset, length, **preset):
        return self._change(REMOVE, offset, length, **preset)

    def build(self, nr_pages=4, is_initialised=True):
        """Pages 0 to nr_pages - 1 with contents(their number)."""
        assert self.create() == 0
        data = b"".join(contents(page) for page in range(nr_pages))
        assert (self.add(0, data), self.count) == (0, nr_pages * PAGE)
        if is_initialised:
            assert self.init() == 0
        return self

    def map(self, offset=0, length=None, rights=READ | WRITE):
        """The address of the mapping."""
        return mapped(length or self.size, rights, SHARED, self.file, self.base + offset,
                      self.base + offset)

    def unmap(self, offset=0, length=None):
        LIBC.munmap(self.base + offset, length or self.size)

    def pread(self, offset):
        """What a fault would bring; OSError EIO where it would be SIGBUS."""
        return os.pread(self.file, PAGE, self.base + offset)

    def close(self):
        os.close(self.file)


def read_at(address, size=PAGE):
    return ctypes.string_at(address, size)


def write_at(address, data):
    ctypes.memmove(address, data, len(data))


def ends_by_signal(function):
    """The signal that ends a child which does this, 0 when it returns."""
    child = os.fork()
    if child == 0:
        faulthandler.disable()  # pytest's: it would tell of what is to be
        try:
            function()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def is_eio(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return error.errno == errno.EIO
    return False



def script(lines, *arguments):
    """The command of a Python that has all of this module, and prints without delay."""
    text = (f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
            f"from harness.enclave import *\n{lines}")
    return [sys.executable, "-u", "-c", text, *[str(each) for each in arguments]]


# For scripts: pages of memory that is there up to nr_there, and then never comes.
UNSERVED = """
import fcntl
def unserved(nr_there, nr_pages=16):
    address = mapped(nr_pages * PAGE)
    for page in range(nr_there):
        write_at(address + page * PAGE, contents(page))
    uffd = LIBC.syscall(323, os.O_CLOEXEC)
    assert uffd >= 0
    fcntl.ioctl(uffd, 0xC018AA3F, struct.pack("<3Q", 0xAA, 0, 0))
    fcntl.ioctl(uffd, 0xC020AA00, struct.pack("<4Q", address + nr_there * PAGE,
                                              (nr_pages - nr_there) * PAGE, 1, 0))
    return address
"""
