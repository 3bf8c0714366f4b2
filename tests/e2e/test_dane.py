# SPDX-License-Identifier: ISC
"""DANE (RFC 7672, 7671): whose TLSA records are asked for, which count, and
what they prove.  The tests d1 to d12 are rows of the threat list."""

import itertools
import re

import pytest
from lab import Gateway, nameservers, pki

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
TIMEOUT = 2  # of one lookup, seconds
PAST = {"not_before": pki.days(-60), "not_after": pki.days(-2)}


@pytest.fixture(scope="module")
def gate(lab):
    with Gateway(lab, lab.gateway, lab.config(
            "workers = 1", f"dns {{ timeout = {TIMEOUT} }}")) as gate:
        yield gate
    assert not [line for line in gate.log.lines
                if "Sanitizer" in line or "runtime error" in line]


def send(lab, server, *recipients, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", recipients, MESSAGE)


class Sent:
    """One recipient's reply, and the verdict behind it."""

    def __init__(self, lab, gate, server, domain, **options):
        since = gate.log.mark()
        self.reply = send(lab, server, f"bob@{domain}", **options)
        self.verdict = gate.verdict(domain, since)

    def proved_by(self, evidence):
        assert self.reply.code == 250, str(self.reply)
        assert self.verdict["result"] == "proved", self.verdict
        assert self.verdict["evidence"] == evidence, self.verdict

    def refused(self, status, *parts):
        assert (self.reply.code, self.reply.text[:5]) == (451, status), \
            str(self.reply)
        assert self.verdict["result"] == "refused", self.verdict
        for part in parts:
            assert part in self.reply.text, (part, str(self.reply))


def nothing_sent(server):
    said = {verb for session in server.sessions for verb in session.verbs}
    assert said <= {"EHLO", "STARTTLS", "QUIT"}, said
    assert server.messages == []


def self_signed(name, **options):
    return [pki.self_signed([name], **options)]


def private(lab, *names, ca=None, **options):
    """A certificate of a CA that no trust file has, sent with the CA."""
    ca = ca or lab.unknown_ca
    return ca.issue(list(names), **options).sending(ca)


def dane_domain(lab, *tlsa, word="dane", certificates=None, publish=True,
                **options):
    """A domain with one MX host, whose certificate only DANE can prove."""
    domain = lab.fresh(word)
    host = f"mx.{domain}"
    server = lab.mx(host, certificates=certificates or self_signed(host),
                    tlsa=tlsa)
    zone = lab.domain(domain, server, publish=publish, **options)
    return domain, server, zone


def other(parameters):
    """A record of somebody else's certificate."""
    return pki.self_signed(["other.example"]).tlsa(parameters)


# What it is for.

@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_proved_by_its_key(lab, gate, ipv6):
    domain, server, _zone = dane_domain(lab, "3 1 1")
    Sent(lab, gate, server, domain, ipv6=ipv6).proved_by("dane")
    message = server.wait_message()
    assert message.recipients == [f"bob@{domain}"] and message.tls


def test_every_usable_kind(lab, gate):
    made = []
    for kind in itertools.product("32", "01", "012"):
        domain = lab.fresh("kind")
        made.append((domain, lab.mx(
            f"mx.{domain}", tlsa=" ".join(kind),
            certificates=[private(lab, f"mx.{domain}")])))
        lab.domain(*made[-1], publish=False)
    lab.publish()
    for domain, server in made:
        Sent(lab, gate, server, domain).proved_by("dane")


@pytest.mark.parametrize("parameters", ["3 1 1", "3 0 2", "3 1 0", "2 0 1"])
def test_another_certificate_is_refused(lab, gate, parameters):
    """One that the trust file vouches for: DANE is never papered over."""
    domain, server, _zone = dane_domain(lab)
    server.certificates = [lab.issue(f"mx.{domain}")]
    lab.tlsa(server, other(parameters))
    lab.publish()
    Sent(lab, gate, server, domain).refused(
        "4.7.5", domain, f"mx.{domain}[{server.addresses[0]}]",
        "not proved by dane", "certificate-", "(postern)")
    nothing_sent(server)


def test_no_starttls_is_refused(lab, gate):
    domain, server, _zone = dane_domain(lab, "3 1 1")
    server.starttls = False
    reply = send(lab, server, f"bob@{domain}")
    assert (reply.code, reply.text[:5]) == (421, "4.7.4"), str(reply)
    nothing_sent(server)


def test_roll_over(lab, gate):
    """The old key's record and the next one's, side by side."""
    domain, server, _zone = dane_domain(lab, "3 1 1", publish=False)
    following = pki.self_signed([f"mx.{domain}"])
    lab.tlsa(server, "3 1 1", following.tlsa("3 1 1"))
    lab.publish()
    for certificate in (server.certificates[0], following):
        server.certificates = [certificate]
        Sent(lab, gate, server, domain).proved_by("dane")


# Lookups that fail are never "no record".

@pytest.mark.parametrize("act", [
    nameservers.servfail, nameservers.refused, nameservers.notimp,
    nameservers.drop], ids=["servfail", "refused", "notimp", "timeout"])
def test_d1_tlsa_lookup_that_fails_defers(lab, gate, act):
    domain = lab.fresh("d1")
    server = lab.mx(f"mx.{domain}", tlsa="3 1 1")  # which anyone would trust
    zone = lab.domain(domain, server, own_server=True)
    zone.server.on[f"_25._tcp.mx.{domain}", "TLSA"] = act
    Sent(lab, gate, server, domain).refused(
        "4.4.3", domain, f"TLSA records of mx.{domain} cannot be ")
    nothing_sent(server)


@pytest.mark.parametrize("act", [nameservers.bogus, nameservers.unsigned,
                                 nameservers.nxdomain])
def test_d1_tlsa_that_is_forged_defers(lab, gate, act):
    domain = lab.fresh("d1")
    server = lab.mx(f"mx.{domain}", tlsa="3 1 1")
    zone = lab.domain(domain, server, own_server=True)
    zone.server.on[f"_25._tcp.mx.{domain}", "TLSA"] = act
    Sent(lab, gate, server, domain).refused("4.7.5", domain, "dnssec-invalid")
    nothing_sent(server)


def test_d1_denied_by_nobody(lab, gate):
    """The host has no TLSA, and that cannot be told.  (Where the name is not
    there either, a resolver may know that from the names above it.)"""
    domain = lab.fresh("d1")
    server = lab.mx(f"mx.{domain}")
    zone = lab.domain(domain, server, own_server=True, publish=False)
    zone.add("_25._tcp.mx TXT x")
    lab.publish()
    zone.server.on[f"_25._tcp.mx.{domain}", "TLSA"] = nameservers.servfail
    Sent(lab, gate, server, domain).refused("4.4.3", "TLSA records")


# What there is none of.

def test_d2_no_data_and_no_name(lab, gate):
    for record in (None, "TXT x"):
        domain = lab.fresh("d2")
        server = lab.mx(f"mx.{domain}")
        zone = lab.domain(domain, server, publish=False)
        if record:
            zone.add(f"_25._tcp.mx {record}")
        lab.publish()
        Sent(lab, gate, server, domain).proved_by("mx+dnssec")


def test_d2_hashed_denial(lab, gate):
    """NSEC3; with iterations too many to count, it proves nothing."""
    for signing in ("nsec3", "nsec3-costly"):
        domain = lab.fresh("d2")
        server = lab.mx(f"mx.{domain}")
        lab.domain(domain, server, signing=signing)
        Sent(lab, gate, server, domain).proved_by("mx+dnssec")
        domain, server, _zone = dane_domain(lab, "3 1 1", signing=signing)
        Sent(lab, gate, server, domain).proved_by("dane")


def test_d2_insecure_tlsa_is_none(lab, gate):
    domain, outside = lab.fresh("d2"), lab.fresh("unsigned")
    lab.domain(outside, signed=False, publish=False).add(
        f"tlsa TLSA {other('3 1 1')}")
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, publish=False).add(
        f"_25._tcp.mx CNAME tlsa.{outside}.")
    lab.publish()
    Sent(lab, gate, server, domain).proved_by("mx+dnssec")


