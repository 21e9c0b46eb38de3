# SPDX-License-Identifier: MIT
"""epcctl: what it prints, how it ends, and what its doctor finds."""
import json
import os
import re
import shutil
import signal

import pytest

from harness.daemon import mount_end
from harness.sentence import PAGE, refusal
from harness.wait import eventually

HOSTILE_CGROUP = "a b\t\x1b[31mred\\"  # the kernel takes all but a newline
HOSTILE_CGROUP_SHOWN = "a b\\t\\x1b[31mred\\\\"
HOSTILE_COMMAND = "ev\n\x1bil"
HOSTILE_COMMAND_SHOWN = "ev\\n\\x1bil"
OTHER_UID = "12345"


class Ctl:
    """Runs epcctl against a run directory."""

    def __init__(self, world):
        self.world = world
        self.path = world.build / "src/ctl/epcctl"

    def start(self, *arguments, run_dir=None, prefix=(), env=None):
        where = ["--run-dir", run_dir] if run_dir else []
        return self.world.run([*prefix, self.path, *where, *arguments], env=env)

    def __call__(self, *arguments, code=0, **options):
        process = self.start(*arguments, **options)
        assert process.wait() == code, process.describe()
        return process


@pytest.fixture
def ctl(world):
    return Ctl(world)


def as_json(process):
    return json.loads(process.stdout.text())


@pytest.mark.parametrize("arguments, said", [
    ([], "no verb"), (["dance"], "dance"), (["status", "twice"], "twice"),
    (["--colour", "status"], "no such option: --colour"), (["--run-dir"], "--run-dir"),
    (["-xy", "status"], "no such option: -x;"), (["--json=3", "ls"], "no value belongs to --json=3"),
    (["dan\x1bce"], "dan\\x1bce")])
def test_bad_use(ctl, arguments, said):
    """Goal: exit code 2 and one line. Method: a table of mistakes."""
    process = ctl(*arguments, code=2)
    assert len(process.stderr.lines()) == 1
    assert process.stderr.text().startswith("epcctl: ")
    assert said in process.stderr.text()


def test_help(ctl):
    """Goal: --help names every verb, --version is the daemon's. Method: ask for them."""
    said = ctl("--help").stdout.text()
    assert all(verb in said for verb in ("status", "ls", "limit", "lose", "events", "doctor"))
    daemon = ctl.world.run([ctl.world.build / "src/front/epcd", "--version"])
    assert daemon.wait() == 0
    assert ctl("--version").stdout.text() == daemon.stdout.text().replace("epcd", "epcctl")


@pytest.mark.parametrize("verb", ["status", "ls", "events"])
def test_no_daemon(world, ctl, verb):
    """Goal: exit code 1, cause and remedy. Method: an empty directory, and none."""
    for name in ("empty", "none"):
        path = world.directory / name
        if name == "empty":
            path.mkdir()
        said = ctl(verb, run_dir=path, code=1).stderr.lines()
        assert said == [f"epcctl: no epcd serves {path}; start it, or name its directory with "
                        "--run-dir"]


@pytest.mark.parametrize("verb", ["status", "ls", "events"])
def test_dead_mount(epcd, ctl, verb):
    """Goal: a mount that outlived its daemon is recognised. Method: SIGKILL the daemon."""
    daemon = epcd("--epc", "1M@0")
    daemon.is_over = True
    daemon.process.signal(9)
    daemon.process.wait()
    try:
        said = ctl(verb, run_dir=daemon.run_dir, code=1).stderr.text()
        assert "is gone" in said
        assert f"umount -l {daemon.run_dir}" in said
    finally:
        mount_end(daemon.run_dir)


@pytest.mark.parametrize("verb", ["status", "doctor"])
def test_stopped_daemon(epcd, ctl, verb):
    """Goal: who does not answer is named, and waited for no longer. Method: SIGSTOP the daemon."""
    daemon = epcd("--epc", "1M@0")
    daemon.process.signal(signal.SIGSTOP)
    # A thread that has not stopped yet may take a request, and who waits for that cannot be killed.
    eventually(lambda: set(daemon.process.thread_states()) == {"T"}, what="all threads stopped")
    try:
        said = ctl(verb, run_dir=daemon.run_dir, code=1).stderr.lines()
    finally:
        daemon.process.signal(signal.SIGCONT)
    assert len(said) == 1
    assert f"the epcd of {daemon.run_dir} has not answered" in said[0]
    assert "kill -CONT" in said[0]


