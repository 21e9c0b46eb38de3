# SPDX-License-Identifier: MIT
"""include/epc/abi.h in Python: vEPC instances of this process, and leaves executed on them.

A process of its own, which may hang or be killed, is made of this by script().
"""
import ctypes
import fcntl
import mmap
import os
import struct
import sys
from pathlib import Path

from .sigstruct import (DEBUG, MODE64BIT, SECINFO_REG_RW, SECINFO_TCS, XFRM_LEGACY, Measurement,
                        sigstruct)

PAGE = 4096
REMOVE_ALL = 0xA404
ENCLS, ENCLU = 0, 1
ECREATE, EADD, EINIT, EREMOVE, EDBGRD, EDBGWR, EEXTEND, ELDB, ELDU = range(9)
EBLOCK, EPA, EWB, ETRACK, EAUG, EMODPR, EMODT = range(9, 16)
EENTER, EEXIT, EACCEPT = 2, 4, 5
FAULT = 0x40000000
GP = FAULT | 13
PF_RCX = FAULT | 14 | 2 << 8
PF_SECS = FAULT | 14 | 4 << 8
SOMEWHERE = 0x10000  # an address for operands of which only the alignment counts
LIBC = ctypes.CDLL(None, use_errno=True)


class Place(ctypes.Structure):
    """struct epc_place."""
    _fields_ = [("id", ctypes.c_uint64), ("offset", ctypes.c_uint64)]


class Leaf(ctypes.Structure):
    """struct epc_vepc_leaf."""
    _fields_ = [("instruction", ctypes.c_uint32), ("leaf", ctypes.c_uint32),
                ("result", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
                ("rcx", Place), ("rdx", Place), ("secs", Place),
                ("rbx", ctypes.c_uint64), ("linaddr", ctypes.c_uint64),
                ("rdx_linaddr", ctypes.c_uint64), ("srcpge", ctypes.c_uint64),
                ("secinfo", ctypes.c_uint64), ("rbx_place", Place),
                ("reserved2", ctypes.c_uint64 * 3),
                ("info", ctypes.c_uint8 * 128), ("data", ctypes.c_uint8 * 4096)]


class Info(ctypes.Structure):
    """struct epc_vepc_info."""
    _fields_ = [("id", ctypes.c_uint64), ("capabilities", ctypes.c_uint32),
                ("nr_instances", ctypes.c_uint32), ("charged_bytes", ctypes.c_uint64),
                ("limit_bytes", ctypes.c_uint64), ("nr_secs", ctypes.c_uint64),
                ("reserved", ctypes.c_uint64 * 3)]


IOC_INFO = 2 << 30 | ctypes.sizeof(Info) << 16 | 0xEC << 8 | 0
IOC_RESET_VM = 0xEC << 8 | 1
IOC_LEAF = 3 << 30 | ctypes.sizeof(Leaf) << 16 | 0xEC << 8 | 4


def leaf_request(leaf, instruction=ENCLS, info=b"", data=b"", **fields):
    """A Leaf; the other fields by their names."""
    request = Leaf(instruction=instruction, leaf=leaf, **fields)
    ctypes.memmove(request.info, bytes(info), len(info))
    ctypes.memmove(request.data, bytes(data), len(data))
    return request


def address_of(mapping):
    """Its address; it can be closed all the same."""
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def ioctl_at(file, number, address):
    """An ioctl whose argument lies at that address, readable or not."""
    if LIBC.ioctl(file, ctypes.c_ulong(number), ctypes.c_void_p(address)) < 0:
        raise OSError(ctypes.get_errno(), "ioctl")


class Section:
    """An open vEPC, with its id."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._mappings = []
        self.id = self.info().id

    def info(self):
        info = Info()
        fcntl.ioctl(self.file, IOC_INFO, info)
        return info

    def place(self, page, offset=0):
        return Place(self.id, page * PAGE + offset)

    def execute(self, request):
        """The leaf's result: a code or a fault; OSError when it was not executed."""
        fcntl.ioctl(self.file, IOC_LEAF, request)
        return request.result

    def leaf(self, leaf, **fields):
        return self.execute(leaf_request(leaf, **fields))

    def remove_all(self):
        return fcntl.ioctl(self.file, REMOVE_ALL, 0)

    def map(self, nr_pages):
        self._mappings.append(mmap.mmap(self.file, nr_pages * PAGE))
        return self._mappings[-1]

    def close(self):
        for mapping in self._mappings:
            mapping.close()
        os.close(self.file)


class Enclave:
    """Its SECS at secs (section, page), a TCS and pages of section from first on."""
    BASE, SIZE = 0x10000000, 0x1000000

    def __init__(self, secs, section, first, nr_pages=3):
        self.section, self.first, self.nr_pages = section, first, nr_pages
        self.secs = secs[0].place(secs[1])
        self.tcs = section.place(first)
        self._measurement = Measurement(self.SIZE)

    def create(self):
        secs = struct.pack("<QQI28xQQ", self.SIZE, self.BASE, 1, MODE64BIT | DEBUG, XFRM_LEGACY)
        return self.section.leaf(ECREATE, rcx=self.secs, rbx=SOMEWHERE, srcpge=SOMEWHERE,
                                 secinfo=SOMEWHERE, data=secs)

    def add(self, index):
        """EADD of the page of that index, the first is the TCS; and EEXTEND of its first chunk."""
        flags = SECINFO_REG_RW if index else SECINFO_TCS
        content = struct.pack("<32Q", *range(index << 8, (index << 8) + 32))
        if not index:
            content = struct.pack("<QQQIIQQQQII", 0, 0, PAGE, 0, 1, PAGE, 0, 0, 0,
                                  0xFFFFFFFF, 0xFFFFFFFF)
        place = self.section.place(self.first + index)
        result = self.section.leaf(
            EADD, rcx=place, rbx=SOMEWHERE, linaddr=self.BASE + index * PAGE, srcpge=SOMEWHERE,
            secinfo=SOMEWHERE, secs=self.secs, info=struct.pack("<Q", flags), data=content)
        if result:
            return result
        self._measurement.add(index * PAGE, flags)
        self._measurement.extend(index * PAGE, content)
        return self.section.leaf(EEXTEND, rcx=place, rbx=SOMEWHERE, secs=self.secs)

    def init(self):
        return self.section.leaf(EINIT, rcx=self.secs, rbx=SOMEWHERE, rdx_linaddr=SOMEWHERE,
                                 data=sigstruct(self._measurement.digest()))

    def build(self, is_initialised=True):
        assert self.create() == 0
        for index in range(self.nr_pages):
            assert self.add(index) == 0, index
        assert not is_initialised or self.init() == 0
        return self

    def enter(self):
        return self.section.leaf(EENTER, instruction=ENCLU, rcx=self.tcs)

    def leave(self):
        return self.section.leaf(EEXIT, instruction=ENCLU, rcx=self.tcs)

    def remove(self, index):
        return self.section.leaf(EREMOVE, rcx=self.section.place(self.first + index))

    def remove_secs(self):
        return self.section.leaf(EREMOVE, rcx=self.secs)


def script(lines, *arguments):
    """The command of a Python that has all of this module, and prints without delay."""
    text = (f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
            f"from harness.leaf import *\n{lines}")
    return [sys.executable, "-u", "-c", text, *arguments]