def test_d2_tlsa_by_a_signed_alias(lab, gate):
    domain, outside = lab.fresh("d2"), lab.fresh("signed")
    server = lab.mx(f"mx.{domain}", certificates=self_signed(f"mx.{domain}"))
    lab.domain(outside, publish=False).add(
        f"tlsa TLSA {server.certificates[0].tlsa('3 1 1')}")
    lab.domain(domain, server, publish=False).add(
        f"_25._tcp.mx CNAME tlsa.{outside}.")
    lab.publish()
    Sent(lab, gate, server, domain).proved_by("dane")


# Whose records are not even asked for.

def test_d3_insecure_address(lab, gate):
    """Name servers that cannot answer for TLSA block no mail, then."""
    domain, outside = lab.fresh("d3"), lab.fresh("unsigned")
    zone = lab.domain(outside, signed=False, own_server=True, publish=False)
    host = f"mx.{outside}"
    server = lab.mx(host)
    lab.domain(domain, server)
    zone.server.on[f"_25._tcp.{host}", "TLSA"] = nameservers.servfail
    Sent(lab, gate, server, domain).proved_by("mx+dnssec")
    assert lab.dns.asked(f"_25._tcp.{host}", "TLSA") == 0


@pytest.mark.parametrize("options", [{"signed": False},
                                     {"signing": "island"}])