def test_run_dir_from_environment(epcd, ctl):
    """Goal: EPCD_RUN_DIR is the default, --run-dir goes before it. Method: right, wrong, both."""
    daemon = epcd("--epc", "1M@0")
    right = {**os.environ, "EPCD_RUN_DIR": str(daemon.run_dir)}
    wrong = {**os.environ, "EPCD_RUN_DIR": "/nowhere"}
    ctl("status", env=right)
    ctl("status", env=wrong, code=1)
    ctl("status", env=wrong, run_dir=daemon.run_dir)


def test_status(epcd, client, ctl):
    """Goal: the figures are the daemon's. Method: two sections, three pages used."""
    daemon = epcd("--epc", "1M@0", "--epc", "2M@1")
    user = client(daemon)
    user.map(0, 16)
    user.do("write 0 0 2 1")
    said = ctl("status", run_dir=daemon.run_dir).stdout.text()
    assert f"pid {daemon.process.pid}, up 0:00:" in said
    assert "EPC: 3 MiB, 12 KiB used" in said
    assert "section 0 on node 0: 1 MiB" in said
    assert "section 1 on node 1: 2 MiB" in said
    assert "instances: 1, parked requests: 0" in said
    status = as_json(ctl("status", "--json", run_dir=daemon.run_dir))
    assert status["epc"]["used_bytes"] == 3 * PAGE
    assert status["pid"] == daemon.process.pid


def test_ls(epcd, cgroup, client, ctl):
    """Goal: a line for each instance, a refusal below it. Method: none, one, refused, a probe."""
    daemon = epcd("--epc", "1M@0")
    lines = ctl("ls", run_dir=daemon.run_dir).stdout.lines()
    assert [line.split() for line in lines] == [
        ["PID", "COMMAND", "CGROUP", "INSTANCE", "TOUCHED", "OWNED", "RESIDENT", "LIMIT", "SECS",
         "KIND"]]
    assert as_json(ctl("--json", "ls", run_dir=daemon.run_dir)) == []
    group = cgroup("small")
    daemon.set_max(group, 2 * PAGE)
    user = client(daemon, group)
    user.map(0, 16)
    user.do(f"open 1 {daemon.vepc}")  # never touched: it does not show
    user.do("write 0 0 1 1")
    assert user.command("write 0 2 2 1") == "sigbus 2"
    sentence = refusal(user.pid, "vepc", group.name, 2 * PAGE)
    eventually(lambda: daemon.history("refused"), what="the record")
    header, row, refused = ctl("ls", run_dir=daemon.run_dir).stdout.lines()
    instance, = as_json(ctl("ls", "--json", run_dir=daemon.run_dir))
    words = re.split("  +", row)
    assert words[:4] == [str(user.pid), "vepc", group.name, str(instance["id"])]
    assert words[5] == "8 KiB"
    assert header.index("CGROUP") == row.index(group.name)
    assert refused.endswith(sentence)
    assert instance["owned_bytes"] == 2 * PAGE
    assert instance["last_refusal"]["text"] == sentence


def test_ls_ended(epcd, cgroup, client, ctl):
    """Goal: who died of a refusal is still told of. Method: refuse two clients, one ends."""
    daemon = epcd("--epc", "1M@0")
    group = cgroup("small")
    daemon.set_max(group, PAGE)
    sentences = []
    for nr_records in (1, 2):
        user = client(daemon, group)
        user.map(0, 16)
        assert user.command("write 0 0 1 1").startswith("sigbus")
        sentences.append(refusal(user.pid, "vepc", group.name, PAGE))
        eventually(lambda: len(daemon.history("refused")) == nr_records, what="the record")
        if nr_records == 1:
            user.process.kill()
            eventually(lambda: daemon.history("closed"), what="the end")
    header, row, refused, empty, title, ended = ctl("ls", run_dir=daemon.run_dir).stdout.lines()
    assert refused.endswith(sentences[1])
    assert (empty, title) == ("", "Refused EPC, and ended since:")
    assert ended.endswith(sentences[0])
    assert len(as_json(ctl("ls", "--json", run_dir=daemon.run_dir))) == 1


