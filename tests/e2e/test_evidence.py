# SPDX-License-Identifier: ISC
"""Who may receive mail for whom: verdicts, refusals, and the re-dial."""

import re
import ssl

import pytest
from lab import Gateway, nameservers, pki
from lab.smtp_server import reset

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"


@pytest.fixture(scope="module")
def gate(lab):
    # One relay, so that what it has learnt is there for the next session.
    with Gateway(lab, lab.gateway, lab.config("workers = 1")) as gate:
        yield gate
    assert not [line for line in gate.log.lines
                if "Sanitizer" in line or "runtime error" in line]


@pytest.fixture
def ruled(lab, gate):
    """The gateway under more lines of configuration: ruled("...")."""
    def rule(*settings):
        gate.configure(lab.config("workers = 1", *settings))
        gate.reload()
        return gate

    yield rule
    rule()


def ready(lab, server, **options):
    client = lab.connect(server, **options)
    assert client.reply().code == 220
    client.capabilities = client.ehlo()
    return client


def send(lab, server, *recipients, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", recipients, MESSAGE)


# Evidence: mx and mx+dnssec.

@pytest.mark.parametrize("signed, evidence", [(True, "mx+dnssec"),
                                              (False, "mx")])
def test_mx(lab, gate, signed, evidence):
    domain, server = lab.fresh(), None
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, signed=signed)
    mark = gate.log.mark()
    assert send(lab, server, f"bob@{domain}").code == 250
    line = gate.log.wait(re.compile("verdict .*result=proved.*"), since=mark)
    assert f"evidence={evidence} " in line[0]


def test_require_dnssec(lab, ruled):
    ruled("require_dnssec = true")
    for signed, code in ((True, 250), (False, 451)):
        domain = lab.fresh()
        server = lab.mx(f"mx.{domain}")
        lab.domain(domain, server, signed=signed)
        reply = send(lab, server, f"bob@{domain}")
        assert reply.code == code, reply


def test_wrong_name_says_everything(lab, gate):
    domain, server = lab.good_domain(
        certificates=[lab.issue("other.example")])
    reply = send(lab, server, f"bob@{domain}")
    assert reply.code == 451
    assert reply.text.startswith("4.7.5 ")
    for part in (domain, f"mx.{domain}[{server.addresses[0]}]",
                 "not proved by mx+dnssec", "certificate-host-mismatch",
                 "other.example", "(postern)"):
        assert part in reply.text.replace(" 4.7.5", ""), (part, reply.text)
    assert server.messages == []


def test_refusals_defer_or_bounce(lab, ruled):
    domain, server = lab.good_domain(
        certificates=[lab.issue("other.example")])
    ruled("on_refusal = bounce")
    reply = send(lab, server, f"bob@{domain}")
    assert (reply.code, reply.text[:5]) == (550, "5.7.5")


def test_null_mx_and_no_such_domain(lab, gate):
    domain = lab.fresh()
    lab.domain(domain).add("@ MX 0 .")
    lab.publish()
    _name, server = lab.good_domain()
    with ready(lab, server) as client:
        client.command("MAIL FROM:<a@lan.example>")
        reply = client.command(f"RCPT TO:<b@{domain}>")
        assert reply.code == 451
        # Below a name that is there, so that the proof covers no other test.
        reply = client.command(f"RCPT TO:<b@gone.{domain}>")
        assert reply.code == 451


def test_implicit_mx(lab, gate):
    domain = lab.fresh()
    server = lab.mx(domain)
    lab.domain(domain)
    assert send(lab, server, f"bob@{domain}").code == 250


@pytest.mark.parametrize("act, status, word", [
    (nameservers.servfail, "4.4.3", None),
    (nameservers.drop, "4.4.3", None),
    (nameservers.bogus, "4.7.5", "dnssec-invalid")])
def test_dns_failure_defers(lab, ruled, act, status, word):
    """A lookup that fails is never \"no such record\"."""
    ruled("dns { timeout = 3 }")
    domain = lab.fresh("broken")
    _name, server = lab.good_domain()
    zone = lab.domain(domain, server, own_server=True)
    zone.server.on[domain, "MX"] = act
    with ready(lab, server) as client:
        client.command("MAIL FROM:<a@lan.example>")
        reply = client.command(f"RCPT TO:<b@{domain}>")
        assert (reply.code, reply.text[:5]) == (451, status), reply
        assert word is None or word in reply.text


# SNI and the re-dial.