def test_d3_insecure_mx(lab, gate, options):
    domain, outside = lab.fresh("d3"), lab.fresh("signed")
    host = f"mx.{outside}"
    server = lab.mx(host)
    lab.tlsa(server, other("3 1 1"))
    lab.domain(domain, server, **options)
    Sent(lab, gate, server, domain).proved_by("mx")
    assert lab.dns.asked(f"_25._tcp.{host}", "TLSA") == 0


@pytest.mark.parametrize("broken, ipv6", [("AAAA", False), ("A", True)])
@pytest.mark.parametrize("act", [nameservers.bogus, nameservers.servfail])
def test_d4_one_family_is_broken(lab, gate, broken, ipv6, act):
    domain, server, zone = dane_domain(lab, "3 1 1", own_server=True)
    zone.server.on[f"mx.{domain}", broken] = act
    Sent(lab, gate, server, domain, ipv6=ipv6).proved_by("dane")


def test_d4_both_families_are_broken(lab, gate):
    """Who breaks the addresses does not get rid of DANE."""
    domain = lab.fresh("d4")
    server = lab.mx(f"mx.{domain}")
    lab.tlsa(server, other("3 1 1"))
    zone = lab.domain(domain, server, own_server=True)
    for kind in ("A", "AAAA"):
        zone.server.on[f"mx.{domain}", kind] = nameservers.bogus
    reply = send(lab, server, f"bob@{domain}")
    assert reply.code == 451, str(reply)
    nothing_sent(server)


def test_d5_bogus_mx_defers(lab, gate):
    domain, server, zone = dane_domain(lab, "3 1 1", own_server=True)
    zone.server.on[domain, "MX"] = nameservers.bogus
    Sent(lab, gate, server, domain).refused("4.7.5", "dnssec-invalid", domain)
    nothing_sent(server)


@pytest.mark.parametrize("signing", ["expired", "future", "other-key",
                                     "none"])
def test_d5_bogus_zone_defers(lab, gate, signing):
    domain = lab.fresh("d5")
    server = lab.mx(f"mx.{domain}", tlsa="3 1 1")
    lab.domain(domain, server, signing=signing)
    Sent(lab, gate, server, domain).refused("4.7.5", "dnssec-invalid", domain)
    nothing_sent(server)


def test_d5_bogus_zone_of_the_host_defers(lab, gate):
    domain, outside = lab.fresh("d5"), lab.fresh("bogus")
    lab.domain(outside, signing="expired", publish=False)
    server = lab.mx(f"mx.{outside}", tlsa="3 1 1")
    lab.domain(domain, server)
    reply = send(lab, server, f"bob@{domain}")
    assert reply.code == 451, str(reply)
    nothing_sent(server)


def test_d5_implicit_mx(lab, gate):
    """That there is no MX is proved, and so is who the domain itself is."""
    domain = lab.fresh("d5")
    server = lab.mx(domain, certificates=self_signed("x.example"),
                    tlsa="3 1 1")
    lab.domain(domain)
    Sent(lab, gate, server, domain).proved_by("dane")


