# SPDX-License-Identifier: MIT
"""What clients and callers do that nobody should: the daemon goes on, and says little about it."""
import ctypes
import errno
import fcntl
import os
import random
import signal

import pytest

from harness.daemon import mounts_below
from harness.wait import eventually

PAGE = 4096
DEVICE_BYTES = 1 << 47
REMOVE_ALL = 0xA404
FS_IOC_GETFLAGS = 0x80086601
NR_SECOND_OPENS = 100
NR_LOGGED_AT_MOST = 16
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
CALLS_S = 20
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]


def fallocate(file, mode, offset, length):
    if LIBC.fallocate(file, mode, offset, length):
        raise OSError(ctypes.get_errno(), "fallocate")


def refused_with(call, *arguments):
    """The errno of a call, 0 when it goes well."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0


# The run directory and what the daemon is started with.

@pytest.mark.parametrize("name", ["link", "link/", "here/../run", ".//run/", "run a\\b", "run\nb"])
def test_names_of_the_run_directory(epcd, world, name):
    """Goal: whatever it is called it is tuned, and gone afterwards. Method: links, dots, blanks."""
    for directory in ("here", "real"):
        (world.directory / directory).mkdir()
    os.symlink("real", world.directory / "link")
    daemon = epcd(run_dir=f"{world.directory}/{name}")
    assert "warning" not in daemon.process.stdout.text()
    other = world.run([world.build / "src/front/epcd", "--run-dir", os.path.realpath(daemon.run_dir)],
                      merged=True)
    assert other.wait() == 2
    assert f"in use by another epcd (pid {daemon.process.pid})" in other.stdout.text()
    assert daemon.stop() == []
    assert mounts_below(world.directory) == []


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_closed_standard_files(world, closed):
    """Goal: the log is written into no other file. Method: start without stderr, look at 0 to 2."""
    run_dir = world.directory / "run"
    daemon = world.run(["/bin/sh", "-c", f'exec "$@" {closed}', "sh",
                        world.build / "src/front/epcd", "--run-dir", run_dir])
    eventually((run_dir / "version").exists)
    assert os.readlink(f"/proc/{daemon.pid}/fd/2") == "/dev/null"
    lock = run_dir.with_name("run.lock")
    assert lock.read_text() == f"{daemon.pid}\n"
    assert lock.stat().st_mode & 0o777 == 0o600, "others could lock it"
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_hang_up(epcd, world):
    """Goal: a terminal that goes leaves no dead mount; nohup counts. Method: SIGHUP to both."""
    daemon = epcd()
    daemon.process.signal(signal.SIGHUP)
    assert daemon.process.wait() == 0
    daemon.is_over = True
    assert mounts_below(daemon.run_dir) == []

    run_dir = world.directory / "run-nohup"
    other = world.run(["nohup", world.build / "src/front/epcd", "--run-dir", run_dir], merged=True)
    assert other.stdout.wait_line("epcd: ready")
    other.signal(signal.SIGHUP)
    assert (run_dir / "version").read_text()
    other.signal(signal.SIGTERM)
    assert other.wait() == 0


# The log as a weapon.

def open_again(file):
    """Another open of the same inode: through /proc, and the kernel's own for lsattr."""
    errors = {refused_with(os.open, f"/proc/self/fd/{file}", os.O_RDWR),
              refused_with(fcntl.ioctl, file, FS_IOC_GETFLAGS, bytearray(8))}
    assert errors == {errno.EBUSY}


def test_second_opens_are_not_all_logged(epcd):
    """Goal: a client does not fill the log. Method: many second opens."""
    daemon = epcd()
    file = os.open(daemon.vepc, os.O_RDWR)
    for _ in range(NR_SECOND_OPENS):
        open_again(file)
    os.close(file)
    daemon.stop()
    lines = [line for line in daemon.process.stdout.lines() if "a second open" in line]
    assert 1 <= len(lines) <= NR_LOGGED_AT_MOST


@pytest.mark.limit(CALLS_S)
def test_a_log_that_nobody_reads(world):
    """Goal: no client waits for the log's reader. Method: stderr is a full pipe, second opens."""
    run_dir, log = world.directory / "run", world.directory / "log"
    os.mkfifo(log)
    daemon = world.run(["/bin/sh", "-c", 'exec "$@" 2<>log', "sh",
                        world.build / "src/front/epcd", "--run-dir", run_dir])
    # Its own first line must have gone through: the daemon's main thread may wait.
    reader, said = os.open(log, os.O_RDONLY), b""
    while b"ready" not in said:
        said += os.read(reader, PAGE)
    filler = os.open(log, os.O_WRONLY | os.O_NONBLOCK)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(filler, b"x" * PAGE)
    file = os.open(run_dir / "dev/sgx_vepc", os.O_RDWR)
    for _ in range(NR_SECOND_OPENS):
        open_again(file)
    assert os.pread(file, PAGE, 0) == bytes(PAGE)  # an instance begins and ends: two more lines
    os.close(file)
    assert (run_dir / "version").read_text()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    os.close(filler)
    os.close(reader)


