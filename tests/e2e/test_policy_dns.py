# SPDX-License-Identifier: ISC
"""postern-policy on its own: DNS, signed and not, broken and forged, in; one
decision for each question out.  The test plays its parent and its relays."""

import array
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import types

import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.MX
import dns.rrset
import pytest
from lab.gateway import BUILD
from lab.nameservers import (answers, bogus, drop, late, notimp, nxdomain,
                             refused, servfail, unsigned)
from lab.netns import Lines

CONFIG, RELAY, READY, DRAIN, DRAINED = 1, 4, 5, 8, 9  # process_message.h
SERVER, DOMAIN, LITERAL, ANSWER = range(100, 104)     # decision.h
KINDS = ("level", "no rule", "temporary", "refuse")
EVIDENCES = ("none", "operator", "mx", "mx+dnssec", "address", "dane",
             "mta-sts")
LEVELS = ("verify", "encrypt", "none")
DNSSEC_INVALID = 6
HEADER = struct.Struct("!HHI")
TIMEOUT = 3  # of one lookup, seconds


def _packet(kind, number, fields=b""):
    return HEADER.pack(kind, HEADER.size + len(fields), number) + fields


def _address(text):
    family, tag = (socket.AF_INET6, 6) if ":" in text else (socket.AF_INET, 4)
    ip = socket.inet_pton(family, text)
    return struct.pack("!BH", tag, len(ip)) + ip + struct.pack("!HI", 25, 0)


def _string(text):
    data = text.encode()
    return struct.pack("!H", len(data)) + data


class Fields:
    """Reads a decision in the order in which decision_put writes it."""

    def __init__(self, data):
        self.data = data

    def number(self, code="B"):
        size = struct.calcsize("!" + code)
        value, = struct.unpack("!" + code, self.data[:size])
        self.data = self.data[size:]
        return value

    def bytes(self):
        size = self.number("H")
        value, self.data = self.data[:size], self.data[size:]
        return value

    def text(self):
        return self.bytes().decode("ascii")

    def address(self):
        family = {4: socket.AF_INET, 6: socket.AF_INET6}[self.number()]
        ip = socket.inet_ntop(family, self.bytes())
        self.number("H"), self.number("I")
        return ip


def _decision(data):
    fields = Fields(data)
    made = types.SimpleNamespace(
        kind=KINDS[fields.number()], evidence=EVIDENCES[fields.number()],
        level=LEVELS[fields.number()], is_server=fields.number(),
        allows_auth=fields.number(), is_permanent=fields.number(),
        is_unconfirmed=fields.number(), is_observed=fields.number(),
        word=fields.number())
    made.names, made.tlsa = [], {}
    for _ in range(fields.number()):
        name = fields.text()
        made.names.append(name)
        records = [(fields.number(), fields.number(), fields.number(),
                    fields.bytes()) for _ in range(fields.number())]
        if records:
            made.tlsa[name] = records
    made.also = [fields.text() for _ in range(fields.number())]
    made.address = fields.address() if fields.number() else None
    made.pins = [fields.bytes() for _ in range(fields.number())]
    made.is_pin_only = fields.number()
    made.trust = fields.text()
    made.sni = made.names[:fields.number()]
    made.status, made.text = fields.text(), fields.text()
    made.ttl = fields.number("I")
    made.until = fields.number("Q")
    assert fields.data == b""
    assert made.text.isprintable()
    return made