@pytest.fixture
def tenants(lab):
    """Two domains on one server, each with a certificate of its own that
    only its SNI brings; a third certificate for no SNI."""
    addresses = lab.new_addresses()
    names = [lab.fresh("tenant") for _ in range(2)]
    server = lab.mx(f"mx.{names[0]}", addresses=addresses, certificates=[
        lab.issue("default.example"), lab.issue(f"mx.{names[0]}"),
        lab.issue(f"mx.{names[1]}")])
    lab.name_host(f"mx.{names[1]}", addresses)
    lab.domain(names[0], f"mx.{names[0]}", publish=False)
    lab.domain(names[1], f"mx.{names[1]}")
    return names, server


def test_redial_brings_the_right_certificate(lab, gate, tenants):
    names, server = tenants
    assert send(lab, server, f"bob@{names[0]}").code == 250
    assert server.wait_message().sni == f"mx.{names[0]}"
    assert [s.sni for s in server.sessions] == ["", f"mx.{names[0]}"]
    assert "MAIL" not in server.sessions[0].verbs
    # The next session begins with the name that was right.
    assert send(lab, server, f"bob@{names[0]}").code == 250
    assert server.sessions[-1].sni == f"mx.{names[0]}"
    assert len(server.sessions) == 3


def test_connection_reused_for_another_domain(lab, gate, tenants):
    """17, 18: never is what one domain proved taken for the other."""
    names, server = tenants
    with ready(lab, server) as client:
        for name in (names[0], names[1], names[0]):
            replies = client.envelope("me@lan.example", f"bob@{name}")
            assert [r.code for r in replies] == [250, 250]
            assert client.message(MESSAGE).code == 250
    assert [m.sni for m in server.messages] == [
        f"mx.{names[n]}" for n in (0, 1, 0)]


def test_two_domains_in_one_transaction_are_sent_apart(lab, gate, tenants):
    names, server = tenants
    with ready(lab, server) as client:
        assert client.envelope("me@lan.example",
                               f"bob@{names[0]}")[-1].code == 250
        reply = client.command(f"RCPT TO:<bob@{names[1]}>")
        assert (reply.code, reply.text[:5]) == (452, "4.5.3")
        assert client.command(f"RCPT TO:<eve@{names[0]}>").code == 250
        assert client.message(MESSAGE).code == 250
        assert client.envelope("me@lan.example",
                               f"bob@{names[1]}")[-1].code == 250
        assert client.message(MESSAGE).code == 250
    assert [m.recipients for m in server.messages] == [
        [f"bob@{names[0]}", f"eve@{names[0]}"], [f"bob@{names[1]}"]]


def test_domains_that_share_a_certificate_share_a_transaction(lab, gate):
    name = lab.fresh("shared")
    server = lab.mx(f"mx.{name}")
    others = [lab.fresh("shared") for _ in range(3)]
    for each in (name, *others):
        lab.domain(each, f"mx.{name}", publish=False)
    lab.publish()
    reply = send(lab, server, *(f"u@{d}" for d in (name, *others)))
    assert reply.code == 250
    assert len(server.wait_message().recipients) == 4
    assert len(server.sessions) == 1


def test_replay_behind_an_exception(lab, ruled, tenants):
    """A recipient that nobody had to prove, then one whose SNI needs another
    connection: MAIL and RCPT are said again there, unseen."""
    names, server = tenants
    lax = lab.fresh("lax")
    ruled(f'domain "{lax}" {{ level = encrypt }}')
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<me@lan.example>\r\nRCPT TO:<a@{lax}>\r\n"
                     f"RCPT TO:<b@{names[0]}>\r\nDATA\r\n").encode())
        assert [client.reply().code for _ in range(4)] == [250, 250, 250, 354]
        client.send(MESSAGE + b".\r\n")
        assert client.reply().code == 250
    message = server.wait_message()
    assert message.recipients == [f"a@{lax}", f"b@{names[0]}"]
    assert message.sni == f"mx.{names[0]}"
    assert len(server.messages) == 1


def test_redial_that_offers_less(lab, gate):
    """What the client was shown must hold on the other connection too."""
    name = lab.fresh("less")
    server = lab.mx(f"mx.{name}", certificates=[
        lab.issue("default.example"), lab.issue(f"mx.{name}")])
    lab.domain(name, server)
    server.on["EHLO"] = lambda session, _line: (
        None if not session.is_tls or not session.sni else b"250 mx\r\n")
    with ready(lab, server) as client:
        client.command("MAIL FROM:<me@lan.example>")
        assert client.command(f"RCPT TO:<b@{name}>").code == 421
    assert server.messages == []


def test_redial_fails(lab, gate, tenants):
    names, server = tenants
    server.on["tls"] = lambda session, _line: (
        reset(session) if session.sni else b"")
    with ready(lab, server) as client:
        client.command("MAIL FROM:<me@lan.example>")
        reply = client.command(f"RCPT TO:<b@{names[0]}>")
        assert reply.code == 451
        server.on.clear()
        assert client.command(f"RCPT TO:<b@{names[0]}>").code == 250


