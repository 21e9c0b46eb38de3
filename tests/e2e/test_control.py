# SPDX-License-Identifier: MIT
"""The control tree: files, formats, errnos, owners, and cgroups whatever they are called."""
import errno
import json
import os
import subprocess
import sys
import threading

import pytest

from harness.cgroup import Cgroup
from harness.sentence import PAGE
from harness.wait import eventually

CAPACITY = 4 * 1024 * 1024
ROOT_FILES = {"misc.capacity", "misc.current", "misc.peak"}
GROUP_FILES = {"misc.max", "misc.current", "misc.peak", "misc.events", "misc.events.local"}
ALL_FILES = GROUP_FILES | {"epc.lose"}
RECORD_FIELDS = ["seq", "time", "kind", "instance", "pid", "command", "cgroup"]
NOBODY = 65534


@pytest.fixture
def daemon(epcd):
    return epcd("--epc", "4M@0", "--debug")


def write(path, data, flags=0):
    """One write(2) of all data."""
    fd = os.open(path, os.O_WRONLY | flags)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def fails_with(number, function, *args):
    with pytest.raises(OSError) as caught:
        function(*args)
    assert caught.value.errno == number, caught.value


def names(path):
    return set(os.listdir(path))


def directory(daemon, group):
    return daemon.misc_path(group, "")


def charge(client, daemon, nr_pages, slot=0):
    client.map(slot, nr_pages)
    client.do(f"write {slot} 0 {nr_pages - 1} 1")


# Files and formats.


def test_root(daemon):
    """Goal: the mount has what it must have. Method: list and read everything."""
    run_dir = daemon.run_dir
    assert names(run_dir) == {"dev", "cgroup", "instances", "status", "events", "history",
                              "version", "metrics", "debug"}
    assert (run_dir / "version").read_text() == "0.1\n"
    assert (run_dir / "history").read_bytes() == b""
    assert names(run_dir / "instances") == set()
    assert names(run_dir / "debug") == {"hold-unmaps", "ask-proc"}
    assert (run_dir / "cgroup/misc.capacity").read_text() == f"sgx_epc {CAPACITY}\n"
    assert (run_dir / "cgroup/misc.current").read_text() == "sgx_epc 0\n"
    assert (run_dir / "cgroup/misc.peak").read_text() == "sgx_epc 0\n"
    found = {name for name in names(run_dir / "cgroup") if name.startswith("misc.")}
    assert found == ROOT_FILES


def test_debug_is_not_there_without_debug(epcd):
    """Goal: no debug/ where nobody asked for it."""
    daemon = epcd("--epc", "4M@0")
    assert "debug" not in names(daemon.run_dir)
    fails_with(errno.ENOENT, os.stat, daemon.run_dir / "debug")


def test_group_files(daemon, cgroup, client):
    """Goal: figures of a cgroup as the kernel prints them. Method: charge, read, refuse, read."""
    group = cgroup()
    path = directory(daemon, group)
    assert names(path) == ALL_FILES
    texts = {name: (path / name).read_text() for name in GROUP_FILES}
    assert texts == {"misc.max": "sgx_epc max\n", "misc.current": "sgx_epc 0\n",
                     "misc.peak": "sgx_epc 0\n", "misc.events": "sgx_epc.max 0\n",
                     "misc.events.local": "sgx_epc.max 0\n"}
    daemon.set_max(group, 3 * PAGE + 5)
    user = client(daemon, cgroup=group)
    charge(user, daemon, 3)
    assert user.command("write 0 0 3 1") is not None
    assert user.map(1, 4) is None
    assert user.command("touch 1 0 3") == "sigbus 0"
    texts = {name: (path / name).read_text() for name in GROUP_FILES}
    assert texts["misc.max"] == f"sgx_epc {3 * PAGE + 5}\n"
    assert texts["misc.current"] == f"sgx_epc {3 * PAGE}\n"
    assert texts["misc.peak"] == f"sgx_epc {3 * PAGE}\n"
    assert texts["misc.events"].startswith("sgx_epc.max ") and texts["misc.events"][12] != "0"
    assert texts["misc.events.local"] == texts["misc.events"]