# Aliases: the TLSA base domain (RFC 7672 2.2.3), which is the SNI (d12).  A
# first connection knows no recipient's domain, hence no name; where what it
# shows is proved, there is no other one.

def alias(lab, *, target_signed, tlsa_at):
    """A domain whose MX host is a CNAME; the TLSA records are at one end, or
    at both, the alias's then being wrong.  The base domain's name brings the
    certificate that they are of, any other one another."""
    domain, outside = lab.fresh("alias"), lab.fresh("target")
    mx, real = f"mx.{domain}", f"real.{outside}"
    lab.domain(outside, signed=target_signed, publish=False)
    right, = self_signed(real if "target" in tlsa_at else mx)
    server = lab.mx(real, certificates=[lab.issue("default.example"), right])
    lab.domain(domain, mx, publish=False).add(f"mx CNAME {real}.")
    if "target" in tlsa_at:
        lab.tlsa(real, "3 1 1", certificate=right)
    if "alias" in tlsa_at:
        lab.tlsa(mx, right.tlsa("3 1 1") if tlsa_at == ["alias"]
                 else other("3 1 1"))
    lab.publish()
    return domain, server, mx, real


def test_d6_d12_insecure_alias(lab, gate):
    domain, server, mx, real = alias(lab, target_signed=False,
                                     tlsa_at=["alias"])
    Sent(lab, gate, server, domain).proved_by("dane")
    assert server.wait_message().sni == mx
    assert lab.dns.asked(f"_25._tcp.{real}", "TLSA") == 0


def test_d6_d12_secure_alias(lab, gate):
    for tlsa_at in (["target"], ["target", "alias"]):
        domain, server, _mx, real = alias(lab, target_signed=True,
                                          tlsa_at=tlsa_at)
        Sent(lab, gate, server, domain).proved_by("dane")
        assert server.wait_message().sni == real


def test_d6_d12_secure_alias_records_at_the_alias(lab, gate):
    domain, server, mx, _real = alias(lab, target_signed=True,
                                      tlsa_at=["alias"])
    Sent(lab, gate, server, domain).proved_by("dane")
    assert server.wait_message().sni == mx


def test_d6_alias_from_an_insecure_zone(lab, gate):
    """Neither end counts: whoever forges the alias chooses them."""
    domain, outside, unsigned = (lab.fresh(word) for word in
                                 ("alias", "target", "unsigned"))
    real = f"real.{outside}"
    server = lab.mx(real)
    lab.tlsa(server, other("3 1 1"))
    server.certificates = [lab.issue(f"mx.{unsigned}")]
    lab.domain(unsigned, signed=False, publish=False).add(
        f"mx CNAME {real}.")
    lab.domain(domain, f"mx.{unsigned}")
    Sent(lab, gate, server, domain).proved_by("mx+dnssec")
    assert lab.dns.asked(f"_25._tcp.{real}", "TLSA") == 0


def test_d6_alias_that_leads_nowhere(lab, gate):
    """In a circle, and farther than anyone follows."""
    domain = lab.fresh("circle")
    server = lab.mx(f"real.{domain}", certificates=[lab.issue(
        f"mx1.{domain}", f"mx2.{domain}")])
    lab.tlsa(server, other("3 1 1"))
    zone = lab.domain(domain, f"mx1.{domain}", publish=False)
    zone.add("mx1 CNAME mx2", "mx2 CNAME mx1")
    far = lab.fresh("far")
    lab.domain(far, f"mx0.{far}", publish=False).add(
        *(f"mx{n} CNAME mx{n + 1}" for n in range(40)),
        f"mx40 CNAME real.{domain}.")
    lab.publish()
    for name in (domain, far):
        reply = send(lab, server, f"bob@{name}")
        assert reply.code == 451, str(reply)
    nothing_sent(server)


