# SPDX-License-Identifier: ISC
"""Closed, whatever happens: clients that say all they have to say at once, by
every kind of packet, while postern runs, dies, hangs, reloads, is replaced,
runs out of things or out of time.  A watch on the wire looks at every byte,
not only at what looks like SMTP; and afterwards mail goes on without help."""

import collections
import contextlib
import os
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import pytest
from lab import Gateway
from lab.gateway import BUILD
from lab.netns import is_ready
from lab.smtp_client import Closed

SECRET = b"s3cret"
SAID = (b"EHLO x\r\nMAIL FROM:<s3cret@lan.example>\r\n"
        b"RCPT TO:<s3cret@x.example>\r\nDATA\r\ns3cret\r\n.\r\n")
MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
ETH_P_ALL, PACKET_STATISTICS, SOL_PACKET = 3, 6, 263
IPV6_DSTOPTS = 59
YEAR = 365 * 86400
WAITING = re.compile("accept: waiting")
LAB = os.path.join(os.path.dirname(__file__), "../lab")


class Watch:
    """Every frame of an interface that holds the secret in clear."""

    def __init__(self, ns, interface):
        self.socket = ns.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
        self.socket.bind((interface, 0))
        self.found = []

    def read(self):
        while is_ready(self.socket, 0.05):
            frame = self.socket.recv(65536)
            if SECRET in frame:
                self.found.append(frame)
        _packets, lost = struct.unpack("II", self.socket.getsockopt(
            SOL_PACKET, PACKET_STATISTICS, 8))
        assert lost == 0, "the watch lost frames: no verdict"
        return self.found

    def close(self):
        self.socket.close()


# Kinds of packets.

def say(ns, family, address, prepare=lambda _s: None):
    """How a connection ends on which all is said at once."""
    with ns.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(0.7)
        prepare(s)
        try:
            s.connect((address, 25))
            s.sendall(SAID)
            while s.recv(4096):
                pass
        except OSError as error:
            return type(error).__name__
        return "closed"