WRITES = [
    (b"sgx_epc 4096", 4096), (b"sgx_epc 4096\n", 4096), (b" \n\tsgx_epc 5 \n\n", 5),
    (b"sgx_epc 0x100000\n", 0x100000), (b"sgx_epc 010", 8), (b"sgx_epc 0", 0),
    (b"sgx_epc 1099511627776\n", 1 << 40), (b"sgx_epc max\n", None),
    (b"sgx_epc 18446744073709551615", None),
    (b"sgx_epc 99999999999999999999", errno.ERANGE), (b"sgx_epc", errno.EINVAL),
    (b"sgx_epc ", errno.EINVAL), (b"foo 1", errno.EINVAL), (b"sgx_epc -1", errno.EINVAL),
    (b"sgx_epc 1M", errno.EINVAL), (b"sgx_epc  1", errno.EINVAL), (b"sgx_epc 1 2", errno.EINVAL),
    (b"sgx_epc\t1", errno.EINVAL), (b"\n", errno.EINVAL), (b"max", errno.EINVAL),
    (b"\xff\xfe\x00", errno.EINVAL), (b"sgx_epc 1" + b" " * 4096, errno.E2BIG),
]


def test_writes(daemon, cgroup):
    """Goal: misc.max takes and refuses what the kernel's does. Method: a table; read back."""
    group = cgroup()
    path = daemon.misc_path(group, "misc.max")
    for data, wanted in WRITES:
        write(path, b"sgx_epc 77")
        if isinstance(wanted, int) and (wanted in (errno.EINVAL, errno.ERANGE, errno.E2BIG)
                                        and data not in (b" \n\tsgx_epc 5 \n\n", b"sgx_epc 010")):
            fails_with(wanted, write, path, data)
            wanted = 77
        else:
            write(path, data)
        assert daemon.misc(group, "misc.max") == wanted, data


def test_a_write_is_a_whole_line(daemon, cgroup):
    """Goal: as cgroup files: each write is one command, wherever the file's position is."""
    group = cgroup()
    path = daemon.misc_path(group, "misc.max")
    fd = os.open(path, os.O_RDWR)
    try:
        assert os.write(fd, b"sgx_epc 4096\n") == 13
        assert os.write(fd, b"sgx_epc 8192\n") == 13
        fails_with(errno.EINVAL, os.write, fd, b"sgx")
        assert os.pread(fd, 100, 0) == b"sgx_epc 8192\n"
        assert os.pread(fd, 4, 8) == b"8192"
        assert os.pread(fd, 100, 100) == b""
        write(path, b"sgx_epc 1", os.O_APPEND | os.O_TRUNC)
        assert os.pread(fd, 100, 0) == b"sgx_epc 1\n"
    finally:
        os.close(fd)
    subprocess.run(["sh", "-c", 'echo sgx_epc 0x2000 > "$0"', path], check=True)
    assert daemon.misc(group, "misc.max") == 8192


