# SPDX-License-Identifier: MIT
"""Enclaves of host processes that are larger than the EPC: every word comes back right."""
import errno
import json
import subprocess

import pytest

from harness.load import Load
from harness.sentence import PAGE
from harness.wait import eventually

MIB = 1 << 20
PATTERNS = ["sequential", "random", "zipf:0.9", "phased"]


@pytest.fixture(scope="session")
def key(build, tmp_path_factory):
    """A signer's key, for all: making one takes a second."""
    path = tmp_path_factory.mktemp("key") / "key.pem"
    subprocess.run([build / "src/sign/epcsign", "--new-key", path], check=True)
    return path


@pytest.fixture
def load(world, key):
    """load(daemon, cgroup=..., size="16M", ...): epcload with such options."""
    def start(daemon, cgroup=None, **options):
        return Load(world, daemon.run_dir / "dev" / "sgx_enclave", cgroup, key, **options)
    return start


def enclaves(epcd, epc, swap):
    return epcd("--epc", f"{epc}@0", "--swap-max", swap)


def assert_all_free(daemon):
    """No page used, nothing parked, nothing in swap: after the last enclave has been closed."""
    daemon.wait_all_free()
    swap = daemon.status()["swap"]
    assert swap["used_bytes"] == 0, swap


def rss_bytes(daemon):
    for line in open(f"/proc/{daemon.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def loads(daemon):
    return daemon.counters()["loads"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_four_times_the_epc(epcd, load, pattern):
    """Goal: one process has four times the EPC. Method: a pattern with writes, all verified."""
    daemon = enclaves(epcd, "2M", "16M")
    report = load(daemon, size="8M", touches=6000, pattern=pattern).right(120)
    counters = daemon.counters()
    # It cannot have been otherwise: at the end every page was read once more.
    assert counters["loads"] >= 3 * 512
    assert counters["evictions"] >= counters["loads"]
    assert report["major_faults"] > 0 and report["p99_ns"] > 0
    assert_all_free(daemon)


def test_measured(epcd, load):
    """Goal: contents are measured as a signer does it. Method: EEXTEND, while pages are evicted."""
    daemon = enclaves(epcd, "1M", "32M")
    load(daemon, size="3M", touches=2000, measure=True).right()
    assert loads(daemon) > 0
    assert_all_free(daemon)


def test_threads_and_children(epcd, load):
    """Goal: threads and forks share an enclave that pages. Method: four threads, many children."""
    daemon = enclaves(epcd, "1M", "32M")
    report = load(daemon, size="4M", touches=12000, threads=4, fork_every=300).right(120)
    assert report["forks"] >= 5 and report["children_killed"] == 0
    assert_all_free(daemon)


def test_several_processes(build, epcd, load):
    """Goal: six times the EPC in sum, and the daemon does not grow. Method: three rounds."""
    daemon = enclaves(epcd, "2M", "32M")
    rss = []
    for number in range(3):
        report = load(daemon, size="2M", processes=6, threads=2, touches=1000,
                      seed=number).right(120)
        assert min(process["touches"] for process in report["processes"]) >= 1000
        assert_all_free(daemon)
        rss.append(rss_bytes(daemon))
    # What the first round has left is its steady state. A sanitizer keeps memory of its own.
    assert build.name in ("asan", "tsan") or rss[2] <= rss[0] + MIB, rss


def test_killed_in_the_middle(epcd, load):
    """Goal: deaths disturb nobody. Method: SIGKILL for three of six processes that page."""
    daemon = enclaves(epcd, "4M", "64M")
    run = load(daemon, size="4M", processes=6, threads=2, seconds=60, fork_every=500)
    for number in (4, 0, 3):
        run.kill_process(number)
        seen = loads(daemon)
        eventually(lambda: loads(daemon) > seen + 200)
    run.stop()
    report = run.report(120)
    assert [process["signal"] for process in report["processes"]] == [9, 0, 0, 9, 9, 0]
    assert [process["exit"] for process in report["processes"]] == [-1, 0, 0, -1, -1, 0]
    assert report["wrong"] == 0 and report["sigbus"] == 0
    assert_all_free(daemon)


def refusals(daemon, group):
    return [record for record in daemon.history("refused") if record["cgroup"] == group.name]


def test_swap_too_small(epcd, load, cgroup):
    """Goal: who wants too much is refused with the reason, others go on. Method: a tiny swap.

    While everything is full, the others may meet SIGBUS, too, but never a wrong word.
    """
    daemon = enclaves(epcd, "4M", "4M")
    small, large = cgroup("small"), cgroup("large")
    steady = load(daemon, small, size="3M", seconds=60, pattern="sequential", sigbus="count")
    assert steady.pids()
    big = load(daemon, large, size="16M", seconds=60)
    report = big.report(120)
    assert report["processes"][0]["error"] == errno.ENOMEM, big.process.describe()
    assert "ADD_PAGES" in big.process.stderr.text()
    assert refusals(daemon, large), daemon.history()
    eventually(lambda: daemon.status()["instances"] == 1)
    # All is as before: it goes around in its 3 MiB without a refusal.
    seen = daemon.counters()["refusals"]
    faults = daemon.counters()["faults"]
    late = load(daemon, small, size="2M", touches=2000)
    late.right()
    assert daemon.counters()["refusals"] == seen and daemon.counters()["faults"] > faults
    steady.stop()
    report = steady.report(120)
    assert report["wrong"] == 0 and steady.process.wait() == 0, steady.process.describe()
    assert_all_free(daemon)


def test_limit_below_what_it_needs(epcd, load, cgroup):
    """Goal: SIGBUS with the reason, and a way back. Method: misc.max of one page, then max."""
    daemon = enclaves(epcd, "4M", "32M")
    poor, rich = cgroup("poor"), cgroup("rich")
    beggar = load(daemon, poor, size="6M", seconds=60, sigbus="count")
    neighbour = load(daemon, rich, size="6M", seconds=60)
    assert beggar.pids() and neighbour.pids()
    daemon.set_max(poor, PAGE)
    assert beggar.process.stderr.wait_line("SIGBUS at 0x"), beggar.process.describe()
    eventually(lambda: refusals(daemon, poor))
    refused = refusals(daemon, poor)[-1]
    assert refused["limit_cgroup"] == poor.name
    assert daemon.events_count(poor) > 0
    daemon.set_max(poor, None)
    beggar.stop()
    report = beggar.report(120)
    assert report["wrong"] == 0 and report["sigbus"] > 0, json.dumps(report)
    neighbour.stop()
    neighbour.right(120)
    assert_all_free(daemon)
