# SPDX-License-Identifier: MIT
"""Debian's QEMU with tests/guest in it: started, commanded by serial line and by QMP.

With enclaves=True somebody executes ENCLS for the guest: tests/client/relay, at its second port.
"""
import json
import os
import socket
import struct
import time
from pathlib import Path

from .process import Process
from .wait import TIMEOUT_S, Timeout, wait_readable

QEMU = "qemu-system-x86_64"
MIB = 1 << 20


class Ended(AssertionError):
    """The VM has gone while something was wanted of it."""


class Line:
    """One end of a socket on which the VM and the test exchange lines.

    The test listens and QEMU connects, so that nothing is lost and nothing need be waited for
    but the connection.
    """

    def __init__(self, path):
        self.path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._socket = None
        self._bytes = b""

    def accept(self, vm, timeout=TIMEOUT_S):
        ready = wait_readable([self._listener, vm.process.pidfd], timeout, "connection of the VM")
        if self._listener.fileno() not in ready:
            raise Ended(f"QEMU ended with {vm.process.wait()}: {vm.process.stderr.text()}")
        self._socket, _ = self._listener.accept()

    def send(self, line):
        self._socket.sendall(line.encode() + b"\n")

    def receive(self, timeout=TIMEOUT_S):
        """The next line; Ended when there will be none."""
        end = time.monotonic() + timeout
        while b"\n" not in self._bytes:
            wait_readable([self._socket], max(0, end - time.monotonic()), "line of the VM")
            try:
                part = self._socket.recv(65536)
            except ConnectionResetError:
                part = b""
            if not part:
                raise Ended("the VM closed the line")
            self._bytes += part
        line, _, self._bytes = self._bytes.partition(b"\n")
        return line.decode(errors="backslashreplace").rstrip("\r")

    def close(self):
        self._listener.close()
        if self._socket:
            self._socket.close()
        Path(self.path).unlink(missing_ok=True)


class Qmp:
    """The monitor, in its JSON."""

    def __init__(self, line):
        self._line = line
        self.events = []

    def start(self, timeout=TIMEOUT_S):
        greeting = json.loads(self._line.receive(timeout))
        assert "QMP" in greeting, greeting
        self.execute("qmp_capabilities", timeout=timeout)

    def send(self, name, **arguments):
        self._line.send(json.dumps({"execute": name, "arguments": arguments}))

    def execute(self, name, timeout=TIMEOUT_S, **arguments):
        self.send(name, **arguments)
        while True:
            message = json.loads(self._line.receive(timeout))
            if "event" in message:
                self.events.append(message)
            elif "return" in message:
                return message["return"]
            else:
                raise AssertionError(f"{name}: {message['error']}")

    def wait_event(self, name, timeout=TIMEOUT_S):
        """The first event of that name that was not waited for yet."""
        end = time.monotonic() + timeout
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name:
                    del self.events[: index + 1]
                    return event
            message = json.loads(self._line.receive(max(0, end - time.monotonic())))
            if "event" in message:
                self.events.append(message)


def refused_inside(daemon, machine):
    """The records of refusals of pages that the VM's sections have.

    Reading ahead past a section's end is refused without a record as long as it asks for several
    pages. Where the kernel lacks a single page between others that it failed to read before, it
    asks for that page alone, and nobody can tell that from a fault.
    The sections must have been touched first in their order.
    """
    ids = [record["instance"] for record in daemon.history("started")
           if record["pid"] == machine.pid]
    size_of = dict(zip(ids, (size for size, _ in machine.sections)))
    return [record for record in daemon.history("refused")
            if record["offset"] < size_of.get(record["instance"], 0)]


