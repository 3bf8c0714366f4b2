# SPDX-License-Identifier: ISC
"""postern-gate: what becomes of a connection at its first packet.

The tap tells whether anything of an envelope crossed the wire in clear.  What
the gate refuses ends in a reset, at once; what nobody judges is dropped."""

import contextlib
import ctypes
import os
import re
import signal
import socket
import struct
import threading
import time

import pytest
from lab.netns import is_ready

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
ME = "me@lan.example"
MARK = 0x100
families = pytest.mark.parametrize("ipv6", [False, True],
                                   ids=["ipv4", "ipv6"])


@pytest.fixture(scope="module")
def mail(lab):
    """A domain and its MX host, good."""
    return lab.good_domain("gate")


@pytest.fixture(scope="module")
def neighbour(lab):
    """Another host on the LAN."""
    return lab.lan_host("neighbour", 30)


def deliver(lab, mail, **options):
    domain, server = mail
    with lab.connect(server, **options) as client:
        return client.deliver(ME, [f"b@{domain}"], MESSAGE)


def address_of(server, ipv6):
    return next(a for a in server.addresses if (":" in a) == ipv6)


def refused(lab, mail, **options):
    """Whether a connection ends in a reset before it is one."""
    try:
        with lab.connect(mail[1], timeout=10, **options):
            return False
    except ConnectionRefusedError:
        return True


def admissions(gateway, since=0):
    """The records of the gate, as (verdict, client's address, reason)."""
    pattern = re.compile(r'admission verdict=(\w+) client=(\S+):\d+ .*'
                         r'reason="((?:[^"\\]|\\.)*)"')
    return [match.groups() for match in gateway.log.matching(pattern, since)]


def judged(ns):
    """How many packets the queues have taken, and their readers."""
    with ns.entered(), open("/proc/thread-self/net/netfilter/nfnetlink_queue",
                            encoding="ascii") as file:
        rows = [line.split() for line in file]
    return sum(int(row[7]) for row in rows), [int(row[1]) for row in rows]


# Verdicts.

@families
def test_intercepts(lab, gateway, mail, ipv6):
    before, readers = judged(lab.gateway)
    assert len(readers) == 4
    assert deliver(lab, mail, ipv6=ipv6).code == 250
    assert judged(lab.gateway)[0] > before
    assert mail[1].sessions[-1].tls


@families
def test_rejects_a_client(lab, start_gateway, mail, neighbour, ipv6):
    gateway = start_gateway(
        'client "desk" { match = ["198.51.100.20", "2001:db8:100::20"];'
        ' verdict = reject }')
    assert refused(lab, mail, ipv6=ipv6)
    gateway.log.wait(re.compile("admission verdict=reject"))
    assert [(verdict, 'client block \\"desk\\"' in reason)
            for verdict, _client, reason in admissions(gateway)] == [
                ("reject", True)]
    assert deliver(lab, mail, ipv6=ipv6, ns=neighbour).code == 250


@families
def test_rejects_a_destination(lab, start_gateway, mail, ipv6):
    """Even for who is exempt."""
    other = lab.good_domain("other")
    gateway = start_gateway(
        'client "all" { interfaces = ["lan0"]; verdict = exempt }',
        'destination "there" { verdict = reject; match = ["%s"] }'
        % '", "'.join(other[1].addresses))
    assert refused(lab, other, ipv6=ipv6)
    gateway.log.wait(re.compile(r'destination block \\"there\\"'))


def plain(lab, server, **options):
    """The capabilities that a client is shown, in clear."""
    with lab.connect(server, **options) as client:
        assert client.reply().code == 220
        return client.ehlo().lines


@pytest.mark.clear_text
@families
def test_exempts(lab, start_gateway, mail, neighbour, ipv6):
    """What is exempted is forwarded untouched; nobody else is."""
    gateway = start_gateway(
        'client "mta" { match = ["198.51.100.20", "2001:db8:100::20"];'
        ' verdict = exempt }')
    domain, server = mail
    assert "STARTTLS" in plain(lab, server, ipv6=ipv6)
    session = server.sessions[-1]
    assert session.helo == "client.lan.example" and not session.tls
    assert deliver(lab, mail, ipv6=ipv6).code == 250
    assert not server.sessions[-1].tls
    assert "STARTTLS" not in plain(lab, server, ipv6=ipv6, ns=neighbour)
    assert server.sessions[-1].tls
    assert {verdict for verdict, _client, _reason
            in admissions(gateway)} == {"exempt"}


