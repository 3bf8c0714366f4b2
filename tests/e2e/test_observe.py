# SPDX-License-Identifier: ISC
"""Observation: all is decided, nothing refused, and what would have been is
told, in the log and by `postern observed`."""

import json
import time

import pytest
from lab import Gateway, nameservers, pki
from lab.smtp_server import reset

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def gate(lab):
    with Gateway(lab, lab.gateway, lab.config(
            "workers = 1", "enforce = false",
            "dns { timeout = 2 }", "mta_sts { timeout = 2 }")) as gate:
        yield gate
    assert not [line for line in gate.log.lines
                if "Sanitizer" in line or "runtime error" in line]


@pytest.fixture
def strict(lab, gate):
    """strict("..."): a gateway that enforces, with more lines, in place of
    the one that does not."""
    started = []

    def start(*settings):
        gate.stop()
        started.append(Gateway(lab, lab.gateway,
                               lab.config("workers = 1", *settings)))
        return started[0]

    yield start
    for each in started:
        each.close()
    gate.start()


def send(lab, server, *recipients, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", recipients, MESSAGE)


def listed(gate, domain):
    """What `postern observed` has on a domain: rows of its JSON."""
    done = gate.as_user("observed", "-c", gate.config_path, "--json")
    assert done.returncode == 0, done.stderr
    return [row for row in json.loads(done.stdout)
            if row["domain"] == domain]


def observed(gate, domain, count=1):
    """The one row that it has, once that many recipients are counted: the
    one who counts is not the one who let them pass."""
    until = time.monotonic() + 10
    while True:
        rows = listed(gate, domain)
        if sum(row["recipients"] for row in rows) >= count:
            row, = rows
            assert row["recipients"] == count, row
            return row
        assert time.monotonic() < until, rows


def passes(lab, gate, server, domain, evidence, word=None):
    """It is let pass, and told as what would have been refused."""
    since = gate.log.mark()
    reply = send(lab, server, f"bob@{domain}")
    assert reply.code == 250, str(reply)
    verdict = gate.verdict(domain, since)
    assert verdict["result"] == "would-refuse", verdict
    assert verdict["evidence"] == evidence, verdict
    assert verdict.get("word") == word, verdict
    assert server.messages[-1].recipients == [f"bob@{domain}"]
    return verdict


def other_key():
    return pki.self_signed(["other.example"]).tlsa("3 1 1")


def test_what_is_proved_is_as_ever(lab, gate):
    domain, server = lab.good_domain()
    since = gate.log.mark()
    assert send(lab, server, f"bob@{domain}").code == 250
    verdict = gate.verdict(domain, since)
    assert (verdict["result"], verdict["evidence"]) == ("proved",
                                                        "mx+dnssec")
    assert server.wait_message().tls
    other, bad = lab.good_domain(certificates=[lab.issue("else.example")])
    passes(lab, gate, bad, other, "mx+dnssec", "certificate-host-mismatch")
    assert observed(gate, other)
    assert listed(gate, domain) == []


def test_certificate_for_another_name(lab, gate):
    domain, server = lab.good_domain(
        certificates=[lab.issue("else.example")])
    for _ in range(3):
        passes(lab, gate, server, domain, "mx+dnssec",
               "certificate-host-mismatch")
    assert all(message.tls for message in server.messages)
    row = observed(gate, domain, 3)
    assert f"mx.{domain}" in row["server"], row
    assert server.addresses[0] in row["server"], row
    assert (row["evidence"], row["word"]) == ("mx+dnssec",
                                              "certificate-host-mismatch")
    assert "else.example" in row["why"], row
    said = gate.as_user("observed", "-c", gate.config_path).stdout
    assert f"{domain}: 3 recipients" in said


def test_dane(lab, gate):
    domain = lab.fresh("dane")
    server = lab.mx(f"mx.{domain}")
    lab.tlsa(server, other_key())
    lab.domain(domain, server)
    verdict = passes(lab, gate, server, domain, "dane",
                     "certificate-not-trusted")
    assert verdict["tls"]
    row = observed(gate, domain)
    assert (row["evidence"], row["word"]) == ("dane",
                                              "certificate-not-trusted")


def test_mta_sts(lab, gate):
    domain, server = lab.good_domain()
    lab.sts(domain, mx=["else.example"])
    passes(lab, gate, server, domain, "mta-sts", "validation-failure")
    assert observed(gate, domain)["evidence"] == "mta-sts"


@pytest.mark.parametrize("kind", ["MX", "TLSA"])
def test_lookup_that_fails(lab, gate, kind):
    domain = lab.fresh("lookup")
    server = lab.mx(f"mx.{domain}", tlsa="3 1 1")
    zone = lab.domain(domain, server, own_server=True)
    name = domain if kind == "MX" else f"_25._tcp.mx.{domain}"
    zone.server.on[name, kind] = nameservers.servfail
    since = gate.log.mark()
    reply = send(lab, server, f"bob@{domain}")
    assert reply.code == 250, str(reply)
    assert gate.verdict(domain, since)["result"] == "would-refuse"
    assert server.wait_message().tls
    assert observed(gate, domain)


def test_bogus(lab, gate):
    domain = lab.fresh("bogus")
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, signing="expired")
    since = gate.log.mark()
    assert send(lab, server, f"bob@{domain}").code == 250
    verdict = gate.verdict(domain, since)
    assert (verdict["result"], verdict["word"]) == ("would-refuse",
                                                    "dnssec-invalid")


