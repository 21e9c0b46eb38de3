# SPDX-License-Identifier: MIT
"""Enclaves larger than the EPC: pages leave it, sealed, and come back right, or are lost alone."""
import ctypes
import os
import random

import pytest

from harness.enclave import LIBC, PAGE, Enclave, contents, is_eio, read_at, write_at
from harness.wait import eventually

MIB = 1 << 20
MNT_DETACH = 2
NR_PAGES = 1024  # four times an EPC of 1 MiB


@pytest.fixture
def enclave():
    """enclave(daemon, ...): one that is open."""
    made = []

    def new(daemon, **options):
        made.append(Enclave(daemon.enclave, size=16 * MIB, **options))
        return made[-1]
    yield new
    for each in made:
        each.close()


def all_free(daemon):
    daemon.wait_all_free()
    eventually(lambda: daemon.status()["swap"]["resident_bytes"] == 0)
    assert daemon.status()["swap"]["used_bytes"] == 0


def done(enclave):
    enclave.unmap()
    enclave.close()


def checked(memory, nr_pages=NR_PAGES, plus=0, seed=None):
    order = list(range(nr_pages))
    if seed is not None:
        random.Random(seed).shuffle(order)
    for page in order:
        assert read_at(memory + page * PAGE) == contents(page + plus), page


def losers(enclave, nr_pages=NR_PAGES):
    """Pages that do not come back; those that do are right."""
    lost = []
    for page in range(nr_pages):
        try:
            assert enclave.pread(page * PAGE) == contents(page), page
        except OSError:
            lost.append(page)
    return lost


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_four_times_the_epc(epcd, world, kind):
    """Goal: every page comes back right. Method: read, write, read at random, twice the rounds."""
    options = ["--swap", world.directory / "swap"] if kind == "file" else []
    daemon = epcd("--epc", "1M@0", *options)
    mine = Enclave(daemon.enclave, size=16 * MIB).build(NR_PAGES)
    memory = mine.map()
    checked(memory)
    for page in range(NR_PAGES):
        write_at(memory + page * PAGE, contents(page + NR_PAGES))
    checked(memory, plus=NR_PAGES, seed=1)
    swap = daemon.status()["swap"]
    assert swap["kind"] == kind and swap["total_bytes"] == 4 * MIB
    assert swap["used_bytes"] >= 3 * MIB
    assert mine.pread(2000 * PAGE) == bytes(PAGE), "a new one comes to be, too"
    done(mine)
    all_free(daemon)


