# SPDX-License-Identifier: ISC
"""Network namespaces and the processes in them.

A namespace is held by a descriptor of this process and has no name, and every
child gets SIGKILL when this process dies (of whatever): a lab cannot outlive
its owner.  Sockets are made in a namespace and used from anywhere, so servers,
clients and the tap of a lab are plain threads of one Python process.

    ns = Namespace("lan")
    ns.run("ip", "link", "set", "lo", "up")
    child = ns.start("tcpdump", "-n")
    listener = ns.socket(socket.AF_INET6, socket.SOCK_STREAM)
"""

import concurrent.futures
import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading

CLONE_NEWNET = 0x40000000
NETLINK_NETFILTER = 12
CTNETLINK_DELETE = 0x102  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
NLM_F_REQUEST, NLM_F_ACK = 1, 4
SIOCGIFFLAGS, SIOCSIFFLAGS = 0x8913, 0x8914
IFF_UP = 1
_libc = ctypes.CDLL(None, use_errno=True)

# PR_SET_PDEATHSIG counts from the death of the *thread* that forked: this one
# lives as long as the process.
_spawner = concurrent.futures.ThreadPoolExecutor(1, "spawner")


def _check(result):
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _current():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _new_namespace():
    home = _current()
    try:
        _check(_libc.unshare(CLONE_NEWNET))
        made = _current()
        _check(_libc.setns(home, CLONE_NEWNET))
        return made
    finally:
        os.close(home)


def is_ready(file, seconds, to_write=False):
    """Whether it can be read, or written, within that time.  A lab has more
    files open than select(2) can number."""
    poll = select.poll()
    poll.register(file, select.POLLOUT if to_write else select.POLLIN)
    return bool(poll.poll(max(seconds, 0) * 1000))


class Process:
    """A child that dies with this process.  Output goes where Popen says."""

    def __init__(self, popen, name):
        self.popen = popen
        self.name = name

    @property
    def pid(self):
        return self.popen.pid

    def stop(self, signal_first=None, timeout=10):
        """Ends it, politely where a signal is given, and waits for it."""
        if self.popen.poll() is None and signal_first is not None:
            self.popen.send_signal(signal_first)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(timeout)
        if self.popen.poll() is None:
            self.popen.kill()
        return self.popen.wait()


class Namespace:
    """A network namespace with its loopback up."""

    def __init__(self, name):
        self.name = name
        self.fd = _spawner.submit(_new_namespace).result()
        self.set_up("lo")

    @property
    def path(self):
        """Names it for `ip link set ... netns` and `nsenter --net=`."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace meanwhile."""
        before = _current()
        try:
            _check(_libc.setns(self.fd, CLONE_NEWNET))
            yield
        finally:
            _check(_libc.setns(before, CLONE_NEWNET))
            os.close(before)

    def socket(self, *arguments):
        with self.entered():
            return socket.socket(*arguments)

    def start(self, *arguments, **options):
        """Starts a program; options are Popen's."""
        def spawn():
            with self.entered():
                return subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", "--",
                     *map(str, arguments)], **options)

        options.setdefault("stdin", subprocess.DEVNULL)
        return Process(_spawner.submit(spawn).result(), str(arguments[0]))

    def run(self, *arguments, check=True, stdin=None, timeout=60, **options):
        """Runs a program to its end; the result has text stdout, stderr."""
        process = self.start(
            *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=not isinstance(stdin, (bytes, bytearray)), **options)
        try:
            out, err = process.popen.communicate(stdin, timeout)
        finally:
            process.stop()
        status = process.popen.returncode
        if check and status != 0:
            raise RuntimeError(f"{self.name}: {' '.join(map(str, arguments))}"
                               f": status {status}: {err or out}")
        return subprocess.CompletedProcess(arguments, status, out, err)

    def ip(self, *commands):
        """Runs commands of ip(8), each a text, in one go."""
        self.run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")

    def set_up(self, interface):
        """Where it is done often, a program each time would be slow."""
        with self.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
            request = struct.pack("16sH22x", interface.encode(), 0)
            name, flags = struct.unpack(
                "16sH22x", fcntl.ioctl(kernel, SIOCGIFFLAGS, request))
            fcntl.ioctl(kernel, SIOCSIFFLAGS,
                        struct.pack("16sH22x", name, flags | IFF_UP))

    def write(self, path, text):
        """Sets a file below /proc/sys/net of this namespace."""
        with self.entered(), open(path, "w", encoding="ascii") as file:
            file.write(text)

    def flush_conntrack(self):
        """The kernel forgets every connection it tracks here."""
        message = struct.pack(
            "=IHHIIBBH", 20, CTNETLINK_DELETE, NLM_F_REQUEST | NLM_F_ACK, 1,
            0, socket.AF_UNSPEC, 0, 0)
        with self.socket(socket.AF_NETLINK, socket.SOCK_RAW,
                         NETLINK_NETFILTER) as kernel:
            kernel.send(message)
            code, = struct.unpack_from("=i", kernel.recv(4096), 16)
        if code != 0:
            raise OSError(-code, os.strerror(-code))

    def close(self):
        """Lets go of it: it ends with its last process and socket."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


def link(one, one_name, other, other_name):
    """A cable (veth) between two namespaces."""
    one.run("ip", "link", "add", one_name, "type", "veth",
            "peer", "name", other_name, "netns", other.path)
    one.set_up(one_name)
    other.set_up(other_name)


class Lines:
    """Lines of text as they come, to be awaited: a log."""

    def __init__(self):
        self.lines = []
        self._more = threading.Condition()

    def add(self, line):
        with self._more:
            self.lines.append(line)
            self._more.notify_all()

    def follow(self, stream):
        """Reads a binary stream to its end in a thread of its own."""
        def read():
            with stream:
                for line in stream:
                    self.add(line.decode("utf-8", "replace").rstrip("\n"))

        threading.Thread(target=read, daemon=True).start()
        return self

    def mark(self):
        """A place in the log, for wait's `since`."""
        return len(self.lines)

    def matching(self, pattern, since=0):
        """Every match of a compiled pattern, in order."""
        found = map(pattern.search, list(self.lines[since:]))
        return [match for match in found if match]

    def wait(self, pattern, timeout=30, since=0, count=1):
        """The count-th match of a compiled pattern; TimeoutError without."""
        found = []

        def ready():
            found[:] = self.matching(pattern, since)
            return len(found) >= count

        with self._more:
            if not self._more.wait_for(ready, timeout):
                raise TimeoutError(
                    f"no line like {pattern.pattern!r} in {timeout} s; last:\n"
                    + "\n".join(self.lines[-20:]))
        return found[count - 1]
