# SPDX-License-Identifier: MIT
"""Runs jobs: some at the same time, each in a session of its own, with a log and a time limit.

Whatever a job starts ends with it. The runner is the reaper of orphans, so every descendant can be
found; nothing else is ever signalled. What a job mounts below its TMPDIR is unmounted.
What a job's commands mean, and how their output is read, is not known here.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.05
PROGRESS_S = 30
KILL_ROUNDS = 200
PREFIX = "epcd-check-"


def become_reaper():
    """The call's effect is not inherited by children, so each job's process calls it again."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Job:
    """commands: lists of arguments, run one after another until one fails. needs: names of jobs that
    must have ended well. slots: how many processors it keeps busy."""

    def __init__(self, name, commands, needs=(), slots=1, timeout_s=300, env=None):
        self.name, self.commands, self.needs, self.slots = name, commands, needs, slots
        self.timeout_s, self.env = timeout_s, env or {}
        self.process, self.exit_code, self.notes = None, None, []
        self.next_command, self.began, self.took_s = 0, 0.0, 0.0

    @property
    def is_good(self):
        return self.exit_code == 0 and not self.notes


def parents():
    """pid -> parent's pid, of all processes that can be seen."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    found[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def descendants(root, without=()):
    """All below root, but not what is in without nor below it."""
    children = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, queue = [], [root]
    while queue:
        for pid in children.get(queue.pop(), []):
            if pid not in without:
                found.append(pid)
                queue.append(pid)
    return found


def describe(pid):
    """The command of a process and the test that pytest was in when it was started."""
    def read(name):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    command = read("cmdline").replace("\0", " ").strip()[:120] or read("comm").strip()
    test = [part[20:] for part in read("environ").split("\0") if part.startswith("PYTEST_CURRENT_TEST=")]
    return f"{command} (pid {pid}{', started by ' + test[0] if test else ''})"


class Runner:
    def __init__(self, logs, slots, say):
        self.logs, self.slots, self.say = logs, slots, say
        self.running, self.done = [], []
        self.remove_leftovers()
        self.tmp = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
        os.chmod(self.tmp, 0o755)
        become_reaper()

    def run(self, jobs):
        """Yields each job as it ends; those whose needs failed come with exit_code None."""
        waiting = list(jobs)
        try:
            while waiting or self.running:
                self.start_what_fits(waiting)
                yield from self.end_what_cannot(waiting)
                ended = [job for job in self.running if self.poll(job)]
                for job in ended:
                    self.running.remove(job)
                    self.done.append(job)
                    yield job
                if not ended and self.running:
                    time.sleep(POLL_S)
        finally:
            for job in self.running:
                self.kill(job)
            self.sweep(None)
            shutil.rmtree(self.tmp, ignore_errors=True)

    def start_what_fits(self, waiting):
        good = {job.name for job in self.done if job.is_good}
        for job in list(waiting):
            free = self.slots - sum(other.slots for other in self.running)
            if set(job.needs) <= good and (job.slots <= free or not self.running):
                waiting.remove(job)
                self.start(job)

    def end_what_cannot(self, waiting):
        known = {job.name for job in waiting} | {job.name for job in self.running}
        good = {job.name for job in self.done if job.is_good}
        for job in list(waiting):
            missing = [need for need in job.needs if need not in good and need not in known]
            if missing:
                job.notes.append(f"not run: it needs {', '.join(missing)}")
                waiting.remove(job)
                self.done.append(job)
                yield job

    def log_path(self, job):
        return os.path.join(self.logs, f"{job.name}.log")

    def start(self, job):
        job.began = job.told = time.monotonic()
        job.tmp = os.path.join(self.tmp, job.name)
        os.mkdir(job.tmp)
        job.log = open(self.log_path(job), "wb")
        self.running.append(job)
        self.start_next_command(job)

    def start_next_command(self, job):
        command = job.commands[job.next_command]
        job.next_command += 1
        job.log.write(f"$ {' '.join(command)}\n".encode())
        job.log.flush()
        job.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=job.log, stderr=job.log,
                                       env={**os.environ, **job.env, "TMPDIR": job.tmp},
                                       start_new_session=True, preexec_fn=become_reaper)

    def poll(self, job):
        """Returns true if the job has ended."""
        now = time.monotonic()
        if now - job.began > job.timeout_s:
            job.notes.append(f"ended after {job.timeout_s} s, its time limit")
            self.kill(job)
        elif job.process.poll() is None:
            if now - job.told > PROGRESS_S:
                job.told = now
                self.say(f"{job.name}: running for {now - job.began:.0f} s: {self.last_line(job)}")
            return False
        elif job.process.returncode == 0 and job.next_command < len(job.commands):
            self.start_next_command(job)
            return False
        job.exit_code = job.process.wait()
        job.took_s = now - job.began
        job.log.close()
        self.sweep(job)
        return True

    def last_line(self, job):
        with open(self.log_path(job), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4000))
            lines = file.read().decode(errors="replace").strip().split("\n")
        return lines[-1][:120]

    def kill(self, job):
        """Ends the job and all below it, however many sessions they made. A process in the kernel's
        hands may need its FUSE mount to end first."""
        below = descendants(job.process.pid)
        job.notes += [f"was running: {describe(pid)}" for pid in below]
        self.unmount(job.tmp)
        for _ in range(KILL_ROUNDS):
            alive = descendants(job.process.pid)
            for pid in alive + [job.process.pid]:
                self.signal(pid)
            if not alive and job.process.poll() is not None:
                return
            time.sleep(POLL_S)
        job.notes.append("could not be ended")

    @staticmethod
    def signal(pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def sweep(self, job):
        """Ends orphans that a job has left and tells of them; removes its mounts and files."""
        jobs = {other.process.pid for other in self.running if other is not job}
        for _ in range(KILL_ROUNDS):
            left = descendants(os.getpid(), without=jobs)
            for pid in left:
                if job is not None and not self.is_dead(pid):
                    job.notes.append(f"left a process: {describe(pid)}")
                self.signal(pid)
            if not left:
                break
            for pid in left:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            time.sleep(POLL_S)
        if job is not None:
            job.notes += [f"left a mount: {path}" for path in self.unmount(job.tmp)]
            shutil.rmtree(job.tmp, ignore_errors=True)

    @staticmethod
    def is_dead(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                return file.read().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            return True

    @classmethod
    def remove_leftovers(cls):
        """Removes what a runner has left that was killed: its files, and mounts in them."""
        folder = tempfile.gettempdir()
        for name in os.listdir(folder):
            pid = name.removeprefix(PREFIX).partition("-")[0]
            if name.startswith(PREFIX) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
                cls.unmount(os.path.join(folder, name))
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)

    @staticmethod
    def unmount(folder):
        """Unmounts what is mounted below folder, by force: a FUSE connection is aborted by it."""
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            points = [line.split()[4].encode().decode("unicode_escape") for line in file]
        points = [point for point in points if point.startswith(folder + "/")]
        for point in sorted(points, reverse=True):
            subprocess.run(["umount", "-f", "-l", point], capture_output=True, check=False)
        return points
