# SPDX-License-Identifier: MIT
"""Own limits, EPC loss, the reset of a VM and what is told of them: ioctls, files, epcctl."""
import ctypes
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from harness.cgroup import Cgroup
from harness.leaf import (EPA, EREMOVE, IOC_LEAF, IOC_RESET_VM, LIBC, PAGE, Enclave, Section,
                          ioctl_at, leaf_request, script)
from harness.wait import eventually

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
NOBODY = 65534
UNLIMITED = (1 << 64) - 1
BY_CGROUP, BY_CAPACITY, BY_INSTANCE = 1, 2, 3


class Limit(ctypes.Structure):
    """struct epc_vepc_limit."""
    _fields_ = [("limit_bytes", ctypes.c_uint64), ("reserved", ctypes.c_uint64 * 3)]


class Refusal(ctypes.Structure):
    """struct epc_vepc_refusal."""
    _fields_ = [("nr_refusals", ctypes.c_uint64), ("offset", ctypes.c_uint64),
                ("limit_bytes", ctypes.c_uint64), ("usage_bytes", ctypes.c_uint64),
                ("wanted_bytes", ctypes.c_uint64), ("reason", ctypes.c_uint32),
                ("reserved", ctypes.c_uint32), ("cgroup", ctypes.c_char * 256)]


IOC_SET_LIMIT = 1 << 30 | ctypes.sizeof(Limit) << 16 | 0xEC << 8 | 2
IOC_REFUSAL = 2 << 30 | ctypes.sizeof(Refusal) << 16 | 0xEC << 8 | 3


@pytest.fixture
def daemon(epcd):
    return epcd("--epc", "4M@0", "--debug")


@pytest.fixture
def section(daemon):
    """section(): another instance of this process' VM."""
    made = []

    def new():
        made.append(Section(daemon.vepc))
        return made[-1]
    yield new
    for each in made:
        each.close()


@pytest.fixture
def ctl(world):
    """ctl(daemon, words..., code=0): runs epcctl."""
    def run(daemon, *words, code=0):
        process = world.run([world.build / "src/ctl/epcctl", "--run-dir", daemon.run_dir, *words])
        assert process.wait() == code, process.describe()
        return process
    return run


def refused_with(call, *arguments):
    """The errno of a call, 0 when it goes well."""
    try:
        call(*arguments)
    except OSError as error:
        return error.errno
    return 0


def make_page(section, page):
    """EPA, which makes a page and needs no enclave: 0, or the errno that it is refused with."""
    return refused_with(lambda: section.leaf(EPA, rbx=3, rcx=section.place(page)))


def set_limit(section, limit, reserved=0):
    argument = Limit(limit_bytes=limit)
    argument.reserved[2] = reserved
    fcntl.ioctl(section.file, IOC_SET_LIMIT, argument)


def refusal_of(section):
    told = Refusal()
    fcntl.ioctl(section.file, IOC_REFUSAL, told)
    return told


def info_of(daemon, instance):
    return json.loads((daemon.run_dir / f"instances/{instance}/info").read_text())


def file_of(daemon, instance, name):
    return daemon.run_dir / f"instances/{instance}/{name}"


def write(path, data=b"1"):
    """One write(2)."""
    fd = os.open(path, os.O_WRONLY)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def lose_path(daemon, group=None):
    return daemon.misc_path(group, "epc.lose") if group else daemon.run_dir / "cgroup/epc.lose"


def instance_of(daemon, user):
    """The id of the one instance of a client."""
    return next(info["id"] for info in daemon.instances() if info["pid"] == user.pid)


def filled(client, daemon, group=None, nr_pages=4):
    """A client with one section, of which so many pages are written to."""
    user = client(daemon, group)
    user.map(0, nr_pages)
    user.do(f"write 0 0 {nr_pages - 1} 1")
    return user


def is_lost(user):
    """Whether all that filled() wrote is zero; or all of it is there."""
    if user.command("verify 0 0 3 1").startswith("verified"):
        return False
    assert user.do("zero 0 0 3").startswith("clean")
    return True


# What an instance is told of itself.


