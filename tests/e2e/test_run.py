# SPDX-License-Identifier: MIT
"""`epcd run`: the command's place, its end, and what happens when one of the parties is killed."""
import ctypes
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.client import Client
from harness.enclave import script as enclave_script
from harness.sentence import PAGE
from harness.vm import MIB
from harness.wait import TIMEOUT_S, eventually, wait_readable

END_S = 2.0  # so soon all is over when the daemon or the parent is killed: a promise of the program
OTHER_UID = 12345
LEFT = "epcd-run-"
BAD_OUTPUT = re.compile("Sanitizer|runtime error|assert", re.IGNORECASE)


class RunClient(Client):
    """tests/client/vepc as the command of a run."""

    def __init__(self, process):
        self.process = process
        self.client_pid = int(self.do("pid").split()[1])
    def map(self, slot, nr_pages, hugepage=False):
        self.do(f"open {slot} /dev/sgx_vepc")
        self.do(f"mmap {slot} {nr_pages}")
        if hugepage:
            self.do(f"hugepage {slot}")

    def status(self):
        return json.loads(self.inside("cat /dev/epcd/status"))

    def hold_unmaps(self, holds, then=""):
        """then: what the same shell does at once afterwards; the end of the run may be its too."""
        self.inside(f"printf {int(holds)} > /dev/epcd/debug/hold-unmaps; {then}", check=not then)

    def inside(self, script, check=True):
        """Runs script in the namespaces of the client and as its user: root is kept out else."""
        return subprocess.run(["sh", "-c", script], preexec_fn=self._enter, check=check,
                              stdout=subprocess.PIPE, timeout=TIMEOUT_S).stdout

    def _enter(self):
        libc = ctypes.CDLL(None, use_errno=True)
        owner = os.stat(f"/proc/{self.client_pid}")
        names = [f"/proc/{self.client_pid}/ns/{kind}" for kind in ("user", "mnt")]
        fds = [os.open(name, os.O_RDONLY) for name in names
               if os.readlink(name) != os.readlink(name.replace(str(self.client_pid), "self"))]
        for fd in fds:
            if libc.setns(fd, 0):
                raise OSError(ctypes.get_errno(), "setns")
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)


@pytest.fixture(autouse=True)
def no_report(world):
    """A sanitizer's report goes to stderr and nowhere else: the run has the command's exit code."""
    yield
    for process in world.processes:
        assert not BAD_OUTPUT.search(process.stderr.text()), process.describe()


@pytest.fixture
def run(world):
    """run("--epc", "4M", command=[...]): `epcd run`, in the test's cgroup or the one given."""
    def start(*options, command, cgroup=None, prefix=()):
        return world.run([*prefix, world.build / "src/front/epcd", "run", *options, "--", *command],
                         cgroup=cgroup)
    return start


@pytest.fixture
def run_client(world, run):
    """The same with the client as the command, when it is there."""
    def start(*options, cgroup=None, prefix=(), build=None):
        return RunClient(run(*options, command=[(build or world.build) / "tests/client/vepc"],
                             cgroup=cgroup, prefix=prefix))
    return start


def names_left(group):
    return [path.name for path in group.path.iterdir() if path.name.startswith(LEFT)]


