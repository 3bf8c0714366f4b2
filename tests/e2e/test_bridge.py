# SPDX-License-Identifier: ISC
"""postern in a wire: a bridge whose frames of port 25 it takes up, seen by
neither side."""

import contextlib
import os
import re
import signal
import socket
import struct

import pytest
from lab import Gateway
from lab.netns import is_ready
from lab.smtp_client import Closed
from lab.smtp_server import SmtpServer
from lab.wire import HOST4, HOST6, NEIGHBOUR4, NEIGHBOUR6, ROUTER4, Wire

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
SAID = b"EHLO s3cret\r\nMAIL FROM:<s3cret@lan.example>\r\n"
ETH_P_ALL = 3


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def segment(source, target, sport, port, flags):
    """An IPv4 packet with a TCP header."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack("!HHIIBBHHH", sport, port, 1, 0, 5 << 4, flags, 1000, 0,
                      0)
    tcp = (tcp[:16] + struct.pack("!H", checksum(
        ends + struct.pack("!HH", 6, len(tcp)) + tcp)) + tcp[18:])
    head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 1, 0, 64, 6, 0)
    return (head[:10] + struct.pack("!H", checksum(head + ends)) + ends
            + tcp)


families = pytest.mark.parametrize("ipv6", [False, True],
                                   ids=["ipv4", "ipv6"])


@pytest.fixture(scope="module")
def wire(lab):
    with Wire(lab) as made:
        yield made


@pytest.fixture(scope="module")
def mail(lab):
    return lab.good_domain("wire")


@pytest.fixture
def box(lab, wire):
    """postern in the box: box("...")."""
    with contextlib.ExitStack() as stack:
        yield lambda *settings, **options: stack.enter_context(
            Gateway(lab, wire.box, wire.config(*settings), **options))


def deliver(lab, wire, mail, **options):
    domain, server = mail
    with lab.connect(server, ns=wire.host, **options) as client:
        return client.deliver("me@lan.example", [f"b@{domain}"], MESSAGE)


class Frames:
    """What crosses an interface of a namespace, as raw frames."""

    def __init__(self, ns, interface):
        self.socket = ns.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                socket.htons(ETH_P_ALL))
        self.socket.bind((interface, 0))
        self.frames = []

    def read(self):
        while is_ready(self.socket, 0.1):
            self.frames.append(self.socket.recv(65536))
        return self.frames

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.socket.close()


def mac(ns, interface):
    line = ns.run("ip", "-br", "link", "show", "dev", interface).stdout
    return bytes.fromhex(line.split()[2].replace(":", ""))


@families
def test_delivers(lab, wire, mail, box, ipv6):
    box()
    assert deliver(lab, wire, mail, ipv6=ipv6).code == 250
    session = mail[1].sessions[-1]
    assert session.tls
    assert session.client == (HOST6 if ipv6 else HOST4)


@families
def test_delivers_to_a_neighbour(lab, wire, box, ipv6):
    """On the same network, no router between."""
    box()
    addresses, domain = (NEIGHBOUR4, NEIGHBOUR6), lab.fresh("near")
    near = SmtpServer(wire.neighbour, addresses, name=domain,
                      certificates=[lab.issue(domain)])
    try:
        lab.name_host(domain, addresses)
        lab.domain(domain, domain)
        assert deliver(lab, wire, (domain, near), ipv6=ipv6).code == 250
        assert near.sessions[-1].client == (HOST6 if ipv6 else HOST4)
    finally:
        near.close()


@families
def test_refuses(lab, wire, box, ipv6):
    box()
    name = lab.fresh("bad")
    bad = name, lab.mx(f"mx.{name}", certificates=[
        lab.issue("mx.elsewhere.example")])
    lab.domain(name, bad[1])
    reply = deliver(lab, wire, bad, ipv6=ipv6)
    assert (reply.code, "certificate-host-mismatch" in reply.text) == (
        451, True), reply


@families
def test_seen_by_neither_side(lab, wire, mail, box, ipv6):
    """Frames bear the addresses of host and router, and nobody asks for
    another's, nor for any in the box's name."""
    box()
    assert deliver(lab, wire, mail, ipv6=ipv6).code == 250
    known = {mac(wire.host, "eth0"), mac(lab.gateway, "dmz0"),
             mac(wire.neighbour, "eth0")}
    with Frames(wire.host, "eth0") as inner, Frames(
            lab.gateway, "dmz0") as outer:
        assert deliver(lab, wire, mail, ipv6=ipv6).code == 250
        for frames in (inner.read(), outer.read()):
            assert len(frames) > 10
            unicast = [f for f in frames if not f[0] & 1]
            assert {f[6:12] for f in frames} <= known
            assert {f[0:6] for f in unicast} <= known


@pytest.mark.parametrize("side", ["host", "neighbour"])
@pytest.mark.parametrize("kind", ["ipv4", "lldp"])
def test_nobodys_address_is_not_to_be_had(lab, wire, mail, box, side, kind):
    """Who sends from the address that postern's frames go to, for the bridge
    to learn, does not get them, nor keeps them from anybody."""
    box()
    nobody = [word for word in wire.box.run(
        "ip", "neigh", "show", "dev", "br0", "192.0.0.8").stdout.split()
        if word.count(":") == 5][0]
    nobody = bytes.fromhex(nobody.replace(":", ""))
    target, what = ((mac(lab.gateway, "dmz0"), b"\x08\0")
                    if kind == "ipv4" else
                    (bytes.fromhex("0180c200000e"), b"\x88\xcc"))
    with Frames(getattr(wire, side), "eth0") as frames:
        frames.socket.send(target + nobody + what + bytes(46))
    for ipv6 in (False, True):
        assert deliver(lab, wire, mail, ipv6=ipv6).code == 250


@pytest.mark.parametrize("port", [8025, 25])
def test_box_serves_nobody_by_the_wire(lab, wire, box, port):
    """What is taken up for postern leads to nothing else of the box: nobody
    there knows its address, but it may be guessed."""
    box()
    address = wire.box.run("ip", "-br", "-4", "address", "show", "manage0")
    address = address.stdout.split()[2].split("/")[0]
    listener = wire.box.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((address, port))
    listener.listen()
    syn = segment(NEIGHBOUR4, address, 25, port, 2)
    with listener, Frames(wire.neighbour, "eth0") as there, Frames(
            lab.gateway, "manage0") as managed:
        there.socket.send(mac(wire.host, "eth0")
                          + mac(wire.neighbour, "eth0") + b"\x08\0" + syn)
        assert not [f.hex() for f in managed.read()
                    if socket.inet_aton(NEIGHBOUR4) in f]


def test_who_tries_every_server_stops_nobody(lab, wire, mail, box):
    """A host that looks for servers all over the internet: what can be learnt
    of those has an end, but others' mail goes on, to new servers too."""
    box()
    head = mac(lab.gateway, "dmz0") + mac(wire.host, "eth0") + b"\x08\0"
    with Frames(wire.host, "eth0") as sent:
        for n in range(66000):
            sent.socket.send(head + segment(
                HOST4, f"10.{64 | n >> 14}.{n >> 7 & 127}.{n & 127}", 40000,
                25, 0x10))
    domain, server = lab.good_domain("new")
    assert deliver(lab, wire, (domain, server)).code == 250
    assert server.sessions[-1].client == HOST4
    assert deliver(lab, wire, mail, ipv6=True).code == 250


