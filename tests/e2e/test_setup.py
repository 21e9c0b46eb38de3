# SPDX-License-Identifier: MIT
"""How the daemon begins and ends: what it refuses before anything is mounted, and what it leaves."""
import errno
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from harness.daemon import mounts_below
from harness.sentence import PAGE
from harness.wait import wait_readable

MIB = 1 << 20


@pytest.fixture
def refused(world):
    """refused("--epc", "0", says=[...]): epcd refuses: exit code 2, one line, nothing is left."""
    def start(*options, says, prefix=(), run_dir=None, left=()):
        run_dir = run_dir or world.directory / "refused"
        before = set(os.listdir(world.directory))
        process = world.run([*prefix, world.build / "src/front/epcd", "--run-dir", run_dir, *options])
        assert process.wait() == 2, process.describe()
        lines = process.stderr.lines()
        assert len(lines) == 1 and lines[0].startswith("epcd: error: "), process.describe()
        for part in says:
            assert part in lines[0], lines[0]
        assert process.stdout.text() == ""
        assert mounts_below(world.directory / "refused") == []
        assert set(os.listdir(world.directory)) - before == set(left)
        return lines[0]
    return start


@pytest.mark.parametrize("options, says", [
    (["--epc", ""], ["--epc", "size"]), (["--epc", "0"], ["--epc 0", "4096"]),
    (["--epc", "12"], ["--epc 12", "4096"]), (["--epc", "4097"], ["--epc 4097", "4096"]),
    (["--epc", "1X"], ["--epc 1X", "size"]), (["--epc", "1MB"], ["--epc 1MB", "size"]),
    (["--epc", "-4096"], ["--epc -4096", "size"]), (["--epc", " 4096"], ["size"]),
    (["--epc", "0x1000"], ["--epc 0x1000", "size"]), (["--epc", "1.5M"], ["size"]),
    (["--epc", "99999999999999999999"], ["size"]), (["--epc", "18014398509481984K"], ["size"]),
    (["--epc", "16777215G"], ["smaller sections", "--epc"]),
    (["--epc", "1M@"], ["--epc 1M@", "NUMA node"]), (["--epc", "1M@x"], ["NUMA node"]),
    (["--epc", "1M@-1"], ["NUMA node"]), (["--epc", "1M@+1"], ["NUMA node"]),
    (["--epc", "1M@1024"], ["NUMA node", "1023"]), (["--epc", "1M@0 "], ["NUMA node"]),
    (["--epc", "1M@99999999999999999999"], ["NUMA node"]), (["--epc", "1M\n@0\x1b["], ["--epc 1M"]),
    (["--epc", "1M"] * 9, ["at most 8 sections"]), (["--epc"], ["--epc", "argument"]),
    (["--colour"], ["--colour"]), (["extra"], ["extra"]), (["--log-level", "loud"], ["loud"]),
    (["--cgroup-root", "/nowhere"], ["/nowhere", "--cgroup-root"])])
def test_bad_use(refused, options, says):
    """Goal: exit code 2, one line with cause and remedy. Method: a table of mistakes."""
    line = refused(*options, says=says)
    assert line.isprintable()


@pytest.mark.parametrize("name, says", [
    ("none/below", ["--run-dir"]), ("file", ["not a directory", "--run-dir"]),
    ("full", ["not empty", "--run-dir"]), ("n" * 256, ["--run-dir"]), ("/", ["--run-dir"]),
    ("d/" * 2040, [])], ids=["no-parent", "file", "full", "long-name", "top", "long-path"])
def test_bad_run_dir(world, refused, name, says):
    """Goal: a run directory that cannot be one is refused. Method: a table; each stays as it was."""
    (world.directory / "file").write_text("x")
    (world.directory / "full").mkdir()
    (world.directory / "full" / "file").write_text("x")
    refused(says=says, run_dir=f"{world.directory}/{name}" if name != "/" else "/")
    assert (world.directory / "file").read_text() == "x"
    assert (world.directory / "full" / "file").read_text() == "x"


def test_run_dir_in_use(world, epcd, client, refused):
    """Goal: two daemons on one directory: the second says who has it, the first goes on."""
    daemon = epcd("--epc", "1M@0")
    user = client(daemon)
    user.map(0, 4)
    user.do("write 0 0 3 1")
    line = refused(says=["in use", f"pid {daemon.process.pid}", "--run-dir"], run_dir=daemon.run_dir)
    assert str(daemon.run_dir) in line
    user.do("verify 0 0 3 1")
    assert daemon.status()["epc"]["used_bytes"] == 4 * PAGE


PRIVATE = 'exec "$@"'
OWN_DEV = ("mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/fuse c 10 229 && "
           "chmod 666 /dev/null")


@pytest.mark.parametrize("script, says", [
    ("mount --bind /dev/null /dev/fuse", ["cannot be mounted on"]),
    ("mount -t tmpfs none /dev && mknod /dev/null c 1 3", ["no /dev/fuse", "modprobe fuse"])])