def test_what_cannot_be_done(daemon, cgroup):
    """Goal: errnos of what makes no sense. Method: try it, as root."""
    group = cgroup()
    base = directory(daemon, group)
    for path in ("status", "events", "history", "version", "cgroup/misc.capacity",
                 "cgroup/misc.current"):
        fails_with(errno.EACCES, os.open, daemon.run_dir / path, os.O_WRONLY)
        fails_with(errno.EPERM, os.chmod, daemon.run_dir / path, 0o777)
    for name in ("misc.current", "misc.peak", "misc.events", "misc.events.local"):
        fails_with(errno.EACCES, os.open, base / name, os.O_RDWR)
    fails_with(errno.EPERM, os.chown, base / "misc.max", 1, 1)
    for path in (base, daemon.run_dir / "cgroup", daemon.run_dir):
        fails_with(errno.EPERM, os.mkdir, path / "new")
    fails_with(errno.EPERM, os.rmdir, base)
    fails_with(errno.EPERM, os.unlink, base / "misc.max")
    fails_with(errno.EPERM, os.rename, base / "misc.max", base / "misc.min")
    fails_with(errno.EPERM, os.symlink, "x", daemon.run_dir / "link")
    fails_with(errno.EPERM, os.open, base / "file", os.O_CREAT | os.O_WRONLY)
    for name in ("misc.capacity", "cgroup.procs", "none", "misc.max/x", "misc.min"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            os.stat(base / name)
    for name in ("misc.max", "misc.events", "cgroup.procs"):
        fails_with(errno.ENOENT, os.stat, daemon.run_dir / "cgroup" / name)
    for name in ("0", "1", "01", "-1", "x", "99999999999999999999", "18446744073709551617"):
        fails_with(errno.ENOENT, os.stat, daemon.run_dir / "instances" / name)
    fails_with(errno.ENOENT, os.stat, base / ("n" * 256))


def test_debug_switches(daemon):
    """Goal: a switch is 0 or 1 and nothing else."""
    for name in ("hold-unmaps", "ask-proc"):
        path = daemon.run_dir / "debug" / name
        assert path.read_text() == "0\n"
        for data in (b"2", b"", b"11", b"1 ", b"on"):
            if data:
                fails_with(errno.EINVAL, write, path, data)
        write(path, b"1\n")
        assert path.read_text() == "1\n"
        write(path, b"0")
        assert path.read_text() == "0\n"


# Owners.


def as_user(uid, code, fd):
    """Runs Python code, which has the directory fd, as this user; its exit code."""
    return subprocess.run([sys.executable, "-c", f"import os\nd = {fd}\n" + code], pass_fds=[fd],
                          user=uid, group=uid, extra_groups=[]).returncode


def test_the_parent_s_owner_sets_the_limit(daemon, cgroup):
    """Goal: delegation as cgroup v2 has it. Method: owners, and a user who tries."""
    outer = cgroup("outer")
    inner = outer.child("inner")
    os.chown(outer.path, NOBODY, NOBODY)
    assert os.stat(daemon.misc_path(outer, "misc.max")).st_uid == 0
    for name in sorted(GROUP_FILES):
        attr = os.stat(daemon.misc_path(inner, name))
        is_max = name == "misc.max"
        assert (attr.st_uid, attr.st_gid) == ((NOBODY, NOBODY) if is_max else (0, 0)), name
        assert attr.st_mode & 0o7777 == (0o644 if is_max else 0o444), name
    fd = os.open(directory(daemon, outer), os.O_RDONLY | os.O_DIRECTORY)
    try:
        write_to = 'os.write(os.open("{}", os.O_WRONLY, dir_fd=d), b"sgx_epc 12288")'
        assert as_user(NOBODY, write_to.format("inner/misc.max"), fd) == 0
        assert daemon.misc(inner, "misc.max") == 12288
        assert as_user(NOBODY, write_to.format("misc.max"), fd) == 1
        assert daemon.misc(outer, "misc.max") is None
        assert as_user(NOBODY - 1, write_to.format("inner/misc.max"), fd) == 1
        assert as_user(NOBODY - 1, 'os.read(os.open("inner/misc.max", 0, dir_fd=d), 9)', fd) == 0
    finally:
        os.close(fd)
    os.chown(outer.path, 0, 0)
    assert os.stat(daemon.misc_path(inner, "misc.max")).st_uid == 0


# Who pays.


@pytest.fixture(params=["pidfd", "proc"])
def asked(daemon, request):
    """The daemon, with each way to find a task's cgroup."""
    write(daemon.run_dir / "debug/ask-proc", b"1" if request.param == "proc" else b"0")
    return daemon


HOSTILE = [b"a b", b"back\\slash\\040", b"\xff\xfe\x80bytes", b"x (deleted)", b"..x", b"0::",
           b"\x1b[2J\x7f", b"%s%n", b"-rf", b"tab\there", "\u202etxt".encode(), b"n" * 255, b"m" * 1000]


def test_hostile_names(asked, cgroup, client):
    """Goal: any name is a name. Method: a client in each, charged there; shown escaped."""
    top = cgroup("top")
    groups = [Cgroup(top.path / os.fsdecode(name), top.mount) for name in HOSTILE]
    assert {os.fsencode(name) for name in names(directory(asked, top))} >= set(HOSTILE)
    for group in groups:
        user = client(asked, cgroup=group)
        charge(user, asked, 2)
        assert asked.misc(group, "misc.current") == 2 * PAGE
    assert asked.misc(top, "misc.current") == 2 * PAGE * len(groups)
    shown = [info["cgroup"] for info in asked.instances()]
    assert len(shown) == len(groups)
    for name in shown:
        assert name.isprintable() and name.startswith("/")
    assert any(name.endswith("back\\\\slash\\\\040") for name in shown)
    assert any(name.endswith("\\xff\\xfe\\x80bytes") for name in shown)


def test_too_deep_pays_above(asked, cgroup, client):
    """Goal: going deep is no way out of a limit. Method: 140 levels; the limit stands at the top."""
    top = group = cgroup("deep")
    asked.set_max(top, 2 * PAGE)
    for _ in range(140):
        group = Cgroup(group.path / "d", group.mount)
    user = client(asked, cgroup=group)
    charge(user, asked, 2)
    assert asked.misc(top, "misc.current") == 2 * PAGE
    user.map(1, 1)
    assert user.command("touch 1 0 0") == "sigbus 0"
    assert names(directory(asked, group)) == set()
    user.process.kill()


def test_too_long_for_a_path_pays_above(asked, cgroup, client):
    """Goal: the same where the kernel cannot even name the cgroup. Method: names of 250 bytes."""
    top = cgroup("long")
    asked.set_max(top, 2 * PAGE)
    user = client(asked, cgroup=top)
    user.map(1, 1)
    fds = [os.open(top.path, os.O_RDONLY)]
    try:
        for _ in range(20):
            os.mkdir("n" * 250, dir_fd=fds[-1])
            fds.append(os.open("n" * 250, os.O_RDONLY, dir_fd=fds[-1]))
        procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=fds[-1])
        os.write(procs, str(user.pid).encode())
        os.close(procs)
        charge(user, asked, 2)
        assert asked.misc(top, "misc.current") == 2 * PAGE
        assert user.command("touch 1 0 0") == "sigbus 0"
    finally:
        user.process.kill()
        for fd in fds[-2::-1]:
            eventually(lambda fd=fd: try_rmdir("n" * 250, fd))
        for fd in fds:
            os.close(fd)