def test_hostile_names(world, epcd, cgroup, ctl):
    """Goal: no name breaks a line or reaches the terminal. Method: a bad cgroup, a bad command."""
    daemon = epcd("--epc", "1M@0")
    program = world.directory / HOSTILE_COMMAND
    shutil.copy(world.build / "tests/client/vepc", program)
    user = world.run([program], cgroup=cgroup(HOSTILE_CGROUP))
    user.stdin.write(f"open 0 {daemon.vepc}\nmmap 0 16\nwrite 0 0 0 1\n".encode())
    user.stdin.flush()
    assert user.stdout.wait_line("wrote 0"), user.describe()
    lines = ctl("ls", run_dir=daemon.run_dir).stdout.lines()
    assert len(lines) == 2
    assert "\x1b" not in lines[1]
    assert f"/{HOSTILE_CGROUP_SHOWN}  " in lines[1]
    assert f"  {HOSTILE_COMMAND_SHOWN}  " in lines[1]


def wait_follows(process):
    """Until epcctl has the stream open: it tells of what happens after that."""
    def is_open():
        for fd in os.listdir(f"/proc/{process.pid}/fd"):
            try:
                if os.readlink(f"/proc/{process.pid}/fd/{fd}").endswith("/events"):
                    return True
            except OSError:
                continue
        return False
    eventually(is_open, what="epcctl follows")


@pytest.mark.parametrize("is_json", [False, True])
def test_events(epcd, cgroup, client, ctl, is_json):
    """Goal: what happens is told at once. Method: every kind of record; then the daemon ends."""
    daemon = epcd("--epc", "1M@0")
    group = cgroup("watched")
    follower = ctl.start(*(["--json"] if is_json else []), "events", run_dir=daemon.run_dir)
    wait_follows(follower)
    daemon.set_max(group, 2 * PAGE)
    user = client(daemon, group)
    user.map(0, 16)
    user.do("write 0 0 1 1")
    assert user.command("write 0 2 2 1") == "sigbus 2"
    user.do("ioctl 0 0xa404 0", "returned 0")
    user.do("punch 0 0 1")
    user.process.kill()
    vm = f"VM {user.pid} (vepc)"
    wanted = [
        ("limit", f"the limit of cgroup {group.name} went from max to 8 KiB, used 0 bytes"),
        ("started", f"{vm} uses EPC as instance "),
        ("refused", refusal(user.pid, "vepc", group.name, 2 * PAGE)),
        ("reset", f"{vm} was reset: "),
        ("punched", f"{vm} gave back "),
        ("closed", f"{vm} closed instance ")]
    for kind, text in wanted:
        if is_json:
            line = follower.stdout.take_line()
            assert json.loads(line)["kind"] == kind, line
        else:
            assert text in follower.stdout.take_line()
    assert daemon.stop() == []
    assert follower.wait() == 1, follower.describe()
    assert "is gone" in follower.stderr.text()


def findings(process):
    return as_json(process)["findings"]


def worst(process, check):
    """The finding of a check that is not ok."""
    return [finding for finding in findings(process)
            if finding["check"] == check and finding["severity"] != "ok"]


def private_dev(script):
    """A prefix: a /dev of our own, with script done in it; "$D" is the first argument."""
    return ["unshare", "-m", "sh", "-c",
            'D=$0; mount -t tmpfs none /dev && mknod /dev/null c 1 3 && mknod /dev/fuse c 10 229 '
            f'&& chmod 666 /dev/null && {script} && exec "$@"']


def doctor(ctl, daemon, script, code, before=()):
    return ctl("--json", "doctor", run_dir=daemon.run_dir, code=code,
               prefix=[*private_dev(script), daemon.run_dir, *before])


