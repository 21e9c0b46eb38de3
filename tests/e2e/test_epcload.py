# SPDX-License-Identifier: MIT
"""The load client itself, on ordinary memory: what it says of enclaves can be believed."""
import pytest

from harness.load import Load
from harness.sentence import PAGE

MIB = 1 << 20
PATTERNS = ["sequential", "random", "zipf:0.9", "phased"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_client_on_ordinary_memory(world, pattern):
    """Goal: the client itself is right. Method: no enclave; threads, forks, all patterns."""
    report = Load(world, "/dev/zero", no_enclave=True, size="4M", touches=20000, threads=3,
                  processes=2, fork_every=1000, pattern=pattern).right()
    assert report["touches"] >= 2 * (20000 + 1024)
    assert 2 * 9000 < report["writes"] < 2 * 11000 + report["forks"] * 64
    assert report["forks"] >= 12
    assert [process["exit"] for process in report["processes"]] == [0, 0]


def test_client_same_seed_same_touches(world):
    """Goal: a seed repeats a load. Method: traces of three runs."""
    traces = []
    for number, seed in enumerate((7, 7, 8)):
        path = world.directory / f"trace{number}"
        Load(world, "/dev/zero", no_enclave=True, size="1M", touches=3000, pattern="zipf:1",
             trace=path, seed=seed).right()
        traces.append(path.read_bytes())
    assert len(traces[0]) == 3000 * 4
    assert traces[0] == traces[1] != traces[2]


def test_client_finds_what_is_wrong(world):
    """Goal: the client's verdict can be believed. Method: one bit of a mapped file changes."""
    path = world.directory / "memory"
    path.write_bytes(bytes(MIB))
    run = Load(world, path, no_enclave=True, size="1M", seconds=60, writes=0)
    assert run.pids()
    with open(path, "r+b") as file:
        file.seek(100 * PAGE + 8 * 77)
        byte = file.read(1)[0]
        file.seek(100 * PAGE + 8 * 77)
        file.write(bytes([byte ^ 4]))
    report = run.report()
    assert not report["right"] and report["wrong"] == 1
    assert run.process.wait() == 1
    assert "page 100 word 77 is" in run.process.stderr.text()


def test_client_counts_sigbus(world):
    """Goal: SIGBUS is counted, with its address, or fatal. Method: the end of a mapped file goes."""
    path = world.directory / "memory"
    for sigbus in ("count", "fatal"):
        path.write_bytes(bytes(MIB))
        run = Load(world, path, no_enclave=True, size="1M", seconds=60, sigbus=sigbus, threads=2)
        assert run.pids()
        with open(path, "r+b") as file:
            file.truncate(MIB // 2)
        if sigbus == "count":
            assert run.process.stderr.wait_line("SIGBUS at 0x")
            run.stop()
        report = run.report()
        assert report["wrong"] == 0
        base = report["processes"][0]["base"]
        assert MIB // 2 <= report["sigbus_address"] - base < MIB
        if sigbus == "count":
            # The half that is gone is also met by the last look at all pages.
            assert report["sigbus"] >= 128 and run.process.wait() == 0
        else:
            assert 1 <= report["sigbus"] <= 2 and run.process.wait() == 1


def test_client_reports_a_process_that_was_killed(world):
    """Goal: killed processes are told from failed ones. Method: SIGKILL for one of three."""
    run = Load(world, "/dev/zero", no_enclave=True, size="1M", seconds=60, processes=3)
    run.kill_process(1)
    run.stop()
    report = run.report()
    assert [process["signal"] for process in report["processes"]] == [0, 9, 0]
    assert [process["exit"] for process in report["processes"]] == [0, -1, 0]
    assert report["wrong"] == 0 and run.process.wait() == 1


@pytest.mark.parametrize("words", [["--size", "0"], ["--size", "1T"], ["--writes", "101"],
                                   ["--pattern", "zipf"], ["--pattern", "zipf:x"],
                                   ["--processes", "-1"], ["--sigbus", "maybe"], ["--what"], ["x"]])
def test_client_bad_use(world, words):
    """Goal: bad options do nothing. Method: exit code 2 and a word of help."""
    run = world.run([world.build / "tests/client/epcload", *words, "/dev/zero"])
    assert run.wait() == 2
    assert "--help" in run.stderr.text() and not run.stdout.text()