@families
def test_exempt_is_not_from_outside(lab, start_gateway, mail, ipv6):
    """What comes in by another interface with an exempted address."""
    start_gateway(
        'client "mta" { match = ["203.0.113.0/24", "198.18.0.0/16",'
        ' "2001:db8:203::/64"]; verdict = exempt }')
    domain, server = mail
    target = "2001:db8:100::20" if ipv6 else "198.51.100.20"
    with pytest.raises(ConnectionRefusedError):
        with lab.connect(target, ns=lab.internet, timeout=10):
            pass


def test_the_longest_match_counts(lab, start_gateway, mail, neighbour):
    start_gateway(
        'client "all" { verdict = reject }',
        'client "lan" { match = ["198.51.100.0/24"]; verdict = intercept }',
        'client "one" { match = ["198.51.100.20"]; verdict = reject }')
    assert refused(lab, mail)
    assert refused(lab, mail, ipv6=True)
    assert deliver(lab, mail, ns=neighbour).code == 250


@contextlib.contextmanager
def marked(lab, source, mark):
    """A table of somebody else's that marks what a source sends."""
    lab.gateway.run("nft", "-f", "-", stdin=f"""
        table inet others {{
            chain raw {{
                type filter hook prerouting priority raw
                ip saddr {source} meta mark set {mark}
            }}
        }}""")
    try:
        yield
    finally:
        lab.gateway.run("nft", "delete", "table", "inet", "others")


def test_marks_and_interfaces(lab, start_gateway, mail):
    start_gateway(
        'client "vlan" { interfaces = ["lan0"]; marks = ["0x20/0xf0"];'
        ' verdict = reject }',
        'client "other" { interfaces = ["wan0"]; verdict = reject }')
    assert deliver(lab, mail).code == 250
    with marked(lab, "198.51.100.20", 0x25):
        assert refused(lab, mail)
    with marked(lab, "198.51.100.20", 0x35):
        assert deliver(lab, mail).code == 250


@pytest.mark.clear_text
def test_exempts_by_mark(lab, start_gateway, mail):
    start_gateway('client "vlan" { marks = ["0x20"]; verdict = exempt }')
    assert "STARTTLS" not in plain(lab, mail[1])
    with marked(lab, "198.51.100.20", 0x20):
        assert "STARTTLS" in plain(lab, mail[1])
    assert "STARTTLS" not in plain(lab, mail[1])


# Limits.

@families
def test_connection_rate(lab, start_gateway, mail, neighbour, ipv6):
    """More than twice the rate at once, and the rest is refused; of that
    client only.  IPv6 clients are /64s."""
    gateway = start_gateway(
        'client "lan" { connection_rate = 3 }', 'limits.connection_rate = 0')
    outcomes = [refused(lab, mail, ipv6=ipv6) for _ in range(12)]
    assert outcomes[:6] == [False] * 6
    assert any(outcomes[6:])
    assert refused(lab, mail, ipv6=ipv6, ns=neighbour) == ipv6
    gateway.log.wait(re.compile("more than 3 new connections a second"))
    until = time.monotonic() + 10
    while refused(lab, mail, ipv6=ipv6):
        assert time.monotonic() < until


def comes_to_be_refused(lab, mail):
    """Sessions are told to the gate a moment after they have begun."""
    until = time.monotonic() + 10
    while not refused(lab, mail):
        assert time.monotonic() < until
    return True


def let_in(lab, mail, seconds=10):
    """Delivers as soon as sessions that are over no longer count."""
    until = time.monotonic() + seconds
    while True:
        try:
            return deliver(lab, mail)
        except ConnectionRefusedError:
            assert time.monotonic() < until


def test_sessions_of_all_relays(lab, start_gateway, mail, neighbour):
    gateway = start_gateway(
        "workers = 3", 'client "lan" { match = ["198.51.100.0/24"];'
        ' sessions = 4 }')
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(lab.connect(mail[1]))
                   for _ in range(4)]
        for client in clients:
            assert client.reply().code == 220
        assert comes_to_be_refused(lab, mail)
        gateway.log.wait(re.compile("it has 4 sessions already"))
        assert not refused(lab, mail, ns=neighbour)
        clients[0].close()
        let_in(lab, mail)
    assert let_in(lab, mail).code == 250