class Relay:
    """One relay's channel."""

    def __init__(self, policy):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX,
                                                socket.SOCK_SEQPACKET)
        self.socket.settimeout(30)
        self._last = 0
        self._answers = {}
        with theirs:
            policy.tell(RELAY, fds=[theirs.fileno()])

    def send(self, kind, *fields):
        self._last += 1
        self.socket.send(_packet(kind, self._last, b"".join(fields)))
        return self._last

    def wait(self, number):
        while number not in self._answers:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            kind, size, of = HEADER.unpack(data[:HEADER.size])
            assert (kind, size) == (ANSWER, len(data))
            assert of not in self._answers, "answered twice"
            self._answers[of] = _decision(data[HEADER.size:])
        return self._answers[number]

    def ask_domain(self, domain, destination="192.0.2.1"):
        return self.send(DOMAIN, _address(destination), _string(domain))

    def domain(self, domain, destination="192.0.2.1"):
        return self.wait(self.ask_domain(domain, destination))

    def server(self, destination):
        return self.wait(self.send(SERVER, _address(destination)))

    def literal(self, literal, destination="192.0.2.1"):
        return self.wait(self.send(LITERAL, _address(destination),
                                   _address(literal)))


class Policy:
    """A running postern-policy, ready when made."""

    def __init__(self, lab, *settings, forward=None, trust_anchor=None,
                 is_ready=True):
        self.log = Lines()
        directory = lab.directory_for("policy")
        path = f"{directory}/postern.conf"
        # Its user may not be let into the build folder.
        program = shutil.copy(f"{BUILD}/postern-policy", directory)
        source = (f'forward = ["{forward}"]' if forward else
                  f'root_hints = "{lab.dns.root_hints}"')
        with open(path, "w", encoding="ascii") as file:
            file.write(f'interfaces = ["lan0"]\ntrust = "{lab.trust}"\n'
                       f"dns {{\n{source}\ntimeout = {TIMEOUT}\n"
                       f'trust_anchor = "'
                       f'{trust_anchor or lab.dns.trust_anchor}"\n}}\n'
                       + "\n".join(settings) + "\n")
        made = subprocess.run([f"{BUILD}/tests/e2e/config_bytes", path],
                              check=True, capture_output=True).stdout
        self.control, theirs = socket.socketpair(socket.AF_UNIX,
                                                 socket.SOCK_SEQPACKET)
        self.control.settimeout(30)
        with theirs:
            self.process = lab.gateway.start(
                "setpriv", f"--reuid={lab.user}", f"--regid={lab.user}",
                "--clear-groups", "--", "bash", "-c", 'exec "$1" 3<&"$2"',
                "bash", program, theirs.fileno(),
                pass_fds=[theirs.fileno()], stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
        self.log.follow(self.process.popen.stdout)
        fd = os.memfd_create("config")
        os.write(fd, made)
        self.tell(CONFIG, struct.pack("!I", 1), [fd])
        os.close(fd)
        if is_ready:
            assert self.hear() == READY, self.log.lines

    def tell(self, kind, fields=b"", fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                      array.array("i", fds))] if fds else []
        self.control.sendmsg([_packet(kind, 0, fields)], ancillary)

    def hear(self):
        data = self.control.recv(65536)
        return HEADER.unpack(data[:HEADER.size])[0] if data else None

    def exit_status(self):
        return self.process.popen.wait(10)

    def close(self):
        self.control.close()
        self.process.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def start_policy(lab):
    started = []

    def start(*settings, **options):
        started.append(Policy(lab, *settings, **options))
        return started[-1]

    yield start
    for policy in started:
        policy.close()
        assert not [line for line in policy.log.lines
                    if "Sanitizer" in line or "runtime error" in line]


@pytest.fixture(scope="module")
def relay(start_policy):
    """A relay's channel to a policy process without any block."""
    return Relay(start_policy())


def two_hosts(lab, **options):
    """A domain with two MX hosts; the second has 203.0.113.201 and its
    IPv6 twin."""
    domain = lab.fresh()
    zone = lab.dns.zone(domain, [
        "@ MX 20 mx2", "@ MX 10 Mx1", "mx1 A 203.0.113.200",
        "mx1 AAAA 2001:db8:203::c8", "mx2 A 203.0.113.201",
        "mx2 AAAA 2001:db8:203::c9"], **options)
    lab.publish()
    return domain, zone


# What is there.

