# SPDX-License-Identifier: MIT
"""The file metrics is OpenMetrics text, and says what the other files say."""
import re

from harness.enclave import PAGE, Enclave

SAMPLE = re.compile(r'([a-z][a-z0-9_]*)(?:\{([a-z]+)="((?:[^"\\\n]|\\["\\n])*)"\})? (\d+)')
DIRECTIVE = re.compile(r"# (TYPE|UNIT|HELP) ([a-z0-9_]+) (.+)")


def parsed(text):
    """Samples by name and label; every rule of the format that is used here is checked."""
    assert text.endswith("# EOF\n")
    lines = text.splitlines()[:-1]
    families, samples, current = {}, {}, None
    for line in lines:
        directive = DIRECTIVE.fullmatch(line)
        if directive:
            kind, name, value = directive.groups()
            if kind == "TYPE":
                assert name not in families, f"{name} comes in two pieces"
                families[name] = value
                current = name
            assert name == current, line
            assert kind != "UNIT" or name.endswith("_" + value)
            continue
        sample = SAMPLE.fullmatch(line)
        assert sample, line
        name, _, label, value = sample.groups()
        suffix = "_total" if families[current] == "counter" else ""
        assert families[current] in ("counter", "gauge") and name == current + suffix, line
        assert (name, label) not in samples, line
        samples[name, label] = int(value)
    return samples


def test_figures(epcd, cgroup, client):
    """Goal: figures are right, of the whole and of cgroups. Method: a VM and an enclave that pages."""
    daemon = epcd("--epc", "1M@0")
    group = cgroup('od"d')
    daemon.set_max(group, 4 * PAGE)
    user = client(daemon, group)
    user.map(0, 16)
    user.do("write 0 0 2 1")
    assert user.command("write 0 3 8 1").startswith("sigbus")
    mine = Enclave(daemon.enclave).build(240)
    for page in range(240):
        mine.pread(page * PAGE)
    samples = parsed((daemon.run_dir / "metrics").read_text())
    status = daemon.status()
    for name in ("faults", "evictions", "loads", "soft_faults", "refusals", "refaults"):
        assert samples[f"epcd_{name}_total", None] == status["counters"][name], name
    assert samples["epcd_epc_bytes", None] == 1 << 20
    assert samples["epcd_epc_free_bytes", None] == status["epc"]["free_bytes"]
    assert samples["epcd_swap_bytes", None] == 4 << 20
    assert samples["epcd_swap_used_bytes", None] == status["swap"]["used_bytes"] > 0
    assert samples["epcd_instances", None] == 2 and samples["epcd_secs_pages", None] == 1
    label = group.name.replace('"', '\\"')
    assert samples["epcd_cgroup_usage_bytes", label] == 4 * PAGE
    assert samples["epcd_cgroup_max_bytes", label] == 4 * PAGE
    assert samples["epcd_cgroup_refusals_total", label] == 1
    assert samples["epcd_cgroup_usage_bytes", "/"] == status["epc"]["used_bytes"]
    assert ("epcd_cgroup_max_bytes", "/") not in samples
    mine.close()


def test_ls_of_an_enclave(epcd, world):
    """Goal: epcctl shows enclaves, where their pages are. Method: one that pages, ls and status."""
    daemon = epcd("--epc", "1M@0")
    mine = Enclave(daemon.enclave).build(254)
    for page in range(254):
        mine.pread(page * PAGE)
    ls = world.run([world.build / "src/ctl/epcctl", "--run-dir", daemon.run_dir, "ls"])
    assert ls.wait() == 0
    _, row, line = ls.stdout.lines()
    assert row.split()[-1] == "enclave" and "  -  " in row
    assert line.startswith(f"  enclave of 1 MiB at {mine.base:#x}, initialised: ")
    info, = daemon.instances()
    assert f"{info['counters']['loads']} loads" in line and "0 pages lost" in line
    status = world.run([world.build / "src/ctl/epcctl", "--run-dir", daemon.run_dir, "status"])
    assert status.wait() == 0
    assert f"{info['counters']['loads']} loads" in status.stdout.text()
    mine.close()