def test_no_fuse(refused, script, says):
    """Goal: no /dev/fuse is said to be that. Method: something else there, and nothing."""
    refused(says=says, prefix=["unshare", "-m", "sh", "-c", f"{script} && {PRIVATE}", "sh"])


def test_old_kernel(refused):
    """Goal: a kernel that is too old is said to be. Method: setarch has it call itself 2.6."""
    refused(says=["Linux 2.6", "too old", "5.15"], prefix=["setarch", "--uname-2.6"])


def test_not_permitted(world, refused):
    """Goal: without privilege there is a line with the way out. Method: another user, his /dev/fuse."""
    world.directory.chmod(0o777)
    user = 'exec setpriv --reuid 12345 --regid 12345 --clear-groups "$@"'
    for mode, says in (("600", ["/dev/fuse", "run as root"]), ("666", ["run as root", "epcd run"])):
        refused(says=says, prefix=["unshare", "-m", "sh", "-c",
                                   f"{OWN_DEV} && chmod {mode} /dev/fuse && {user}", "sh"])


# --link-dev, in a /dev of the test's own.

def own_dev(script="true"):
    return ["unshare", "-m", "sh", "-c", f"{OWN_DEV} && {script} && {PRIVATE}", "sh"]


def dev_of(process):
    """Its /dev, which stays when the process has ended."""
    return os.open(Path(f"/proc/{process.pid}", "root", "dev"), os.O_RDONLY)


@pytest.mark.parametrize("script, says", [
    ("mknod /dev/sgx_vepc c 10 125", ["/dev/sgx_vepc", "device", "--link-dev"]),
    ("ln -s /dev/null /dev/sgx_vepc", ["/dev/sgx_vepc", "somebody else", "remove it"]),
    ("ln -s /run/other/dev/sgx_vepc2 /dev/sgx_vepc", ["/dev/sgx_vepc", "somebody else"]),
    ("touch /dev/sgx_vepc", ["/dev/sgx_vepc", "remove it"]),
    ("mkdir /dev/sgx_vepc", ["/dev/sgx_vepc", "remove it"])])
def test_link_refused(refused, script, says):
    """Goal: what is in the link's place is left alone. Method: each kind of thing; still there."""
    look = "stat -c %F%N%i /dev/sgx_vepc"
    check = f'before=$({look}); "$@"; code=$?; [ "$({look})" = "$before" ] || exit 99; exit $code'
    refused("--link-dev", says=says, prefix=[*own_dev(script), "sh", "-c", check, "sh"])


@pytest.mark.parametrize("script", ["true", "ln -s /nowhere/dev/sgx_vepc /dev/sgx_vepc"])
def test_link(world, script):
    """Goal: the link is there while the daemon is, a dead one's is replaced. Method: look inside."""
    run_dir = world.directory / "run"
    process = world.run([*own_dev(script), world.build / "src/front/epcd", "--run-dir", run_dir,
                         "--epc", "1M", "--link-dev"], merged=True)
    assert process.stdout.wait_line("epcd: ready"), process.describe()
    dev = dev_of(process)
    assert os.readlink("sgx_vepc", dir_fd=dev) == f"{run_dir}/dev/sgx_vepc"
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.describe()
    with pytest.raises(FileNotFoundError):
        os.stat("sgx_vepc", dir_fd=dev, follow_symlinks=False)
    os.close(dev)
    assert not run_dir.exists()


def test_link_of_somebody_else_stays(world):
    """Goal: at the end only a link of our own goes. Method: another one in its place meanwhile."""
    run_dir = world.directory / "run"
    process = world.run([*own_dev(), world.build / "src/front/epcd", "--run-dir", run_dir,
                         "--epc", "1M", "--link-dev"], merged=True)
    assert process.stdout.wait_line("epcd: ready"), process.describe()
    dev = dev_of(process)
    os.unlink("sgx_vepc", dir_fd=dev)
    os.symlink("/another", "sgx_vepc", dir_fd=dev)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.describe()
    assert os.readlink("sgx_vepc", dir_fd=dev) == "/another"
    os.close(dev)


# What is missing but not needed.


def started(world, *options, prefix):
    """A daemon in a mount namespace of its own, seen from here. Returns the process and its mount."""
    run_dir = world.directory / "private"
    process = world.run([*prefix, world.build / "src/front/epcd", "--run-dir", run_dir, *options],
                        merged=True)
    assert process.stdout.wait_line("epcd: ready"), process.describe()
    return process, Path(f"/proc/{process.pid}/root{run_dir}")


def end(process):
    process.signal(signal.SIGTERM)
    assert process.wait() == 0, process.describe()


