# SPDX-License-Identifier: ISC
"""postern-policy killed, hung or without a network: what it could not say is
a temporary refusal with the reason, what it said before holds for sessions in
flight, and it is back by itself."""

import contextlib
import os
import re
import signal
import time

import pytest
from lab import Gateway

RECOVERY = 90  # seconds
MESSAGE = b"Subject: test\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def gate(lab):
    # One relay, so that what it has been told is there for the next session.
    with Gateway(lab, lab.gateway, lab.config(
            "workers = 1", "dns { timeout = 2 }")) as gate:
        yield gate
    assert not [line for line in gate.log.lines
                if "Sanitizer" in line or "runtime error" in line]


@pytest.fixture(scope="module")
def domains(lab):
    """Two domains on one MX host, one by DANE and one by MTA-STS, and a
    third that nobody asks for before its time."""
    name, server = lab.good_domain("shared")
    others = []
    for word in ("dane", "fresh"):
        other = lab.fresh(word)
        lab.domain(other, f"mx.{name}", publish=False)
        others.append(other)
    lab.sts(name, mx=[f"mx.{name}"], publish=False)
    lab.publish()
    return server, name, *others


@contextlib.contextmanager
def in_flight(lab, server, known):
    """A session that has a verdict for one recipient."""
    with lab.connect(server, timeout=60) as client:
        client.reply()
        client.ehlo()
        client.command("MAIL FROM:<a@lan.example>")
        assert client.command(f"RCPT TO:<b@{known}>").code == 250
        yield client


def finish(client):
    """The message goes on to who was let through."""
    assert client.command("DATA").code == 354
    client.send(MESSAGE + b".\r\n")
    assert client.reply().code == 250


def recovers(lab, gate, server, domain):
    """Mail for a domain passes once somebody answers, by itself.  A server
    that did not answer is asked again after a minute at most."""
    until = time.monotonic() + RECOVERY
    while time.monotonic() < until:
        with lab.connect(server, timeout=60) as client:
            reply = client.deliver("a@lan.example", [f"b@{domain}"], MESSAGE)
        if reply.code == 250:
            return
        assert reply.code in (421, 451), reply
        with contextlib.suppress(TimeoutError):
            gate.log.wait(re.compile("policy: serving"), 1, gate.log.mark())
    raise AssertionError(reply)


def test_killed(lab, gate, domains):
    server, known, _other, fresh = domains
    since = gate.log.mark()
    with in_flight(lab, server, known) as client:
        gate.log.wait(re.compile("verdict .*evidence=mta-sts"), since=since)
        [pid] = gate.kill("postern-policy")
        gate.log.wait(re.compile(rf"policy\[{pid}\]: killed by signal 9"))
        reply = client.command(f"RCPT TO:<c@{fresh}>")
        assert (reply.code, reply.text[:5]) == (451, "4.3.0"), reply
        assert "postern-policy" in reply.text and "restarted" in reply.text
        # What is known is known.
        assert client.command(f"RCPT TO:<d@{known}>").code == 250
        finish(client)
    gate.log.wait(re.compile("policy: serving"), 30, since)
    recovers(lab, gate, server, fresh)


def test_killed_while_it_is_asked(lab, gate):
    domain, server = lab.good_domain("slow")
    slow = lab.fresh("dead")
    zone = lab.domain(slow, server, own_server=True)
    asked = lab.dns.asked(slow)
    zone.server.on[slow, None] = lambda _query, _answer: None
    with lab.connect(server, timeout=60) as client:
        client.reply()
        client.ehlo()
        client.send(b"MAIL FROM:<a@lan.example>\r\n")
        assert client.reply().code == 250
        client.send(f"RCPT TO:<b@{slow}>\r\n".encode())
        until = time.monotonic() + 30
        while lab.dns.asked(slow) == asked:
            assert time.monotonic() < until
            time.sleep(0.01)  # a server's record is no event
        gate.kill("postern-policy")
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (451, "4.3.0"), reply
        assert "ended before it could answer" in reply.text
    recovers(lab, gate, server, domain)


def test_hung(lab, gate, domains):
    """SIGSTOP: the parent finds it stuck and starts another."""
    server, known, _other, _fresh = domains
    unknown = lab.fresh("unknown")
    lab.domain(unknown, f"mx.{known}")
    since = gate.log.mark()
    with in_flight(lab, server, known) as client:
        [pid] = gate.kill("postern-policy", signal.SIGSTOP)
        client.send(f"RCPT TO:<c@{unknown}>\r\n".encode())
        reply = client.reply()
        assert reply.code == 451, reply
        assert "postern-policy ended before" in reply.text
        finish(client)
    assert gate.log.wait(re.compile(rf"policy\[{pid}\]: .*stuck"),
                         since=since)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    recovers(lab, gate, server, unknown)


@contextlib.contextmanager
def no_network(lab):
    """The gateway's own questions, DNS and HTTPS, go nowhere."""
    lab.gateway.run("nft", "-f", "-", stdin="""
table inet cut {
  chain out {
    type filter hook output priority 0; policy accept;
    meta l4proto { tcp, udp } th dport { 53, 443 } drop
  }
}
""")
    try:
        yield
    finally:
        lab.gateway.run("nft", "delete table inet cut")


def test_without_network(lab, gate, domains):
    server, known, _other, _fresh = domains
    lonely = lab.fresh("lonely")
    lab.domain(lonely, f"mx.{known}")
    with no_network(lab), lab.connect(server, timeout=60) as client:
        client.reply()
        client.ehlo()
        client.command("MAIL FROM:<a@lan.example>")
        reply = client.command(f"RCPT TO:<c@{lonely}>")
        assert (reply.code, reply.text[:5]) == (451, "4.4.3"), reply
        assert lonely in reply.text and "cannot be looked up" in reply.text
    recovers(lab, gate, server, lonely)


def test_without_network_a_verdict_holds(lab, gate, domains):
    """Of a session in flight, cut off between RCPT and DATA."""
    server, known, other, _fresh = domains
    recovers(lab, gate, server, known)
    with in_flight(lab, server, known) as client, no_network(lab):
        finish(client)
    recovers(lab, gate, server, other)