def test_info(daemon, client, section):
    """Goal: an instance knows its figures and its VM. Method: two here, one of somebody else."""
    first, second = section(), section()
    other = filled(client, daemon)
    assert make_page(first, 7) == 0
    told = first.info()
    assert told.id != second.id and told.capabilities == 15 and told.nr_instances == 2
    assert (told.charged_bytes, told.limit_bytes, told.nr_secs) == (PAGE, UNLIMITED, 0)
    assert list(told.reserved) == [0, 0, 0]
    assert first.info().id == told.id, "an id stays"
    infos = {info["id"]: info for info in daemon.instances()}
    assert infos[first.id]["nr_in_vm"] == infos[second.id]["nr_in_vm"] == 2
    assert infos[instance_of(daemon, other)]["nr_in_vm"] == 1
    assert infos[first.id]["counters"]["leaves"] == 1 == daemon.counters()["leaves"]
    third = section()
    assert first.info().nr_instances == third.info().nr_instances == 3


def test_bad_ioctls(section):
    """Goal: what is not ours is ENOTTY, what cannot be EINVAL. Method: a table of numbers."""
    mine = section()
    for number, argument, wanted in [
            (IOC_RESET_VM, 1, errno.EINVAL), (IOC_RESET_VM + 100, 0, errno.ENOTTY),
            (IOC_SET_LIMIT + (8 << 16), bytes(40), errno.ENOTTY),
            (IOC_REFUSAL - (8 << 16), bytes(296), errno.ENOTTY),
            (IOC_SET_LIMIT & ~(3 << 30), 0, errno.ENOTTY)]:
        assert refused_with(fcntl.ioctl, mine.file, number, argument) == wanted, hex(number)
    assert refused_with(set_limit, mine, 0, 1) == errno.EINVAL
    assert mine.info().limit_bytes == UNLIMITED


def test_refusal(daemon, section):
    """Goal: the last refusal, by which limit. Method: the own limit, then the EPC is full."""
    mine = section()
    assert refusal_of(mine).nr_refusals == 0
    set_limit(mine, 2 * PAGE + 5)
    assert [make_page(mine, page) for page in range(3)] == [0, 0, errno.EIO]
    told = refusal_of(mine)
    assert (told.nr_refusals, told.reason, told.offset) == (1, BY_INSTANCE, 2 * PAGE)
    assert (told.limit_bytes, told.usage_bytes, told.wanted_bytes) == (
        2 * PAGE + 5, 2 * PAGE, PAGE)
    assert told.cgroup == b"" and told.reserved == 0
    record, = daemon.history("refused")
    assert record["limit"] == "own" and record["limit_cgroup"] is None
    assert record["text"] == (
        f"VM {os.getpid()} ({record['command']}) was refused EPC: its instance {mine.id} is at its "
        f"own limit: {2 * PAGE + 5}, used {2 * PAGE}, {PAGE} more bytes were wanted")
    assert info_of(daemon, mine.id)["last_refusal"] == record
    set_limit(mine, UNLIMITED)
    nr_free = daemon.status()["epc"]["free_bytes"] // PAGE
    for page in range(nr_free):
        assert make_page(mine, 100 + page) == 0
    assert make_page(mine, 3) == errno.EIO
    told = refusal_of(mine)
    assert (told.nr_refusals, told.reason, told.offset) == (2, BY_CAPACITY, 3 * PAGE)
    assert told.limit_bytes == told.usage_bytes == 4 << 20
    assert told.cgroup == b"/"


def test_refusing_cgroup(daemon, cgroup, world):
    """Goal: the cgroup's path, also where it does not fit. Method: one of 300 bytes, refused."""
    top = cgroup("limit")
    middle = Cgroup(top.path / ("n" * 150), top.mount)
    below = Cgroup(middle.path / ("m" * 150), top.mount)
    lines = (f"from test_leaf_ctl import *\nmine = Section(sys.argv[1])\n"
             "print(make_page(mine, 0), refusal_of(mine).reason, refusal_of(mine).cgroup.decode())")
    for group in (top, below):
        daemon.set_max(group, 0)
        process = world.run(script(lines, daemon.vepc), cgroup=group)
        assert process.wait() == 0, process.describe()
        path = group.name if len(group.name) < 256 else group.name[:252] + "..."
        assert process.stdout.text().strip() == f"{errno.EIO} {BY_CGROUP} {path}"
        daemon.set_max(group, None)


# The own limit.


