# SPDX-License-Identifier: ISC
"""The packet rules and the sockets they lead to, on the kernel itself.

A LAN, a gateway and an internet are namespaces; sockets of this test stand in
for the MTA, the relay and the mail server.  The relay's sockets are made and
asked by netfilter/origin.c, the rules are put in place by `postern rules`.
"""

import collections
import contextlib
import ctypes
import errno
import os
import pathlib
import pwd
import shlex
import socket
import struct
import subprocess
import tempfile
import threading

import pytest

from lab.netns import Namespace, is_ready

POSTERN = os.path.abspath(os.environ.get("POSTERN_BUILD", "build")) + "/postern"
SOURCE = pathlib.Path(__file__).resolve().parents[2]
LISTEN = 10025
MARK = 0x100
USER = "nobody"
UID = pwd.getpwnam(USER).pw_uid
OTHER_UID = pwd.getpwnam("daemon").pw_uid
TIMEOUT = 10  # of what must happen
SILENCE = 1.5  # for what must not: longer than TCP's first retransmission
FAMILIES = pytest.mark.parametrize(
    "family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])

SO_RCVBUFFORCE = 33
PACKET_HOST = 0

libc = ctypes.CDLL(None, use_errno=True)


# The relay's part.

class Address(ctypes.Structure):
    """struct address of proxy/base/address.h."""
    _fields_ = [("family", ctypes.c_ushort), ("port", ctypes.c_uint16),
                ("scope", ctypes.c_uint32), ("ip", ctypes.c_ubyte * 16)]

    @classmethod
    def of(cls, name):
        ip, port = name[:2]
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        packed = socket.inet_pton(family, ip)
        return cls(family, port, 0, (ctypes.c_ubyte * 16)(*packed))

    def name(self):
        size = 4 if self.family == socket.AF_INET else 16
        return (socket.inet_ntop(self.family, bytes(self.ip)[:size]),
                self.port)


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """netfilter/origin.c as a library of its own."""
    path = tmp_path_factory.mktemp("origin") / "origin.so"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libbsd-overlay"], check=True,
        capture_output=True, text=True).stdout.split()
    subprocess.run(
        [os.environ.get("CC", "cc"), "-std=gnu17", "-D_GNU_SOURCE", "-I.",
         "-shared", "-fPIC", "-o", path, "netfilter/origin.c",
         "proxy/base/address.c", *flags], check=True, cwd=SOURCE)
    return Origin(ctypes.CDLL(str(path), use_errno=True))


class Origin:
    def __init__(self, library):
        self.library = library

    @staticmethod
    def _checked(result):
        if result == -1:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result

    def listen(self, ns, family, transparent=True, port=LISTEN):
        with ns.entered():
            fd = self._checked(self.library.origin_listen(
                family, port, ctypes.c_bool(transparent), 0))
        return socket.socket(fileno=fd)

    def of(self, connection, redirected=False):
        found = Address()
        self._checked(self.library.origin_of(
            connection.fileno(), ctypes.c_bool(redirected),
            ctypes.byref(found)))
        return found.name()

    def dial_socket(self, ns, dst, source=None, mark=0):
        with ns.entered():
            fd = self._checked(self.library.origin_dial_socket(
                ctypes.byref(Address.of(dst)),
                source and ctypes.byref(Address.of(source)), mark))
        return socket.socket(fileno=fd)


# Sockets.

def listen(ns, ip, port=25):
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    s = ns.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((ip, port))
    s.listen(1024)
    s.setblocking(False)
    return s


def tcp(ns, ip):
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    s = ns.socket(family, socket.SOCK_STREAM)
    s.settimeout(TIMEOUT)
    return s


def dial(ns, ip, port=25):
    s = tcp(ns, ip)
    try:
        s.connect((ip, port))
    except OSError:
        s.close()
        raise
    return s


def accept(listener):
    assert is_ready(listener, TIMEOUT), "nobody came"
    s, _ = listener.accept()
    s.settimeout(TIMEOUT)
    return s


def nobody_came(listener):
    with pytest.raises(BlockingIOError):
        listener.accept()


def talk(one, other):
    """Bytes pass both ways."""
    for a, b in ((one, other), (other, one)):
        a.sendall(b"x" * 5000)
        got = b""
        while len(got) < 5000:
            part = b.recv(5000)
            assert part
            got += part


def is_refused(ns, ip, port=25):
    with pytest.raises(ConnectionRefusedError):
        dial(ns, ip, port)
    return True


def is_closed(ns, ip, port=25):
    """Refused, or met with silence."""
    s = tcp(ns, ip)
    s.settimeout(SILENCE)
    with s, pytest.raises((ConnectionRefusedError, TimeoutError)):
        s.connect((ip, port))
    return True


def says_nothing(s):
    """No byte is there, nor comes: silence, an end or a reset."""
    s.settimeout(SILENCE)
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        assert s.recv(1) == b""
    return True


def is_cut(s, data=b"MAIL FROM:<a@example.org>\r\n"):
    """What is sent there ends in a reset."""
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        s.sendall(data)
        if s.recv(1) == b"":
            raise AssertionError("an orderly end")
    return True


@contextlib.contextmanager
def as_user(uid):
    """Sockets made meanwhile belong to uid (what `meta skuid` looks at)."""
    before = libc.setfsuid(uid)
    try:
        yield
    finally:
        libc.setfsuid(before)


class Wire:
    """Every TCP packet to or from the mail ports on a namespace's eth0, the
    first one of a connection included: what a listener never gets to see."""

    def __init__(self, ns, ports=(25,)):
        self.ports = ports
        self._socket = ns.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                                 socket.htons(3))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind(("eth0", 0))
        self._socket.setblocking(False)

    def to_server(self):
        """The segments (bytes) that came in for one of the ports so far."""
        return self._segments(PACKET_HOST, 2)

    def from_port(self):
        """Those that came in from one of them."""
        return self._segments(PACKET_HOST, 0)

    def _segments(self, direction, at):
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                packet, name = self._socket.recvfrom(65536)
                segment = tcp_segment(packet)
                if (segment and name[2] == direction
                        and int.from_bytes(segment[at:at + 2], "big")
                        in self.ports):
                    found.append(segment)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self._socket.close()