def test_a_relays_sessions_end_with_it(lab, start_gateway, mail):
    gateway = start_gateway(
        "workers = 1", 'client "lan" { sessions = 1 }')
    with lab.connect(mail[1]) as client:
        assert client.reply().code == 220
        assert comes_to_be_refused(lab, mail)
        mark = gateway.log.mark()
        gateway.kill("postern-relay")
        gateway.log.wait(re.compile("relay 1: serving"), since=mark)
        assert let_in(lab, mail).code == 250


def test_full_relays(lab, start_gateway, mail):
    """Refused before it is accepted, so that the sender turns elsewhere."""
    gateway = start_gateway("workers = 1", "limits.sessions = 2")
    with lab.connect(mail[1]) as one, lab.connect(mail[1]) as two:
        assert one.reply().code == two.reply().code == 220
        assert comes_to_be_refused(lab, mail)
        gateway.log.wait(re.compile("every postern-relay is full"))
    assert let_in(lab, mail).code == 250


def test_told_once_in_a_while(lab, start_gateway, mail):
    """A storm of refusals is a line, not a storm of lines."""
    gateway = start_gateway('client "all" { verdict = reject }')
    for _ in range(50):
        assert refused(lab, mail)
    gateway.log.wait(re.compile("admission"))
    assert len(admissions(gateway)) <= 2


# Answers that pass.

A, MX = 1, 15


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode()
                    for label in name.split(".") if label) + b"\0"


def answer(name, kind, rdata=b""):
    """A DNS answer, of one record or of none."""
    message = struct.pack(">6H", 0, 0x8180, 1, 1 if rdata else 0, 0, 0)
    message += wire(name) + struct.pack(">HH", kind, 1)
    if rdata:
        message += wire(name) + struct.pack(">HHIH", kind, 1, 600, len(rdata))
    return message + rdata


def send_answers(neighbour, *answers):
    """To the gateway, as if it had asked."""
    with neighbour.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("", 53))
        for message in answers:
            s.sendto(message, ("198.51.100.1", 40000))


def test_what_is_looked_up_is_guessed(lab, gateway, neighbour):
    """The first dial has the right SNI, so that there is no second."""
    name = lab.fresh("hint")
    server = lab.mx(f"mx.{name}", certificates=[
        lab.issue("default.example"), lab.issue(f"mx.{name}")])
    lab.domain(name, server)
    send_answers(
        neighbour, answer(name, MX, b"\0\12" + wire(f"mx.{name}")),
        answer(f"mx.{name}", A,
               socket.inet_aton(address_of(server, ipv6=False))))
    assert deliver(lab, (name, server)).code == 250
    assert [session.sni for session in server.sessions] == [f"mx.{name}"]


def test_answers_about_no_host(lab, gateway, mail, neighbour):
    """The root is no MX host: a hint of it would be one without a name."""
    mark = gateway.log.mark()
    send_answers(neighbour, answer("", MX), answer("", A, b"\300\0\2\1"))
    for _ in range(3):
        assert deliver(lab, mail).code == 250
    assert not gateway.log.matching(re.compile("bad HINT"), mark)


@pytest.mark.config("workers = 24")
def test_answers_in_a_flood(lab, gateway, mail, neighbour):
    """As large as they come, for every relay to hear: connections do not wait
    until all of them are read."""
    host = wire("mx.flood.example")
    message = struct.pack(">6H", 0, 0x8180, 1, 64, 0, 0)
    message += host + struct.pack(">HH", A, 1)
    for number in range(64):
        message += host + struct.pack(">HHIH4B", A, 1, 600, 4,
                                      10, 0, 0, number)
    send_answers(neighbour, answer("flood.example", MX, b"\0\12" + host))
    gates = gateway.children("postern-gate")
    has_risen, is_over = threading.Event(), threading.Event()

    def flood_answers():
        began = time.monotonic()
        while not is_over.is_set():
            send_answers(neighbour, *[message] * 100)
            if time.monotonic() > began + 2:  # more than sockets hold
                has_risen.set()

    thread = threading.Thread(target=flood_answers)
    thread.start()
    try:
        assert has_risen.wait(30)
        for _ in range(5):
            assert deliver(lab, mail, timeout=4).code == 250
    finally:
        is_over.set()
        thread.join()
    assert gateway.children("postern-gate") == gates