def try_rmdir(name, dir_fd):
    """A cgroup is busy for a moment after its last process was reaped."""
    try:
        os.rmdir(name, dir_fd=dir_fd)
    except OSError as error:
        assert error.errno == errno.EBUSY
        return False
    return True


def test_moving_moves_nothing(asked, cgroup, client):
    """Goal: a page stays charged where it was. Method: touch, move, touch."""
    first, second = cgroup("first"), cgroup("second")
    user = client(asked, cgroup=first)
    charge(user, asked, 3)
    (second.path / "cgroup.procs").write_text(str(user.pid))
    charge(user, asked, 2, slot=1)
    assert asked.misc(first, "misc.current") == 3 * PAGE
    assert asked.misc(second, "misc.current") == 2 * PAGE
    user.do("close 0")
    user.do("unmap 0")
    eventually(lambda: asked.misc(first, "misc.current") == 0)
    assert asked.misc(first, "misc.peak") == 3 * PAGE


def test_a_directory_made_again_is_new(asked, cgroup, client):
    """Goal: a removed cgroup keeps its pages and its name says so; the new one is empty."""
    top, elsewhere = cgroup("top"), cgroup("elsewhere")
    old = top.child("group")
    asked.set_max(old, 5 * PAGE)
    old_max = os.open(asked.misc_path(old, "misc.max"), os.O_RDWR)
    user = client(asked, cgroup=old)
    charge(user, asked, 5)
    (elsewhere.path / "cgroup.procs").write_text(str(user.pid))
    eventually(lambda: try_rmdir(old.path, None))
    fails_with(errno.ENOENT, os.stat, directory(asked, old))
    fails_with(errno.ENODEV, os.read, old_max, 10)
    fails_with(errno.ENODEV, os.write, old_max, b"sgx_epc 1")
    new = Cgroup(old.path, old.mount)
    assert asked.misc(new, "misc.max") is None
    assert asked.misc(new, "misc.current") == 0
    assert asked.misc(top, "misc.current") == 5 * PAGE
    fails_with(errno.ENODEV, os.pread, old_max, 10, 0)
    os.close(old_max)
    (new.path / "cgroup.procs").write_text(str(user.pid))
    charge(user, asked, 2, slot=1)
    assert asked.misc(new, "misc.current") == 2 * PAGE
    assert asked.misc(top, "misc.current") == 7 * PAGE
    user.process.kill()
    eventually(lambda: asked.misc(top, "misc.current") == 0)