def tcp_segment(packet):
    if packet[0] >> 4 == 4 and packet[9] == socket.IPPROTO_TCP:
        return packet[(packet[0] & 15) * 4:]
    if packet[0] >> 4 == 6 and packet[6] == socket.IPPROTO_TCP:
        return packet[40:]
    return None


def carries_data(segment):
    return len(segment) > (segment[12] >> 4) * 4


# Networks.

# What is seized and what refused is tested here without anybody who judges
# first packets; test_gate.py has that.
WITHOUT_GATE = ("-o", "gate.admission = off;")


def rules(ns, verb, *options, check=True):
    return ns.run(POSTERN, "rules", verb, "-c", "/dev/null", *options,
                  check=check)


def up(interface, *ips):
    """The commands of ip(8) for an interface with these addresses."""
    return [f"link set {interface} up",
            *(f"address add {ip}/64 dev {interface} nodad" if ":" in ip else
              f"address add {ip}/24 dev {interface}" for ip in ips)]


def without_dad(ns):
    """A second less to wait for each link."""
    for name in ("default", "all"):
        ns.write(f"/proc/sys/net/ipv6/conf/{name}/accept_dad", "0")
        ns.write(f"/proc/sys/net/ipv6/conf/{name}/dad_transmits", "0")


def default_routes(*gateways):
    return [f"route add default via {ip}" for ip in gateways]


def snapshot(ns):
    """All that rules and routing consist of."""
    return [ns.run(*command.split()).stdout for command in (
        "nft list ruleset", "ip -4 rule", "ip -6 rule",
        "ip -4 route show table all", "ip -6 route show table all")]


class Net:
    """A LAN and a second one, a gateway, an internet."""

    ip = {socket.AF_INET: {"client": "10.1.0.2", "gate": "10.1.0.1",
                           "other": "10.3.0.2", "server": "10.2.0.2"},
          socket.AF_INET6: {"client": "fd00:1::2", "gate": "fd00:1::1",
                            "other": "fd00:3::2", "server": "fd00:2::2"}}

    def __init__(self):
        self.gate = Namespace("gate")
        self.client = Namespace("client")
        self.other = Namespace("other")
        self.server = Namespace("server")
        self.all = [self.gate, self.client, self.other, self.server]
        for ns in self.all:
            without_dad(ns)
        wires = ((1, self.client, "lan0"), (2, self.server, "wan0"),
                 (3, self.other, "lan1"))
        self.gate.ip(*(
            command for number, ns, inside in wires for command in (
                f"link add {inside} type veth peer name eth0 netns {ns.path}",
                *up(inside, f"10.{number}.0.1", f"fd00:{number}::1"))))
        for number, ns, _inside in wires:
            ns.ip(*up("eth0", f"10.{number}.0.2", f"fd00:{number}::2"),
                  *default_routes(f"10.{number}.0.1", f"fd00:{number}::1"))
        self.gate.write("/proc/sys/net/ipv4/ip_forward", "1")
        self.gate.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")

    def apply(self, *options, check=True):
        return rules(self.gate, "apply", "-i", "lan0", *WITHOUT_GATE,
                     *options, check=check)

    def sysctl(self, name, value):
        self.gate.write("/proc/sys/net/" + name, str(value))

    def close(self):
        for ns in self.all:
            ns.close()


@pytest.fixture
def net():
    made = Net()
    yield made
    made.close()


class Host:
    """A host with programs of its own, and an internet."""

    ip = {socket.AF_INET: {"host": "10.2.0.1", "server": "10.2.0.2"},
          socket.AF_INET6: {"host": "fd00:2::1", "server": "fd00:2::2"}}

    def __init__(self):
        self.host = Namespace("host")
        self.server = Namespace("server")
        for ns in (self.host, self.server):
            without_dad(ns)
        self.server.ip("link add eth0 type veth peer name eth0 netns "
                       + self.host.path, *up("eth0", "10.2.0.2", "fd00:2::2"))
        self.host.ip(*up("eth0", "10.2.0.1", "fd00:2::1"),
                     *default_routes("10.2.0.2", "fd00:2::2"))

    @staticmethod
    def options(own):
        return ["--mode", "local", "-o", f"own_connections = {own};", "-o",
                f"user = {USER};"]

    def apply(self, own="mark"):
        rules(self.host, "apply", *self.options(own))

    def socket(self, ip, uid, mark=0):
        with as_user(uid):
            s = tcp(self.host, ip)
        if mark:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        return s

    def close(self):
        self.host.close()
        self.server.close()


@pytest.fixture
def host():
    made = Host()
    yield made
    made.close()


# A start that fails.

