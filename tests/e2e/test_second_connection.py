# SPDX-License-Identifier: ISC
"""Another connection in place of the first: when it is made, what it may
bring, and what becomes of a recipient where it fails."""

import ssl

import pytest
from lab import nameservers, pki, smtp_server

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
BOUNCE = "on_refusal = bounce"


def send(lab, server, *recipients):
    with lab.connect(server) as client:
        return client.deliver("me@lan.example", recipients, MESSAGE)


def by_name(lab, *hosts, **options):
    """A server whose first certificate is nobody's; each of hosts has one of
    its own, which only its SNI brings."""
    return lab.mx(hosts[0], certificates=[
        lab.issue("default.example"), *(lab.issue(h) for h in hosts)],
                  **options)


def only_by_name(server, host):
    """No handshake but with that SNI."""
    def choose(_stream, sni, _context):
        if sni != host:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        return None
    server._choose = choose
    server.name = "greets.elsewhere.example"


def test_19_mended_certificate_behind_an_sni(lab, start_gateway):
    """A session that was made with the bad one is not resumed."""
    start_gateway("workers = 1")
    domain = lab.fresh("tenant")
    host = f"mx.{domain}"
    server = lab.mx(host, certificates=[
        lab.issue("default.example"), lab.unknown_ca.issue([host])])
    lab.domain(domain, server)
    for _ in range(2):
        assert send(lab, server, f"b@{domain}").code == 451
    server.certificates[1] = lab.issue(host)
    assert send(lab, server, f"b@{domain}").code == 250


def test_19_rule_that_changes_under_a_resumed_session(lab, start_gateway):
    """What the connection was made with is its own, whatever goes."""
    host = lab.fresh("smart")
    server = lab.mx(host)
    lab.domain(host, host)
    rule = (f'server "s" {{ match = ["{server.addresses[0]}"];'
            ' names = ["%s"] }')
    state = lab.state_directory()
    gate = start_gateway("workers = 1", rule % host, state_directory=state)
    [relay] = gate.children("postern-relay")
    for _ in range(2):
        assert send(lab, server, "x@any.example").code == 250
    with lab.connect(server) as client:
        client.reply()
        client.ehlo()
        client.envelope("me@lan.example", "x@any.example")
        assert client.message(MESSAGE).code == 250
        gate.configure(lab.config("workers = 1", rule % "other.example",
                                  state_directory=state))
        gate.reload()
        reply = client.command("MAIL FROM:<a@lan.example>")
        assert reply.code == 421 and "host-mismatch" in reply.text, reply
    assert gate.children("postern-relay") == [relay]


# Nothing bounces that waiting may mend.

@pytest.mark.parametrize("second", [
    b"421 4.7.0 too many connections\r\n", smtp_server.reset])
def test_second_connection_that_fails_defers(lab, start_gateway, second):
    start_gateway("workers = 1", BOUNCE)
    domain = lab.fresh("tenant")
    server = by_name(lab, f"mx.{domain}")
    lab.domain(domain, server)
    server.on["connect"] = [None, second]
    reply = send(lab, server, f"b@{domain}")
    assert reply.code == 451, reply
    assert "second connection" in reply.text and "none" not in reply.text


def test_more_connections_than_may_be_defer(lab, start_gateway):
    start_gateway("workers = 1", BOUNCE)
    good = lab.fresh("good")
    server = by_name(lab, f"mx.{good}")
    bad = [lab.fresh("bad") for _ in range(8)]
    for domain in bad:
        lab.name_host(f"mx.{domain}", server.addresses)
        lab.domain(domain, f"mx.{domain}", publish=False)
    lab.domain(good, server)
    with lab.connect(server) as client:
        client.reply()
        client.ehlo()
        client.command("MAIL FROM:<a@lan.example>")
        for domain in bad:
            assert client.command(f"RCPT TO:<x@{domain}>").code == 550
        assert client.command(f"RCPT TO:<x@{good}>").code == 451
        client.command("RSET")
        client.command("MAIL FROM:<a@lan.example>")
        assert client.command(f"RCPT TO:<x@{good}>").code == 250


@pytest.mark.parametrize("kind", ["TLSA", "address", "policy"])
def test_one_of_two_hosts_is_unknown(lab, start_gateway, kind):
    """D may be either; the one that is known is not proved."""
    start_gateway("workers = 1", BOUNCE, "dns { timeout = 2 }")
    domain = lab.fresh("two")
    first, second = f"mx1.{domain}", f"mx2.{domain}"
    server = lab.mx(first, certificates=[pki.self_signed([first])],
                    tlsa=("3 1 1",))
    lab.name_host(second, server.addresses)
    zone = lab.domain(domain, server, second, own_server=True)
    if kind == "TLSA":
        zone.server.on[f"_25._tcp.{first}", "TLSA"] = nameservers.servfail
    elif kind == "address":
        for family in ("A", "AAAA"):
            zone.server.on[first, family] = nameservers.servfail
    else:
        server.certificates = [lab.issue(second)]
        zone.server.on[f"_mta-sts.{domain}", None] = nameservers.servfail
    reply = send(lab, server, f"b@{domain}")
    assert reply.code == 451, reply