def test_d6_domain_that_is_an_alias(lab, gate):
    """The names at both of its ends will do for DANE-TA (3.2.2)."""
    canonical = lab.fresh("canonical")
    aliases = lab.fresh("alias")
    lab.domain(aliases, publish=False).add(f"sub CNAME {canonical}.")
    server = lab.mx(f"mx.{canonical}")
    lab.domain(canonical, server, publish=False)
    ca = pki.Authority("Private CA")
    lab.tlsa(server, ca.tlsa("2 0 1"))
    lab.publish()
    for name, passes in ((f"sub.{aliases}", True), (canonical, True),
                         (f"mx.{canonical}", True), (aliases, False),
                         (f"x.{canonical}", False)):
        server.certificates = [private(lab, name, ca=ca)]
        sent = Sent(lab, gate, server, f"sub.{aliases}")
        if passes:
            sent.proved_by("dane")
        else:
            sent.refused("4.7.5", "certificate-host-mismatch")


# What a record proves.

def test_d7_private_ca(lab, gate):
    """Usage 2 is its own trust: a root that no file has, an intermediate one
    below it, and neither by what the trust file vouches for."""
    below = lab.unknown_ca.authority("Private Issuing CA")
    for certificate, record in (
            (lambda n: private(lab, n), lab.unknown_ca.tlsa("2 0 1")),
            (lambda n: below.issue([n]), below.tlsa("2 1 1")),
            (lambda n: below.issue([n]).sending(below, lab.unknown_ca),
             lab.unknown_ca.tlsa("2 0 1")),
            # The record brings the root along (RFC 7671 5.2.3).
            (lambda n: below.issue([n]), lab.unknown_ca.tlsa("2 0 0")),
            (lambda n: lab.issue(n), lab.issuing_ca.tlsa("2 0 1"))):
        domain = lab.fresh("d7")
        server = lab.mx(f"mx.{domain}",
                        certificates=[certificate(f"mx.{domain}")])
        lab.tlsa(server, record)
        lab.domain(domain, server)
        Sent(lab, gate, server, domain).proved_by("dane")


def test_d7_public_ca_is_no_answer_to_usage_2(lab, gate):
    domain = lab.fresh("d7")
    server = lab.mx(f"mx.{domain}")
    lab.tlsa(server, lab.unknown_ca.tlsa("2 0 1"))
    lab.domain(domain, server)
    Sent(lab, gate, server, domain).refused("4.7.5",
                                            "certificate-not-trusted")
    # Nor is the CA's own certificate beside a chain of someone else's.
    server.certificates = [server.certificates[0].sending(
        lab.issuing_ca, lab.unknown_ca)]
    Sent(lab, gate, server, domain).refused("4.7.5",
                                            "certificate-not-trusted")
    nothing_sent(server)


def test_d8_either_usage_will_do(lab, gate):
    ca = lab.unknown_ca
    for three, two, passes in ((True, False, True), (False, True, True),
                               (True, True, True), (False, False, False)):
        domain = lab.fresh("d8")
        server = lab.mx(f"mx.{domain}",
                        certificates=[private(lab, f"mx.{domain}")])
        lab.tlsa(server, "3 1 1" if three else other("3 1 1"),
                 ca.tlsa("2 0 1") if two else other("2 0 1"))
        lab.domain(domain, server)
        sent = Sent(lab, gate, server, domain)
        if passes:
            sent.proved_by("dane")
        else:
            sent.refused("4.7.5", "not proved by dane")


UNUSABLE = ["0 0 1", "1 1 1", "1 0 2", "3 2 1 " + "00" * 32,
            "3 1 3 " + "00" * 32, "3 1 1 " + "00" * 31, "3 1 2 " + "00" * 32,
            "4 1 1 " + "00" * 32, "255 255 255 " + "00" * 32]


def test_d9_nothing_usable_is_the_next_evidence(lab, gate):
    domain = lab.fresh("d9")
    server = lab.mx(f"mx.{domain}", tlsa=UNUSABLE)
    lab.domain(domain, server)
    Sent(lab, gate, server, domain).proved_by("mx+dnssec")