def fails_to_start(ns, code, *options, text):
    """`postern run` with this configuration ends with code; what it said."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        done = ns.run(POSTERN, "run", "-f", "-c", file.name, *options,
                      check=False)
    assert done.returncode == code, done.stderr
    return done.stderr


BROKEN = pytest.mark.parametrize("text, code, reason", [
    ("interfaces = [lan0]; nonsense = 1\n", 2, "unknown setting 'nonsense'"),
    ("interfaces = [lan0]; }\n", 2, ":1: "),
    ("interfaces = [lan0]; user = nobody-there\n", 1, "there is no user"),
], ids=["setting", "syntax", "user"])


@BROKEN
@FAMILIES
def test_gateway_closes_where_it_cannot_start(net, family, text, code, reason):
    """A machine that boots with a mistake in its file has no rules yet."""
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    other = listen(net.server, ip["server"], 26)
    with dial(net.client, ip["server"]) as old, accept(server) as served:
        said = fails_to_start(net.gate, code, text=text)
        assert reason in said and "the road stays closed" in said
        is_cut(old)
        says_nothing(served)
    is_refused(net.client, ip["server"])
    is_refused(net.other, ip["server"])
    nobody_came(server)
    with dial(net.client, ip["server"], 26) as client, accept(other) as end:
        talk(client, end)
    before = snapshot(net.gate)
    fails_to_start(net.gate, code, text=text)
    assert snapshot(net.gate) == before
    rules(net.gate, "remove")
    with dial(net.client, ip["server"]), accept(server):
        pass


@pytest.mark.parametrize("text, own, forwarded", [
    ("mode = local; nonsense = 1\n", True, False),
    ("mode = gateway; nonsense = 1\n", False, True),
    ("mode = lokal\n", True, True),
], ids=["local", "gateway", "unknown"])
@FAMILIES
def test_what_is_closed_goes_by_the_mode(net, family, text, own, forwarded):
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    fails_to_start(net.gate, 2, text=text)
    for ns, is_shut in ((net.gate, own), (net.client, forwarded)):
        if is_shut:
            is_refused(ns, ip["server"])
            nobody_came(server)
        else:
            with dial(ns, ip["server"]), accept(server):
                pass


@pytest.mark.parametrize("text", [
    "interfaces = [lan0]; nonsense = 1\n",
    "mode = local; nonsense = 1\n",
    "}",
], ids=["gateway", "local", "unknown"])
def test_a_failed_start_leaves_good_rules_alone(net, text):
    net.apply()
    before = snapshot(net.gate)
    fails_to_start(net.gate, 2, text=text)
    assert snapshot(net.gate) == before


@pytest.mark.parametrize("text, options", [
    ("interfaces = [lan0]; nonsense = 1\n", ["--no-rules"]),
    ("manage_rules = false; nonsense = 1\n", []),
], ids=["option", "setting"])
def test_a_failed_start_leaves_rules_to_others(net, text, options):
    before = snapshot(net.gate)
    fails_to_start(net.gate, 2, *options, text=text)
    assert snapshot(net.gate) == before


def test_a_start_replaces_what_a_failed_one_closed(net, origin):
    ip = net.ip[socket.AF_INET]
    fails_to_start(net.gate, 2, text="nonsense = 1\n")
    relay = origin.listen(net.gate, socket.AF_INET)
    net.apply()
    with dial(net.client, ip["server"]), accept(relay):
        pass
    assert "output" not in net.gate.run("nft", "list", "ruleset").stdout


# Gateway.

@FAMILIES
def test_gateway_seizes_forwarded_connections(net, origin, family):
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    relay = origin.listen(net.gate, family)
    net.apply()
    with dial(net.client, ip["server"]) as client, accept(relay) as seized:
        assert origin.of(seized) == (ip["server"], 25)
        assert seized.getpeername()[:2] == client.getsockname()[:2]
        talk(client, seized)
    nobody_came(server)


@FAMILIES
def test_gateway_relays_share_the_port(net, origin, family):
    ip = net.ip[family]
    relays = [origin.listen(net.gate, family) for _ in range(2)]
    net.apply()
    clients = []
    while not all(is_ready(relay, 0) for relay in relays):
        clients.append(dial(net.client, ip["server"]))
        assert len(clients) < 200, "all went to one relay"


def test_gateway_and_mapped_addresses(net, origin):
    """THREATS 47: a program that speaks IPv4 through an IPv6 socket."""
    relay = origin.listen(net.gate, socket.AF_INET)
    net.apply()
    with dial(net.client, "::ffff:10.2.0.2"), accept(relay) as seized:
        assert origin.of(seized) == ("10.2.0.2", 25)


# What a stock kernel, distributions and wg-quick set.
@pytest.mark.parametrize("sysctls", [
    {},
    {"ipv4/conf/all/rp_filter": 1},
    {"ipv4/conf/all/rp_filter": 2},
    {"ipv4/conf/all/rp_filter": 1, "ipv4/conf/all/src_valid_mark": 1},
    {"ipv4/tcp_fwmark_accept": 1, "ipv4/fwmark_reflect": 1,
     "ipv6/fwmark_reflect": 1},
], ids=["plain", "rp_filter", "loose", "src_valid_mark", "fwmark_accept"])
@pytest.mark.parametrize("mark", [0, MARK], ids=["unmarked", "marked"])
@FAMILIES
def test_gateway_dials_on_as_the_client(net, origin, family, mark, sysctls):
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    relay = origin.listen(net.gate, family)
    for name, value in sysctls.items():
        net.sysctl(name, value)
    net.apply()
    with dial(net.client, ip["server"]) as client, accept(relay) as seized:
        talk(client, seized)
        upstream = origin.dial_socket(net.gate, origin.of(seized),
                                      seized.getpeername(), mark)
        upstream.settimeout(TIMEOUT)
        upstream.connect((ip["server"], 25))
        with upstream, accept(server) as served:
            assert served.getpeername()[0] == ip["client"]
            talk(upstream, served)


@FAMILIES
def test_gateway_refuses_where_nobody_listens(net, family):
    """THREATS 45."""
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    net.apply()
    for _ in range(1000):
        is_refused(net.client, ip["server"])
    nobody_came(server)


@FAMILIES
def test_gateway_refuses_without_its_routing(net, origin, family):
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    relay = origin.listen(net.gate, family)
    net.apply()
    net.gate.run("ip", "-6" if family == socket.AF_INET6 else "-4", "rule",
                 "del", "fwmark", f"{MARK}/{MARK}", "lookup", "25925")
    is_closed(net.client, ip["server"])
    nobody_came(relay)
    nobody_came(server)


@pytest.mark.parametrize("first", ["client", "server"])
@pytest.mark.parametrize("listens", [False, True],
                         ids=["nobody_listens", "listens"])
@FAMILIES
def test_gateway_cuts_older_connections(net, origin, family, listens, first):
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    relay = origin.listen(net.gate, family) if listens else None
    client = dial(net.client, ip["server"])
    with client, accept(server) as served:
        talk(client, served)
        net.apply()
        if first == "client":
            is_cut(client)
            says_nothing(served)
        else:
            is_cut(served, b"250 2.0.0 go on\r\n")
            says_nothing(client)
    if relay is not None:
        nobody_came(relay)


@FAMILIES
def test_gateway_guards_every_interface(net, origin, family):
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    relay = origin.listen(net.gate, family)
    net.apply()
    is_refused(net.other, ip["server"])
    nobody_came(server)
    nobody_came(relay)


@pytest.mark.parametrize("first", ["client", "server"])
@FAMILIES
def test_gateway_guards_each_direction(net, family, first):
    """A connection older than the rules, by an interface that is not listed:
    not one more byte of it passes, whoever speaks."""
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    with dial(net.other, ip["server"]) as client, accept(server) as served:
        talk(client, served)
        with Wire(net.server) as wire, Wire(net.other) as lan:
            net.apply()
            if first == "client":
                is_cut(client)
                assert wire.to_server() == []
            else:
                is_cut(served, b"250 2.0.0 go on\r\n")
                assert [s for s in lan.from_port() if carries_data(s)] == []


@FAMILIES
def test_gateway_takes_several_ports_and_interfaces(net, origin, family):
    ip = net.ip[family]
    relay = origin.listen(net.gate, family)
    net.apply("-i", "lan1", "-o", "ports = [25, 587];")
    for ns in (net.client, net.other):
        for port in (25, 587):
            with dial(ns, ip["server"], port), accept(relay) as seized:
                assert origin.of(seized) == (ip["server"], port)


@FAMILIES
def test_gateway_inbound(net, origin, family):
    """Mail for a server behind the gateway comes in; nothing else does."""
    ip = net.ip[family]
    mx = listen(net.client, ip["client"])
    server = listen(net.server, ip["server"])
    relay = origin.listen(net.gate, family)
    old = dial(net.client, ip["server"])
    with old, accept(server) as served:
        net.apply()
        is_refused(net.server, ip["client"])  # without leave
        net.apply("-o", "inbound = [wan0];")
        with dial(net.server, ip["client"]) as outside, accept(mx) as inside:
            talk(outside, inside)
        is_cut(old)
        says_nothing(served)
    with dial(net.client, ip["server"]), accept(relay):
        pass
    is_refused(net.other, ip["server"])
    is_refused(net.other, ip["client"])
    nobody_came(server)
    nobody_came(mx)


@FAMILIES
def test_gateway_leaves_the_rest_alone(net, origin, family):
    """Other ports, UDP, and what is addressed to the gateway itself."""
    ip = net.ip[family]
    server = listen(net.server, ip["server"], 26)
    own = listen(net.gate, ip["gate"])
    relay = origin.listen(net.gate, family)
    net.apply()
    for address, port, listener in ((ip["server"], 26, server),
                                    (ip["gate"], 25, own)):
        with dial(net.client, address, port) as client, \
                accept(listener) as served:
            talk(client, served)
    nobody_came(relay)
    with net.server.socket(family, socket.SOCK_DGRAM) as receiver, \
            net.client.socket(family, socket.SOCK_DGRAM) as sender:
        receiver.bind((ip["server"], 25))
        receiver.settimeout(TIMEOUT)
        sender.sendto(b"not mail", (ip["server"], 25))
        assert receiver.recv(100) == b"not mail"


@FAMILIES
def test_gateway_listener_answers_nobody_directly(net, origin, family):
    """THREATS 49."""
    ip = net.ip[family]
    relay = origin.listen(net.gate, family)
    net.apply()
    is_refused(net.client, ip["gate"], LISTEN)
    is_refused(net.gate, ip["gate"], LISTEN)
    is_refused(net.gate, relay.getsockname()[0], LISTEN)
    nobody_came(relay)


def test_gateway_listener_and_route_localnet(net, origin):
    """THREATS 49: packets from the LAN to 127.0.0.1."""
    relay = origin.listen(net.gate, socket.AF_INET)
    own = listen(net.gate, "127.0.0.1", 26)
    net.apply()
    net.sysctl("ipv4/conf/lan0/route_localnet", 1)
    net.client.write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1")
    net.client.run("ip", "addr", "del", "127.0.0.1/8", "dev", "lo")
    net.client.run("ip", "route", "add", "127.0.0.0/8", "via", "10.1.0.1",
                   "src", "10.1.0.2")
    with dial(net.client, "127.0.0.1", 26), accept(own):
        pass  # so that is how one gets there
    is_refused(net.client, "127.0.0.1", LISTEN)
    nobody_came(relay)


@FAMILIES
def test_listener_knows_who_dialled_it(net, origin, family):
    """The second line: without any rules."""
    relay = origin.listen(net.gate, family)
    with dial(net.gate, *relay.getsockname()[:2]), accept(relay) as direct:
        for redirected in (False, True):
            with pytest.raises(OSError) as raised:
                origin.of(direct, redirected)
            assert raised.value.errno == errno.EDESTADDRREQ


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def syn(source, destination, port):
    """A TCP segment that opens a connection; 24 bytes, 3 fragments of 8."""
    def segment(check):
        return struct.pack("!HHIIBBHHHBBH", 40000, port, 1, 0, 6 << 4, 2,
                           65535, check, 0, 2, 4, 1460)

    pseudo = (socket.inet_aton(source) + socket.inet_aton(destination) +
              struct.pack("!HH", socket.IPPROTO_TCP, 24))
    return segment(checksum(pseudo + segment(0)))


def fragments(source, destination, segment):
    for offset in range(0, len(segment), 8):
        more = 0x2000 if offset + 8 < len(segment) else 0
        yield struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 1,
                          more | offset // 8, 64, socket.IPPROTO_TCP, 0,
                          socket.inet_aton(source),
                          socket.inet_aton(destination)) + \
            segment[offset:offset + 8]


@pytest.mark.parametrize("listens", [False, True],
                         ids=["nobody_listens", "listens"])
def test_gateway_and_fragments(net, origin, listens):
    """THREATS 47: the port stands in one fragment of three."""
    ip = net.ip[socket.AF_INET]
    relay = origin.listen(net.gate, socket.AF_INET) if listens else None
    net.apply()
    raw = net.client.socket(socket.AF_INET, socket.SOCK_RAW,
                            socket.IPPROTO_TCP)
    raw.setsockopt(socket.IPPROTO_IP, socket.IP_HDRINCL, 1)
    raw.settimeout(TIMEOUT)
    tap = net.server.socket(socket.AF_PACKET, socket.SOCK_DGRAM,
                            socket.htons(0x0800))
    for packet in fragments(ip["client"], ip["server"],
                            syn(ip["client"], ip["server"], 25)):
        raw.sendto(packet, (ip["server"], 0))
    answer = raw.recv(100)
    flags = answer[20 + 13]
    assert flags == (0x12 if listens else 0x14)  # SYN|ACK, RST|ACK
    if relay is not None:
        nobody_came(relay)  # the client's kernel knows of no connection
    tap.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while packet := tap.recv(2000):
            assert packet[9] != socket.IPPROTO_TCP, "a fragment got through"


@pytest.mark.parametrize("listed", ["br0", "lan1"])
@FAMILIES
def test_bridged_frames_that_meet_the_rules(net, family, listed):
    """THREATS 47: br_netfilter shows a bridge's frames to these rules."""
    if not os.path.isdir("/proc/sys/net/bridge"):
        pytest.skip("the kernel has no br_netfilter")
    ip = net.ip[family]
    net.gate.run("ip", "link", "add", "br0", "type", "bridge")
    for port in ("lan0", "wan0"):
        net.gate.run("ip", "link", "set", port, "master", "br0")
    net.gate.run("ip", "link", "set", "br0", "up")
    net.sysctl("bridge/bridge-nf-call-iptables", 1)
    net.sysctl("bridge/bridge-nf-call-ip6tables", 1)
    net.server.ip(*up("eth0", "10.1.0.9", "fd00:1::9"))
    address = ip["client"][:-1] + "9"
    server, passed = listen(net.server, address), \
        listen(net.server, address, 26)
    rules(net.gate, "apply", "-i", listed)
    with dial(net.client, address, 26) as client, accept(passed) as served:
        talk(client, served)  # the bridge is up
    is_closed(net.client, address)
    nobody_came(server)