# Closed.

def dropped(lab, server, seconds, **options):
    """Whether a connection gets no answer for so long."""
    try:
        with lab.connect(server, timeout=seconds, **options):
            return False
    except TimeoutError:
        return True


@families
def test_gate_that_is_stopped(lab, gateway, mail, ipv6):
    gateway.kill("postern-gate", signal.SIGSTOP)
    try:
        assert dropped(lab, mail[1], 2.5, ipv6=ipv6)
    finally:
        gateway.kill("postern-gate", signal.SIGCONT)
    assert deliver(lab, mail, ipv6=ipv6).code == 250


def test_stuck_gate_is_replaced(lab, start_gateway, mail):
    gateway = start_gateway(env={"WATCHDOG_USEC": "2000000"})
    mark = gateway.log.mark()
    gateway.kill("postern-gate", signal.SIGSTOP)
    gateway.log.wait(re.compile("gate: serving"), since=mark)
    assert deliver(lab, mail).code == 250


@families
def test_gate_that_dies(lab, gateway, mail, ipv6):
    """Who connects meanwhile waits for a second packet, and gets through."""
    mark = gateway.log.mark()
    gateway.kill("postern-gate")
    assert deliver(lab, mail, ipv6=ipv6).code == 250
    assert gateway.log.matching(re.compile("gate: serving"), mark)


def test_rules_without_a_gate_behind_them(lab, gateway, mail):
    """The parent killed, with its children."""
    os.kill(gateway.pid, signal.SIGKILL)
    gateway.process.stop()
    assert dropped(lab, mail[1], 2.5)
    gateway.start()
    assert deliver(lab, mail).code == 250


def test_stop_leaves_a_road_that_refuses(lab, gateway, mail):
    assert gateway.stop() == 0
    assert refused(lab, mail) and refused(lab, mail, ipv6=True)
    gateway.start()
    assert judged(lab.gateway)[1]
    assert deliver(lab, mail).code == 250


def test_rules_of_another_mark(lab, start_gateway, mail):
    """They do not know what comes back refused, and put it to the gate
    again: it is dropped, and goes round no further."""
    rules = 'client "all" { verdict = reject }'
    gateway = start_gateway(rules)
    gateway.configure(lab.config(rules, "mark = 0x200"))
    gateway.command("rules", "apply", "-c", gateway.config_path)
    before = judged(lab.gateway)[0]
    assert dropped(lab, mail[1], 2.5)
    assert 2 <= judged(lab.gateway)[0] - before <= 8  # with SYNs sent again


def flood(lab, server, count, first=20000):
    """Connections begun, from as many ports, and not waited for."""
    sockets = []
    for number in range(count):
        s = lab.client.socket(socket.AF_INET, socket.SOCK_STREAM)
        s.setblocking(False)
        s.connect_ex((address_of(server, False), 25))
        sockets.append(s)
    return sockets


@pytest.mark.config("limits.connection_rate = 0", "gate.queues = 1")
def test_50_full_queue(lab, gateway, mail):
    """What does not fit into the queue of a gate that sleeps is dropped, and
    nothing of it passes; then mail goes on."""
    gateway.kill("postern-gate", signal.SIGSTOP)
    sockets = []
    try:
        sockets = flood(lab, mail[1], 5000)
        with lab.gateway.entered(), open(
                "/proc/thread-self/net/netfilter/nfnetlink_queue",
                encoding="ascii") as file:
            row = file.read().split()
        assert int(row[2]) == 4096  # waiting
        assert int(row[5]) > 0  # dropped, for want of room
        assert not any(is_ready(s, 0, to_write=True) for s in sockets)
        assert dropped(lab, mail[1], 1.5)
    finally:
        gateway.kill("postern-gate", signal.SIGCONT)
        for s in sockets:
            s.close()
    assert deliver(lab, mail).code == 250


PIDFD_GETFD = 438


def borrowed_channels(pid):
    """This end of each of the gate's channels to relays."""
    pidfd = os.pidfd_open(pid)
    control = os.readlink(f"/proc/{pid}/fd/3")
    try:
        for fd in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
            copy = ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, fd, 0)
            if copy == -1:
                continue
            try:
                end = socket.socket(fileno=copy)
            except OSError:
                os.close(copy)
                continue
            if os.readlink(f"/proc/{pid}/fd/{fd}") != control and (
                    end.family, end.type) == (
                        socket.AF_UNIX, socket.SOCK_SEQPACKET):
                yield end
            else:
                end.close()
    finally:
        os.close(pidfd)


