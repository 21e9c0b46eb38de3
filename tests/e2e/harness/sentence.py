# SPDX-License-Identifier: MIT
"""The sentence with which epcd refuses a page, as tests expect it."""

PAGE = 4096


def refusal(pid, command, own, limit, refuser=None):
    """own: the cgroup of the requester; refuser: an ancestor of it whose limit it was."""
    where = f"cgroup {own}" if refuser is None else f"cgroup {refuser}, above its own {own},"
    used = limit // PAGE * PAGE
    return (f"VM {pid} ({command}) was refused EPC: {where} is at its limit: misc.max {limit}, "
            f"used {used}, {PAGE} more bytes were wanted")


def refusal_full(pid, command, capacity):
    return (f"VM {pid} ({command}) was refused EPC: the EPC is full: capacity {capacity}, "
            f"used {capacity}, {PAGE} more bytes were wanted")


QEMU_COMM = "qemu-system-x86"  # what the kernel keeps of the name