def test_d9_nothing_usable_still_asks_for_proof(lab, gate):
    domain = lab.fresh("d9")
    server = lab.mx(f"mx.{domain}", tlsa=UNUSABLE[3:],
                    certificates=self_signed(f"mx.{domain}"))
    lab.domain(domain, server)
    Sent(lab, gate, server, domain).refused(
        "4.7.5", "not proved by mx+dnssec", "certificate-not-trusted")
    server.starttls = False
    reply = send(lab, server, f"bob@{domain}")
    assert (reply.code, reply.text[:5]) == (421, "4.7.4"), str(reply)
    nothing_sent(server)


def test_d9_one_that_is_usable_decides(lab, gate):
    domain = lab.fresh("d9")
    server = lab.mx(f"mx.{domain}")
    lab.tlsa(server, *UNUSABLE, other("3 1 1"))
    lab.domain(domain, server)
    Sent(lab, gate, server, domain).refused("4.7.5", "not proved by dane")
    domain, server, _zone = dane_domain(lab, *UNUSABLE[3:], "3 1 1")
    Sent(lab, gate, server, domain).proved_by("dane")


def test_d10_usage_3_is_the_key_alone(lab, gate):
    domain, server, _zone = dane_domain(
        lab, "3 1 1", certificates=self_signed("else.example", **PAST))
    Sent(lab, gate, server, domain).proved_by("dane")


@pytest.mark.parametrize("name, options, word", [
    ("", PAST, "certificate-expired"),
    ("else.example", {}, "certificate-host-mismatch")])
def test_d10_usage_2_is_name_and_dates_too(lab, gate, name, options, word):
    domain = lab.fresh("d10")
    server = lab.mx(f"mx.{domain}", tlsa="2 0 1", certificates=[
        private(lab, name or f"mx.{domain}", **options)])
    lab.domain(domain, server)
    Sent(lab, gate, server, domain).refused("4.7.5", word)
    nothing_sent(server)


def test_d10_usage_2_by_the_name_of_the_domain(lab, gate):
    domain = lab.fresh("d10")
    server = lab.mx(f"mx.{domain}", tlsa="2 0 1",
                    certificates=[private(lab, domain)])
    lab.domain(domain, server)
    Sent(lab, gate, server, domain).proved_by("dane")


def test_d11_only_the_strongest_digest_counts(lab, gate):
    for right, wrong, passes in (("3 1 1", "3 1 2", False),
                                 ("3 1 2", "3 1 1", True),
                                 ("3 0 1", "3 1 2", True),
                                 ("3 1 0", "3 1 2", True)):
        domain, server, _zone = dane_domain(lab, publish=False)
        lab.tlsa(server, right, other(wrong))
        lab.publish()
        sent = Sent(lab, gate, server, domain)
        if passes:
            sent.proved_by("dane")
        else:
            sent.refused("4.7.5", "not proved by dane")


def test_d12_the_base_domain_brings_its_certificate(lab, gate):
    domain = lab.fresh("d12")
    name = f"mx.{domain}"
    server = lab.mx(name, certificates=[
        lab.issue("default.example"), *self_signed(name)])
    lab.tlsa(server, "3 1 1", certificate=server.certificates[1])
    lab.domain(domain, server)
    Sent(lab, gate, server, domain).proved_by("dane")
    assert server.wait_message().sni == name


# One host is not the other, and one kind of evidence not the other.

def test_each_host_has_its_own(lab, gate):
    domain = lab.fresh("hosts")
    with_it = lab.mx(f"mx1.{domain}", tlsa="3 1 1",
                     certificates=self_signed(f"mx1.{domain}"))
    without = lab.mx(f"mx2.{domain}")
    lab.domain(domain, with_it, without)
    Sent(lab, gate, with_it, domain).proved_by("dane")
    Sent(lab, gate, without, domain).proved_by("mx+dnssec")
    # The first host's key is nothing at the second's address.
    without.certificates = with_it.certificates
    Sent(lab, gate, without, domain).refused("4.7.5",
                                             "not proved by mx+dnssec")


def test_lookup_that_fails_for_one_host_is_that_hosts(lab, gate):
    domain = lab.fresh("hosts")
    first = lab.mx(f"mx1.{domain}", tlsa="3 1 1")
    second = lab.mx(f"mx2.{domain}", tlsa="3 1 1",
                    certificates=self_signed(f"mx2.{domain}"))
    zone = lab.domain(domain, first, second, own_server=True)
    zone.server.on[f"_25._tcp.mx1.{domain}", "TLSA"] = nameservers.servfail
    Sent(lab, gate, first, domain).refused("4.4.3", f"mx1.{domain}")
    Sent(lab, gate, second, domain).proved_by("dane")