def test_sni_only_known_by_the_greeting(lab, gate):
    """A server that aborts the handshake without its name."""
    name = lab.fresh("sni")
    server = lab.mx(f"mx.{name}", certificates=[lab.issue(f"mx.{name}")])
    lab.domain(name, server)
    usual = server._choose

    def choose(stream, sni, context):
        usual(stream, sni, context)
        if not sni:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        return None

    server._choose = choose
    assert send(lab, server, f"bob@{name}").code == 250
    assert server.wait_message().sni == f"mx.{name}"


# The operator's rules.

def test_domain_names_pins_and_trust(lab, ruled):
    name, server = lab.good_domain(
        certificates=[lab.unknown_ca.issue(["odd.example"], [])])
    pin = server.certificates[0].pin
    other = "00" * 32
    trust = f"{lab.directory}/partner.pem"
    pki.write_trust(trust, lab.unknown_ca)
    for rule, code in (
            ("", 451),
            (f'pins = ["sha256:{pin}"]', 250),
            (f'pins = ["sha256:{other}"]', 451),
            (f'trust = "{trust}"; names = ["odd.example"]', 250),
            (f'trust = "{trust}"; names = ["even.example"]', 451),
            (f'trust = "{trust}"', 451),
            (f'trust = "{trust}"; names = ["odd.example"]; '
             f'pins = ["sha256:{other}"]', 451),
            ("level = encrypt", 250),
            ('level = encrypt; until = "2020-01-01"', 451),
            ('level = encrypt; until = "2999-01-01"', 250)):
        ruled(f'domain "{name}" {{ {rule} }}' if rule else "")
        reply = send(lab, server, f"bob@{name}")
        assert reply.code == code, (rule, str(reply))


@pytest.mark.clear_text
def test_level_none_is_for_that_domain_only(lab, ruled):
    """33: an exception turns no other refusal into a relay."""
    name, server = lab.good_domain(starttls=False)
    other = lab.fresh()
    lab.domain(other, server)
    ruled(f'domain "{name}" {{ level = none }}')
    with ready(lab, server) as client:
        client.command("MAIL FROM:<me@lan.example>")
        reply = client.command(f"RCPT TO:<b@{other}>")
        assert (reply.code, reply.text[:5]) == (451, "4.7.4"), reply
        assert "starttls-not-supported" in reply.text
        assert server.sessions[-1].verbs == ["EHLO", "STARTTLS"]
        assert client.command(f"RCPT TO:<b@{name}>").code == 250
        assert client.message(MESSAGE).code == 250
    assert server.wait_message().recipients == [f"b@{name}"]
    assert lab.tap.leaks() != []  # as the operator asked


def test_server_rule_for_every_recipient_and_auth(lab, ruled):
    name = lab.fresh("smarthost")
    server = lab.mx(f"smtp.{name}", tls_capabilities=["AUTH PLAIN LOGIN"])
    lab.publish()
    server.on["AUTH"] = lambda session, line: (
        session.send(b"334 \r\n"), session.line(), b"235 2.7.0 ok\r\n")[-1]
    for match in (f'"{server.addresses[0]}", "{server.addresses[1]}"',
                  f'"{server.addresses[0]}/24", "2001:db8:203::/64"',
                  f'"smtp.{name}"'):
        server.forget()
        server.on["AUTH"] = lambda session, line: (
            session.send(b"334 \r\n"), session.line(), b"235 2.7.0 ok\r\n")[-1]
        ruled(f'server "smart" {{ match = [{match}]; '
              f'names = ["smtp.{name}"]; auth = true }}')
        with ready(lab, server) as client:
            assert "AUTH PLAIN LOGIN" in client.capabilities.lines
            assert client.command("AUTH PLAIN").code == 334
            assert client.command("AGEAYg==").code == 235
            replies = client.envelope("me@lan.example", "a@one.invalid",
                                      "b@two.invalid", "c@[192.0.2.77]")
            assert [r.code for r in replies] == [250] * 4
            assert client.command("VRFY x").code == 252
            assert client.message(MESSAGE).code == 250
        assert (True, b"AGEAYg==") in server.sessions[-1].lines
        assert "VRFY" in server.sessions[-1].verbs


def test_server_rule_not_met_is_said_at_ehlo(lab, ruled):
    name = lab.fresh("smarthost")
    server = lab.mx(f"smtp.{name}", tls_capabilities=["AUTH PLAIN"])
    lab.publish()
    ruled(f'server "smart" {{ match = ["{server.addresses[0]}"]; '
          f'names = ["else.example"]; auth = true }}')
    with lab.connect(server) as client:
        client.reply()
        reply = client.ehlo()
        assert (reply.code, reply.text[:5]) == (421, "4.7.5"), reply
        assert "certificate-host-mismatch" in reply.text
        assert client.at_end()
    assert not {"MAIL", "AUTH"} & set(server.sessions[-1].verbs)