def with_extension(s):
    """Each packet bears an IPv6 destination options header."""
    s.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS,
                 b"\0\0" + b"\1\4" + bytes(4))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def segment(source, target, flags, data):
    """TCP, IPv4 or IPv6, from a port of chance; an even number of bytes."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    data += b"\n" * (len(data) & 1)
    head = struct.pack("!HHIIBBHHH", random.randrange(1024, 65536), 25,
                       random.getrandbits(32), random.getrandbits(32),
                       5 << 4, flags, 1000, 0, 0)
    pseudo = (socket.inet_pton(family, source)
              + socket.inet_pton(family, target)
              + struct.pack("!II", len(head) + len(data), 6))
    return (head[:16] + struct.pack("!H", checksum(pseudo + head + data))
            + head[18:] + data)


def blind4(lab, addresses):
    """Data of a connection that nobody knows."""
    with lab.client.socket(socket.AF_INET, socket.SOCK_RAW, 6) as s:
        for flags in (0x18, 0x10, 0x02, 0x0a, 0x00, 0x39):
            s.sendto(segment(lab.client_address(), addresses[0], flags, SAID),
                     (addresses[0], 0))
    return "sent"


def blind6(lab, addresses):
    with lab.client.socket(socket.AF_INET6, socket.SOCK_RAW, 6) as s:
        for flags in (0x18, 0x10, 0x02, 0x0a, 0x00, 0x39):
            s.sendto(segment(lab.client_address(True), addresses[1], flags,
                             SAID), (addresses[1], 0))
    return "sent"


def fragments4(lab, addresses):
    """The same in fragments, the header cut in two."""
    whole = segment(lab.client_address(), addresses[0],
                    random.choice((0x02, 0x18)), SAID)
    number = random.getrandbits(16)
    with lab.client.socket(socket.AF_INET, socket.SOCK_RAW, 255) as s:
        for at in range(0, len(whole), 16):
            piece = whole[at:at + 16]
            more = at + 16 < len(whole)
            s.sendto(struct.pack(
                "!BBHHHBBH4s4s", 0x45, 0, 20 + len(piece), number,
                more << 13 | at >> 3, 64, 6, 0,
                socket.inet_aton(lab.client_address()),
                socket.inet_aton(addresses[0])) + piece, (addresses[0], 0))
    return "sent"


def fragments6(lab, addresses):
    whole = segment(lab.client_address(True), addresses[1],
                    random.choice((0x02, 0x18)), SAID)
    number = random.getrandbits(32)
    with lab.client.socket(socket.AF_INET6, socket.SOCK_RAW, 44) as s:
        for at in range(0, len(whole), 16):
            more = at + 16 < len(whole)
            s.sendto(struct.pack("!BBHI", 6, 0, at | more, number)
                     + whole[at:at + 16], (addresses[1], 0))
    return "sent"


KINDS = {
    "ipv4": lambda lab, a: say(lab.client, socket.AF_INET, a[0]),
    "ipv6": lambda lab, a: say(lab.client, socket.AF_INET6, a[1]),
    "mapped": lambda lab, a: say(
        lab.client, socket.AF_INET6, f"::ffff:{a[0]}"),
    "extension": lambda lab, a: say(
        lab.client, socket.AF_INET6, a[1], with_extension),
    "blind4": blind4,
    "blind6": blind6,
    "fragments4": fragments4,
    "fragments6": fragments6,
}


class Attempts:
    """All kinds, again and again, a thread each."""

    PAUSE = 0.02

    def __init__(self, lab, addresses):
        self._lab, self._addresses = lab, addresses
        self.ends = {kind: collections.Counter() for kind in KINDS}
        self.errors = []
        self._stop = threading.Event()
        self._more = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, args=(lab, addresses, kind))
            for kind in KINDS]
        for thread in self._threads:
            thread.start()

    def _run(self, lab, addresses, kind):
        while not self._stop.wait(self.PAUSE):
            try:
                end = KINDS[kind](lab, addresses)
            except OSError as error:  # a raw packet refused on its way out
                end = type(error).__name__
            with self._more:
                self.ends[kind][end] += 1
                self._more.notify_all()

    def connect(self):
        """A connection that stays."""
        s = self._lab.client.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.settimeout(0.5)
        with contextlib.suppress(OSError):
            s.connect((self._addresses[0], 25))
            s.recv(512)
        return s

    def count(self, kind):
        return sum(self.ends[kind].values())

    def rounds(self, number=3):
        """Until each kind was tried that often from now on."""
        with self._more:
            targets = {k: self.count(k) + number + 1 for k in KINDS}
            assert self._more.wait_for(
                lambda: all(self.count(k) >= n for k, n in targets.items()),
                60), self.ends

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()


# What may happen.  Each is called with the gateway and the attempts, and
# returns when it is over.

def runs(_gate, attempts):
    attempts.rounds(5)


def rules_only(gate, attempts):
    assert gate.stop() == 0
    gate.command("rules", "apply", "-c", gate.config_path)
    attempts.rounds(3)
    gate.start()


def stopped_and_started(gate, attempts):
    """As by an upgrade: the programs are new ones each time."""
    for _ in range(2):
        assert gate.stop() == 0
        attempts.rounds(1)
        gate.start()


def killed(name):
    def act(gate, attempts):
        since = gate.log.mark()
        assert gate.kill(name)
        attempts.rounds(3)
        gate.log.wait(_serving(name), since=since)
    act.__name__ = f"killed {name}"
    return act


def _serving(name):
    return re.compile(f"{name.removeprefix('postern-')}.*: serving")


def hangs(name):
    def act(gate, attempts):
        pids = gate.kill(name, signal.SIGSTOP)
        assert pids
        attempts.rounds(3)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    act.__name__ = f"hangs {name}"
    return act


def killed_parent(gate, attempts):
    """Its children die with it."""
    os.kill(gate.pid, signal.SIGKILL)
    gate.process.popen.wait(10)
    attempts.rounds(3)
    gate.start()


def killed_all(gate, attempts):
    for pid in (*gate.children(), gate.pid):
        os.kill(pid, signal.SIGKILL)
    gate.process.popen.wait(10)
    attempts.rounds(3)
    gate.start()


def hanging_parent(gate, attempts):
    os.kill(gate.pid, signal.SIGSTOP)
    attempts.rounds(3)
    os.kill(gate.pid, signal.SIGCONT)


def reload_storm(gate, attempts):
    for _ in range(20):
        os.kill(gate.pid, signal.SIGHUP)
        attempts.rounds(0)


def rules_again(gate, attempts):
    for _ in range(10):
        gate.command("rules", "apply", "-c", gate.config_path)
    attempts.rounds(1)


MEMORY = "/sys/fs/cgroup/memory"


def out_of_memory(gate, attempts):
    """The kernel's own killer, by a limit that relays soon reach."""
    if not os.path.isdir(MEMORY):
        pytest.skip("no memory control group (version 1) here")
    group = f"{MEMORY}/postern-test-{os.getpid()}"
    os.mkdir(group)
    since = gate.log.mark()
    try:
        pids = gate.children("postern-relay")
        for pid in pids:
            _write(f"{group}/cgroup.procs", pid)
        # What they have taken before is counted elsewhere.
        _write(f"{group}/memory.limit_in_bytes", 100 << 10)
        until = time.monotonic() + 30
        while set(pids) & set(gate.children("postern-relay")):
            attempts.rounds(1)
            assert time.monotonic() < until
        _write(f"{group}/memory.limit_in_bytes", -1)
    finally:
        _leave(group)
    gate.log.wait(_serving("postern-relay"), since=since)


