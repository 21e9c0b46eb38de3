# SPDX-License-Identifier: MIT
"""The device nodes as a program sees them: opens, errnos, owners; each open an EPC of its own."""
import errno
import fcntl
import os
import subprocess
import sys

import pytest

from harness.sentence import PAGE
from harness.wait import eventually

REMOVE_ALL = 0xA404  # _IO(0xa4, 4)
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 0x10, 0x20, 0x40
NODE_BYTES = 1 << 47


@pytest.fixture
def daemon(epcd):
    return epcd("--epc", "4M@0", "--epc", "4M@1")


@pytest.fixture
def node(daemon):
    fd = os.open(daemon.vepc, os.O_RDWR)
    yield fd
    os.close(fd)


def fails_with(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


@pytest.mark.parametrize("command, argument, number", [
    (REMOVE_ALL, 1, errno.EINVAL), (REMOVE_ALL, 1 << 62, errno.EINVAL),
    (0xA400, 0, errno.ENOTTY), (0xA403, 0, errno.ENOTTY), (0xA405, 0, errno.ENOTTY),
    (0, 0, errno.ENOTTY), (0xFFFF, 0, errno.ENOTTY), (0x5401, 0, errno.ENOTTY)])
def test_bad_ioctls(daemon, client, command, argument, number):
    """Goal: the kernel's errnos. Method: a table, over pages that must stay as they are."""
    user = client(daemon)
    user.map(0, 4)
    user.do("write 0 0 3 1")
    assert user.command(f"ioctl 0 {command} {argument}").startswith(f"error {number} ")
    user.do("verify 0 0 3 1")
    assert daemon.counters()["resets"] == 0


def test_remove_all(daemon, client):
    """Goal: REMOVE_ALL clears and frees nothing. Method: before any page, with pages, twice."""
    user = client(daemon)
    user.map(0, 16)
    user.do(f"ioctl 0 {REMOVE_ALL} 0", "returned 0")
    assert daemon.instances() == []
    user.do("write 0 0 15 1")
    for _ in range(2):
        user.do(f"ioctl 0 {REMOVE_ALL} 0", "returned 0")
        assert daemon.status()["epc"]["used_bytes"] == 16 * PAGE
        user.do("zero 0 0 15")
    user.do("write 0 0 15 2")
    user.do("verify 0 0 15 2")


@pytest.mark.parametrize("mode, offset, length, number", [
    (0, 0, PAGE, errno.EOPNOTSUPP), (KEEP_SIZE, 0, PAGE, errno.EOPNOTSUPP),
    (COLLAPSE, 0, PAGE, errno.EOPNOTSUPP), (INSERT, 0, PAGE, errno.EOPNOTSUPP),
    (UNSHARE | KEEP_SIZE, 0, PAGE, errno.EOPNOTSUPP),
    (PUNCH_HOLE | KEEP_SIZE, 1, PAGE, errno.EINVAL), (PUNCH_HOLE | KEEP_SIZE, 0, 5, errno.EINVAL),
    (PUNCH_HOLE | KEEP_SIZE, 0, 0, errno.EINVAL), (ZERO | KEEP_SIZE, PAGE + 8, PAGE, errno.EINVAL),
    (ZERO | KEEP_SIZE, NODE_BYTES, PAGE, errno.EINVAL),
    (PUNCH_HOLE | KEEP_SIZE, NODE_BYTES - PAGE, 2 * PAGE, errno.EINVAL)])
def test_bad_fallocates(daemon, client, mode, offset, length, number):
    """Goal: only whole pages in the node are given back. Method: a table; the pages stay."""
    user = client(daemon)
    user.map(0, 4)
    user.do("write 0 0 3 1")
    code = ("import ctypes, os, sys\nlibc = ctypes.CDLL(None, use_errno=True)\n"
            f"got = libc.fallocate(os.open(sys.argv[1], os.O_RDWR), {mode}, "
            f"ctypes.c_long({offset}), ctypes.c_long({length}))\n"
            "sys.exit(ctypes.get_errno() if got else 0)")
    assert subprocess.run([sys.executable, "-c", code, daemon.vepc], check=False).returncode == number
    user.do("verify 0 0 3 1")


def test_what_is_no_memory(daemon, node):
    """Goal: the node is for mapping. Method: write(2), truncate, stat; sizes are accepted."""
    fails_with(errno.EINVAL, os.write, node, b"x" * PAGE)
    fails_with(errno.EINVAL, os.pwrite, node, b"x", 5)
    os.ftruncate(node, 12345)
    assert os.fstat(node).st_size == NODE_BYTES
    os.fsync(node)
    # With a size in its number the kernel copies so much before it asks.
    fails_with(errno.ENOTTY, fcntl.ioctl, node, REMOVE_ALL | 8 << 16 | 1 << 30, bytearray(8))
    assert daemon.status()["epc"]["used_bytes"] == 0
    assert daemon.instances() == []


def test_names(daemon):
    """Goal: dev/ has the three nodes and nothing can be made or removed. Method: try."""
    dev = daemon.run_dir / "dev"
    assert sorted(os.listdir(dev)) == ["sgx_enclave", "sgx_provision", "sgx_vepc"]
    for name in ("sgx_enclave2", "sgx_vepc2", "n" * 255, " "):
        fails_with(errno.ENOENT, os.open, dev / name, os.O_RDWR)
    fails_with(errno.EPERM, os.unlink, dev / "sgx_vepc")
    fails_with(errno.EPERM, os.mkdir, dev / "new")
    fails_with(errno.EPERM, os.open, dev / "new", os.O_CREAT | os.O_RDWR)
    fails_with(errno.EPERM, os.link, dev / "sgx_vepc", dev / "other")
    fails_with(errno.EPERM, os.rename, dev / "sgx_vepc", dev / "other")
    os.close(os.open(dev / "sgx_provision", os.O_RDONLY))
    # libvirt takes a file system that has a half of them for broken.
    fails_with(errno.EOPNOTSUPP, os.setxattr, dev / "sgx_vepc", "user.x", b"1")
    fails_with(errno.EOPNOTSUPP, os.getxattr, dev / "sgx_vepc", "security.selinux")


def test_owner_and_mode(daemon):
    """Goal: chown and chmod last, and they count. Method: set, look again, open as another user."""
    assert os.stat(daemon.vepc).st_mode & 0o7777 == 0o660
    dev = os.open(daemon.run_dir / "dev", os.O_RDONLY)
    code = f'import os; os.open("sgx_vepc", os.O_RDWR, dir_fd={dev})'

    def opens(uid):
        return subprocess.run([sys.executable, "-c", code], pass_fds=[dev], user=uid, group=uid,
                              extra_groups=[], stderr=subprocess.DEVNULL).returncode == 0
    assert not opens(12345)
    os.chown(daemon.vepc, 12345, 54321)
    os.chmod(daemon.vepc, 0o600)
    seen = os.stat(daemon.vepc)
    assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o7777) == (12345, 54321, 0o600)
    assert opens(12345) and not opens(12346)
    assert os.stat(daemon.run_dir / "dev/sgx_provision").st_uid == 0
    os.close(dev)