class Knocking:
    """Connections from a namespace, hundreds a second, to both addresses of
    the server; none may come about."""

    def __init__(self, *places):
        self.ends = collections.Counter()
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=place)
            for place in places]

    def _run(self, ns, addresses, uid=0):
        with ns.entered(), as_user(uid):
            while not self._done.is_set():
                for ip in addresses:
                    self.ends[self._knock(ip)] += 1

    @staticmethod
    def _knock(ip):
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(TIMEOUT)
            try:
                s.connect((ip, 25))
            except OSError as error:
                return type(error)
        return "connected"

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception):
        self._done.set()
        for thread in self._threads:
            thread.join()


def both(place, name):
    return [place.ip[family][name]
            for family in (socket.AF_INET, socket.AF_INET6)]


APPLIES = int(os.environ.get("POSTERN_APPLIES", "40"))


def apply_often(ns, *settings):
    """One setting and the other, in turns, and no time between them."""
    one, other = ([POSTERN, "rules", "apply", "-c", "/dev/null", *options]
                  for options in settings)
    ns.run("/bin/sh", "-ec", f"for n in $(seq {APPLIES // 2}); do "
           f"{shlex.join(one)}; {shlex.join(other)}; done",
           timeout=600)


def test_nothing_leaks_while_rules_are_replaced(net):
    """THREATS 46: not one packet, from a listed interface or another."""
    servers = both(net, "server")
    net.apply()
    with Wire(net.server) as wire:
        with Knocking((net.client, servers), (net.other, servers)) as knocking:
            apply_often(net.gate, ["-i", "lan0", *WITHOUT_GATE],
                        ["-i", "lan0", *WITHOUT_GATE, "-o",
                         f"mark = {MARK << 1};"])
        assert wire.to_server() == []
    assert set(knocking.ends) == {ConnectionRefusedError}, knocking.ends
    assert sum(knocking.ends.values()) > APPLIES


