# SPDX-License-Identifier: ISC
"""Each bad far end: refused at the right stage, with the right code, in words
a sender's postmaster understands, and with nothing of the envelope sent."""

import pytest
from lab import nameservers

SENDER = "alice@lan.example"
BAD = ["nostarttls.example", "stripped.example", "wrongname.example",
       "expired.example", "selfsigned.example", "unknownca.example",
       "tls10.example", "tlsawrong.example", "tlsafail.example",
       "stsother.example", "stsname.example"]
# Those that are refused for what is known of the domain, whoever answers.
UNSEEN = ["tlsafail.example", "stsother.example"]
# The last is what the box in front of stripped.example makes of STARTTLS.
HARMLESS = {"EHLO", "STARTTLS", "QUIT", "RSET", "NOOP", "XXXXXXXA"}


def _refusal(client, recipient):
    """The stage and the reply that a plain client is refused with."""
    reply = client.reply()
    if reply.code != 220:
        return "hello", reply
    reply = client.ehlo()
    if reply.code != 250:
        return "hello", reply
    replies = client.envelope(SENDER, recipient)
    return ("mail", "rcpt")[len(replies) - 1], replies[-1]


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("domain", BAD)
def test_client_is_refused(lab, gateway, world, domain, ipv6):
    case = world[domain]
    case.host.forget()
    with lab.connect(case.host, ipv6=ipv6) as client:
        stage, reply = _refusal(client, f"bob@{domain}")
        assert stage == case.stage
        assert f"{reply.code} {reply.lines[-1][:5]}" == case.code
        if reply.code == 421:
            assert client.at_end()
    assert case.word in reply.text
    assert reply.text.endswith("(postern)")
    if stage == "rcpt":
        assert domain in reply.text
    if domain not in UNSEEN:
        assert case.host.addresses[1 if ipv6 else 0] in reply.text
        assert stage == "hello" or (f"not proved by {case.evidence}:"
                                    in reply.text)
    for session in case.host.sessions:
        assert set(session.verbs) <= HARMLESS, session
    assert not case.host.messages


@pytest.mark.parametrize("domain", BAD)
def test_postfix_keeps_the_mail(lab, gateway, postfix, world, domain):
    _keeps(postfix, world[domain], f"postfix@{domain}")


@pytest.mark.parametrize("domain", BAD)
def test_exim_keeps_the_mail(lab, gateway, exim, world, domain):
    _keeps(exim, world[domain], f"exim@{domain}")


def _keeps(mta, case, recipient):
    mta.send(SENDER, [recipient], "Subject: hi\n\nhi\n")
    outcome = mta.outcome(recipient)
    assert outcome.status == "deferred", outcome
    assert case.word in outcome.text and "postern" in outcome.text
    assert not case.host.messages


def test_connection_refused_is_told(lab, gateway):
    address = lab.new_addresses()[0]
    with lab.connect(address) as client:
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (421, "4.4.1")
        assert client.at_end()


def test_second_domain_is_sent_apart(lab, gateway, world):
    good, other = world["good.example"], world["unsigned.example"]
    with lab.connect(good.host) as client:
        client.reply()
        client.ehlo()
        replies = client.envelope(SENDER, f"bob@{good.domain}",
                                  f"eve@{other.domain}")
        assert [r.code for r in replies] == [250, 250, 452]
        assert replies[2].text.startswith("4.5.3 ")
        assert client.message(b"hi\r\n").code == 250
    assert good.host.messages[-1].recipients == [f"bob@{good.domain}"]


@pytest.mark.config("on_refusal = bounce")
def test_operator_may_choose_to_bounce(lab, gateway, world):
    case = world["wrongname.example"]
    with lab.connect(case.host) as client:
        stage, reply = _refusal(client, f"bob@{case.domain}")
    assert (stage, reply.code, reply.text[:5]) == ("rcpt", 550, "5.7.5")


@pytest.mark.clear_text
@pytest.mark.config('domain "nostarttls.example" { level = none }')
def test_exception_by_name_lets_clear_text_pass(lab, gateway, world):
    case = world["nostarttls.example"]
    case.host.forget()
    with lab.connect(case.host) as client:
        reply = client.deliver(SENDER, [f"bob@{case.domain}"], b"hi\r\n")
    assert reply.code == 250, reply
    assert case.host.wait_message().tls == ""
    # The tap is no decoration: it saw that.
    assert [leak.what for leak in lab.tap.leaks()] == [
        "verb b'MAIL FROM' in clear"]


@pytest.mark.parametrize("trouble", ["servfail", "bogus"])
def test_broken_dns_is_no_licence(lab, gateway, trouble):
    domain = lab.fresh(trouble)
    mx = lab.mx(f"mx.{domain}")
    zone = lab.domain(domain, mx, own_server=True)
    zone.server.on[domain, "MX"] = getattr(nameservers, trouble)
    with lab.connect(mx) as client:
        stage, reply = _refusal(client, f"bob@{domain}")
    assert (stage, reply.code) == ("rcpt", 451), reply
    assert domain in reply.text
    assert not mx.messages