def _write(path, value):
    with open(path, "w", encoding="ascii") as file:
        file.write(str(value))


def _leave(group):
    """Those that are left in it go back to the top, and it goes."""
    with open(f"{group}/cgroup.procs", encoding="ascii") as file:
        for pid in file.read().split():
            with contextlib.suppress(OSError):
                _write(f"{MEMORY}/cgroup.procs", pid)
    os.rmdir(group)


def out_of_descriptors(gate, attempts):
    """Clients hold all that there are."""
    assert gate.stop() == 0
    gate.files = 320
    gate.start()
    held = []
    try:
        since = gate.log.mark()
        while not gate.log.matching(WAITING, since):
            assert len(held) < 400
            held.append(attempts.connect())
        attempts.rounds(3)
    finally:
        for each in held:
            each.close()
    attempts.rounds(1)
    assert gate.stop() == 0
    gate.files = None
    gate.start()


def full_disk(gate, attempts):
    """The state directory is a file system of its own here."""
    path = f"/proc/{gate.pid}/root{gate.state}/filler"
    with open(path, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
    attempts.rounds(3)
    os.kill(gate.pid, signal.SIGHUP)
    attempts.rounds(2)
    os.unlink(path)


def clock_jumps(years):
    def act(gate, attempts):
        for shift in (years * YEAR, 0):
            with open(gate.clock, "r+b") as file:
                file.write(struct.pack("=q", shift))
            attempts.rounds(3)
    act.__name__ = f"clock {years:+} year"
    return act


ACTS = [runs, rules_only, stopped_and_started, killed("postern-relay"),
        killed("postern-policy"), killed("postern-gate"), killed_parent,
        killed_all, hangs("postern-relay"), hangs("postern-policy"),
        hangs("postern-gate"), hanging_parent, reload_storm, rules_again,
        out_of_memory, out_of_descriptors, full_disk, clock_jumps(1),
        clock_jumps(-1)]


class Restricted(Gateway):
    """postern that can be started with few descriptors, and no way to get
    more."""

    files = None

    def _inside(self, arguments, become=""):
        inside = super()._inside(arguments, become)
        if self.files is None:
            return inside
        return ("setpriv", "--bounding-set=-sys_resource",
                "--inh-caps=-sys_resource", "--", "prlimit",
                f"--nofile={self.files}:{self.files}", "--", *inside)


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """The library of shifted_clock.c, where anybody may read it."""
    path = tmp_path_factory.mktemp("clock", numbered=True)
    for parent in (path, *path.parents[:-2]):  # up to what is everybody's
        os.chmod(parent, 0o755)
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1",
                    "-o", path / "shifted_clock.so",
                    f"{LAB}/shifted_clock.c"], check=True)
    return str(path / "shifted_clock.so")


