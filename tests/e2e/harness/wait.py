# SPDX-License-Identifier: MIT
"""Waiting with an end: for a file descriptor, or for a condition that gives no event."""
import select
import threading
import time

# Far beyond what a loaded machine needs: only a hang meets it.
TIMEOUT_S = 60.0
RECHECK_S = 0.01


class Timeout(AssertionError):
    """Something that had to happen has not."""


def wait_readable(fds, timeout=TIMEOUT_S, what="input"):
    """Waits until one of fds can be read (a pidfd: its process has ended) and returns those."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    ready = [fd for fd, _ in poll.poll(timeout * 1000)]
    if not ready:
        raise Timeout(f"no {what} within {timeout:g} s")
    return ready


def eventually(condition, timeout=TIMEOUT_S, what=None):
    """Waits until condition() is true and returns its value.

    For states that nothing announces (a fault is parked, pages are free again); where there is an
    event, wait for that.
    """
    end = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f"not within {timeout:g} s: {what or condition}")
        pause.wait(RECHECK_S)