def test_local_leaks_nothing_while_rules_are_replaced(host):
    servers = both(host, "server")
    host.apply()
    with Wire(host.server) as wire:
        with Knocking((host.host, servers),
                      (host.host, servers, OTHER_UID)) as knocking:
            apply_often(host.host, host.options("mark"), host.options("uid"))
        assert wire.to_server() == []
    assert set(knocking.ends) == {ConnectionRefusedError}, knocking.ends
    assert sum(knocking.ends.values()) > APPLIES


@FAMILIES
def test_seized_connections_outlive_a_replacement(net, origin, family):
    ip = net.ip[family]
    net.sysctl("ipv4/tcp_early_demux", 0)  # no route from a socket's memory
    relay = origin.listen(net.gate, family)
    server = listen(net.server, ip["server"])
    net.apply()
    client = dial(net.client, ip["server"])
    seized = accept(relay)
    upstream = origin.dial_socket(net.gate, origin.of(seized),
                                  seized.getpeername())
    upstream.settimeout(TIMEOUT)
    upstream.connect((ip["server"], 25))
    served = accept(server)
    for interface in ("lan0", "lan1"):  # then without the client's
        rules(net.gate, "apply", "-i", interface)
        talk(client, seized)
        talk(upstream, served)


@FAMILIES
def test_gateway_needs_no_conntrack(net, origin, family):
    """What is up stays up when the kernel forgets it, and stays seized."""
    ip = net.ip[family]
    track(net.gate)
    relay = origin.listen(net.gate, family)
    net.apply()
    with Wire(net.server) as wire, dial(net.client, ip["server"]) as client, \
            accept(relay) as seized:
        talk(client, seized)
        net.gate.flush_conntrack()
        talk(client, seized)
        assert wire.to_server() == []