def test_auth_stays_here_without_a_rule_for_it(lab, ruled):
    name = lab.fresh("smarthost")
    server = lab.mx(f"smtp.{name}", tls_capabilities=["AUTH PLAIN"])
    lab.publish()
    ruled(f'server "smart" {{ match = ["{server.addresses[0]}"]; '
          f'names = ["smtp.{name}"] }}')
    with ready(lab, server) as client:
        assert not any("AUTH" in line for line in client.capabilities.lines)
        assert client.command("AUTH PLAIN AGEAYg==").code == 502
    assert "AUTH" not in server.sessions[-1].verbs


# Address literals.

def test_address_literal(lab, gate):
    addresses = lab.new_addresses()
    name = lab.fresh()
    server = lab.mx(f"mx.{name}", addresses=addresses, certificates=[
        lab.issue("x.example", ips=addresses)])
    lab.publish()
    assert send(lab, server, f"root@[{addresses[0]}]").code == 250
    assert send(lab, server, f"root@[IPv6:{addresses[1]}]",
                ipv6=True).code == 250
    reply = send(lab, server, "root@[192.0.2.1]")
    assert (reply.code, reply.text[:5]) == (451, "4.7.5")
    _name, plain = lab.good_domain()
    assert send(lab, plain, f"root@[{plain.addresses[0]}]").code == 451


# Host faults are said early.

@pytest.mark.parametrize("code", [221, 250, 354, 421, 454, 500, 501, 502, 503,
                                  530, 554])
def test_7_every_refusal_of_starttls(lab, gate, code):
    name, server = lab.good_domain()
    server.on["STARTTLS"] = b"%d 5.7.0 no\r\n" % code
    with lab.connect(server) as client:
        client.reply()
        reply = client.ehlo()
        assert (reply.code, reply.text[:5]) == (421, "4.7.4"), reply
        assert "starttls-not-supported" in reply.text
        assert client.at_end()


def test_16_starttls_not_offered(lab, gate):
    name, server = lab.good_domain(starttls=False)
    with lab.connect(server) as client:
        client.reply()
        assert client.ehlo().code == 421
    assert server.sessions[-1].verbs == ["EHLO", "STARTTLS"]


def test_16_offer_stripped_on_the_wire(lab, gate):
    """Asked for all the same: the server behind it answers."""
    name, server = lab.good_domain()
    server.on["EHLO"] = lambda session, _line: (
        None if session.is_tls else b"250-mx\r\n250 XXXXXXXA\r\n")
    assert send(lab, server, f"bob@{name}").code == 250


def test_no_connection(lab, gate):
    addresses = lab.new_addresses()
    with lab.connect(addresses[0]) as client:
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (421, "4.4.1"), reply
        assert addresses[0] in reply.text
        assert client.at_end()


@pytest.mark.parametrize("glued", [b"250-x\r\n250 AUTH\r\n", b"250-X", b"x"])
def test_3_6_injection_behind_starttls(lab, gate, glued):
    name, server = lab.good_domain()
    server.on["STARTTLS"] = b"220 go\r\n" + glued
    with lab.connect(server) as client:
        client.reply()
        assert client.ehlo().code == 421
    assert server.messages == []


@pytest.mark.parametrize("answers", [True, False])
def test_9_reply_before_its_command(lab, gate, answers):
    """Whether or not STARTTLS gets another answer, it has none: it is not
    even asked for."""
    name, server = lab.good_domain()
    server.on["EHLO"] = lambda session, _line: (
        None if session.is_tls
        else b"250-mx\r\n250 STARTTLS\r\n220 go\r\n")
    if not answers:
        server.on["STARTTLS"] = b""
    with lab.connect(server) as client:
        client.reply()
        reply = client.ehlo()
        assert (reply.code, reply.text[:5]) == (421, "4.7.5"), reply
        assert "injection" in reply.text
    assert server.wait_session().ended.wait(10)
    assert "STARTTLS" not in server.sessions[-1].verbs


def test_1_2_commands_glued_to_the_clients_starttls(lab, gate):
    """It is refused here, and nothing of it is taken for TLS."""
    name, server = lab.good_domain()
    with ready(lab, server) as client:
        client.send(b"STARTTLS\r\nRSET\r\nMAIL FROM:<a@lan.example>\r\n")
        assert [client.reply().code for _ in range(3)] == [502, 250, 250]