@pytest.mark.clear_text
def test_clear_text_where_there_is_no_tls(lab, gate):
    domain, server = lab.good_domain(starttls=False)
    passes(lab, gate, server, domain, "mx+dnssec", "starttls-not-supported")
    assert server.messages[0].tls == ""
    assert lab.tap.leaks() != []
    assert observed(gate, domain)["word"] == "starttls-not-supported"


@pytest.mark.clear_text
def test_clear_text_where_a_handshake_fails(lab, gate):
    """On another connection, since that one is spent."""
    domain, server = lab.good_domain()
    since = gate.log.mark()
    server.on["STARTTLS"] = lambda session, _line: (
        session.send(b"220 go\r\n"), reset(session))
    assert send(lab, server, f"bob@{domain}").code == 250
    assert gate.verdict(domain, since)["result"] == "would-refuse"
    assert server.messages[0].tls == ""


@pytest.mark.clear_text
def test_clear_text_where_the_offer_is_withdrawn(lab, gate):
    domain, server = lab.good_domain()
    server.on["STARTTLS"] = b"454 4.7.0 not now\r\n"
    passes(lab, gate, server, domain, "mx+dnssec", "starttls-not-supported")
    assert server.messages[0].tls == ""


def test_offer_is_taken(lab, gate):
    """Nothing goes in clear where TLS is to be had: the tap is the judge."""
    domain, server = lab.good_domain(
        certificates=[pki.self_signed(["x.example"])])
    passes(lab, gate, server, domain, "mx+dnssec", "certificate-not-trusted")
    assert server.messages[0].tls


def test_secrets_are_for_the_proved_all_the_same(lab, strict):
    """Observation makes nobody a smarthost who is not."""
    name = lab.fresh("smarthost")
    server = lab.mx(f"smtp.{name}", tls_capabilities=["AUTH PLAIN"])
    lab.publish()
    strict("enforce = false", f'server "s" {{ match = '
           f'["{server.addresses[0]}"]; names = ["else.example"]; '
           "auth = true }")
    with lab.connect(server) as client:
        client.reply()
        client.ehlo()
        assert client.command("AUTH PLAIN AGEAYg==").code >= 400
    assert "AUTH" not in server.sessions[-1].verbs


# One domain of many.

def test_level_observe_is_for_that_domain_only(lab, strict):
    lax, rest = lab.fresh("lax"), lab.fresh("rest")
    server = lab.mx(f"mx.{lax}", certificates=[lab.issue("else.example")])
    lab.domain(lax, server, publish=False)
    lab.domain(rest, server)
    gate = strict(f'domain "{lax}" {{ level = observe }}')
    passes(lab, gate, server, lax, "mx+dnssec", "certificate-host-mismatch")
    reply = send(lab, server, f"bob@{rest}")
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    assert [m.recipients for m in server.messages] == [[f"bob@{lax}"]]
    assert observed(gate, lax)["evidence"] == "mx+dnssec"
    assert listed(gate, rest) == []


def test_level_observe_comes_to_its_end(lab, strict):
    domain, server = lab.good_domain(
        certificates=[lab.issue("else.example")])
    strict(f'domain "{domain}" {{ level = observe; until = "2020-01-01" }}')
    assert send(lab, server, f"bob@{domain}").code == 451
    assert server.messages == []


def test_what_was_observed_outlives_a_restart(lab, gate):
    domain, server = lab.good_domain(
        certificates=[lab.issue("else.example")])
    passes(lab, gate, server, domain, "mx+dnssec",
           "certificate-host-mismatch")
    before = observed(gate, domain)
    gate.stop()
    assert observed(gate, domain) == before
    gate.start()
    assert observed(gate, domain) == before
    passes(lab, gate, server, domain, "mx+dnssec",
           "certificate-host-mismatch")
    after = observed(gate, domain, 2)
    assert after["first"] == before["first"]


def test_forgetting(lab, gate):
    domain, server = lab.good_domain(
        certificates=[lab.issue("else.example")])
    for _ in range(2):
        passes(lab, gate, server, domain, "mx+dnssec",
               "certificate-host-mismatch")
        observed(gate, domain)
        done = gate.as_user("observed", "-c", gate.config_path, "--clear")
        assert done.returncode == 0, done.stderr
        assert listed(gate, domain) == []