def test_no_cgroup2(world, client):
    """Goal: without cgroup2 there is one limit, and that is said. Method: a namespace without it."""
    mount = world.top().mount
    process, run_dir = started(world, "--epc", "1M", prefix=[
        "unshare", "-m", "sh", "-c", f'umount "{mount}" && {PRIVATE}', "sh"])
    assert "epcd: warning: no cgroup2 mount" in process.stdout.text()
    files = sorted(os.listdir(run_dir / "cgroup"))
    assert files == ["epc.lose", "misc.capacity", "misc.current", "misc.peak"]
    assert "no cgroup2 mount" in (run_dir / "status").read_text()
    with open(run_dir / "dev/sgx_vepc", "rb+", buffering=0) as node:
        assert node.fileno() >= 0
    user = world.run([world.build / "tests/client/vepc"])
    user.stdin.write(f"open 0 {run_dir}/dev/sgx_vepc\nmmap 0 300\nwrite 0 0 299 1\n".encode())
    user.stdin.flush()
    assert user.stdout.wait_line("sigbus 256"), user.describe()
    assert (run_dir / "cgroup/misc.current").read_text() == f"sgx_epc {MIB}\n"
    user.kill()
    end(process)


@pytest.mark.parametrize("script", [
    "mount -o bind,ro /sys /sys", "mount -t tmpfs none /sys/class"])
def test_no_bdi(world, script):
    """Goal: dirty limits that cannot be lifted are a warning. Method: /sys read-only; or without."""
    process, run_dir = started(world, "--epc", "1M", prefix=[
        "unshare", "-m", "sh", "-c", f"{script} && {PRIVATE}", "sh"])
    said = process.stdout.text()
    assert "epcd: warning: " in said and "bdi" in said
    assert "bdi" in (run_dir / "status").read_text()
    end(process)


# The end, and after a bad end.


def test_sigterm_with_clients(world, epcd, client):
    """Goal: SIGTERM ends it whoever has EPC mapped. Method: a client with dirty pages, a reader."""
    daemon = epcd("--epc", "1M@0")
    user = client(daemon)
    user.map(0, 16)
    user.do("write 0 0 15 1")
    lock = daemon.run_dir.with_name(daemon.run_dir.name + ".lock")
    assert lock.read_text() == f"{daemon.process.pid}\n"
    assert daemon.stop() == []
    assert not daemon.run_dir.exists() and not lock.exists()
    user.send("touch 0 0 15")
    assert user.receive() in ("sigbus 0", "touched 0")  # the kernel may have the page, or not
    assert user.process.kill() == -signal.SIGKILL


def test_run_dir_that_was_there_stays(world, epcd):
    """Goal: only a directory that epcd made goes with it. Method: a directory of the user's."""
    run_dir = world.directory / "run-mine"
    run_dir.mkdir(mode=0o700)
    daemon = epcd("--epc", "1M@0", run_dir=run_dir)
    assert daemon.stop() == []
    assert stat.S_IMODE(run_dir.stat().st_mode) == 0o700
    assert os.listdir(run_dir) == []


def test_after_a_killed_daemon(world, epcd):
    """Goal: a mount and a lock that a dead daemon left are no obstacle. Method: SIGKILL, start."""
    first = epcd("--epc", "1M@0")
    first.is_over = True
    first.process.signal(signal.SIGKILL)
    first.process.wait()
    with pytest.raises(OSError) as caught:
        os.stat(first.vepc)
    assert caught.value.errno == errno.ENOTCONN
    second = epcd("--epc", "2M@0", run_dir=first.run_dir)
    assert second.status()["epc"]["total_bytes"] == 2 * MIB
    assert "which a dead daemon left" in second.process.stdout.text()
    assert second.stop() == []
    assert mounts_below(first.run_dir) == []


def test_unmounted_under_it(world, epcd):
    """Goal: a daemon whose mount is taken away ends, and says so. Method: umount."""
    daemon = epcd("--epc", "1M@0")
    daemon.is_over = True
    unmount = world.run(["umount", daemon.run_dir])
    assert unmount.wait() == 0, unmount.describe()
    assert daemon.process.wait() == 1, daemon.process.describe()
    assert "was taken away" in daemon.process.stdout.text()


def test_systemd_is_told(world, epcd):
    """Goal: READY=1 when all is served. Method: a socket as systemd gives; look at once."""
    path = world.directory / "notify"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    daemon = epcd("--epc", "1M@0", env={**os.environ, "NOTIFY_SOCKET": str(path)})
    wait_readable([listener])
    assert listener.recv(4096) == b"READY=1"
    assert daemon.stop() == []
    wait_readable([listener])
    assert listener.recv(4096) == b"STOPPING=1"
    listener.close()


@pytest.mark.parametrize("option, says", [("--help", "--link-dev"), ("--version", "epcd 0.")])
def test_help(world, option, says):
    """Goal: --help and --version help. Method: ask for them."""
    process = world.run([world.build / "src/front/epcd", option])
    assert process.wait() == 0
    assert says in process.stdout.text()