def test_unknown_host_is_not_told_as_unnamed(lab, start_gateway):
    start_gateway("workers = 1", "dns { timeout = 2 }")
    domain = lab.fresh("two")
    first, second = f"mx1.{domain}", f"mx2.{domain}"
    server = lab.mx(first, tlsa=("3 1 1",))
    lab.name_host(second, server.addresses)
    zone = lab.domain(domain, server, second, own_server=True, publish=False)
    lab.sts(domain, mx=[first])
    zone.server.on[f"_25._tcp.{first}", "TLSA"] = nameservers.servfail
    reply = send(lab, server, f"b@{domain}")
    assert reply.text.startswith("4.4.3 "), reply
    assert f"TLSA lookup of _25._tcp.{first}: SERVFAIL" in reply.text


# What is observed passes, as well as it can.

def observing(lab, start_gateway, how, domain):
    return start_gateway("workers = 1", "enforce = false" if how == "all" else
                         f'domain "{domain}" {{ level = observe }}')


@pytest.mark.parametrize("how", ["all", "domain"])
def test_observed_takes_tls_where_it_can_be_had(lab, start_gateway, how):
    domain = lab.fresh("observed")
    host = f"mx.{domain}"
    gate = observing(lab, start_gateway, how, domain)
    server = lab.mx(host, certificates=[pki.self_signed([host])])
    only_by_name(server, host)
    lab.domain(domain, host)
    since = gate.log.mark()
    assert send(lab, server, f"b@{domain}").code == 250
    assert gate.verdict(domain, since)["result"] == "would-refuse"
    assert server.wait_message().tls.startswith("TLS")


@pytest.mark.clear_text
@pytest.mark.parametrize("offered", [True, False])
@pytest.mark.parametrize("act", [smtp_server.close, smtp_server.reset,
                                 b"421 4.7.0 bye\r\n"],
                         ids=["close", "reset", "421"])
def test_observed_server_that_ends_when_asked(lab, start_gateway, offered,
                                              act):
    start_gateway("workers = 1", "enforce = false")
    domain, server = lab.good_domain()
    server.starttls = offered
    server.on["STARTTLS"] = act
    assert send(lab, server, f"b@{domain}").code == 250


def test_server_that_ends_when_asked_is_refused(lab, start_gateway):
    """The same with something to enforce, and an exception for another."""
    start_gateway("workers = 1", 'domain "x.example" { level = none }')
    domain, server = lab.good_domain()
    server.on["STARTTLS"] = smtp_server.close
    reply = send(lab, server, f"b@{domain}")
    assert reply.code == 451 and "starttls-not-supported" in reply.text, reply


def test_observed_recipient_that_would_be_sent_apart(lab, start_gateway):
    """It would have been proved, so it is not counted as refused."""
    one, two = lab.fresh("one"), lab.fresh("two")
    gate = start_gateway("workers = 1", "enforce = false")
    server = by_name(lab, f"mx.{one}", f"mx.{two}")
    lab.name_host(f"mx.{two}", server.addresses)
    lab.domain(one, server, publish=False)
    lab.domain(two, f"mx.{two}")
    since = gate.log.mark()
    assert send(lab, server, f"b@{one}", f"b@{two}").code == 250
    verdict = gate.verdict(two, since)
    assert verdict["result"] == "exception", verdict
    assert "transaction of its own" in verdict["note"]
    since = gate.log.mark()
    assert send(lab, server, f"b@{two}").code == 250
    assert gate.verdict(two, since)["result"] == "proved"


@pytest.mark.parametrize("settings", [(), ("enforce = false",)])
def test_many_recipients_of_one_domain(lab, start_gateway, settings):
    """What came to nothing for the first is not tried for each."""
    start_gateway("workers = 1", *settings)
    domain = lab.fresh("many")
    server = lab.mx(f"mx.{domain}",
                    certificates=[pki.self_signed(["other.example"])])
    lab.domain(domain, server)
    server.sessions.clear()
    send(lab, server, *[f"b{n}@{domain}" for n in range(12)])
    assert len(server.sessions) <= 2


def test_slow_other_family_of_an_unsigned_domain(lab, start_gateway):
    """Nobody waits for what does not matter without DNSSEC."""
    start_gateway("workers = 1", "dns { timeout = 30 }")
    domain = lab.fresh("unsigned")
    server = lab.mx(f"mx.{domain}")
    zone = lab.domain(domain, server, own_server=True, signed=False)
    other = "AAAA" if "." in server.addresses[0] else "A"
    zone.server.on[f"mx.{domain}", other] = nameservers.drop
    with lab.connect(server, timeout=20) as client:
        reply = client.deliver("me@lan.example", [f"b@{domain}"], MESSAGE)
    assert reply.code == 250, reply
