# SPDX-License-Identifier: ISC
"""The DNS answers that cross the gateway, and the first guess at SNI that
they make: right at once where they tell the truth, of no consequence where
they lie, and never anything that anybody's DNS waits for."""

import re
import signal
import socket
import subprocess
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import pytest
from lab.netns import is_ready

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"


def tenants(lab, *names, **options):
    """Domains of one provider: a server with one address pair, that shows
    each host's certificate to who asks for it by name, and nobody's else."""
    domains = [lab.fresh(name) for name in names]
    hosts = [f"mx.{domain}" for domain in domains]
    server = lab.mx(hosts[0], certificates=[
        lab.issue("default.example"), *(lab.issue(h) for h in hosts)],
                    **options)
    for domain, host in zip(domains, hosts):
        if host != hosts[0]:
            lab.name_host(host, server.addresses)
        lab.domain(domain, host, publish=False)
    lab.publish()
    return domains, server


def ask(lab, name, kind, *, tcp=False, ipv6=False):
    """What an MTA on the LAN asks its resolver, across the gateway."""
    query = dns.message.make_query(name, kind)
    resolver = lab.dns.resolver[1 if ipv6 else 0]
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    with lab.client.socket(
            family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.connect((resolver, 53))
        if tcp:
            return dns.query.tcp(query, resolver, sock=s, timeout=10)
        s.send(query.to_wire())
        answer = dns.message.from_wire(s.recv(65535))
        assert query.is_response(answer)
        return answer


def look_up(lab, domain, **options):
    for kind, name in (("MX", domain), ("A", f"mx.{domain}"),
                       ("AAAA", f"mx.{domain}")):
        assert ask(lab, name, kind, **options).rcode() == dns.rcode.NOERROR


def send(lab, server, domain, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", [f"b@{domain}"], MESSAGE)


def asked_for(server, since):
    """The SNI of each connection."""
    return [session.sni for session in server.sessions[since:]]


TRANSPORTS = pytest.mark.parametrize("options", [
    {}, {"tcp": True}, {"ipv6": True}, {"tcp": True, "ipv6": True}],
    ids=["udp4", "tcp4", "udp6", "tcp6"])


@TRANSPORTS
def test_first_guess(lab, gateway, options):
    """In turns, to tenants of one server: each connection is the only one."""
    (one, other), server = tenants(lab, "one", "other")
    for domain in (one, other, other, one):
        before = len(server.sessions)
        look_up(lab, domain, **options)
        assert send(lab, server, domain).code == 250
        assert asked_for(server, before) == [f"mx.{domain}"]


def test_without_it(lab, start_gateway):
    """The same takes a connection more, which proves that the test can tell
    the difference."""
    start_gateway("gate.watch_dns = false")
    (one, other), server = tenants(lab, "one", "other")
    for domain in (one, other):
        before = len(server.sessions)
        look_up(lab, domain)
        assert send(lab, server, domain).code == 250
        assert len(asked_for(server, before)) > 1


def test_implicit_mx(lab, gateway):
    domain = lab.fresh("implicit")
    server = lab.mx(domain, certificates=[
        lab.issue("default.example"), lab.issue(domain)])
    lab.domain(domain)
    ask(lab, domain, "MX")
    ask(lab, domain, "A")
    assert send(lab, server, domain).code == 250
    assert asked_for(server, 0) == [domain]


def test_postfix(lab, gateway, postfix):
    """By itself, since its resolver is across the gateway."""
    (one, other), server = tenants(lab, "one", "other")
    for domain in (one, other):
        before = len(server.sessions)
        postfix.send("a@lan.example", [f"b@{domain}"], "\nhi\n")
        assert postfix.outcome(f"b@{domain}").status == "sent"
        assert asked_for(server, before) == [f"mx.{domain}"]


# Answers that lie.

class Forger:
    """Somebody on the internet who sends answers that nobody asked for."""

    def __init__(self, lab):
        self.socket = lab.internet.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((lab.new_addresses()[0], 53))
        self.target = (lab.client_address(), 40000)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.socket.close()

    def send(self, wire):
        self.socket.sendto(wire, self.target)

    def answer(self, name, kind, *texts, ttl=3600):
        query = dns.message.make_query(name, kind)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        answer.answer.append(dns.rrset.from_text(
            query.question[0].name, ttl, "IN", kind, *texts))
        self.send(answer.to_wire())


def test_48_forged_answers_are_no_evidence(lab, gateway):
    """The victim's domain, said to be at the forger's server, which has a
    good certificate of its own: not proved."""
    victim, _ = lab.good_domain("victim")
    mine, server = lab.good_domain("mine")
    address = server.addresses[0]
    with Forger(lab) as forger:
        forger.answer(victim, "MX", f"10 mx.{mine}.")
        forger.answer(f"mx.{mine}", "A", address)
    reply = send(lab, server, victim)
    assert reply.code == 451, reply
    assert "certificate-host-mismatch" in reply.text


def test_forged_answers_cost_a_connection(lab, gateway):
    """A name that the server does not know: mail goes through all the
    same."""
    (one,), server = tenants(lab, "one")
    with Forger(lab) as forger:
        forger.answer("elsewhere.example", "MX", "10 mx.elsewhere.example.")
        forger.answer("mx.elsewhere.example", "A", server.addresses[0])
        ask(lab, one, "MX")  # which comes behind them
    assert send(lab, server, one).code == 250
    assert asked_for(server, 0) == ["mx.elsewhere.example", f"mx.{one}"]


def wire_name(*labels):
    return b"".join(bytes([len(x)]) + x for x in labels) + b"\0"


NAMES = [b"mx\r\nRSET", b"mx evil", b"\x1b]0;x", b"mx\0", b"a.b", b"\xff"]


@pytest.mark.parametrize("label", NAMES, ids=repr)
def test_39_names_that_no_host_has(lab, gateway, label):
    """They reach neither the wire nor the log."""
    (one,), server = tenants(lab, "one")
    host = wire_name(label, b"example")
    head = b"\0\1\x81\x80\0\1\0\1\0\0\0\0"
    mx = (head + wire_name(b"elsewhere", b"example") + b"\0\x0f\0\1"
          + b"\xc0\x0c\0\x0f\0\1\0\0\x0e\x10"
          + (len(host) + 2).to_bytes(2, "big") + b"\0\x0a" + host)
    a = (head + host + b"\0\1\0\1" + b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4"
         + socket.inet_aton(server.addresses[0]))
    with Forger(lab) as forger:
        forger.send(mx)
        forger.send(a)
        look_up(lab, one)
    assert send(lab, server, one).code == 250
    assert asked_for(server, 0) == [f"mx.{one}"]
    assert not [line for line in gateway.log.lines
                if any(not 32 <= ord(c) < 127 for c in line)]


def test_bytes_of_no_meaning(lab, gateway):
    (one,), server = tenants(lab, "one")
    with Forger(lab) as forger:
        for length in range(0, 600, 7):
            forger.send(bytes((length * 31 + n * n) & 255
                              for n in range(length)))
        look_up(lab, one)
    [gate] = gateway.children("postern-gate")
    assert send(lab, server, one).code == 250
    assert asked_for(server, 0) == [f"mx.{one}"]
    assert gateway.children("postern-gate") == [gate]


# Nobody's DNS waits.

@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL],
                         ids=["stopped", "killed"])