@pytest.mark.parametrize("destination", ["203.0.113.201", "2001:db8:203::c9"])
@pytest.mark.parametrize("signed, evidence", [(True, "mx+dnssec"),
                                              (False, "mx")])
def test_mx_host_that_d_is(lab, relay, signed, evidence, destination):
    domain, _zone = two_hosts(lab, signed=signed)
    said = relay.domain(domain, destination)
    assert (said.kind, said.level, said.evidence) == ("level", "verify",
                                                      evidence)
    assert said.names == said.sni == [f"mx2.{domain}"]
    assert not said.is_server and said.trust == "" and said.address is None
    # TLSA records and a policy are missing as long as that is denied for.
    assert 5 <= said.ttl <= 60


def test_d_is_no_mx_host(lab, relay):
    domain, _zone = two_hosts(lab)
    said = relay.domain(domain, "203.0.113.99")
    assert said.names == [f"mx1.{domain}", f"mx2.{domain}"]
    assert said.sni == [f"mx1.{domain}"]
    assert "none of the MX hosts has this address" in said.text


@pytest.mark.parametrize("signed, evidence", [(True, "mx+dnssec"),
                                              (False, "mx")])
def test_implicit_mx(lab, relay, signed, evidence):
    domain = lab.fresh()
    lab.dns.zone(domain, ["@ A 203.0.113.200"], signed=signed)
    lab.publish()
    said = relay.domain(domain, "203.0.113.200")
    assert (said.kind, said.evidence) == ("level", evidence)
    assert said.names == said.sni == [domain]


def test_aliases(lab, relay):
    """An MX host that is a CNAME counts under the name in the MX record; so
    does a domain that is one."""
    domain = lab.fresh()
    lab.dns.zone(domain, ["@ MX 1 mx", "mx CNAME real", "sub CNAME @",
                          "@ TXT x", "real A 203.0.113.200"])
    lab.publish()
    assert relay.domain(domain, "203.0.113.200").sni == [f"mx.{domain}"]
    assert relay.domain(f"sub.{domain}",
                        "203.0.113.200").sni == [f"mx.{domain}"]


def test_null_mx(lab, relay):
    domain = lab.fresh()
    lab.dns.zone(domain, ["@ MX 0 .", "@ A 203.0.113.200"])
    lab.publish()
    said = relay.domain(domain, "203.0.113.200")
    assert (said.kind, said.is_permanent, said.status) == ("refuse", 1, "1.10")


def test_no_such_domain(lab, relay):
    said = relay.domain(lab.fresh("gone"))
    assert (said.kind, said.is_permanent, said.status) == ("refuse", 1, "1.2")
    assert (said.text, said.evidence) == ("no such domain", "mx+dnssec")


@pytest.mark.parametrize("name", ["a b.example", "a\r\nb.example", "", ".",
                                  "192.0.2.1", "x" * 64 + ".example",
                                  "y." * 200 + "example"])
def test_39_names_that_no_domain_can_have(relay, name):
    said = relay.domain(name)
    assert (said.kind, said.status) == ("refuse", "1.2")


def test_no_name_is_built_in(lab, relay):
    """A private root may have any name; here it proves that it has none of
    these."""
    for name in ("x.test", "x.invalid", "x.onion", "localhost", "home.arpa"):
        said = relay.domain(name)
        assert (said.kind, said.evidence) == ("refuse", "mx+dnssec"), name


def test_literal(relay):
    said = relay.literal("2001:db8::9")
    assert (said.kind, said.evidence, said.level) == ("level", "address",
                                                      "verify")
    assert said.address == "2001:db8::9" and said.names == []


def test_no_server_block(relay):
    assert relay.server("192.0.2.1").kind == "no rule"


# What is broken or forged.

def scripted(lab, act, *, kind="MX", **options):
    domain, zone = two_hosts(lab, own_server=True, **options)
    zone.server.on[domain, kind] = act
    return domain, zone