def test_gateway_without_ipv6(net, origin):
    ip = net.ip[socket.AF_INET]
    for name in ("all", "lo"):
        net.sysctl(f"ipv6/conf/{name}/disable_ipv6", 1)
    relay = origin.listen(net.gate, socket.AF_INET)
    with pytest.raises(OSError) as raised:
        origin.listen(net.gate, socket.AF_INET6, transparent=False)
    assert raised.value.errno == errno.EADDRNOTAVAIL
    assert "IPv6" in net.apply().stderr
    with dial(net.client, ip["server"]), accept(relay) as seized:
        assert origin.of(seized) == (ip["server"], 25)
    # It comes up later, and stays closed.
    ip = net.ip[socket.AF_INET6]
    net.sysctl("ipv6/conf/all/disable_ipv6", 0)
    net.sysctl("ipv6/conf/all/forwarding", 1)
    for number, name in ((1, "lan0"), (2, "wan0")):
        net.gate.ip(*up(name, f"fd00:{number}::1"))
    server = listen(net.server, ip["server"])
    passed = listen(net.server, ip["server"], 26)
    with dial(net.client, ip["server"], 26), accept(passed):
        pass
    is_refused(net.client, ip["server"])
    nobody_came(server)


# Local.

@pytest.mark.parametrize("own", ["mark", "uid"])
@FAMILIES
def test_local_seizes_programs_connections(host, origin, family, own):
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    relay = origin.listen(host.host, family, transparent=False)
    host.apply(own)
    for uid in (0, OTHER_UID):
        client = host.socket(ip["server"], uid)
        client.connect((ip["server"], 25))
        with client, accept(relay) as seized:
            assert origin.of(seized, redirected=True) == (ip["server"], 25)
            talk(client, seized)
    nobody_came(server)


def test_local_and_mapped_addresses(host, origin):
    """THREATS 47: a program that speaks IPv4 through an IPv6 socket."""
    relay = origin.listen(host.host, socket.AF_INET, transparent=False)
    host.apply()
    with dial(host.host, "::ffff:10.2.0.2"), accept(relay) as seized:
        assert origin.of(seized, redirected=True) == ("10.2.0.2", 25)


@pytest.mark.parametrize("own, uid, mark, passes", [
    ("mark", UID, MARK, True),
    ("mark", UID, 0, False),
    ("mark", OTHER_UID, MARK, False),
    ("mark", 0, MARK, False),
    ("mark", 0, 0, False),
    ("uid", UID, 0, True),
    ("uid", OTHER_UID, 0, False),
    ("uid", OTHER_UID, MARK, False),
    ("uid", 0, MARK, False),
])
@FAMILIES
def test_local_passes_its_own_only(host, origin, family, own, uid, mark,
                                   passes):
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    relay = origin.listen(host.host, family, transparent=False)
    host.apply(own)
    with host.socket(ip["server"], uid, mark) as client:
        client.connect((ip["server"], 25))
        reached, other = (server, relay) if passes else (relay, server)
        with accept(reached) as peer:
            talk(client, peer)
        nobody_came(other)


def test_local_mark_is_not_to_be_had_by_asking(host):
    script = ("import socket; socket.socket().setsockopt("
              f"socket.SOL_SOCKET, socket.SO_MARK, {MARK})")
    result = host.host.run("setpriv", "--reuid", UID, "--clear-groups",
                           "/usr/bin/python3", "-c", script, check=False)
    assert "PermissionError" in result.stderr


@FAMILIES
def test_local_dials_on(host, origin, family):
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    host.apply("mark")
    with as_user(UID):
        upstream = origin.dial_socket(host.host, (ip["server"], 25),
                                      mark=MARK)
    upstream.settimeout(TIMEOUT)
    upstream.connect((ip["server"], 25))
    with upstream, accept(server) as served:
        talk(upstream, served)


@pytest.mark.parametrize("own", ["mark", "uid"])
@FAMILIES
def test_local_and_conntrack_forgotten(host, origin, family, own):
    """The redirected half has lost what led it: it goes on or it ends, but
    not to the server.  postern's own half goes on."""
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    relay = origin.listen(host.host, family, transparent=False)
    host.apply(own)
    mark = MARK if own == "mark" else 0
    client = host.socket(ip["server"], OTHER_UID)
    client.connect((ip["server"], 25))
    upstream = host.socket(ip["server"], UID, mark)
    upstream.connect((ip["server"], 25))
    with client, upstream, accept(relay) as seized, accept(server) as served:
        talk(client, seized)
        talk(upstream, served)
        with Wire(host.server) as wire:
            host.host.flush_conntrack()
            client.settimeout(SILENCE)
            with contextlib.suppress(OSError):
                client.sendall(b"MAIL FROM:<a@example.org>\r\n")
                client.recv(1)
            assert [s for s in wire.to_server() if carries_data(s)] == []
        talk(upstream, served)
    with host.socket(ip["server"], OTHER_UID) as after:
        after.connect((ip["server"], 25))
        with accept(relay) as seized:
            talk(after, seized)
    nobody_came(server)


