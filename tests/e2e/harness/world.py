# SPDX-License-Identifier: MIT
"""All that one test has made: a directory, cgroups, daemons, clients, VMs; and its end."""
import itertools
import os
import shutil
import tempfile
import threading
from pathlib import Path

from .cgroup import Cgroup, cgroup2_mount, name_of_own, own_cgroup, remove_leftovers
from .client import Client
from .daemon import Daemon, mount_end, mounts_below
from .process import Process
from .vm import Vm
from .wait import TIMEOUT_S, Timeout

ORPHAN_TIMEOUT_S = 10.0
TMP_LENGTH_MAX = 48  # a socket's path has room for 107 bytes
NUMBERS = itertools.count(1)


class World:
    """Makes things and, in close(), says which of them did not go as they must.

    limit_s: after so long everything is killed and all mounts are aborted, so that a test that
    hangs in the kernel comes back and fails.
    """

    def __init__(self, build, limit_s):
        self.build = Path(build)
        # In TMPDIR tools/check finds what a killed test has left mounted.
        parent = tempfile.gettempdir()
        self.directory = Path(tempfile.mkdtemp(
            prefix="epcd-e2e-", dir=parent if len(parent) <= TMP_LENGTH_MAX else "/tmp"))
        self.daemons = []
        self.processes = []
        self.vms = []
        self._top = None
        self._names = itertools.count(1)
        self._lock = threading.Lock()
        self.is_out_of_time = False
        self._limit_s = limit_s
        self._timer = threading.Timer(limit_s, self._abort)
        self._timer.daemon = True
        self._timer.start()

    def _abort(self):
        self.is_out_of_time = True
        for point in mounts_below(self.directory):
            mount_end(point)
        for process in list(self.processes):
            try:
                process.signal(9)
            except OSError:
                continue

    def top(self):
        """The test's own cgroup; the others are below it."""
        if self._top is None:
            mount = cgroup2_mount()
            assert mount, "there is no cgroup2 mount"
            remove_leftovers(own_cgroup(mount))
            self._top = Cgroup(own_cgroup(mount) / name_of_own(next(NUMBERS)), mount)
        return self._top

    def cgroup(self, name=None):
        return self.top().child(name or f"group{next(self._names)}")

    def _record(self, process):
        self.processes.append(process)
        return process

    def run(self, args, cgroup=None, merged=False, env=None):
        """Any other program, in its own cgroup or the test's."""
        return self._record(Process(args, cgroup=cgroup or self.top(), merged=merged, env=env,
                                    cwd=self.directory))

    def epcd(self, *options, run_dir=None, env=None):
        """A daemon that is ready."""
        run_dir = run_dir or self.directory / f"run{next(self._names)}"
        daemon = Daemon(self.build, run_dir, options, cgroup=self.top(), cwd=self.directory,
                        env=env)
        self.daemons.append(daemon)
        self._record(daemon.process)
        return daemon.wait_ready()

    def client(self, daemon, cgroup=None):
        client = Client(self.build, daemon, cgroup=cgroup or self.top(), cwd=self.directory)
        self._record(client.process)
        return client

    def vm(self, daemon, sections, boots=True, **options):
        """A VM whose guest is ready; boots=False: only started.

        Its EPC comes from daemon, or from what prefix (see harness.vm) starts.
        """
        prefix = options.pop("prefix", None) or [self.build / "tests/client/withdev",
                                                 daemon.run_dir, "--"]
        directory = self.directory / f"vm{next(self._names)}"
        directory.mkdir()
        options.setdefault("cgroup", self.top())
        vm = Vm(self.build, prefix, sections, directory, **options)
        self.vms.append(vm)
        vm.launch()
        self._record(vm.process)
        return vm.boot() if boots else vm

    # The end. Each step goes on whatever the step before it found.

    def close(self):
        """Ends everything; the list of what was wrong."""
        problems = []
        for step in (self._end_clients, self._end_daemons, self._end_cgroups, self._end_mounts,
                     self._end_files):
            try:
                step(problems)
            except Exception as error:  # a test's end must reach its last step
                problems.append(f"{step.__name__}: {error!r}")
        self._timer.cancel()
        if self.is_out_of_time:
            problems.append(f"the test took more than {self._limit_s:g} s and was ended")
        return problems

    def _end_clients(self, problems):
        daemons = [daemon.process for daemon in self.daemons]
        self.processes += [vm.relay for vm in self.vms if vm.relay]
        for process in self.processes:
            if process not in daemons and process.is_alive:
                try:
                    process.kill(TIMEOUT_S)
                except AssertionError as error:
                    problems.append(f"SIGKILL did not end a client: {error}")
        for vm in self.vms:
            vm.close()

    def _end_daemons(self, problems):
        for daemon in self.daemons:
            if not daemon.is_over and not daemon.process.is_alive:
                problems.append(f"epcd ended with {daemon.process.wait()}:\n"
                                + daemon.process.stdout.text())
                daemon.is_over = True
            if daemon.is_over:
                continue
            try:
                daemon.hold_unmaps(False)  # a test that failed has not come to that
            except OSError:
                pass  # without --debug there is no such file
            try:
                daemon.wait_all_free(TIMEOUT_S)
            except Exception as error:
                problems.append(str(error))
            try:
                problems += daemon.stop(TIMEOUT_S)
            except Exception as error:
                problems.append(f"epcd did not stop: {error}")
                daemon.kill()

    def _end_cgroups(self, problems):
        if self._top is None:
            return
        try:
            # A child of a killed client may be on its way out.
            self._top.wait_empty(ORPHAN_TIMEOUT_S)
        except Timeout:
            pids = self._top.pids()
            problems.append(f"processes are left: {[pid_describe(pid) for pid in pids]}")
            self._top.kill(TIMEOUT_S)
        self._top.remove()

    def _end_mounts(self, problems):
        for point in mounts_below(self.directory):
            problems.append(f"a mount is left: {point}")
            mount_end(point)

    def _end_files(self, problems):
        for process in self.processes:
            if not process.is_alive:
                process.close()
        for path in self.directory.iterdir():
            if path.name.startswith("run") and path.is_dir() and any(path.iterdir()):
                problems.append(f"files are left in {path}: {sorted(path.iterdir())}")
        shutil.rmtree(self.directory)


def pid_describe(pid):
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("latin-1")
    except OSError:
        command = "gone meanwhile"
    return f"{pid}: {command}"