@pytest.mark.parametrize("act, why", [(servfail, "SERVFAIL"),
                                      (refused, "SERVFAIL"),
                                      (notimp, "SERVFAIL"),
                                      (drop, "timed out")])
@pytest.mark.parametrize("signed", [True, False])
def test_lookup_that_fails_defers(lab, relay, act, why, signed):
    domain, _zone = scripted(lab, act, signed=signed)
    began = time.monotonic()
    said = relay.domain(domain)
    assert time.monotonic() - began < TIMEOUT + 2
    assert (said.kind, said.status, said.word) == ("temporary", "4.3", 0)
    assert said.names == [] and why in said.text


def evil_mx(query, _answer):
    return answers(f"{query.question[0].name} 60 IN MX 1 evil.example.")(
        query, _answer)


@pytest.mark.parametrize("act", [bogus, unsigned, nxdomain, evil_mx])
def test_forged_answer_defers(lab, relay, act):
    domain, _zone = scripted(lab, act)
    said = relay.domain(domain, "203.0.113.200")
    assert (said.kind, said.status) == ("temporary", "7.5")
    assert said.word == DNSSEC_INVALID
    assert "bogus" in said.text and domain in said.text


def test_forged_denial_of_a_signed_zone(lab, relay):
    """A delegation whose keys are gone is not an unsigned zone."""
    domain, zone = scripted(lab, unsigned, kind=None)
    zone.server.on[domain, "DNSKEY"] = nxdomain
    said = relay.domain(domain)
    assert (said.kind, said.word) == ("temporary", DNSSEC_INVALID)


@pytest.mark.parametrize("act", [servfail, drop, bogus])
def test_unknown_addresses_of_mx_hosts(lab, relay, act):
    """D is then none of them for sure, and any of them may be proved."""
    domain, zone = two_hosts(lab, own_server=True)
    zone.server.on[f"mx2.{domain}", "A"] = act
    until = time.monotonic() + 60
    said = relay.domain(domain, "203.0.113.201")
    # A server that drops questions is at times asked no others either: then
    # it is the other host that is not known, or nothing is.
    while (act is drop and time.monotonic() < until
           and (said.kind == "temporary" or len(said.names) < 2)):
        said = relay.domain(domain, "203.0.113.201")
    assert said.kind == "level", said
    assert said.names == [f"mx1.{domain}", f"mx2.{domain}"]
    assert said.sni == [f"mx1.{domain}"]
    assert "not known" in said.text and said.ttl <= 30
    # The one that can be told is.
    said = relay.domain(domain, "203.0.113.200")
    assert said.names == [f"mx1.{domain}"]


def raw_mx(*hosts):
    """Answers with MX records whose hosts are given as labels (bytes)."""
    def act(query, _answer):
        made = dns.message.make_response(query)
        made.flags |= dns.flags.AA
        made.answer.append(dns.rrset.from_rdata_list(
            query.question[0].name, 60, [dns.rdtypes.ANY.MX.MX(
                dns.rdataclass.IN, dns.rdatatype.MX, 1,
                dns.name.Name([*labels, b"example", b""]))
                for labels in hosts]))
        return made
    return act


EVIL = ([b"a\r\nRCPT TO:<x>"], [b"a b"], [b"a\0b"], [b"\x1b]0;x\x07"],
        [b"a.b"], [b"\xff"])


def test_39_hosts_that_no_host_can_be(lab, relay):
    domain, _zone = scripted(lab, raw_mx(*EVIL, [b"Good-1"]), signed=False)
    said = relay.domain(domain)
    assert said.names == ["good-1.example"]

    domain, _zone = scripted(lab, raw_mx(*EVIL), signed=False)
    said = relay.domain(domain)
    assert (said.kind, said.is_permanent, said.status) == ("refuse", 0, "4.4")
    assert said.text == "the MX records name no valid host"