def start(lab, mode, clock):
    state = lab.state_directory()
    path = f"{lab.directory_for('clock')}/shift"
    with open(path, "wb") as file:
        file.write(struct.pack("=q", 0))
    gate = Restricted(
        lab, lab.gateway if mode == "gateway" else lab.client,
        lab.config("limits.connection_rate = 0", "timeouts { drain = 1s }",
                   mode=mode, state_directory=state),
        env={"LD_PRELOAD": clock, "SHIFTED_CLOCK": path,
             "WATCHDOG_USEC": "8000000"},
        setup=f"mount -t tmpfs -o size=1m,mode=700,uid={lab.user},"
              f"gid={lab.user} state {state}")
    gate.state, gate.clock = state, path
    return gate


@pytest.fixture(scope="module")
def gate(request, lab, clock):
    if "asan" in os.path.basename(BUILD) or "sanitize" in BUILD:
        pytest.skip("a sanitizer wants to be the first library")
    with start(lab, request.param, clock) as made:
        made.mode = request.param
        yield made


@pytest.fixture(scope="module")
def mail(lab):
    return lab.good_domain("closed")


def deliver(lab, mail, ipv6):
    domain, server = mail
    with lab.connect(server, ipv6=ipv6, timeout=10) as client:
        return client.deliver("me@lan.example", [f"b@{domain}"], MESSAGE)


def recovers(lab, mail, ipv6):
    """Mail goes through again, without help."""
    until = time.monotonic() + 40
    reply = None
    while time.monotonic() < until:
        with contextlib.suppress(OSError, Closed):
            if (reply := deliver(lab, mail, ipv6)).code == 250:
                return
    pytest.fail(f"no recovery: {reply}")


@pytest.mark.clear_text
@pytest.mark.parametrize("kind", KINDS)
def test_the_watch_sees(lab, kind):
    """Without postern every kind gets through, and is seen: so that what is
    not seen with it was not there."""
    eager = lab.mx(lab.fresh("eager"), starttls=False)
    watch = Watch(lab.internet, "net0")
    try:
        KINDS[kind](lab, eager.addresses)
        assert watch.read()
    finally:
        watch.close()
        eager.close()


CASES = [(mode, act) for mode in ("gateway", "local") for act in ACTS
         if mode == "gateway" or "postern-gate" not in act.__name__]


@pytest.mark.parametrize("gate, act", CASES, indirect=["gate"], ids=[
    f"{mode}-{act.__name__}" for mode, act in CASES])
def test_nothing_leaves_in_clear(lab, tap, gate, mail, act):
    eager = lab.mx(lab.fresh("eager"), starttls=False)
    watch = Watch(lab.internet, "net0")
    attempts = Attempts(lab, eager.addresses)
    try:
        attempts.rounds(2)
        act(gate, attempts)
        attempts.rounds(2)
    finally:
        attempts.stop()
        try:
            found = watch.read()
        finally:
            watch.close()
            eager.close()
    assert not found, (len(found), found[0])
    assert not any(SECRET in line for session in eager.sessions
                   for _tls, line in session.lines)
    recovers(lab, mail, False)
    recovers(lab, mail, True)


@pytest.mark.parametrize("mode", ["gateway", "local"])
@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_older_connections(lab, tap, clock, mode, ipv6):
    """Those that stand when the rules come; each side of them tries."""
    eager = lab.mx(lab.fresh("eager"), starttls=False)
    watch = Watch(lab.internet, "net0")
    with lab.connect(eager, ipv6=ipv6, timeout=2) as client:
        assert client.reply().code == 220
        with start(lab, mode, clock), contextlib.suppress(OSError, Closed):
            client.send(SAID)
            client.line()
    try:
        assert not watch.read()
    finally:
        watch.close()
        eager.close()