def test_doctor_all_well(epcd, ctl):
    """Goal: exit code 0 where a VM would get EPC. Method: a /dev with the link in it."""
    daemon = epcd("--epc", "1M@0")
    process = doctor(ctl, daemon, 'ln -s "$D/dev/sgx_vepc" /dev/sgx_vepc', 0)
    assert worst(process, "node") == []
    assert {finding["check"] for finding in findings(process)} >= {
        "kernel", "fuse", "daemon", "node", "permissions", "cgroup2", "bdi"}
    assert daemon.status()["instances"] == 0


@pytest.mark.parametrize("script, cause, symptom", [
    ("true", "No such file", "invalid object type: memory-backend-epc"),
    ("ln -s /nowhere/dev/sgx_vepc /dev/sgx_vepc", "leads nowhere", "invalid object type"),
    ("mknod /dev/sgx_vepc c 1 3", "real SGX device", None),
    ("touch /dev/sgx_vepc", "ordinary file", None),
    ('touch /dev/sgx_vepc && mount --bind "$D/dev/sgx_vepc" /dev/sgx_vepc', "bind-mounted",
     "failed to open /dev/sgx_vepc to alloc SGX EPC")])
def test_doctor_bad_node(epcd, ctl, script, cause, symptom):
    """Goal: each thing that can be wrong with the node is named. Method: make it wrong."""
    daemon = epcd("--epc", "1M@0")
    finding, = worst(doctor(ctl, daemon, script, 1), "node")
    assert finding["severity"] == "problem"
    assert cause in finding["cause"]
    assert finding["remedy"] and "RUN_DIR" not in finding["remedy"]
    if symptom:
        assert any(symptom in seen for seen in finding["seen_as"])


def test_doctor_not_permitted(epcd, ctl, world):
    """Goal: a node that the user may not open is named. Method: look as another user."""
    world.directory.chmod(0o755)
    daemon = epcd("--epc", "1M@0")
    daemon.vepc.chmod(0o600)
    process = doctor(ctl, daemon, 'ln -s "$D/dev/sgx_vepc" /dev/sgx_vepc', 1, before=[
        "setpriv", "--reuid", OTHER_UID, "--regid", OTHER_UID, "--clear-groups"])
    finding, = worst(process, "node")
    assert "Permission denied" in finding["cause"]
    assert any("invalid object type" in seen for seen in finding["seen_as"])
    finding, = worst(process, "permissions")
    assert "only user 0" in finding["cause"]


def test_doctor_no_daemon(world, ctl):
    """Goal: no daemon is a problem. Method: a directory that nobody serves."""
    process = ctl("--json", "doctor", run_dir=world.directory / "none", code=1)
    finding, = worst(process, "daemon")
    assert "no epcd serves" in finding["cause"]


def test_doctor_dead_mount(epcd, ctl):
    """Goal: a dead mount is named, and does not hang. Method: SIGKILL the daemon."""
    daemon = epcd("--epc", "1M@0")
    daemon.is_over = True
    daemon.process.signal(9)
    daemon.process.wait()
    try:
        process = doctor(ctl, daemon, 'ln -s "$D/dev/sgx_vepc" /dev/sgx_vepc', 1)
        assert "is dead" in worst(process, "daemon")[0]["cause"]
        assert "is dead" in worst(process, "node")[0]["cause"]
    finally:
        mount_end(daemon.run_dir)


def test_doctor_no_cgroup2(epcd, ctl, world):
    """Goal: no cgroup2 is a warning. Method: a mount namespace without it."""
    mount = world.top().mount
    daemon = epcd("--epc", "1M@0")
    process = doctor(ctl, daemon,
                     f'ln -s "$D/dev/sgx_vepc" /dev/sgx_vepc && umount "{mount}"', 0)
    finding, = worst(process, "cgroup2")
    assert finding["severity"] == "warning"


def test_doctor_names_messages(epcd, ctl):
    """Goal: what users see is there to be found. Method: look for the messages, as text."""
    daemon = epcd("--epc", "1M@0")
    said = ctl("doctor", run_dir=daemon.run_dir, code=1, prefix=[
        *private_dev("true"), daemon.run_dir]).stdout.text()
    for message in ("invalid object type: memory-backend-epc", "Bad address",
                    "failed to open /dev/sgx_vepc to alloc SGX EPC", "sgx-epc.0.node"):
        assert message in said