def test_more_hosts_than_fit(lab, relay):
    domain = lab.fresh()
    lab.dns.zone(domain, [f"@ MX {n} mx{n}" for n in range(80, 0, -1)])
    lab.publish()
    said = relay.domain(domain)
    assert said.names == [f"mx{n}.{domain}" for n in range(1, 33)]


# One slow lookup blocks nobody else.

def test_22_slow_lookups_hold_up_nobody(lab, relay):
    slow = [scripted(lab, drop)[0] for _ in range(3)]
    quick, _zone = two_hosts(lab)
    relay.domain(quick)  # keys and delegations are known from here on
    began = time.monotonic()
    waiting = [relay.ask_domain(f"d{n}.{name}") for name in slow
               for n in range(100)]
    waiting += [relay.ask_domain(name) for name in slow]
    for _ in range(20):
        assert relay.domain(quick, "203.0.113.201").kind == "level"
    other = lab.fresh()
    lab.dns.zone(other, ["@ MX 1 mx", "mx A 203.0.113.200"])
    lab.publish()
    began = time.monotonic()
    assert relay.domain(other, "203.0.113.200").kind == "level"
    assert time.monotonic() - began < 1
    for number in waiting:
        relay.wait(number)


def test_answers_come_in_their_own_time(lab, relay):
    domain, _zone = scripted(lab, late(0.3))
    began = time.monotonic()
    first = relay.ask_domain(domain, "203.0.113.200")
    second = relay.ask_domain(domain, "203.0.113.201")
    assert relay.wait(second).names == [f"mx2.{domain}"]
    assert relay.wait(first).names == [f"mx1.{domain}"]
    assert time.monotonic() - began < TIMEOUT
    assert lab.dns.asked(domain, "MX") == 1  # and they were one question


def test_recovers(lab, relay):
    domain, zone = scripted(lab, drop, kind=None)
    assert relay.domain(domain).kind == "temporary"
    zone.server.on.clear()
    until = time.monotonic() + 30
    while relay.domain(domain).kind != "level":
        assert time.monotonic() < until