def test_address_of_no_host(lab, gate):
    """Any of the hosts may be proved there, each by its own evidence."""
    domain, server, _zone = dane_domain(lab, "3 1 1")
    elsewhere = lab.mx(f"x.{lab.fresh('elsewhere')}",
                       certificates=server.certificates)
    lab.publish()
    Sent(lab, gate, elsewhere, domain).proved_by("dane")
    elsewhere.certificates = [lab.issue(f"mx.{domain}")]
    Sent(lab, gate, elsewhere, domain).refused("4.7.5", "by dane")


def test_dane_before_mta_sts(lab, gate):
    """What DANE refuses no policy lets pass, and what it proves none
    forbids."""
    refused, proved = lab.fresh("both"), lab.fresh("both")
    bad = lab.mx(f"mx.{refused}")
    lab.tlsa(bad, other("3 1 1"))
    lab.domain(refused, bad, publish=False)
    lab.sts(refused, publish=False)
    good = lab.mx(f"mx.{proved}", tlsa="3 1 1",
                  certificates=self_signed(f"mx.{proved}"))
    lab.domain(proved, good, publish=False)
    lab.sts(proved, mx=["else.example"])
    Sent(lab, gate, bad, refused).refused("4.7.5", "not proved by dane")
    Sent(lab, gate, good, proved).proved_by("dane")
    nothing_sent(bad)


def test_mta_sts_for_the_host_without(lab, gate):
    domain = lab.fresh("both")
    first = lab.mx(f"mx1.{domain}", tlsa="3 1 1",
                   certificates=self_signed(f"mx1.{domain}"))
    second = lab.mx(f"mx2.{domain}")
    lab.domain(domain, first, second, publish=False)
    lab.sts(domain, mx=[f"mx2.{domain}"])
    Sent(lab, gate, first, domain).proved_by("dane")
    Sent(lab, gate, second, domain).proved_by("mta-sts")


def test_operator_before_dane(lab, gate):
    domain, server, _zone = dane_domain(lab, "3 1 1")
    with open(gate.config_path, encoding="utf-8") as file:
        before = file.read()
    gate.configure(before + f'domain "{domain}" {{ names = ["mx.{domain}"] }}'
                   "\n")
    gate.reload()
    try:
        Sent(lab, gate, server, domain).refused("4.7.5",
                                                "not proved by operator")
    finally:
        gate.configure(before)
        gate.reload()
    Sent(lab, gate, server, domain).proved_by("dane")


# All of it, with a stock MTA in front.

def test_postfix_takes_the_host_that_is_proved(lab, gate, postfix):
    """Behind one that is not; with two addresses that one would be all that
    it tries (smtp_mx_session_limit)."""
    domain = lab.fresh("postfix")
    first = lab.mx(f"mx1.{domain}", addresses=lab.new_addresses()[:1])
    lab.tlsa(first, other("3 1 1"))
    second = lab.mx(f"mx2.{domain}", tlsa="3 1 1",
                    certificates=self_signed("x.example"))
    lab.domain(domain, first, second)
    postfix.send("me@lan.example", [f"bob@{domain}"], "Subject: x\n\nhi\n")
    outcome = postfix.outcome(f"bob@{domain}")
    assert outcome.status == "sent", outcome
    assert second.wait_message().tls
    nothing_sent(first)


def test_postfix_is_told_why(lab, gate, postfix):
    domain = lab.fresh("postfix")
    server = lab.mx(f"mx.{domain}")
    lab.tlsa(server, other("3 1 1"))
    lab.domain(domain, server)
    postfix.send("me@lan.example", [f"bob@{domain}"], "Subject: x\n\nhi\n")
    outcome = postfix.outcome(f"bob@{domain}")
    assert outcome.status == "deferred", outcome
    assert re.search(r"451.4\.7\.5 .*not proved by dane", outcome.text)
    nothing_sent(server)
