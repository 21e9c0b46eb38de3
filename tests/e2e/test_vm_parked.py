# SPDX-License-Identifier: MIT
"""A VM whose fault waits for a page: killed, told to end, told to quit; and a client with signals.

Unmappings are held (epcd --debug), so that a fault that needs a page to be taken back is parked
for as long as the test wants.
"""
import signal

import pytest

from harness.vm import refused_inside
from harness.wait import eventually

NR_PAGES = 1024


@pytest.fixture
def full(epcd, cgroup, client):
    """A daemon with 4 MiB of EPC; a client's reading ahead has taken much of it."""
    daemon = epcd("--epc", "4M@0", "--debug")
    hoarder = client(daemon, cgroup("hoarder"))
    hoarder.map(0, 4 * NR_PAGES, hugepage=True)
    hoarder.do("touch 0 0 0")
    assert daemon.status()["epc"]["speculative_bytes"] > 0
    return daemon


@pytest.fixture
def parked_vm(full, cgroup, vm):
    """A VM whose write of 1,023 pages waits for pages of the client."""
    group = cgroup("vm")
    machine = vm(full, [(NR_PAGES * 4096, 0)], cgroup=group)
    full.hold_unmaps(True)
    machine.send(f"write 0 0 {NR_PAGES - 2} 7")
    full.wait_parked(1)
    return machine


def nothing_refused(daemon, group):
    assert daemon.history("refused") == []
    assert daemon.counters()["refusals"] == 0
    assert daemon.events_count(group) == 0


def test_goes_on(full, parked_vm):
    """Goal: a parked fault only waits. Method: the monitor answers meanwhile; then let it go on."""
    assert parked_vm.qmp.execute("query-status")["running"]
    full.hold_unmaps(False)
    assert parked_vm.receive() == f"wrote 0 0 {NR_PAGES - 2} 7"
    parked_vm.verify(0, 0, NR_PAGES - 2, 7)
    assert parked_vm.quit() == 0
    assert refused_inside(full, parked_vm) == []


def test_sigkill(full, parked_vm):
    """Goal: it can be reaped at once. Method: SIGKILL while unmappings are still held."""
    assert parked_vm.kill(timeout=30) == -signal.SIGKILL
    full.wait_parked(0)
    assert refused_inside(full, parked_vm) == []
    full.hold_unmaps(False)


def test_sigterm(full, parked_vm):
    """Goal: QEMU's own end waits for the fault, then is orderly. Method: SIGTERM, let go, exit 0."""
    parked_vm.process.signal(signal.SIGTERM)
    assert parked_vm.process.stderr.wait_line("terminating on signal 15")
    assert full.status()["parked"] == 1
    full.hold_unmaps(False)
    assert parked_vm.wait() == 0
    assert refused_inside(full, parked_vm) == []


def test_quit(full, parked_vm):
    """Goal: the same for the monitor's quit. Method: quit, its SHUTDOWN event, let go, exit 0."""
    parked_vm.qmp.send("quit")
    parked_vm.qmp.wait_event("SHUTDOWN")
    assert full.status()["parked"] == 1
    full.hold_unmaps(False)
    assert parked_vm.wait() == 0
    assert refused_inside(full, parked_vm) == []


def test_system_reset(full, parked_vm):
    """Goal: a reset asked for meanwhile is done afterwards. Method: system_reset, let go, look."""
    parked_vm.qmp.send("system_reset")
    full.hold_unmaps(False)
    parked_vm.qmp.wait_event("RESET")
    line = parked_vm.receive()
    # The write may end before the reset takes the processor away, or not.
    if line.startswith("wrote"):
        line = parked_vm.receive()
    assert line == "guest: ready"
    parked_vm.command(f"map 0 {4 << 30} {NR_PAGES * 4096}")
    parked_vm.zero(0, 0, 255)
    assert parked_vm.quit() == 0
    assert refused_inside(full, parked_vm) == []


# Reading ahead is not interrupted by signals, the READ of one page by a fault itself is.
ADVICE = ["hugepage", "random"]


@pytest.mark.parametrize("advice", ADVICE)
@pytest.mark.parametrize("way", ["write", "populate"])
def test_signals_do_not_refuse(full, cgroup, client, advice, way):
    """Goal: a signal is no refusal. Method: a client with an alarm every 2 ms whose fault waits."""
    group = cgroup("alarmed")
    alarmed = client(full, group)
    alarmed.map(0, NR_PAGES)
    alarmed.do(f"{advice} 0")
    full.hold_unmaps(True)
    alarmed.do("alarms 2000")
    alarmed.send(f"{way} 0 0 {NR_PAGES - 2} 7" if way == "write" else f"{way} 0 0 {NR_PAGES - 2}")
    full.wait_parked(1)
    # Each alarm that comes now interrupts the READ; the test sends some itself, to be sure of one.
    for _ in range(100):
        alarmed.process.signal(signal.SIGALRM)
    full.hold_unmaps(False)
    answer = alarmed.receive()
    alarmed.do("alarms 0")
    if way == "populate" and answer.startswith("error 4 "):  # the kernel's own: a signal came
        alarmed.do(f"populate 0 0 {NR_PAGES - 2}", "populated 0")
    else:
        assert answer == ("wrote 0" if way == "write" else "populated 0")
    alarmed.do(f"write 0 0 {NR_PAGES - 2} 7")
    alarmed.do(f"verify 0 0 {NR_PAGES - 2} 7")
    nothing_refused(full, group)


@pytest.mark.parametrize("advice", ADVICE)
def test_sigkill_of_a_client(full, cgroup, client, advice):
    """Goal: it ends at once. Method: SIGKILL while its fault waits and after an interrupt."""
    victim = client(full, cgroup("victim"))
    victim.map(0, NR_PAGES)
    victim.do(f"{advice} 0")
    victim.do("alarms 2000")
    full.hold_unmaps(True)
    victim.send(f"write 0 0 {NR_PAGES - 2} 7")
    full.wait_parked(1)
    for _ in range(100):
        victim.process.signal(signal.SIGALRM)
    assert full.status()["parked"] == 1
    assert victim.process.kill() == -signal.SIGKILL
    full.wait_parked(0)
    full.hold_unmaps(False)


def test_sigkill_of_a_client_with_many_threads(full, cgroup, client):
    """Goal: parked threads die together. Method: 32 threads; when all wait or are done, SIGKILL."""
    crowd = client(full, cgroup("crowd"))
    crowd.map(0, NR_PAGES)
    full.hold_unmaps(True)
    crowd.do(f"crew 0 32 0 {NR_PAGES - 1} 5")

    def all_wait():
        nr_parked = full.status()["parked"]
        return nr_parked > 0 and nr_parked == len(crowd.process.thread_states()) - 1
    eventually(all_wait)
    assert crowd.process.kill(timeout=30) == -signal.SIGKILL
    full.wait_parked(0)
    full.hold_unmaps(False)