class Always(dict):
    """What a server does, whatever it is asked."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def get(self, _question):
        return self.act


def test_one_dead_domain_is_one_lookup(lab, start_policy):
    """A queue full of mail for it takes no room from others."""
    relay = Relay(start_policy())
    dead, _zone = scripted(lab, drop)
    domain, _zone = two_hosts(lab)
    waiting = [relay.ask_domain(dead) for _ in range(2000)]
    assert relay.domain(domain, "203.0.113.201").kind == "level"
    for number in waiting:
        assert relay.wait(number).kind == "temporary"


def test_more_questions_than_can_be_open(lab, start_policy):
    """Each is answered all the same, and it passes."""
    policy = start_policy()
    relays = [Relay(policy) for _ in range(3)]
    dead, zone = two_hosts(lab, own_server=True)
    zone.server.on = Always(drop)
    domain, _zone = two_hosts(lab)
    texts = set()
    for relay in relays:
        waiting = [relay.ask_domain(f"{id(relay)}-{n}.{dead}")
                   for n in range(4000)]
        # One relay has too many of its own; to the last, it is told why.
        texts.add(relay.wait(waiting[-1]).text)
        relay.waiting = waiting
    for relay in relays:
        texts |= {relay.wait(number).text for number in relay.waiting}
    assert texts == {"too many questions at once",
                     "too many DNS questions at once",
                     "the MX records cannot be looked up: timed out"}
    until = time.monotonic() + 90
    while relays[0].domain(domain, "203.0.113.201").kind != "level":
        assert time.monotonic() < until
        time.sleep(0.1)


# Other ways to ask.

def test_forward(lab, start_policy):
    """Through a resolver that validates nothing: it is done here."""
    relay = Relay(start_policy(forward=lab.dns.resolver[0]))
    domain, _zone = two_hosts(lab)
    said = relay.domain(domain, "203.0.113.201")
    assert (said.evidence, said.names) == ("mx+dnssec", [f"mx2.{domain}"])
    domain, _zone = scripted(lab, bogus)
    assert relay.domain(domain).word == DNSSEC_INVALID
    domain, _zone = two_hosts(lab, signed=False)
    assert relay.domain(domain).evidence == "mx"


@contextlib.contextmanager
def resolver(lab, answer):
    """One whose answers are answer(wire), at the address that it yields."""
    address = lab.new_addresses()[0]
    with lab.internet.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((address, 53))
        bound.settimeout(0.2)
        ended = threading.Event()

        def serve():
            while not ended.is_set():
                try:
                    wire, peer = bound.recvfrom(4096)
                except TimeoutError:
                    continue
                bound.sendto(answer(wire), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield address
        finally:
            ended.set()
            thread.join()


def test_21_ad_bit_of_a_resolver_counts_for_nothing(lab, start_policy):
    def lie(wire):
        query = dns.message.from_wire(wire)
        made = dns.message.make_response(query)
        made.flags |= dns.flags.AD | dns.flags.RA
        if query.question[0].rdtype == dns.rdatatype.MX:
            made.answer.append(dns.rrset.from_text(
                query.question[0].name, 60, "IN", "MX", "1 evil.example."))
        return made.to_wire()

    with resolver(lab, lie) as address:
        relay = Relay(start_policy(forward=address))
        said = relay.domain("victim.example")
    assert said.kind == "temporary" and said.names == []


def test_21_ad_bit_signs_nothing(lab, start_policy):
    """Answers that are right, and said to be authentic."""
    def vouch(wire):
        with lab.internet.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks:
            asks.settimeout(20)
            asks.sendto(wire, (lab.dns.resolver[0], 53))
            said = bytearray(asks.recv(65536))
        said[3] |= 0x20  # AD
        return bytes(said)

    unsigned, _zone = two_hosts(lab, signed=False)
    signed, _zone = two_hosts(lab)
    with resolver(lab, vouch) as address:
        relay = Relay(start_policy(forward=address))
        assert relay.domain(unsigned).evidence == "mx"
        assert relay.domain(signed).evidence == "mx+dnssec"


def test_require_dnssec(lab, start_policy):
    relay = Relay(start_policy("require_dnssec = true"))
    domain, _zone = two_hosts(lab, signed=False)
    said = relay.domain(domain)
    assert (said.kind, said.is_permanent) == ("refuse", 0)
    assert said.word == DNSSEC_INVALID
    domain, _zone = two_hosts(lab)
    assert relay.domain(domain).evidence == "mx+dnssec"


# Server blocks by host name.

def test_server_by_name(lab, start_policy):
    domain, _zone = two_hosts(lab)
    relay = Relay(start_policy(
        f'server one {{ match = ["mx1.{domain}"]; auth = true }}',
        'server two { match = ["192.0.2.0/24"]; names = ["x.example"] }'))
    for address in ("203.0.113.200", "2001:db8:203::c8"):
        said = relay.server(address)
        assert (said.kind, said.evidence) == ("level", "operator")
        assert said.is_server and said.allows_auth
        assert said.names == said.sni == [f"mx1.{domain}"]
        # Whatever the recipient.
        assert relay.domain("gone.example", address).is_server
        assert relay.literal("192.0.2.9", address).is_server
    assert relay.server("203.0.113.201").kind == "no rule"
    assert relay.domain(domain, "203.0.113.201").names == [f"mx2.{domain}"]
    said = relay.server("192.0.2.200")
    assert said.names == ["x.example"] and not said.allows_auth
    assert lab.dns.asked(f"mx1.{domain}", "A") == 1


def test_server_name_that_cannot_be_told(lab, start_policy):
    domain, zone = two_hosts(lab, own_server=True)
    zone.server.on[f"mx1.{domain}", None] = drop
    policy = start_policy(
        f'server one {{ match = ["mx1.{domain}"] }}',
        'server two { match = ["192.0.2.0/24"] }')
    relay = Relay(policy)
    began = time.monotonic()
    for said in (relay.server("203.0.113.201"),
                 relay.domain(domain, "203.0.113.201")):
        assert (said.kind, said.status) == ("temporary", "4.3")
        assert '"one"' in said.text and f"mx1.{domain}" in said.text
    assert time.monotonic() - began < TIMEOUT + 2  # the second at once
    assert relay.server("192.0.2.7").kind == "level"
    policy.log.wait(re.compile(f"cannot look up mx1.{domain}"))


def test_server_name_that_is_gone(lab, start_policy):
    gone = lab.fresh("gone")
    policy = start_policy(f'server one {{ match = ["{gone}"] }}')
    relay = Relay(policy)
    assert relay.server("203.0.113.201").kind == "no rule"
    policy.log.wait(re.compile(f"there is no host {gone}"))


# The process.

def test_bad_relay_loses_its_own_channel(lab, start_policy):
    policy = start_policy()
    good = Relay(policy)
    bad = (
        (SERVER, _address("192.0.2.1")[:-1]),
        (SERVER, _address("192.0.2.1") + b"x"),
        (SERVER, b"\0\0\0\0\0\0\0\0\0"),
        (DOMAIN, _address("192.0.2.1")),
        (DOMAIN, _address("192.0.2.1") + _string("a\0b")),
        (LITERAL, _address("192.0.2.1")),
        (ANSWER, b""),
        (999, b""),
    )
    for kind, fields in bad:
        relay = Relay(policy)
        relay.send(kind, fields)
        assert relay.socket.recv(100) == b"", (kind, fields)
        assert good.server("192.0.2.1").kind == "no rule"
    relay = Relay(policy)
    relay.socket.send(b"\0")
    assert relay.socket.recv(100) == b""
    assert good.server("192.0.2.1").kind == "no rule"


def test_relay_that_leaves_with_questions_open(lab, start_policy):
    policy = start_policy()
    slow, _zone = scripted(lab, late(0.3))
    leaving, staying = Relay(policy), Relay(policy)
    for _ in range(10):
        leaving.ask_domain(slow, "203.0.113.201")
    number = staying.ask_domain(slow, "203.0.113.201")
    leaving.socket.close()
    assert staying.wait(number).names == [f"mx2.{slow}"]


def test_drain(lab, start_policy):
    policy = start_policy()
    slow, _zone = scripted(lab, late(0.3))
    relay = Relay(policy)
    number = relay.ask_domain(slow, "203.0.113.201")
    policy.tell(DRAIN)
    assert relay.wait(number).names == [f"mx2.{slow}"]
    assert relay.server("192.0.2.1").kind == "no rule"
    relay.socket.close()
    assert policy.hear() == DRAINED
    assert policy.exit_status() == 0


def test_drain_twice(start_policy):
    policy = start_policy()
    relay = Relay(policy)
    relay.server("192.0.2.1")
    policy.tell(DRAIN)
    policy.tell(DRAIN)
    assert policy.hear() == DRAINED
    assert policy.exit_status() == 0


def test_parent_gone(start_policy):
    policy = start_policy()
    policy.control.close()
    assert policy.exit_status() == 1


@pytest.mark.parametrize("mode, why", [
    (0o600, "dns.trust_anchor: /.*: Permission denied"),
    (0o644, "cannot use dns.trust_anchor")])
def test_trust_anchor_that_cannot_be_used(lab, mode, why):
    path = f"{lab.directory_for('anchor')}/root.key"
    with open(path, "w", encoding="ascii") as file:
        file.write("nonsense\n")
    os.chmod(path, mode)
    policy = Policy(lab, trust_anchor=path, is_ready=False)
    assert policy.hear() is None
    assert policy.exit_status() == 1
    policy.log.wait(re.compile(why))