def test_limit_below_usage(daemon, client, section):
    """Goal: a limit takes nothing, it refuses what is new. Method: below the usage, up again."""
    mine = section()
    for page in range(4):
        assert make_page(mine, page) == 0
    set_limit(mine, PAGE)
    assert mine.info().charged_bytes == 4 * PAGE and mine.info().limit_bytes == PAGE
    assert make_page(mine, 4) == errno.EIO
    assert make_page(section(), 4) == 0, "of the VM's other section it is not the limit"
    memory = mine.map(8)
    assert memory[:8] == b"\xff" * 8, "a page that it has is read as before"
    set_limit(mine, 5 * PAGE)
    assert make_page(mine, 4) == 0
    assert make_page(mine, 5) == errno.EIO

    user = filled(client, daemon)
    write(file_of(daemon, instance_of(daemon, user), "limit"), b"4096")
    user.do("write 0 0 3 2")
    user.map(1, 8)
    user.do("write 1 0 7 1")
    user.do("unmap 0")
    user.do("mmap 0 8")
    assert user.command("write 0 4 4 1") == "sigbus 4"


LIMITS = [(b"4096", "4096"), (b"max\n", "max"), (b" 0x2000\n", "8192"), (b"0", "0"),
          (b"18446744073709551615", "max"), (b"4097", "4097"),
          (b"", None), (b"x", errno.EINVAL), (b"-1", errno.EINVAL), (b"1M", errno.EINVAL),
          (b"sgx_epc 1", errno.EINVAL), (b"99999999999999999999", errno.ERANGE),
          (b"1" + b" " * 4096, errno.E2BIG)]


def test_limit_file(daemon, section):
    """Goal: the file reads and writes as misc.max, without the name. Method: a table."""
    mine = section()
    path = file_of(daemon, mine.id, "limit")
    assert path.read_text() == "max\n"
    for data, wanted in LIMITS:
        before = path.read_text()
        if isinstance(wanted, int):
            assert refused_with(write, path, data) == wanted, data
        else:
            write(path, data)
        assert path.read_text() == (f"{wanted}\n" if isinstance(wanted, str) else before), data
    records = daemon.history("limit")
    assert [(record["old_limit_bytes"], record["limit_bytes"]) for record in records] == [
        (None, 4096), (4096, None), (None, 8192), (8192, 0), (0, None), (None, 4097)]
    assert {record["instance"] for record in records} == {mine.id}
    assert info_of(daemon, mine.id)["limit_bytes"] == 4097
    file = os.open(path, os.O_RDWR)
    mine.close()
    try:
        eventually(lambda: daemon.instances() == [])
        assert refused_with(os.write, file, b"1") == errno.ENOENT
        assert refused_with(os.read, file, 10) == errno.ENOENT
    finally:
        os.close(file)
    mine.file = os.open(os.devnull, os.O_RDONLY)


def test_who_may(daemon, cgroup, section):
    """Goal: limits and losses are the daemon's owner's business. Method: modes; try as nobody."""
    mine, group = section(), cgroup()
    modes = {file_of(daemon, mine.id, "info"): 0o444, file_of(daemon, mine.id, "limit"): 0o644,
             file_of(daemon, mine.id, "lose"): 0o200, lose_path(daemon): 0o200,
             lose_path(daemon, group): 0o200}
    for path, mode in modes.items():
        attr = os.stat(path)
        assert (attr.st_mode & 0o7777, attr.st_uid) == (mode, os.geteuid()), path
        code = f"import os\ntry: os.close(os.open({str(path)!r}, os.O_WRONLY))\nexcept " \
               "PermissionError: print('no')"
        said = subprocess.run([sys.executable, "-c", code], user=NOBODY, group=NOBODY, cwd="/",
                              extra_groups=[], capture_output=True, check=True, text=True).stdout
        assert said == "no\n", path
    assert set(os.listdir(daemon.run_dir / f"instances/{mine.id}")) == {"info", "limit", "lose"}
    assert "epc.lose" in os.listdir(daemon.run_dir / "cgroup")
    assert "epc.lose" in os.listdir(daemon.misc_path(group, ""))
    for path in (lose_path(daemon), file_of(daemon, mine.id, "lose")):
        assert refused_with(os.open, path, os.O_RDONLY) == errno.EACCES
        assert refused_with(os.open, path, os.O_RDWR) == errno.EACCES
        assert refused_with(os.chmod, path, 0o666) == errno.EPERM


# EPC loss.