# Calls that the node is not made for.

def test_odd_calls(epcd):
    """Goal: the errnos of the kernel's device, or of a file system; nothing is left. Method: each."""
    daemon = epcd("--epc", "4M@0")
    file = os.open(daemon.vepc, os.O_RDWR)
    far = DEVICE_BYTES - PAGE
    wanted = [
        (errno.EINVAL, os.write, file, b"x" * 5000),
        (errno.EINVAL, os.pwrite, file, b"x", far),
        (errno.EINVAL, os.pwritev, file, [b"x" * PAGE] * 20, 0),
        (errno.EINVAL, os.copy_file_range, file, file, PAGE, 0, 2 * PAGE),
        (errno.EINVAL, fcntl.ioctl, file, REMOVE_ALL, bytearray(8)),
        (errno.ENOTTY, fcntl.ioctl, file, 0xFFFFA404, bytearray(1 << 14)),
        (errno.ENOTTY, fcntl.ioctl, file, 0x4008A404, bytearray(8)),
        (errno.ENOTTY, fcntl.ioctl, file, 0xFFFFFFFF, bytearray(1 << 14)),
        (errno.EOPNOTSUPP, fallocate, file, 0, 0, PAGE),
        (errno.EOPNOTSUPP, fallocate, file, PUNCH_HOLE, 0, PAGE),
        (errno.EINVAL, fallocate, file, ZERO_RANGE, 1, PAGE),
        (errno.EINVAL, fallocate, file, ZERO_RANGE, far, 2 * PAGE),
        (errno.EINVAL, fallocate, file, PUNCH_HOLE | KEEP_SIZE, 1 << 62, PAGE),
        (0, fallocate, file, ZERO_RANGE, 0, DEVICE_BYTES),
        (0, fallocate, file, PUNCH_HOLE | KEEP_SIZE, 0, DEVICE_BYTES),
        (0, os.ftruncate, file, 0),
        (0, os.ftruncate, file, 1 << 62),
        (0, os.fsync, file),
        (errno.EPERM, os.rename, daemon.vepc, daemon.run_dir / "dev/x"),
        (errno.EOPNOTSUPP, os.open, daemon.vepc.parent, os.O_TMPFILE | os.O_RDWR),
        (errno.EOPNOTSUPP, os.setxattr, daemon.vepc, "user.x", b"1"),
    ]
    for error, call, *arguments in wanted:
        assert refused_with(call, *arguments) == error, (call, arguments)
    # It reads as zeros to its full size, and a read is charged as a fault is: up to the limit.
    assert len(os.pread(file, 64 << 20, 0)) == 4 << 20
    assert refused_with(os.pread, file, PAGE, far) == errno.EIO
    fcntl.ioctl(file, REMOVE_ALL, 0)
    os.close(file)
    daemon.wait_all_free()


def test_direct_reads(epcd):
    """Goal: O_DIRECT, whatever its size, gets pages or an errno. Method: odd sizes, far offsets."""
    daemon = epcd("--epc", "4M@0")
    file = os.open(daemon.vepc, os.O_RDWR | os.O_DIRECT)
    with open("/dev/zero", "rb") as zero:
        memory = memoryview(bytearray(zero.read(8 << 20)))
    start = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % PAGE
    aligned = memory[start:start + (4 << 20)]
    assert refused_with(os.preadv, file, [aligned[:512]], 0) == errno.EINVAL
    assert os.preadv(file, [aligned], 0) == len(aligned)
    assert refused_with(os.pwritev, file, [aligned], 0) == errno.EINVAL
    assert refused_with(os.preadv, file, [aligned[:2 * PAGE]], DEVICE_BYTES - PAGE) == errno.EINVAL
    os.close(file)
    daemon.wait_all_free()


def test_a_node_that_is_opened_again(epcd):
    """Goal: no bytes outlive their instance. Method: O_PATH keeps the inode, read it each time."""
    daemon = epcd("--epc", "4M@0")
    node = os.open(daemon.vepc, os.O_PATH)
    for _ in range(3):
        file = os.open(f"/proc/self/fd/{node}", os.O_RDWR)
        assert os.pread(file, 8 * PAGE, 0) == bytes(8 * PAGE)
        assert daemon.status()["epc"]["used_bytes"] == 8 * PAGE
        os.close(file)
        daemon.wait_all_free()
    os.close(node)


def test_many_instances_that_go_in_any_order(epcd):
    """Goal: the list of instances stays right. Method: 300, closed at random, compared."""
    daemon = epcd("--epc", "4M@0")
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    files = {}
    for number in range(1, 301):
        file = os.open(daemon.vepc, os.O_RDWR)
        os.pread(file, 1, 0)
        files[number] = file
    while files:
        for number in chance.sample(sorted(files), min(60, len(files))):
            os.close(files.pop(number))
        eventually(lambda: daemon.status()["instances"] == len(files))
        assert sorted(map(int, os.listdir(daemon.run_dir / "instances"))) == sorted(files)
    daemon.wait_all_free()