def test_swap_of_nothing(epcd, enclave):
    """Goal: without swap nothing leaves, and the EPC's end is an errno. Method: --swap-max 0."""
    daemon = epcd("--epc", "1M@0", "--swap-max", "0")
    mine = enclave(daemon)
    assert mine.create() == 0
    data = b"".join(contents(page) for page in range(NR_PAGES))
    assert mine.add(0, data) == 12, "ENOMEM"
    # SECS and a VA page are the EPC's, too.
    assert mine.count == MIB - 2 * PAGE
    assert mine.pread(mine.count - PAGE) == contents(mine.count // PAGE - 1)
    assert daemon.status()["counters"]["evictions"] == 0
    refused, = daemon.history("refused")
    assert refused["text"].startswith(f"process {os.getpid()} (")


@pytest.fixture
def small(tmp_path):
    """A file system of 1 MiB."""
    if LIBC.mount(b"tmpfs", os.fsencode(tmp_path), b"tmpfs", 0, b"size=1m"):
        pytest.fail(os.strerror(ctypes.get_errno()))
    yield tmp_path
    LIBC.umount2(os.fsencode(tmp_path), MNT_DETACH)


def test_swap_file_that_is_full(epcd, small, enclave):
    """Goal: what cannot be written stays in the EPC, the rest is refused, nothing is lost.

    Method: a file that cannot grow; all that the EPC and the file hold, then a small enclave.
    """
    daemon = epcd("--epc", "1M@0", "--swap", small / "swap", "--swap-max", "16M")
    mine = Enclave(daemon.enclave, size=16 * MIB)
    assert mine.create() == 0
    data = b"".join(contents(page) for page in range(NR_PAGES))
    assert mine.add(0, data) == 12
    assert MIB < mine.count < 2 * MIB
    refused = len(losers(mine, mine.count // PAGE))
    assert refused < mine.count // PAGE
    assert daemon.history("page-lost") == []
    assert len(daemon.history("refused")) >= 1
    mine.close()
    all_free(daemon)
    assert losers(enclave(daemon).build(400), 400) == []


def slots_of(file):
    """Offsets in the file at which there is a page."""
    with open(file, "rb") as swap:
        data = swap.read()
    return [at for at in range(PAGE, len(data) - PAGE + 1, PAGE) if data[at:at + PAGE].strip(b"\0")]


def test_swap_file_that_is_altered(epcd, world, enclave):
    """Goal: the page of one enclave is lost, in words; nothing else. Method: flip bits of a slot."""
    file = world.directory / "swap"
    daemon = epcd("--epc", "1M@0", "--swap", file)
    mine, other = enclave(daemon).build(NR_PAGES - 500), enclave(daemon).build(500)
    assert losers(other, 500) == []  # mine is out, most of it
    for at in random.Random(2).sample(slots_of(file), 5):
        with open(file, "r+b") as swap:
            swap.seek(at + 100)
            byte = swap.read(1)[0]
            swap.seek(at + 100)
            swap.write(bytes([byte ^ 1]))
    lost = losers(mine, NR_PAGES - 500), losers(other, 500)
    # A slot may have been of no use any more, and clean ones may be in the page cache.
    assert 1 <= len(lost[0]) + len(lost[1]) <= 5, lost
    records = daemon.history("page-lost")
    assert [len(each) for each in lost] == [
        sum(record["instance"] == instance for record in records) for instance in (1, 2)]
    assert sum(info["counters"]["lost"] for info in daemon.instances()) == len(records)
    assert sorted(lost[0]) == sorted(
        (record["address"] - mine.base) // PAGE for record in records if record["instance"] == 1)
    assert lost == (losers(mine, NR_PAGES - 500), losers(other, 500)), "lost for good, never new"
    assert len(daemon.history("page-lost")) == len(records), "told of once"
    if lost[0]:
        assert mine.restrict(lost[0][0] * PAGE, PAGE, 1) == 14, "EFAULT"


def test_swap_file_that_is_cut(epcd, world, enclave):
    """Goal: no crash, whatever is not there is lost. Method: truncate the file under the daemon."""
    file = world.directory / "swap"
    daemon = epcd("--epc", "1M@0", "--swap", file)
    mine = Enclave(daemon.enclave, size=16 * MIB).build(NR_PAGES)
    os.truncate(file, 0)
    lost = losers(mine)
    assert NR_PAGES // 2 < len(lost) < NR_PAGES
    assert len(daemon.history("page-lost")) == len(lost)
    assert all(is_eio(mine.pread, page * PAGE) for page in lost[:10])
    mine.close()
    all_free(daemon)
    again = enclave(daemon).build(NR_PAGES)
    assert losers(again) == []


def test_swap_files(epcd, world):
    """Goal: nobody's file is overwritten. Method: one with something in it, one in use, a directory."""
    theirs = world.directory / "theirs"
    theirs.write_bytes(b"precious")
    for path in (theirs, world.directory, world.directory / "no/such"):
        process = world.run([world.build / "src/front/epcd", "--swap", path, "--run-dir",
                             world.directory / "other"], merged=True)
        assert process.wait() == 2
        assert f"--swap {path}:" in process.stdout.text()
    assert theirs.read_bytes() == b"precious"
    file = world.directory / "swap"
    daemon = epcd("--epc", "1M@0", "--swap", file)
    process = world.run([world.build / "src/front/epcd", "--swap", file, "--run-dir",
                         world.directory / "other"], merged=True)
    assert process.wait() == 2 and "in use" in process.stdout.text()
    Enclave(daemon.enclave, size=16 * MIB).build(NR_PAGES).close()
    daemon.kill()
    assert file.stat().st_size > 0
    daemon = epcd("--epc", "1M@0", "--swap", file)
    assert daemon.stop() == []
    assert file.stat().st_size == 0
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("options", [["--swap-max", "x"], ["--swap-max", "-1"], ["--swap", ""],
                                     ["--swap-max", "16384G"], ["--swap-max"]])
def test_bad_options(world, options):
    """Goal: exit 2 and a line that helps. Method: values that are none."""
    process = world.run([world.build / "src/front/epcd", *options], merged=True)
    assert process.wait() == 2
    assert options[0] in process.stdout.text()