def test_dns_goes_on_without_a_gate(lab, gateway, number):
    (one,), _server = tenants(lab, "one")
    gateway.kill("postern-gate", number)
    try:
        for _ in range(3000):  # more than any queue would hold
            with lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.connect((lab.dns.resolver[0], 53))
                s.send(dns.message.make_query(one, "MX").to_wire())
                assert is_ready(s, 5)
    finally:
        if number == signal.SIGSTOP:
            gateway.kill("postern-gate", signal.SIGCONT)


def test_says_what_it_learns(lab, start_gateway):
    gateway = start_gateway("log.verbose = true")
    (one,), server = tenants(lab, "one")
    look_up(lab, one)
    gateway.log.wait(re.compile(
        rf"hint: {re.escape(server.addresses[0])} is mx\.{one}"))


FLOOD = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.bind((sys.argv[1], 53))
    to = sys.argv[2], 40000
    first, wire = map(bytes.fromhex, sys.argv[3:])
    s.sendto(first, to)
    print(flush=True)
    while True:
        s.sendto(wire, to)
"""


def answer(name, kind, *texts):
    made = dns.message.make_response(dns.message.make_query(name, kind))
    made.flags |= dns.flags.RA
    made.answer.append(dns.rrset.from_text(name + ".", 3600, "IN", kind,
                                           *texts))
    return made.to_wire()


def test_flood_of_answers_stops_nobody(lab, start_gateway):
    """Forged ones, as full as they can be: connections are judged all the
    while, and no process is found stuck."""
    gateway = start_gateway("limits.connection_rate = 0", "workers = 16",
                            env={"WATCHDOG_USEC": "2000000"})
    server = lab.good_domain("flooded")[1]
    children = gateway.children()
    flood = lab.internet.start(
        "/usr/bin/python3", "-c", FLOOD, lab.new_addresses()[0],
        lab.client_address(),
        answer("elsewhere.example", "MX", "10 mx.elsewhere.example.").hex(),
        answer("mx.elsewhere.example", "A",
               *(f"192.0.2.{n}" for n in range(1, 65))).hex(),
        stdout=subprocess.PIPE)
    times = []
    try:
        flood.popen.stdout.readline()
        until = time.monotonic() + 5
        while time.monotonic() < until:
            start = time.monotonic()
            with lab.connect(server, timeout=10):
                times.append(time.monotonic() - start)
    finally:
        flood.stop()
        flood.popen.stdout.close()
    assert gateway.children() == children
    assert max(times) < 0.9  # no first packet had to be sent again