def test_a_threaded_cgroup_s_domain_pays(asked, cgroup, client):
    """Goal: C2: of a threaded cgroup its domain pays. Method: a client's thread in one."""
    domain = cgroup("domain")
    threaded = domain.child("threaded")
    (threaded.path / "cgroup.type").write_text("threaded")
    asked.set_max(domain, 4 * PAGE)
    user = client(asked, cgroup=domain)
    user.do("pid")  # it is where it was to be started
    (threaded.path / "cgroup.threads").write_text(str(user.pid))
    charge(user, asked, 4)
    assert asked.misc(domain, "misc.current") == 4 * PAGE
    assert names(directory(asked, threaded)) == set()
    fails_with(errno.ENOENT, os.stat, asked.misc_path(threaded, "misc.max"))
    user.map(1, 1)
    assert user.command("touch 1 0 0") == "sigbus 0"
    eventually(lambda: asked.history("refused"))
    assert asked.history("refused")[0]["cgroup"] == domain.name
    user.process.kill()
    eventually(lambda: try_rmdir(threaded.path, None))


def test_outside_of_the_root_the_opener_pays(world, cgroup, client):
    """Goal: who is outside of --cgroup-root has no place. Method: clients in and beside it."""
    root = cgroup("root")
    inside = root.child("inside")
    beside = cgroup("beside")
    daemon = world.epcd("--epc", "4M@0", "--cgroup-root", root.path)
    shown = daemon.run_dir / "cgroup"
    assert names(shown) == ROOT_FILES | {"inside", "epc.lose"}
    charge(client(daemon, cgroup=beside), daemon, 1)
    user = client(daemon, cgroup=inside)
    charge(user, daemon, 2)
    assert (shown / "inside/misc.current").read_text() == f"sgx_epc {2 * PAGE}\n"
    assert (shown / "misc.current").read_text() == f"sgx_epc {3 * PAGE}\n"
    user.map(1, 4)
    (beside.path / "cgroup.procs").write_text(str(user.pid))
    user.do("write 1 0 3 1")
    assert (shown / "inside/misc.current").read_text() == f"sgx_epc {6 * PAGE}\n"


def test_limits_outlive_the_daemon(world, cgroup):
    """Goal: a daemon that comes after knows the limits. Method: set, stop, start, read."""
    group = cgroup()
    free = cgroup()
    first = world.epcd("--epc", "4M@0")
    first.set_max(group, 12345)
    first.set_max(free, 1)
    first.set_max(free, None)
    assert first.stop() == []
    second = world.epcd("--epc", "4M@0")
    assert second.misc(group, "misc.max") == 12345
    assert second.misc(free, "misc.max") is None
    assert second.history() == []