@pytest.mark.config("workers = 2")
def test_broken_channel_is_made_anew(lab, gateway, mail):
    """What a relay cannot read costs the channel, and not the relay."""
    [gate] = gateway.children("postern-gate")
    relays = gateway.children("postern-relay")
    ends = list(borrowed_channels(gate))
    assert len(ends) == 2
    for end in ends:
        with end:
            end.send(b"nonsense")
    until = time.monotonic() + 10
    while not refused(lab, mail):  # for want of a relay
        assert time.monotonic() < until
    assert let_in(lab, mail).code == 250
    assert gateway.children("postern-relay") == relays
    assert gateway.children("postern-gate") == [gate]
    let_in_everywhere(lab, mail, len(ends))


def let_in_everywhere(lab, mail, relays):
    """Each relay takes part again: more at once than one may have."""
    with contextlib.ExitStack() as stack:
        for _ in range(8 * relays):
            client = stack.enter_context(lab.connect(mail[1]))
            assert client.reply().code == 220


# Verdicts that are over.

def connect_from(lab, server, port, ns=None):
    """A connection from a chosen port, with SO_REUSEADDR."""
    s = (ns or lab.client).socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(10)
    s.bind(("", port))
    s.connect((address_of(server, False), 25))
    return s


def capabilities(s):
    s.recv(4096)
    s.sendall(b"EHLO client.lan.example\r\n")
    data = b""
    while b"\n250 " not in data and not data.startswith(b"250 "):
        more = s.recv(4096)
        if not more:
            break
        data += more
    return data


EXEMPT = 'client "mta" { match = ["198.51.100.20"]; verdict = exempt }'


@pytest.mark.clear_text
def test_reload_cuts_what_was_exempt(lab, start_gateway, mail):
    gateway = start_gateway(EXEMPT)
    with lab.connect(mail[1]) as client:
        client.reply()
        assert "STARTTLS" in client.ehlo().lines
        gateway.configure(lab.config())
        gateway.reload()
        with pytest.raises((ConnectionError, Exception)):
            client.command("NOOP")
            client.command("NOOP")
    assert deliver(lab, mail).code == 250
    assert mail[1].sessions[-1].tls


@pytest.mark.clear_text
@pytest.mark.parametrize("is_tracked", [True, False],
                         ids=["remembered", "forgotten"])
def test_ports_used_again_are_judged_again(lab, start_gateway, mail,
                                           is_tracked):
    """The connection entry of an exempted connection is no leave for the
    next one with the same four numbers."""
    gateway = start_gateway(EXEMPT)
    with connect_from(lab, mail[1], 31000) as s:
        assert b"STARTTLS" in capabilities(s)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                     b"\1\0\0\0\0\0\0\0")  # ends by RST: free at once
    mark = 'marks = ["0x40"]; '
    gateway.configure(lab.config(EXEMPT.replace("match", mark + "match")))
    gateway.reload()
    if not is_tracked:
        lab.gateway.flush_conntrack()
    with connect_from(lab, mail[1], 31000) as s:
        assert b"STARTTLS" not in capabilities(s)
    assert mail[1].sessions[-1].tls


@pytest.mark.clear_text
def test_retransmitted_first_packets_are_judged_again(
        lab, start_gateway, mail):
    """The first SYN waits in the queue of a gate that sleeps; when the next
    one comes the rules have changed."""
    gateway = start_gateway(EXEMPT)
    gateway.kill("postern-gate", signal.SIGSTOP)
    s = lab.client.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setblocking(False)
    s.connect_ex((address_of(mail[1], False), 25))
    gateway.configure(lab.config('client "x" { match = ["192.0.2.1"];'
                                 ' verdict = exempt }'))
    gateway.command("rules", "apply", "-c", gateway.config_path)
    mark = gateway.log.mark()
    gateway.kill("postern-gate")
    gateway.log.wait(re.compile("gate: serving"), since=mark)
    gateway.reload()
    assert is_ready(s, 10, to_write=True)
    s.setblocking(True)
    s.settimeout(10)
    assert b"STARTTLS" not in capabilities(s)
    s.close()