def test_lose_an_instance(daemon, client, section):
    """Goal: a VM is lost as a whole, at once, nobody else. Method: enclaves across, one inside."""
    first, second, other = section(), section(), filled(client, daemon)
    memory = second.map(16)
    memory[10 * PAGE:10 * PAGE + 5] = b"plain"
    enclave = Enclave((first, 0), second, 3).build()
    Enclave((second, 1), first, 5).build(False)
    assert enclave.enter() == 0
    assert refused_with(fcntl.ioctl, first.file, IOC_RESET_VM) == errno.EBUSY
    owned = [info_of(daemon, each.id)["owned_bytes"] for each in (first, second)]
    write(file_of(daemon, first.id, "lose"), b"whatever")
    assert [each.info().nr_secs for each in (first, second)] == [0, 0]
    assert [info_of(daemon, each.id)["owned_bytes"] for each in (first, second)] == owned
    assert memory[:] == bytes(16 * PAGE), "content is gone, of plain pages too"
    assert not is_lost(other)
    assert enclave.leave() != 0, "there is no such thread any more"
    lost = daemon.history("epc-lost")
    assert {record["instance"] for record in lost} == {first.id, second.id}
    assert fcntl.ioctl(first.file, IOC_RESET_VM) == 0
    Enclave((first, 0), second, 3).build()
    memory.close()
    second._mappings.clear()


def test_lose_below_a_cgroup(daemon, cgroup, client):
    """Goal: who has pages that the cgroup pays for, and nobody else. Method: above, in, beside."""
    top = cgroup("top")
    below, beside = top.child("below"), cgroup("beside")
    users = [filled(client, daemon, group) for group in (top, below, below, beside)]

    for group, wanted in ((below, [False, True, True, False]), (top, [True, True, True, False]),
                          (None, [True, True, True, True])):
        write(lose_path(daemon, group))
        assert [is_lost(user) for user in users] == wanted
        for user in users:
            user.do("write 0 0 3 1")
    assert daemon.misc(top, "misc.current") == 12 * PAGE, "pages stay owned and charged"


def test_lose_without_anybody(daemon, cgroup):
    """Goal: nothing to lose is no error; what is gone is one. Method: empty, removed."""
    group = cgroup()
    write(lose_path(daemon, group))
    write(lose_path(daemon))
    file = os.open(lose_path(daemon, group), os.O_WRONLY)
    group.remove()
    assert refused_with(os.write, file, b"1") == errno.ENODEV
    os.close(file)
    assert refused_with(os.stat, file_of(daemon, 77, "lose")) == errno.ENOENT