@FAMILIES
def test_local_refuses_where_nobody_listens(host, family):
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    host.apply()
    for _ in range(1000):
        is_refused(host.host, ip["server"])
    nobody_came(server)


def track(ns):
    """Conntrack at work before the rules are: it knows the connections that
    are older than them, and no NAT takes hold of those any more."""
    ns.run("nft", "-f", "-", stdin=(
        "table inet tracked { chain output { type filter hook output "
        "priority 0; ct state invalid counter; }; }"))


@pytest.mark.parametrize("is_tracked", [False, True],
                         ids=["unknown", "tracked"])
@pytest.mark.parametrize("own", ["mark", "uid"])
@FAMILIES
def test_local_cuts_older_connections(host, family, own, is_tracked):
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    if is_tracked:
        track(host.host)
    with dial(host.host, ip["server"]) as client, accept(server) as served:
        talk(client, served)
        with Wire(host.server) as wire:
            host.apply(own)
            is_cut(client)
            says_nothing(served)
            assert [s for s in wire.to_server() if carries_data(s)] == []


@pytest.mark.parametrize("own", ["mark", "uid"])
@FAMILIES
def test_local_cuts_what_an_older_one_left_behind(host, family, own):
    """The program has gone; the kernel still holds what it wrote."""
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    client = dial(host.host, ip["server"])
    served = accept(server)
    sent = fill(client)
    client.close()
    host.apply(own)
    assert len(drain(served)) < sent


@pytest.mark.parametrize("own", ["mark", "uid"])
@FAMILIES
def test_local_delivers_what_postern_left_behind(host, family, own):
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    host.apply(own)
    client = host.socket(ip["server"], UID, MARK if own == "mark" else 0)
    client.connect((ip["server"], 25))
    served = accept(server)
    sent = fill(client)
    client.close()
    assert len(drain(served)) == sent


def fill(s):
    """Writes until the peer's window and the own buffer are full."""
    s.setblocking(False)
    sent = 0
    while is_ready(s, SILENCE, to_write=True):
        sent += s.send(b"x" * 65536)
    assert sent > 65536
    return sent


def drain(s):
    got = b""
    s.settimeout(SILENCE * 2)
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while part := s.recv(1 << 20):
            got += part
    return got


@FAMILIES
def test_local_leaves_the_rest_alone(host, origin, family):
    """Other ports, and mail for this host's own MTA."""
    ip = host.ip[family]
    loopback = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    relay = origin.listen(host.host, family, transparent=False)
    listeners = [(listen(host.server, ip["server"], 26), 26),
                 (listen(host.host, loopback), 25),
                 (listen(host.host, ip["host"]), 25)]
    host.apply()
    for listener, port in listeners:
        address = listener.getsockname()[0]
        with dial(host.host, address, port) as client, \
                accept(listener) as served:
            talk(client, served)
    nobody_came(relay)


@FAMILIES
def test_local_listener_answers_nobody_directly(host, origin, family):
    """THREATS 49."""
    ip = host.ip[family]
    relay = origin.listen(host.host, family, transparent=False)
    host.apply()
    is_refused(host.server, ip["host"], LISTEN)
    is_refused(host.host, ip["host"], LISTEN)
    is_refused(host.host, relay.getsockname()[0], LISTEN)
    with host.socket(relay.getsockname()[0], UID, MARK) as own, \
            pytest.raises(ConnectionRefusedError):
        own.connect(relay.getsockname()[:2])
    nobody_came(relay)


@pytest.mark.parametrize("device", ["lo", "eth0"])
@FAMILIES
def test_local_device_is_no_way_out(host, origin, family, device):
    """Any program may bind to a device; with lo, routing looks odd."""
    ip = host.ip[family]
    host.host.write("/proc/sys/net/ipv4/ip_forward", "1")
    host.host.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
    server = listen(host.server, ip["server"])
    origin.listen(host.host, family, transparent=False)
    host.apply()
    with host.socket(ip["server"], OTHER_UID) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                          device.encode())
        client.settimeout(SILENCE)
        with contextlib.suppress(OSError):
            client.connect((ip["server"], 25))
    nobody_came(server)


@pytest.mark.parametrize("own", ["mark", "uid"])
@FAMILIES
def test_local_port_of_postern_is_no_way_out(host, family, own):
    """Conntrack still takes that port for postern's own connection."""
    ip = host.ip[family]
    server = listen(host.server, ip["server"])
    host.apply(own)
    host.server.run("nft", "-f", "-", stdin=(
        "table inet deaf { chain input { type filter hook input priority 0;"
        " tcp dport 25 drop; }; }"))
    with host.socket(ip["server"], UID, MARK if own == "mark" else 0) as mine:
        mine.setblocking(False)
        mine.connect_ex((ip["server"], 25))
        name = mine.getsockname()
    host.server.run("nft", "delete", "table", "inet", "deaf")
    with host.socket(ip["server"], OTHER_UID) as other:
        other.bind(name)
        with pytest.raises(ConnectionRefusedError):
            other.connect((ip["server"], 25))
    nobody_came(server)


@FAMILIES
def test_local_comes_before_other_tables(host, origin, family):
    """Their NAT would give it a port that no rule here knows."""
    ip = host.ip[family]
    server = listen(host.server, ip["server"], 26)
    relay = origin.listen(host.host, family, transparent=False)
    host.host.run("nft", "-f", "-", stdin=(
        "table inet nat { chain output { type nat hook output priority -100;"
        " meta l4proto tcp dnat ip to 10.2.0.2:26;"
        " meta l4proto tcp dnat ip6 to [fd00:2::2]:26; }; }"))
    host.apply()
    with dial(host.host, ip["server"]), accept(relay) as seized:
        assert origin.of(seized, redirected=True) == (ip["server"], 25)
    nobody_came(server)