class Vm:
    """sections: a list of (bytes, node). numa: give the guest one NUMA node for each node named.

    prefix: the command that QEMU is an argument of, which puts /dev/sgx_vepc in its place. If it
    does not end as exec, pid is not QEMU's.
    launch() starts QEMU; boot() waits until the guest is ready and tells it where its EPC is.
    bases: the guest physical address of each section, from boot() on.
    """

    def __init__(self, build, prefix, sections, directory, cgroup=None, prealloc=False, smp=1,
                 numa=False, enclaves=False, options=()):
        self.build = build
        self.prefix = prefix
        self.sections = sections
        self.cgroup = cgroup
        self.directory = directory
        self.prealloc = prealloc
        self.smp = smp
        self.numa = numa
        self.enclaves = enclaves
        self.options = options
        self.process = None
        self.relay = None
        self.bases = []
        self._serial = Line(directory / "serial")
        self._monitor = Line(directory / "qmp")
        self._relay_path = directory / "relay"
        self.qmp = Qmp(self._monitor)

    def _arguments(self):
        machine = "q35"
        arguments = []
        for index, (size, node) in enumerate(self.sections):
            machine += f",sgx-epc.{index}.memdev=e{index},sgx-epc.{index}.node={node}"
            arguments += ["-object", f"memory-backend-epc,id=e{index},size={size}"
                          + (",prealloc=on" if self.prealloc else "")]
        if self.numa:
            nodes = sorted({node for _, node in self.sections})
            for node in nodes:
                arguments += ["-object", f"memory-backend-ram,id=r{node},size=64M",
                              "-numa", f"node,nodeid={node},memdev=r{node},cpus={node}"]
        ram = 64 * len({node for _, node in self.sections}) if self.numa else 128
        # QEMU listens there: the relay is started when the guest's addresses are known.
        relay = (["-chardev", f"socket,id=relay,path={self._relay_path},server=on,wait=off",
                  "-serial", "chardev:relay"] if self.enclaves else [])
        return ["-accel", "tcg", "-nodefaults", "-display", "none", "-m", f"{ram}",
                "-smp", f"{self.smp}", *arguments, "-M", machine,
                "-kernel", self.build / "tests/guest/guest.elf",
                "-chardev", f"socket,id=serial,path={self._serial.path}", "-serial", "chardev:serial",
                *relay,
                "-chardev", f"socket,id=qmp,path={self._monitor.path}",
                "-mon", "chardev=qmp,mode=control", *self.options]

    def launch(self):
        self.process = Process([*self.prefix, QEMU, *self._arguments()], cgroup=self.cgroup,
                               cwd=self.directory)
        return self

    def boot(self, timeout=TIMEOUT_S):
        self._serial.accept(self, timeout)
        self._monitor.accept(self, timeout)
        try:
            self.qmp.start(timeout)
            self.wait_guest(timeout)
        except Ended:
            raise Ended(f"QEMU ended with {self.process.wait()}: "
                        f"{self.process.stderr.text()}") from None
        if self.enclaves:
            self._relay_start(timeout)
        return self

    def _relay_start(self, timeout):
        places = [word for base, (size, _) in zip(self.bases, self.sections)
                  for word in (base, size)]
        # In QEMU's cgroup: pages that a leaf makes are charged there.
        self.relay = Process([self.build / "tests/client/relay", self.pid, self._relay_path,
                              *places], cgroup=self.cgroup, cwd=self.directory)
        if self.relay.stdout.wait_line("relay: ready", timeout) is None:
            raise Ended(f"the relay ended with {self.relay.wait()}: {self.relay.stderr.text()}")

    def wait_guest(self, timeout=TIMEOUT_S):
        """Waits for the guest's first line and tells it its sections."""
        line = self._serial.receive(timeout)
        assert line == "guest: ready", line
        devices = [device["data"] for device in self.qmp.execute("query-memory-devices", timeout)
                   if device["type"] == "sgx-epc"]
        devices.sort(key=lambda device: device["memaddr"])
        assert [device["size"] for device in devices] == [size for size, _ in self.sections]
        self.bases = [device["memaddr"] for device in devices]
        for index, device in enumerate(devices):
            answer = self.command(f"map {index} {device['memaddr']} {device['size']}")
            assert answer.startswith(f"mapped {index}: {device['size'] // 4096} pages"), answer

    @property
    def pid(self):
        return self.process.pid

    def nr_pages(self, section):
        return self.sections[section][0] // 4096

    def send(self, command):
        self._serial.send(command)

    def receive(self, timeout=TIMEOUT_S):
        return self._serial.receive(timeout)

    def command(self, command, timeout=TIMEOUT_S):
        """A command to the guest; its answer. Ended when the VM dies of it."""
        self.send(command)
        return self.receive(timeout)

    def write(self, section, first, last, seed=1):
        self._do(f"write {section} {first} {last} {seed}",
                 f"wrote {section} {first} {last} {seed}")

    def verify(self, section, first, last, seed=1):
        self._do(f"verify {section} {first} {last} {seed}",
                 f"verified {section} {first} {last} {seed}")

    def zero(self, section, first, last):
        self._do(f"zero {section} {first} {last}", f"clean {section} {first} {last}")

    def touch(self, section, first, last):
        self._do(f"touch {section} {first} {last}", f"touched {section} {first} {last}")

    # Enclaves; see tests/guest/main.c.

    def address(self, section, page):
        """The guest physical address of a page."""
        return self.bases[section] + page * 4096

    def build_enclave(self, number, secs_section, secs_page, section, first, count):
        words = f"{number} {secs_section} {secs_page} {section} {first} {count}"
        self._do(f"enclave {words}", f"built {words}")

    def remove_enclave(self, number):
        self._do(f"remove {number}", f"removed {number}")

    def leaf(self, instruction, leaf, rbx=0, rcx=0, rdx=0):
        """RAX after it: a code or a fault, see tests/guest/leaf.h; and RBX, ZF, CF."""
        words = self.command(f"leaf {instruction} {leaf} {rbx} {rcx} {rdx}").split()
        assert words[0] == "leaf", words
        return int(words[1], 16), int(words[2], 16), int(words[4]), int(words[6])

    def poke(self, address, data):
        """Writes bytes, filled up with zeros, to the guest's memory."""
        data = data.ljust(-(-len(data) // 32) * 32, b"\0")
        for offset in range(0, len(data), 32):
            words = " ".join(map(str, struct.unpack_from("<4Q", data, offset)))
            self._do(f"poke {address + offset} {words}", f"poked {address + offset} {words}")

    def peek(self, address):
        words = self.command(f"peek {address}").split()
        assert words[0] == "peeked", words
        return int(words[2], 16)

    def _do(self, command, wanted):
        answer = self.command(command)
        assert answer == wanted, f"{command!r}: {answer!r}"

    def reset(self, timeout=TIMEOUT_S):
        """system_reset, until the guest is there again."""
        self.qmp.execute("system_reset", timeout)
        self.wait_guest(timeout)

    def quit(self, timeout=TIMEOUT_S):
        """QMP's quit; QEMU's exit code."""
        self.qmp.send("quit")
        return self.process.wait(timeout)

    def kill(self, timeout=TIMEOUT_S):
        """SIGKILL; QEMU's exit code."""
        return self.process.kill(timeout)

    def wait(self, timeout=TIMEOUT_S):
        return self.process.wait(timeout)

    def close(self):
        self._serial.close()
        self._monitor.close()
        self._relay_path.unlink(missing_ok=True)