def test_other_ports_cross_as_they_are(lab, wire, box):
    box()
    listener = lab.gateway.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((ROUTER4, 8025))
    listener.listen()
    with listener, wire.host.socket(
            socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect((ROUTER4, 8025))
        accepted, peer = listener.accept()
        with accepted:
            assert peer[0] == HOST4
            accepted.sendall(b"hello")
            assert client.recv(5) == b"hello"


@families
def test_large_messages(lab, wire, mail, box, ipv6):
    box()
    domain, server = mail
    with lab.connect(server, ns=wire.host, ipv6=ipv6) as client:
        body = b"0123456789" * 7 + b"xxxxxxxx\r\n"
        reply = client.deliver("me@lan.example", [f"b@{domain}"],
                               body * 100000)
    assert reply.code == 250, reply


# Closed.

def ipv4(data, *, protocol=6, options=b"", more=0):
    """A packet from the host to the neighbour."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0,
        20 + len(options) + len(data), 1, more, 64, protocol, 0,
        socket.inet_aton(HOST4), socket.inet_aton(NEIGHBOUR4)) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + data


def ipv6(data, first=6):
    return struct.pack(
        "!IHBB16s16s", 6 << 28, len(data), first, 64,
        socket.inet_pton(socket.AF_INET6, HOST6),
        socket.inet_pton(socket.AF_INET6, NEIGHBOUR6)) + data


TCP = struct.pack("!HHIIBBHHH", 40000, 25, 1, 1, 5 << 4, 0x18, 1000, 0,
                  0) + SAID
IP4, IP6 = b"\x08\0", b"\x86\xdd"
OPTIONS = bytes((6, 0, 1, 4, 0, 0, 0, 0))  # destination options, then TCP


def fragments6(first, data, size=8):
    for at in range(0, len(data), size):
        more = at + size < len(data)
        yield IP6 + ipv6(struct.pack("!BBHI", first, 0, at | more, 7)
                         + data[at:at + size], 44)


def snap(kind, organisation=b"\0\0\0"):
    packet = (ipv4 if kind == IP4 else ipv6)(TCP)
    data = b"\xaa\xaa\3" + organisation + kind + packet
    return struct.pack("!H", len(data)) + data


# What a frame has behind its addresses.
HIDDEN = {
    "plain": [IP4 + ipv4(TCP), IP6 + ipv6(TCP)],
    "options": [IP4 + ipv4(TCP, options=b"\x94\4\0\0"),
                IP6 + ipv6(OPTIONS + TCP, 60), IP6 + ipv6(OPTIONS + TCP, 0),
                IP6 + ipv6(OPTIONS + TCP, 43)],
    "fragment": [IP4 + ipv4(TCP, more=1), IP4 + ipv4(TCP, more=0x2000)],
    "fragments": [*fragments6(6, TCP, 16)],
    "fragments, the header late": [*fragments6(60, OPTIONS + TCP)],
    "fragments, the header later": [*fragments6(
        0, bytes((60, 0, 1, 4, 0, 0, 0, 0)) + OPTIONS + TCP)],
    "fragments of routing": [*fragments6(43, OPTIONS + TCP)],
    "fragments of fragments": [*fragments6(
        44, struct.pack("!BBHI", 6, 0, 0, 9) + TCP)],
    "vlan": [b"\x81\0\0\5" + IP4 + ipv4(TCP),
             b"\x81\0\0\0" + IP6 + ipv6(TCP)],
    "vlans": [b"\x81\0\0\5\x81\0\0\6" + IP4 + ipv4(TCP),
              b"\x88\xa8\0\5\x81\0\0\6" + IP6 + ipv6(TCP),
              b"\x81\0\0\0\x88\xa8\0\0" + IP4 + ipv4(TCP)],
    "old vlans": [b"\x91\0\0\5" + IP4 + ipv4(TCP),
                  b"\x81\0\0\5\x91\0\0\5" + IP4 + ipv4(TCP)],
    "pppoe": [b"\x88\x64\x11\0\0\1"
              + struct.pack("!H", len(ipv4(TCP)) + 2) + b"\0\x21"
              + ipv4(TCP)],
    "mpls": [b"\x88\x47\0\1\1\x40" + ipv4(TCP)],
    "snap": [snap(IP4), snap(IP6), snap(IP4, b"\0\0\xf8"),
             b"\x81\0\0\0" + snap(IP4)],
    "fragments in a vlan": [
        b"\x81\0\0\5" + IP4 + ipv4(TCP, more=1),
        *(b"\x81\0\0\5" + f for f in fragments6(6, TCP, 16))],
    "snap, of a wrong length": [b"\0\1" + snap(IP4)[2:],
                                b"\x05\xff" + snap(IP6)[2:]],
    "llc": [struct.pack("!H", len(ipv4(TCP)) + 3) + b"\6\6\3"
            + ipv4(TCP)],
}


SEEN = b"\x88\xb5" + b"what is let through" * 3


@pytest.mark.parametrize("kind", HIDDEN)
def test_hidden_mail(lab, wire, box, kind):
    """By every kind of frame, from the host to its neighbour."""
    box()
    head = mac(wire.neighbour, "eth0") + mac(wire.host, "eth0")
    with Frames(wire.neighbour, "eth0") as seen, Frames(
            wire.host, "eth0") as sent:
        for frame in (*HIDDEN[kind], SEEN):
            sent.socket.send(head + frame)
        # A tag is not shown; the two may have other things to say.
        ends = {frame[-8:]: frame for frame in (*HIDDEN[kind], SEEN)}
        assert {ends[f[-8:]] for f in seen.read()
                if f[:12] == head and f[-8:] in ends} == {SEEN}


CROSSING = {
    "vlan": b"\x81\0\0\5" + IP4 + ipv4(b"x" * 40, protocol=17),
    "udp": IP4 + ipv4(b"x" * 40, protocol=17),
    "fragment": IP4 + ipv4(b"x" * 40, protocol=17, more=0x2000),
    "fragment6": IP6 + ipv6(bytes((17, 0, 0, 1, 0, 0, 0, 7)) + b"x" * 40,
                            44),
    "stp": b"\0\x26\x42\x42\3" + bytes(40),
    "cdp": b"\0\x30\xaa\xaa\3\0\0\x0c\x20\0" + bytes(40),
}


@pytest.mark.parametrize("kind", CROSSING)
def test_hides_nothing(lab, wire, box, kind):
    box()
    head = mac(wire.neighbour, "eth0") + mac(wire.host, "eth0")
    with Frames(wire.neighbour, "eth0") as seen, Frames(
            wire.host, "eth0") as sent:
        sent.socket.send(head + CROSSING[kind])
        assert any(f[:12] == head for f in seen.read())


def passes(lab, wire, server, ipv6, seconds=2):
    """Whether anything said there is heard by the server, in clear."""
    before = len(server.sessions)
    try:
        with lab.connect(server, ns=wire.host, ipv6=ipv6,
                         timeout=seconds) as client:
            client.send(SAID)
            client.line()
    except (OSError, Closed):
        return False
    return any(b"s3cret" in line for session in server.sessions[before:]
               for _tls, line in session.lines)


@families
def test_gone_is_closed(lab, wire, mail, box, ipv6):
    lab.tap.mark("s3cret")
    gate = box()
    for pid in (*gate.children(), gate.pid):
        os.kill(pid, signal.SIGKILL)
    gate.process.stop()
    assert not passes(lab, wire, mail[1], ipv6)
    gate.start()
    assert deliver(lab, wire, mail, ipv6=ipv6).code == 250
    assert gate.stop() == 0
    assert not passes(lab, wire, mail[1], ipv6)
    gate.start()
    assert deliver(lab, wire, mail, ipv6=ipv6).code == 250


@families
def test_older_connections_are_cut(lab, wire, mail, box, ipv6):
    """One that crossed the bridge before there were rules."""
    lab.tap.mark("s3cret")
    domain, server = mail
    with lab.connect(server, ns=wire.host, ipv6=ipv6, timeout=3) as client:
        assert client.reply().code == 220
        box()
        with contextlib.suppress(OSError, Closed):
            client.send(SAID)
            client.line()
    assert not any(b"s3cret" in line for session in server.sessions
                   for _tls, line in session.lines)


def test_bridge_that_comes_later(lab, wire, mail, box):
    """As at a boot: closed until it is there, then at work by itself."""
    wire.remove_bridge()
    try:
        gate = box(env={"WATCHDOG_USEC": "2000000"})
        gate.log.wait(re.compile("there is no bridge br0 yet"))
    finally:
        wire.add_bridge()
    assert not passes(lab, wire, mail[1], False, 0.2)
    gate.log.wait(re.compile("the bridge is there"))
    assert deliver(lab, wire, mail).code == 250


def test_bridge_that_is_down(lab, wire, mail, box):
    """As between its making and its start: likewise."""
    wire.box.run("ip", "link", "set", "br0", "down")
    try:
        gate = box(env={"WATCHDOG_USEC": "2000000"})
        gate.log.wait(re.compile("the bridge br0 is down"))
    finally:
        wire.box.run("ip", "link", "set", "br0", "up")
    gate.log.wait(re.compile("the bridge is there"))
    assert deliver(lab, wire, mail).code == 250
    assert not gate.log.matching(re.compile("not put in place"))


@pytest.mark.parametrize("change", ["address", "again", "port"])
def test_bridge_that_changes(lab, wire, mail, box, change):
    """As when a port joins, whose address it may take: the rules follow."""
    gate = box(env={"WATCHDOG_USEC": "2000000"})
    mark = gate.log.mark()
    run = wire.box.run
    if change == "address":
        run("ip", "link", "set", "br0", "address", "02:00:00:00:00:99")
    elif change == "again":
        wire.remove_bridge()
        wire.add_bridge()
    else:
        run("ip", "link", "add", "late0", "type", "veth", "peer", "late1")
        run("ip", "link", "set", "late0", "master", "br0")
    try:
        gate.log.wait(re.compile("the bridge has changed|the bridge is there"),
                      since=mark)
        if change == "port":
            assert '"late0"' in run("nft", "list", "table", "bridge",
                                    "postern").stdout
        assert deliver(lab, wire, mail).code == 250
    finally:
        if change == "port":
            run("ip", "link", "del", "late0")


@pytest.mark.parametrize("name", ["iptables", "ip6tables"])
def test_needs_its_frames(lab, wire, name):
    """Where br_netfilter is on, it says so and stays closed."""
    path = f"/proc/sys/net/bridge/bridge-nf-call-{name}"
    wire.box.write(path, "1")
    try:
        with pytest.raises(RuntimeError, match=f"bridge-nf-call-{name} is on"):
            Gateway(lab, wire.box, wire.config())
        wire.box.write(path, "0")
        server = lab.good_domain()[1]
        assert not passes(lab, wire, server, name == "ip6tables")
    finally:
        wire.box.write(path, "0")
        wire.box.run("nft", "flush", "ruleset")


def test_remove_leaves_a_plain_bridge(lab, wire, mail, box):
    gate = box()
    gate.stop()
    gate.command("rules", "remove")
    assert wire.box.run("nft", "list", "ruleset").stdout == ""
    for what in (("rule",), ("-6", "rule"), ("neigh",)):
        shown = wire.box.run("ip", *what).stdout
        assert "125" not in shown and "ff:ff:ff" not in shown

