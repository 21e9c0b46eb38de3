# SPDX-License-Identifier: MIT
"""Fixtures: a world for each test, and short names for what it makes.

EPCD_BUILD names the build directory; without it, build/release of this tree.
"""
import os
import resource
from pathlib import Path

import pytest

from harness.world import World

TREE = Path(__file__).resolve().parents[2]
LIMIT_S = 150.0


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): how long the test may take at most")
    config.addinivalue_line("markers", "no_tsan: not run with the daemon under ThreadSanitizer")
    # Clients that die of SIGBUS are part of the tests; their memory is of no use to anybody.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


@pytest.fixture(scope="session")
def build():
    path = Path(os.environ.get("EPCD_BUILD") or TREE / "build" / "release").resolve()
    assert (path / "src/front/epcd").exists(), f"no epcd in {path}: build first, or set EPCD_BUILD"
    return path


@pytest.fixture
def world(build, request):
    marker = request.node.get_closest_marker("limit")
    this = World(build, marker.args[0] if marker else LIMIT_S)
    yield this
    problems = this.close()
    if problems:
        pytest.fail("at the end of the test:\n" + "\n".join(problems), pytrace=False)


@pytest.fixture
def epcd(world):
    """epcd("--epc", "8M@0", ...): a daemon that is ready."""
    return world.epcd


@pytest.fixture
def cgroup(world):
    """cgroup("name"): a cgroup of the test's own."""
    return world.cgroup


@pytest.fixture
def client(world):
    """client(daemon, cgroup): tests/client/vepc."""
    return world.client


@pytest.fixture
def vm(world):
    """vm(daemon, [(bytes, node), ...], cgroup=..., prealloc=..., ...): a VM, its guest ready."""
    return world.vm