@pytest.mark.parametrize("script, code", [
    ("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137), ("kill -TERM $$", 143),
    ("kill -BUS $$", 135)])
def test_exit_code(run, script, code):
    """Goal: the command's exit code is the run's. Method: a shell that ends in different ways."""
    process = run(command=["sh", "-c", script])
    assert process.wait() == code, process.describe()


@pytest.mark.parametrize("arguments, said", [
    (["--epc", "12", "--", "true"], "--epc 12"),
    (["--epc", "1M@x", "--", "true"], "--epc 1M@x"),
    (["--epc", "0", "--", "true"], "--epc 0"),
    (["--epc", "99999999999999999999", "--", "true"], "--epc 999"),
    (["--epc", "1M"] * 9 + ["--", "true"], "8"),
    (["--max", "lots", "--", "true"], "--max lots"),
    (["--summary", "/nowhere/file", "--", "true"], "--summary /nowhere/file"),
    (["--colour", "--", "true"], "--colour"),
    (["--max"], "--max"),
    ([], "no command"),
    (["--"], "no command"),
    (["--", "/nowhere/command"], "/nowhere/command"),
    (["--", "/dev/null"], "/dev/null")])
def test_bad_use(world, cgroup, arguments, said):
    """Goal: exit code 2, one line that names what is wrong. Method: a table of mistakes."""
    group = cgroup()
    process = world.run([world.build / "src/front/epcd", "run", *arguments], cgroup=group)
    assert process.wait() == 2, process.describe()
    errors = [line for line in process.stderr.lines() if line.startswith("epcd: error: ")]
    assert len(errors) == 1, process.describe()
    assert said in errors[0]
    assert names_left(group) == []


def test_help(world):
    """Goal: --help helps. Method: ask for it."""
    process = world.run([world.build / "src/front/epcd", "run", "--help"])
    assert process.wait() == 0
    assert "--summary FILE" in process.stdout.text()


def test_no_daemon(run):
    """Goal: an EPC that cannot be made is exit code 2. Method: /dev/fuse is covered by a file."""
    process = run(command=["true"], prefix=[
        "unshare", "-m", "sh", "-c", 'mount --bind /dev/null /dev/fuse && exec "$@"', "sh"])
    assert process.wait() == 2, process.describe()
    assert "epcd: error: " in process.stderr.text()


def test_place(run, cgroup, tmp_path):
    """Goal: the command finds what it needs and nobody else sees it. Method: look from both sides."""
    group = cgroup()
    script = ('echo "$EPCD_RUN_DIR"; readlink /dev/sgx_vepc; cat /dev/epcd/version;'
              'grep -c . /dev/epcd/status; grep 0:: /proc/self/cgroup; echo x > /dev/null;'
              'ls /dev | sort > "$0"')
    names = tmp_path / "names"
    before = set(os.listdir("/dev"))
    process = run(command=["sh", "-c", script, names], cgroup=group)
    assert process.wait() == 0, process.describe()
    run_dir, link, version, _, place = process.stdout.lines()
    assert run_dir == "/dev/epcd"
    assert link == "epcd/dev/sgx_vepc"
    assert version
    assert place.startswith(f"0::{group.name}/{LEFT}")
    inside = set(names.read_text().split("\n"))
    assert {"epcd", "sgx_vepc", "sgx_provision"} <= inside
    # Somebody else's node may come or go meanwhile.
    assert not (before & set(os.listdir("/dev"))) - inside
    assert "/dev/epcd" not in Path("/proc/self/mountinfo").read_text()
    assert names_left(group) == []


def test_summary(world, run_client):
    """Goal: what was used is told. Method: 3 pages of 2 allowed; figures, sentence, JSON."""
    path = world.directory / "summary"
    client = run_client("--epc", "1M@0", "--max", str(2 * PAGE), "--summary", path)
    client.map(0, 16)
    client.do("write 0 0 1 5")
    assert client.command("write 0 2 2 5") == "sigbus 2"
    client.do("ioctl 0 0xa404 0", "returned 0")
    client.process.stdin.close()
    assert client.process.wait() == 0, client.process.describe()
    summary = json.loads(path.read_text())
    assert summary["exit_code"] == 0
    assert summary["daemon_died"] is False
    assert summary["peak_bytes"] == 2 * PAGE
    assert summary["max_bytes"] == 2 * PAGE
    assert summary["total_bytes"] == MIB
    assert summary["faults"] >= 2
    assert summary["refusals"] == 1
    assert summary["resets"] == 1
    assert summary["cgroup"].rpartition("/")[2].startswith(LEFT)
    sentence = (f"VM {client.client_pid} (vepc) was refused EPC: cgroup {summary['cgroup']} is at "
                f"its limit: misc.max {2 * PAGE}, used {2 * PAGE}, {PAGE} more bytes were wanted")
    assert summary["refusal_texts"] == [sentence]
    said = client.process.stderr.text()
    assert "epcd: run: EPC used: peak 8 KiB of 1 MiB," in said
    assert f"epcd: run: {sentence}" in said


def test_max_without_cgroup(world, run_client):
    """Goal: --max holds without cgroups. Method: a mount namespace without the cgroup2 mount."""
    path = world.directory / "summary"
    mount = world.top().mount
    client = run_client("--epc", "1M@0", "--max", str(2 * PAGE), "--summary", path, prefix=[
        "unshare", "-m", "sh", "-c", f'umount "{mount}" && exec "$@"', "sh"])
    client.map(0, 16)
    client.do("write 0 0 1 5")
    assert client.command("write 0 2 2 5") == "sigbus 2"
    client.process.stdin.close()
    assert client.process.wait() == 0, client.process.describe()
    summary = json.loads(path.read_text())
    assert summary["cgroup"] is None
    assert summary["peak_bytes"] == 2 * PAGE
    assert summary["refusals"] == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signal_is_passed_on(run, number):
    """Goal: a signal for the run is the command's. Method: a shell that traps it, and says so."""
    name = signal.Signals(number).name.removeprefix("SIG")
    process = run(command=["sh", "-c", f"trap 'exit 3' {name}; echo there; read line; exit 4"])
    assert process.stdout.wait_line("there")
    process.signal(number)
    # The shell reacts when its read is interrupted or ends.
    assert process.wait() == 3, process.describe()


def test_signal_ends_command(run):
    """Goal: a command without a handler ends of it. Method: SIGTERM; 128 + 15."""
    process = run(command=["sh", "-c", "echo there; exec sleep 1000"])
    assert process.stdout.wait_line("there")
    process.signal(signal.SIGTERM)
    assert process.wait() == 143, process.describe()


def test_what_is_left_running_ends(run, cgroup):
    """Goal: nothing stays. Method: the command leaves a process in a session of its own."""
    group = cgroup()
    process = run(command=["sh", "-c", "setsid sleep 1000 & exit 5"], cgroup=group)
    assert process.wait() == 5, process.describe()
    assert group.pids() == []
    assert names_left(group) == []


def test_cgroups_of_the_command(world, run, cgroup):
    """Goal: cgroups that the command makes go too. Method: some, and a run in the run."""
    group = cgroup()
    mount = world.top().mount
    script = (f'own={mount}$(sed -n "s/^0:://p" /proc/self/cgroup); mkdir -p "$own/a b/c" "$own/d";'
              '"$0" run --epc 1M -- sh -c "grep 0:: /proc/self/cgroup; exit 6"')
    process = run(command=["sh", "-c", script, world.build / "src/front/epcd"], cgroup=group)
    assert process.wait() == 6, process.describe()
    assert process.stdout.text().count(LEFT) == 2
    assert list(group.path.glob("*/")) == []


def read_until(fd, end):
    """What comes from a terminal until end is in it."""
    got = b""
    while end not in got:
        wait_readable([fd])
        got += os.read(fd, 4096)
    return got


def test_terminal_key_comes_once(world):
    """Goal: ^C is the command's, once. Method: a terminal of our own, a shell that counts."""
    script = ("trap 'n=$((n+1)); echo got $n' INT; echo there;"
              "read a; read b; echo end $n; exit $n")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv("/usr/bin/env", ["env", "--default-signal", world.build / "src/front/epcd", "run",
                                  "--", "sh", "-c", script])
    try:
        read_until(terminal, b"there")
        os.write(terminal, b"\x03")
        read_until(terminal, b"got 1")
        os.write(terminal, b"a\nb\n")
        rest = read_until(terminal, b"EPC used")
        assert b"end 1" in rest and b"got" not in rest
    finally:
        pidfd = os.pidfd_open(pid)
        wait_readable([pidfd])
        os.close(pidfd)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
        os.close(terminal)


def all_over(process, group, since, code):
    """The run ends with code, and all of it is gone in time."""
    got = process.wait()
    # Whoever was not the parent's child may need another moment, but no more than that.
    events = group.path / "cgroup.events"
    eventually(lambda: "populated 0" in events.read_text(),
               max(0.0, since + END_S - time.monotonic()), f"no process in {group.name}")
    assert time.monotonic() - since < END_S, process.describe()
    assert got == code, process.describe()


def reset_begin(client, nr_pages):
    """Leaves nr_pages dirty pages at the moment when their unmapping begins."""
    client.map(0, nr_pages)
    client.do(f"write 0 0 {nr_pages - 1} 3")
    client.hold_unmaps(True)
    client.send("ioctl 0 0xa404 0")
    eventually(lambda: client.status()["unmaps"] > 0, what="an unmapping")
    client.hold_unmaps(False, then=f"kill -9 {client.status()['pid']}")
    return time.monotonic()


@pytest.mark.parametrize("nr_pages", [512, 8192, 8192, 8192])
def test_daemon_killed_in_an_unmapping(run_client, cgroup, nr_pages):
    """Goal: all ends, nothing hangs in the kernel. Method: SIGKILL as dirty pages are unmapped."""
    group = cgroup()
    client = run_client("--debug", "--epc", "64M@0", cgroup=group)
    since = reset_begin(client, nr_pages)
    all_over(client.process, group, since, 125)
    assert "the daemon died" in client.process.stderr.text()
    assert names_left(group) == []


def park(client):
    """Leaves a fault waiting for a page: reading ahead has the EPC, and unmappings are held."""
    client.map(0, 4096, hugepage=True)
    client.do("touch 0 0 0")
    client.hold_unmaps(True)
    client.map(1, 1024)
    client.send("write 1 0 1022 7")
    eventually(lambda: client.status()["parked"] == 1, what="a parked fault")


def test_daemon_killed_with_a_parked_fault(run_client, cgroup):
    """Goal: a client that waits ends with its daemon. Method: park a fault, SIGKILL the daemon."""
    group = cgroup()
    client = run_client("--debug", "--epc", "4M@0", cgroup=group)
    park(client)
    os.kill(client.status()["pid"], signal.SIGKILL)
    all_over(client.process, group, time.monotonic(), 125)
    assert names_left(group) == []


def test_daemon_killed_says_so_in_summary(world, run, cgroup):
    """Goal: the summary tells of the death. Method: the command kills its daemon; 125."""
    path = world.directory / "summary"
    script = ("pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p' /dev/epcd/status | head -n 1);"
              'kill -9 "$pid"; sleep 1000')
    process = run("--summary", path, command=["sh", "-c", script], cgroup=cgroup())
    assert process.wait() == 125, process.describe()
    summary = json.loads(path.read_text())
    assert summary["daemon_died"] is True
    assert summary["exit_code"] == 125


@pytest.mark.parametrize("is_parked", [False, True])
def test_parent_killed(run, run_client, cgroup, is_parked):
    """Goal: all ends with the parent. Method: SIGKILL it, with and without a fault that waits.

    The cgroup may stay, empty; the next run removes it.
    """
    group = cgroup()
    client = run_client("--debug", "--epc", "4M@0", cgroup=group)
    if is_parked:
        park(client)
    else:
        client.map(0, 16)
        client.do("write 0 0 15 1")
    client.process.signal(signal.SIGKILL)
    all_over(client.process, group, time.monotonic(), -signal.SIGKILL)
    assert run(command=["true"], cgroup=group).wait() == 0
    assert names_left(group) == []


def lose_mount(client):
    """The daemon is dead, its mount gone, and the parent has not noticed; the mount's number."""
    number = Path(f"/proc/{client.client_pid}", "root", "dev/epcd").stat().st_dev
    pid = client.status()["pid"]
    pidfd = os.pidfd_open(pid)
    client.process.signal(signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    wait_readable([pidfd], what="the daemon's end")
    os.close(pidfd)
    client.inside("umount -l /dev/epcd")
    return number


def test_the_end_of_a_run_spares_others(run_client, epcd):
    """Goal: only the run's own connection is aborted. Method: its number is another mount's by then."""
    for _ in range(10):
        client = run_client("--epc", "1M")
        number = lose_mount(client)
        others = [epcd("--epc", "1M") for _ in range(4)]
        has_number = [os.stat(daemon.run_dir).st_dev for daemon in others].count(number)
        client.process.signal(signal.SIGCONT)
        assert client.process.wait() == 125, client.process.describe()
        for daemon in others:
            assert daemon.process.is_alive, daemon.process.describe()
            assert daemon.status()["instances"] == 0
        if has_number:
            return
    raise AssertionError("the number of a mount was never given to another one")


def test_leftovers_are_removed(run, cgroup):
    """Goal: the next run removes what dead ones left, only that. Method: one of each kind."""
    group = cgroup()
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    gone, other_time = group.child(f"{LEFT}4194303-77"), group.child(f"{LEFT}{os.getpid()}-1")
    alive = group.child(f"{LEFT}{os.getpid()}-{stat[19]}")
    strange = group.child(f"{LEFT}something")
    full = group.child(f"{LEFT}4194302-77")
    inhabitant = run(command=["sh", "-c", "echo there; exec sleep 1000"], cgroup=full)
    assert inhabitant.stdout.wait_line("there")
    process = run(command=["true"], cgroup=group)
    assert process.wait() == 0, process.describe()
    assert not gone.path.exists()
    assert not other_time.path.exists()
    assert alive.path.exists()
    assert strange.path.exists()
    assert full.path.exists()
    inhabitant.signal(signal.SIGTERM)
    assert inhabitant.wait() == 143


@pytest.fixture
def as_other(world):
    """A prefix that makes a command another user's, who may open /dev/fuse; and a build for him."""
    world.directory.chmod(0o755)
    build = world.directory / "build"
    for name in ("src/front/epcd", "tests/client/vepc"):
        (build / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(world.build / name, build / name)
    node = world.directory / "fuse"
    os.mknod(node, 0o20666, os.stat("/dev/fuse").st_rdev)
    node.chmod(0o666)
    script = ('mount --bind "$0" /dev/fuse && '
              f'exec setpriv --reuid {OTHER_UID} --regid {OTHER_UID} --clear-groups "$@"')
    return build, ["unshare", "-m", "sh", "-c", script, node]


def test_ordinary_user(world, as_other, cgroup):
    """Goal: no privilege is needed. Method: another uid uses EPC, is limited; nothing is left."""
    build, prefix = as_other
    path = world.directory / "summary"
    path.touch()
    os.chown(path, OTHER_UID, OTHER_UID)
    process = world.run([*prefix, build / "src/front/epcd", "run", "--epc", "1M", "--max",
                         str(4 * PAGE), "--summary", path, "--", build / "tests/client/vepc"],
                        cgroup=cgroup())
    client = RunClient(process)
    assert os.stat(f"/proc/{client.client_pid}").st_uid == OTHER_UID
    client.map(0, 16)
    client.do("write 0 0 3 5")
    client.do("verify 0 0 3 5")
    assert client.command("write 0 4 4 5") == "sigbus 4"
    client.process.stdin.close()
    assert process.wait() == 0, process.describe()
    summary = json.loads(path.read_text())
    assert summary["refusals"] == 1
    assert summary["peak_bytes"] == 4 * PAGE


ENCLAVE = """
mine = Enclave("/dev/sgx_enclave", attributes=MODE64BIT | DEBUG | 0x10)
mine.build(250, is_initialised=False)
assert mine.init() == 13, "EACCES"
assert mine.provision(os.open("/dev/sgx_provision", os.O_RDONLY)) == 0
assert mine.init() == 0
print(all(mine.pread(page * PAGE) == contents(page) for page in range(250)))
"""


def test_enclave_of_an_ordinary_user(world, as_other):
    """Goal: a run has the devices for enclaves, and pages them. Method: another uid builds one."""
    build, prefix = as_other
    process = world.run([*prefix, build / "src/front/epcd", "run", "--epc", "512K", "--swap-max",
                         "1M", "--", *enclave_script(ENCLAVE)])
    assert process.wait() == 0, process.describe()
    assert process.stdout.lines() == ["True"]


@pytest.mark.parametrize("who", ["daemon", "parent"])
def test_ordinary_user_killed(world, as_other, cgroup, who):
    """Goal: the same promises to him. Method: SIGKILL in an unmapping, or of the parent."""
    build, prefix = as_other
    group = cgroup()
    process = world.run([*prefix, build / "src/front/epcd", "run", "--debug", "--epc", "64M", "--",
                         build / "tests/client/vepc"], cgroup=group)
    client = RunClient(process)
    if who == "daemon":
        all_over(process, group, reset_begin(client, 8192), 125)
    else:
        client.map(0, 16)
        client.do("write 0 0 15 1")
        process.signal(signal.SIGKILL)
        all_over(process, group, time.monotonic(), -signal.SIGKILL)