def test_cgroups_that_come_and_go(daemon, cgroup):
    """Goal: listing what changes meanwhile neither fails nor hangs. Method: find, and churn."""
    top = cgroup("churn")
    kept = [top.child(f"kept{i}") for i in range(40)]
    finder = subprocess.Popen(["sh", "-c", 'for i in 1 2 3; do find "$0" -type f '
                               '-exec cat {} + >/dev/null 2>&1; done; ls -R "$0"',
                               directory(daemon, top)], stdout=subprocess.PIPE)
    for i in range(100):
        os.mkdir(top.path / f"gone{i}")
        os.rmdir(top.path / f"gone{i}")
    output, _ = finder.communicate()
    for group in kept:
        assert group.path.name.encode() in output
    assert len(names(directory(daemon, top)) - ALL_FILES) == len(kept)


def test_lives_in_cgroups_that_come_and_go(daemon, cgroup, client):
    """Goal: no order of life and death of clients, cgroups and limits leaves a page or a charge.

    Method: threads that make a cgroup, limit it, run a client into the limit, move or kill it and
    remove the cgroup, while others read everything.
    """
    top = cgroup("lives")
    elsewhere = cgroup("elsewhere")
    failures, is_over = [], threading.Event()

    def live(number):
        for i in range(12):
            group = Cgroup(top.path / f"{number}", top.mount)
            daemon.set_max(group, 3 * PAGE)
            user = client(daemon, cgroup=group)
            user.map(0, 4)
            assert user.command("touch 0 0 3") == "sigbus 3"
            assert daemon.misc(group, "misc.current") == 3 * PAGE
            if i % 2:
                (elsewhere.path / "cgroup.procs").write_text(str(user.pid))
                eventually(lambda: try_rmdir(group.path, None))
                user.process.kill()
            else:
                user.process.kill()
                eventually(lambda: try_rmdir(group.path, None))

    def look():
        while not is_over.is_set():
            subprocess.run(["find", daemon.run_dir, "-path", daemon.run_dir / "dev", "-prune", "-o",
                            "-name", "misc.*", "-exec", "cat", "{}", "+"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            daemon.instances()

    def guarded(function, *args):
        try:
            function(*args)
        except Exception as error:  # shown by the test's own thread
            failures.append(error)

    lives = [threading.Thread(target=guarded, args=(live, number)) for number in range(4)]
    looker = threading.Thread(target=guarded, args=(look,))
    for thread in [*lives, looker]:
        thread.start()
    for thread in lives:
        thread.join()
    is_over.set()
    looker.join()
    assert not failures, failures
    eventually(lambda: daemon.misc(top, "misc.current") == 0)
    assert daemon.events_count(top) >= 48
    assert daemon.events_count(top, "misc.events.local") == 0
    assert daemon.counters()["refusals"] >= 48


# Records.


def test_records(daemon, cgroup, client):
    """Goal: a life of an instance in history. Method: start, limit, refuse, reset, punch, close."""
    group = cgroup("records")
    user = client(daemon, cgroup=group)
    charge(user, daemon, 4)
    daemon.set_max(group, 4 * PAGE)
    user.do("reset 0 0 1")
    user.do("punch 0 3 3")
    charge(user, daemon, 1, slot=1)
    user.map(2, 1)
    assert user.command("touch 2 0 0") == "sigbus 0"
    eventually(lambda: len(daemon.history()) == 7)
    refused = daemon.history("refused")[0]
    info = [info for info in daemon.instances() if info["id"] == 1][0]
    assert info["pid"] == user.pid and info["command"] == "vepc"
    assert info["cgroup"] == group.name and info["device"] == "sgx_vepc"
    assert info["owned_bytes"] == 3 * PAGE and info["peak_bytes"] == 4 * PAGE
    assert info["touched_bytes"] == 4 * PAGE and info["counters"]["resets"] >= 1
    assert [other["last_refusal"] for other in daemon.instances()] == [None, None, refused]
    user.process.kill()
    eventually(lambda: len(daemon.history("closed")) == 3)
    records = daemon.history()
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    for record in records:
        assert list(record)[:7] == RECORD_FIELDS
        assert record["cgroup"] == group.name
    assert daemon.history("limit")[0]["old_limit_bytes"] is None
    assert daemon.history("limit")[0]["limit_bytes"] == 4 * PAGE
    assert daemon.history("reset")[0]["pages"] == 2
    assert daemon.history("punched")[0]["pages"] == 1
    assert refused["limit"] == "misc.max" and refused["limit_cgroup"] == group.name
    assert refused["wanted_bytes"] == PAGE and refused["usage_bytes"] == 4 * PAGE
    assert {record["peak_bytes"] for record in daemon.history("closed")} == {4 * PAGE, PAGE, 0}


def test_status(daemon, client):
    """Goal: status is one JSON object with every field. Method: read it with a page in use."""
    user = client(daemon)
    charge(user, daemon, 3)
    status = daemon.status()
    assert {"version", "pid", "uptime_ms", "run_dir", "epc", "instances", "parked", "unmaps",
            "counters", "peak_bytes", "warnings"} <= set(status)
    assert status["pid"] == daemon.process.pid and status["run_dir"] == str(daemon.run_dir)
    assert status["epc"]["total_bytes"] == CAPACITY
    assert status["epc"]["used_bytes"] == 3 * PAGE == status["peak_bytes"]
    assert status["epc"]["sections"] == [{"node": 0, "total_bytes": CAPACITY,
                                          "free_bytes": CAPACITY - 3 * PAGE}]
    assert status["instances"] == 1 and status["counters"]["faults"] == 3


def test_events(daemon, cgroup):
    """Goal: readers of events get what comes after they came, each all of it."""
    group = cgroup()
    daemon.set_max(group, 1)
    eventually(daemon.history)
    fds = [os.open(daemon.run_dir / "events", os.O_RDONLY | os.O_NONBLOCK) for _ in range(3)]
    for fd in fds:
        fails_with(errno.EAGAIN, os.read, fd, 100)
        os.set_blocking(fd, True)
    daemon.set_max(group, 2)
    first = os.read(fds[0], 65536)
    assert first.endswith(b"\n") and json.loads(first)["limit_bytes"] == 2
    assert os.read(fds[1], 65536) == first
    assert b"".join(os.read(fds[2], 1) for _ in range(len(first))) == first
    for fd in fds:
        os.set_blocking(fd, False)
        fails_with(errno.EAGAIN, os.read, fd, 100)
        os.close(fd)


@pytest.mark.parametrize("number", [2, 9], ids=["SIGINT", "SIGKILL"])
def test_a_waiting_reader_can_be_ended(world, daemon, number):
    """Goal: a parked read ends with its process. Method: cat, signals; then all is as before."""
    readers = [world.run(["cat", daemon.run_dir / "events"]) for _ in range(20)]
    for reader in readers:
        eventually(lambda reader=reader: waits(reader))
        reader.signal(number)
    for reader in readers:
        assert reader.wait() == -number


def test_the_daemon_s_end_ends_readers(world, daemon):
    """Goal: nobody waits for a daemon that is gone. Method: cat, SIGTERM to epcd."""
    readers = [world.run(["cat", daemon.run_dir / "events"]) for _ in range(3)]
    for reader in readers:
        eventually(lambda reader=reader: waits(reader))
    assert daemon.stop() == []
    for reader in readers:
        reader.wait()


def waits(process):
    with open(f"/proc/{process.pid}/wchan", encoding="ascii") as file:
        return "fuse" in (where := file.read()) or "request_wait_answer" in where