def test_losses_hold_nobody_up(daemon, client):
    """Goal: who waits for a loss takes no worker. Method: 40 of them while unmappings are held."""
    users = [filled(client, daemon) for _ in range(2)]
    ids = [instance_of(daemon, user) for user in users]
    daemon.hold_unmaps(True)
    paths = [lose_path(daemon)] * 20 + [file_of(daemon, instance, "lose") for instance in ids * 10]
    errors = []

    def lose(path):
        errors.append(refused_with(write, path))
    threads = [threading.Thread(target=lose, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    eventually(lambda: daemon.status()["unmaps"] == 2)
    third = filled(client, daemon)
    write(file_of(daemon, instance_of(daemon, third), "limit"), b"8192")
    assert all(thread.is_alive() for thread in threads)
    users[0].process.kill()
    daemon.hold_unmaps(False)
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert set(errors) <= {0, errno.ENOENT} and 0 in errors, "ENOENT: of who was killed meanwhile"
    assert len(daemon.history("epc-lost")) >= 20
    assert is_lost(users[1])


# Leaves that wait, and are killed.


def test_killed_while_its_leaf_waits(daemon, client, world):
    """Goal: a leaf ends with its process, parked or not. Method: unmappings are held; SIGKILL."""
    lines = ("mine = Section(sys.argv[1])\nmemory = mine.map(4)\nmemory[:4] = b'used'\n"
             "print('ready')\nsys.stdin.readline()\n"
             "mine.leaf(EPA, rbx=3, rcx=mine.place(0))\n")
    user = world.run(script(lines, daemon.vepc))
    assert user.stdout.wait_line("ready"), user.describe()
    daemon.hold_unmaps(True)
    user.stdin.write(b"\n")
    user.stdin.flush()
    eventually(lambda: daemon.status()["unmaps"] == 1)
    user.signal(signal.SIGKILL)
    filled(client, daemon)  # nobody else waits for it
    daemon.hold_unmaps(False)
    assert user.wait() == -signal.SIGKILL


def hold_with_one_page_wanted(daemon, client):
    """Fills the EPC so that the next page has to be taken back; which waits. Returns who has it."""
    hoarder = client(daemon)
    hoarder.map(0, 4096, hugepage=True)
    hoarder.do("touch 0 0 0")
    free = daemon.status()["epc"]["free_bytes"] // PAGE
    user = client(daemon)
    user.map(0, 1024)
    if free:
        user.do(f"write 0 0 {free - 1} 1")
    daemon.hold_unmaps(True)
    return user


def test_killed_while_its_leaf_is_parked(daemon, client, world):
    """Goal: at once, although nothing comes free. Method: the taking back is held; SIGKILL."""
    hold_with_one_page_wanted(daemon, client)
    lines = "mine = Section(sys.argv[1])\nmine.leaf(EPA, rbx=3, rcx=mine.place(0))\nprint('made')"
    users = [world.run(script(lines, daemon.vepc)) for _ in range(3)]
    daemon.wait_parked(3)
    users[0].signal(signal.SIGCHLD)  # which is ignored: no reason to end
    assert users[0].kill() == -signal.SIGKILL
    daemon.wait_parked(2)
    daemon.hold_unmaps(False)
    for user in users[1:]:
        assert user.wait() == 0, user.describe()
        assert user.stdout.text().strip() == "made"


def test_leaves_wait_for_a_loss(daemon, section):
    """Goal: no leaf sees half a loss. Method: a leaf while the loss is held; it comes after it."""
    mine = section()
    Enclave((mine, 0), mine, 1).build()
    mine.map(8)[7 * PAGE] = 1
    daemon.hold_unmaps(True)
    results = []
    request = leaf_request(EREMOVE, rcx=mine.place(2))

    def remove():
        # Not fcntl.ioctl(), which would hold all of this Python up while it waits.
        ioctl_at(mine.file, IOC_LEAF, ctypes.addressof(request))
        results.append(request.result)
    threads = [threading.Thread(target=write, args=(file_of(daemon, mine.id, "lose"),)),
               threading.Thread(target=remove)]
    threads[0].start()
    eventually(lambda: daemon.status()["unmaps"] == 1)
    threads[1].start()
    set_limit(mine, UNLIMITED)
    assert results == []
    daemon.hold_unmaps(False)
    for thread in threads:
        thread.join(30)
    assert results == [0], "EREMOVE of a page that is plain memory by then"
    assert mine.info().nr_secs == 0


# The reset of a range.


def fallocate(section, mode, first, nr_pages):
    """The errno, 0 when it goes well."""
    result = LIBC.fallocate(section.file, mode, ctypes.c_long(first * PAGE),
                            ctypes.c_long(nr_pages * PAGE))
    return ctypes.get_errno() if result else 0


@pytest.mark.parametrize("mode", [ZERO_RANGE | KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE])
def test_range_with_a_secs_that_stays(daemon, section, mode):
    """Goal: EBUSY after the rest is done, when children are outside. Method: all but one child."""
    mine = section()
    Enclave((mine, 0), mine, 1).build()
    assert fallocate(mine, mode, 0, 3) == errno.EBUSY
    told = mine.info()
    assert told.nr_secs == 1
    assert told.charged_bytes == (4 if mode & ZERO_RANGE else 2) * PAGE
    assert fallocate(mine, mode, 0, 4) == 0
    assert mine.info().nr_secs == 0
    assert mine.info().charged_bytes == (4 if mode & ZERO_RANGE else 0) * PAGE


# epcctl.


def test_ctl_limit(daemon, ctl, section):
    """Goal: shows and sets, and says what is wrong. Method: a table of words."""
    mine = section()
    for page in range(3):
        assert make_page(mine, page) == 0
    number = str(mine.id)
    assert ctl(daemon, "limit", number).stdout.text().strip() == (
        f"instance {number}: limit max, used 12 KiB")
    assert ctl(daemon, "limit", number, "1M").stdout.text().strip() == (
        f"instance {number}: limit 1 MiB, used 12 KiB")
    assert mine.info().limit_bytes == 1 << 20
    assert ctl(daemon, "limit", number, "4096").stdout.text().strip() == (
        f"instance {number}: limit 4 KiB, used 12 KiB: no new page until it is below")
    assert json.loads(ctl(daemon, "--json", "limit", number, "max").stdout.text()) == {
        "instance": mine.id, "limit_bytes": None, "owned_bytes": 3 * PAGE}
    for words, code, said in [
            (["limit"], 2, "of which instance?"), (["limit", "x"], 2, "not the number"),
            (["limit", "0"], 2, "not the number"), (["limit", number, "1x"], 2, "not a size: 1x"),
            (["limit", number, "1", "2"], 2, "one word too many: 2"),
            (["limit", "99"], 1, "there is no instance 99; `epcctl ls` shows"),
            (["limit", "99", "max"], 1, "there is no instance 99; `epcctl ls` shows"),
            (["limit", "--all"], 2, "neither --cgroup nor --all belongs to limit")]:
        process = ctl(daemon, *words, code=code)
        assert said in process.stderr.text() and len(process.stderr.lines()) == 1, words
    assert "limit of its own: max, was 4096, used 12288" in daemon.process.stdout.text()


def test_ctl_lose(daemon, cgroup, client, ctl):
    """Goal: one VM, a cgroup's, all; what is wrong is said. Method: lose each way, then a table."""
    group = cgroup("losers")
    user, other = filled(client, daemon, group), filled(client, daemon)
    for words, others_are_lost in [
            ([str(instance_of(daemon, user))], False), (["--cgroup", group.name], False),
            (["--all"], True)]:
        process = ctl(daemon, "lose", *words)
        assert process.stdout.text() == ""
        assert is_lost(user) and is_lost(other) == others_are_lost
        user.do("write 0 0 3 1")
        other.do("write 0 0 3 1")
    for words, code, said in [
            ([], 2, "whose EPC?"), (["1", "--all"], 2, "whose EPC?"),
            (["x"], 2, "not the number of an instance: x"), (["1", "2"], 2, "too many: 2"),
            (["99"], 1, "there is no instance 99"),
            (["--cgroup", "/no\n/such"], 1, "there is no cgroup /no\\n/such that pays"),
            (["--cgroup"], 2, "a value is missing after --cgroup")]:
        process = ctl(daemon, "lose", *words, code=code)
        assert said in process.stderr.text() and len(process.stderr.lines()) == 1, words


@pytest.mark.parametrize("words", [("limit", "1"), ("lose", "1"), ("lose", "--all"),
                                   ("lose", "--cgroup", "/x")])
def test_ctl_without_a_daemon(world, words):
    """Goal: it is the daemon that is not there, and not an instance. Method: no directory."""
    process = world.run([world.build / "src/ctl/epcctl", "--run-dir", world.directory / "none",
                         *words])
    assert process.wait() == 1
    assert "no epcd serves" in process.stderr.text()


def test_ctl_shows_zombies(daemon, ctl, section):
    """Goal: SECS pages that outlive their section are seen. Method: close; ls, status, events."""
    left, closed = section(), Section(daemon.vepc)
    Enclave((closed, 0), left, 1).build()
    set_limit(left, 1 << 20)
    closed.close()
    eventually(lambda: daemon.history("zombies"))
    header, *rows = ctl(daemon, "ls").stdout.lines()
    assert header.split()[-3:] == ["LIMIT", "SECS", "KIND"]
    assert re.split("  +", rows[0])[-3:] == ["1 MiB", "0", "vepc"]
    assert re.split("  +", rows[1])[-3:] == ["max", "1", "vepc"]
    assert rows[2] == ("  closed, 1 zombie SECS page: their enclaves have pages in other sections")
    infos = json.loads(ctl(daemon, "--json", "ls").stdout.text())
    assert [(info["is_released"], info["nr_zombies"], info["nr_in_vm"]) for info in infos] == [
        (False, 0, 1), (True, 1, 1)]
    assert "enclaves: 1 SECS pages, 1 of them zombies" in ctl(daemon, "status").stdout.text()
    assert daemon.history("zombies")[0]["secs"] == 1
    assert make_page(left, 9) == 0
    assert left.remove_all() == 0
    eventually(lambda: len(daemon.instances()) == 1)
    assert daemon.status()["nr_zombies"] == 0