# Coming and going.

FOREIGN = """
table inet filter {
	chain forward {
		type filter hook forward priority filter; policy accept;
		tcp dport 25 accept
	}
}
table ip nat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		oifname "wan0" masquerade
	}
}
"""
MODES = pytest.mark.parametrize("options", [
    ("-i", "lan0", *WITHOUT_GATE),
    ("--mode", "local", "-o", f"user = {USER};"),
], ids=["gateway", "local"])


def furnish(ns):
    """What somebody else keeps on the gateway."""
    ns.run("nft", "-f", "-", stdin=FOREIGN)
    for family in ("-4", "-6"):
        ns.run("ip", family, "rule", "add", "pref", "100", "fwmark", "0x2",
               "lookup", "100")
        ns.run("ip", family, "route", "add", "blackhole", "default", "table",
               "100")


@MODES
def test_apply_twice_is_apply_once(net, options):
    furnish(net.gate)
    rules(net.gate, "apply", *options)
    once = snapshot(net.gate)
    rules(net.gate, "apply", *options)
    assert snapshot(net.gate) == once


@MODES
def test_remove_restores(net, options):
    furnish(net.gate)
    before = snapshot(net.gate)
    rules(net.gate, "apply", *options)
    assert snapshot(net.gate)[0] != before[0]
    rules(net.gate, "remove")
    assert snapshot(net.gate) == before
    rules(net.gate, "remove")
    assert snapshot(net.gate) == before


@MODES
def test_show_is_what_apply_loads(net, options):
    shown = rules(net.gate, "show", *options).stdout
    net.other.run("nft", "-f", "-", stdin=shown)
    rules(net.gate, "apply", *options)
    assert snapshot(net.other)[0] == snapshot(net.gate)[0]


def test_show_tells_the_routing(net):
    shown = rules(net.gate, "show", "-i", "lan0").stdout
    for line in shown.splitlines():
        if line.startswith("#   "):
            net.other.run(*line[4:].split())
    rules(net.gate, "apply", "-i", "lan0")

    def marked(ns):
        return [line for text in snapshot(ns)[1:]
                for line in text.splitlines() if "25925" in line or
                "fwmark" in line]

    assert len(marked(net.gate)) == 8
    assert sorted(marked(net.other)) == sorted(marked(net.gate))


def test_other_settings_replace_the_routing(net):
    net.apply()
    net.apply("-o", "mark = 0x800;", "-o", "route_table = 333;",
              "-o", "route_priority = 44;")
    text = "".join(snapshot(net.gate))
    assert text.count("0x800/0x800") == 6
    assert text.count("table 333") == 2
    assert f"{MARK:#x}/" not in text and "25925" not in text


def test_a_rule_just_like_it_stays(net):
    net.gate.run("ip", "rule", "add", "pref", "926", "fwmark",
                 f"{MARK}/{MARK}", "lookup", "25925")
    before = snapshot(net.gate)
    net.apply()
    assert snapshot(net.gate)[1].count("lookup 25925") == 2
    rules(net.gate, "remove")
    assert snapshot(net.gate) == before


def test_local_mode_removes_a_gateways_routing(net):
    before = snapshot(net.gate)[1:]
    net.apply()
    assert snapshot(net.gate)[1:] != before
    rules(net.gate, "apply", "--mode", "local", "-o", f"user = {USER};")
    assert snapshot(net.gate)[1:] == before


@FAMILIES
def test_road_is_open_again_after_remove(net, family):
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    net.apply()
    is_refused(net.client, ip["server"])
    rules(net.gate, "remove")
    with dial(net.client, ip["server"]) as client, accept(server) as served:
        talk(client, served)


@FAMILIES
def test_closed_where_routing_cannot_be_had(net, origin, family):
    """The table of routes is somebody else's."""
    ip = net.ip[family]
    server = listen(net.server, ip["server"])
    origin.listen(net.gate, family)
    net.gate.run("ip", "-6" if family == socket.AF_INET6 else "-4", "route",
                 "add", "default", "dev", "wan0", "table", "25925")
    result = net.apply(check=False)
    assert result.returncode == 1
    assert "adding the route to lo: another has it" in result.stderr
    assert "refused" in result.stderr
    is_closed(net.client, ip["server"])
    nobody_came(server)


@pytest.mark.parametrize("verb", ["apply", "remove"])
def test_capability_is_asked_for(net, verb):
    net.apply()
    before = snapshot(net.gate)
    result = net.gate.run(
        "setpriv", "--bounding-set", "-net_admin", "--",
        POSTERN, "rules", verb, "-c", "/dev/null", "-i", "lan1", check=False)
    assert result.returncode == 1
    assert "CAP_NET_ADMIN" in result.stderr
    assert snapshot(net.gate) == before


@pytest.mark.parametrize("options, code", [
    (["--help"], 0),
    ([], 2),
    (["open"], 2),
    (["show", "apply"], 2),
    (["show", "--no-such-option"], 2),
    (["show", "-c", "/dev/null"], 2),
    (["show", "-c", "/no/such/file"], 2),
    (["show", "-c", "/dev/null", "-i", 'lan0"; flush ruleset'], 2),
    (["show", "-c", "/dev/null", "-i", "lan0", "--mode", "both"], 2),
    (["show", "-c", "/dev/null", "--mode", "local", "-o",
      "user = no-such-user-here;"], 1),
    (["show", "-c", "/dev/null", "-i", "lan0"], 0),
], ids=str)
def test_exit_codes(options, code):
    result = subprocess.run([POSTERN, "rules", *options], check=False,
                            capture_output=True, text=True)
    assert result.returncode == code, result.stderr
    assert bool(result.stderr) == (code != 0)
    assert "usage: postern rules" in result.stdout + result.stderr or \
        options[0] == "show"