def test_each_open_is_an_instance(daemon, client):
    """Goal: two opens are two EPCs. Method: the same pages of both, other contents, one closed."""
    user = client(daemon)
    for slot in (0, 1):
        user.map(slot, 8)
    user.do("write 0 0 7 1")
    user.do("zero 1 0 7")
    user.do("write 1 0 7 2")
    user.do("verify 0 0 7 1")
    assert daemon.status()["epc"]["used_bytes"] == 16 * PAGE
    assert daemon.status()["instances"] == 2
    user.do("close 0")
    user.do("verify 0 0 7 1")  # mapped, it stays
    user.do("unmap 0")
    eventually(lambda: daemon.status()["instances"] == 1)
    assert daemon.status()["epc"]["used_bytes"] == 8 * PAGE
    user.do("verify 1 0 7 2")


@pytest.fixture
def bound(world, daemon):
    """bound(script): a Python program that finds the node bind-mounted on the file sys.argv[1]."""
    file = world.directory / "bound"
    file.touch()

    def run(script):
        process = world.run(["unshare", "-m", "sh", "-c",
                             'mount --bind "$0" "$1" && shift && exec "$@"', daemon.vepc, file,
                             sys.executable, "-c", script, file])
        assert process.wait() == 0, process.describe()
        return process.stdout.lines()
    return run


def test_second_open_of_a_bound_node(daemon, bound):
    """Goal: EBUSY, and the log says what to do. Method: a bind-mounted node, opened twice."""
    script = ("import os, sys\nfirst = os.open(sys.argv[1], os.O_RDWR)\n"
              "try:\n    os.open(sys.argv[1], os.O_RDWR)\n"
              "except OSError as error:\n    print(error.errno)\n")
    assert bound(script) == [str(errno.EBUSY)]
    line = daemon.process.stdout.wait_line("bind-mount")
    assert line.startswith("epcd: warning: ") and "a second open of one inode of sgx_vepc" in line
    assert f"bind-mount the directory {daemon.run_dir}/dev instead" in line


def test_bound_node_opened_again(daemon, bound):
    """Goal: an open after a close is a new EPC, though the inode is the same. Method: as it says."""
    script = ("import errno, mmap, os, sys\n"
              "def use(mark):\n"
              "    fd = os.open(sys.argv[1], os.O_RDWR)\n"
              "    memory = mmap.mmap(fd, 8 * 4096)\n"
              "    print(sum(memory[:]))\n"
              "    memory[:] = mark * len(memory)\n"
              "    print(memory[:] == mark * len(memory))\n"
              "    memory.close()\n"
              "    os.close(fd)\n"
              "def use_when_closed(mark):\n"
              "    while True:\n"  # the kernel tells of a close after close(2)
              "        try:\n            return use(mark)\n"
              "        except OSError as error:\n"
              "            if error.errno != errno.EBUSY: raise\n"
              "for mark in (b'a', b'b', b'c'): use_when_closed(mark)\n")
    assert bound(script) == ["0", "True"] * 3
    daemon.wait_all_free()
    assert len(daemon.history("started")) == 3
