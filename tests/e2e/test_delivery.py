# SPDX-License-Identifier: ISC
"""Good mail arrives: from real MTAs and a scripted client, over IPv4 and
IPv6, by DATA and BDAT, to the byte, from the client's own address."""

import hashlib
import re

import pytest

SENDER = "alice@lan.example"
MESSAGE = (b"Subject: every byte\r\n\r\n"
           b".\r\n..\r\n.dot\r\n\r\ncaf\xc3\xa9 \x00\x7f\xff\t \r\n"
           + b"x" * 998 + b"\r\n\r\n")


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_client_is_itself_upstream(lab, gateway, ipv6):
    domain, mx = lab.good_domain()
    with lab.connect(mx, ipv6=ipv6) as client:
        reply = client.deliver(SENDER, [f"bob@{domain}"], MESSAGE)
        assert (reply.code, reply.text) == (250, "2.0.0 taken")
        source = client.name, lab.client_address(ipv6)
    message = mx.wait_message()
    assert (message.helo, message.client) == source
    assert message.sender == SENDER
    assert message.recipients == [f"bob@{domain}"]
    assert message.content == MESSAGE
    assert message.tls == "TLSv1.3"
    # Nothing told the name before the recipient did, and none was needed.
    assert message.sni == ""


def test_log_counts_the_clients_bytes(lab, gateway):
    _domain, mx = lab.good_domain()
    mark = gateway.log.mark()
    with lab.connect(mx) as client:
        replies = [client.reply(), client.ehlo(), client.command("NOOP"),
                   client.command("QUIT")]
        sent = len(f"EHLO {client.name}\r\nNOOP\r\nQUIT\r\n")
    heard = sum(len(reply.raw) for reply in replies)
    gateway.log.wait(re.compile(
        rf"session id=.* bytes_in={sent} bytes_out={heard} "), since=mark)


def test_sni_is_the_name_of_the_mx_where_it_matters(lab, gateway):
    """The first handshake shows another name's certificate: it is done over
    with the right SNI, unseen by the client."""
    one, two = lab.fresh("one"), lab.fresh("two")
    mx = lab.mx(f"mx.{one}", certificates=[lab.issue(f"mx.{one}"),
                                           lab.issue(f"mx.{two}")])
    lab.name_host(f"mx.{two}", mx.addresses)
    lab.domain(two, f"mx.{two}")
    with lab.connect(mx) as client:
        reply = client.deliver(SENDER, [f"bob@{two}"], MESSAGE)
    assert reply.code == 250, reply
    assert [s.sni for s in mx.sessions] == ["", f"mx.{two}"]
    assert [m.sni for m in mx.messages] == [f"mx.{two}"]


def test_greeting_is_the_servers(lab, gateway):
    _domain, mx = lab.good_domain()
    mx.on["connect"] = b"220-a greeting\r\n220 of its own\r\n"
    with lab.connect(mx) as client:
        assert client.reply().lines == ["a greeting", "of its own"]


def test_capabilities_are_those_inside_tls(lab, gateway):
    domain, mx = lab.good_domain()
    mx.capabilities = ["PIPELINING", "SIZE 1000", "XCLIENT NAME"]
    mx.tls_capabilities = ["8BITMIME", "REQUIRETLS"]
    with lab.connect(mx) as client:
        client.reply()
        reply = client.ehlo()
    assert "8BITMIME" in reply.lines and "SIZE 1000" in reply.lines
    assert not {"STARTTLS", "XCLIENT NAME", "REQUIRETLS"} & set(reply.lines)


def test_pipelined_burst_is_answered_in_order(lab, gateway):
    domain, mx = lab.good_domain()
    mx.on["RCPT"] = [b"250 2.1.5 first\r\n", b"550 5.1.1 second\r\n",
                     b"250 2.1.5 third\r\n"]
    with lab.connect(mx) as client:
        client.reply()
        client.ehlo()
        client.send(b"MAIL FROM:<a@lan.example>\r\n"
                    + b"".join(b"RCPT TO:<%d@%s>\r\n" % (n, domain.encode())
                               for n in range(3)) + b"DATA\r\n")
        replies = [client.reply() for _ in range(5)]
        assert [r.code for r in replies] == [250, 250, 550, 250, 354]
        assert [r.text for r in replies[1:4]] == [
            "2.1.5 first", "5.1.1 second", "2.1.5 third"]
        client.send(b"hi\r\n.\r\n")
        assert client.reply().code == 250
    assert mx.wait_message().recipients == [f"0@{domain}", f"2@{domain}"]


def test_bdat_chunks(lab, gateway):
    domain, mx = lab.good_domain()
    body = bytes(range(256)) * 40
    with lab.connect(mx) as client:
        client.reply()
        client.ehlo()
        assert client.command(
            "MAIL FROM:<a@lan.example> BODY=BINARYMIME").code == 250
        assert client.command(f"RCPT TO:<bob@{domain}>").code == 250
        client.send(b"BDAT 0\r\n")
        assert client.reply().code == 250
        client.send(b"BDAT %d\r\n" % len(body) + body)
        assert client.reply().code == 250
        client.send(b"BDAT 3 LAST\r\nend")
        assert client.reply().code == 250
    message = mx.wait_message()
    assert message.chunked and message.content == body + b"end"
    assert "BODY=BINARYMIME" in message.mail_line


def test_connection_reused(lab, gateway):
    domain, mx = lab.good_domain()
    with lab.connect(mx) as client:
        client.reply()
        client.ehlo()
        for number in range(3):
            client.envelope(SENDER, f"{number}@{domain}")
            assert client.message(b"hi\r\n").code == 250
        assert client.command("QUIT").code == 221
    assert [m.recipients for m in mx.messages] == [
        [f"{number}@{domain}"] for number in range(3)]


def test_many_megabytes(lab, gateway):
    domain, mx = lab.good_domain(keep=0)
    line = b"0123456789" * 7 + b"\r\n"
    content = line * (20_000_000 // len(line))
    with lab.connect(mx) as client:
        reply = client.deliver(SENDER, [f"bob@{domain}"], content)
    assert reply.code == 250, reply
    message = mx.wait_message()
    assert message.size == len(content)
    assert message.sha256 == hashlib.sha256(content).hexdigest()


def test_server_refuses_in_its_own_words(lab, gateway):
    domain, mx = lab.good_domain()
    mx.on["message"] = b"554 5.7.1 not\r\n"
    with lab.connect(mx) as client:
        reply = client.deliver(SENDER, [f"bob@{domain}"], b"hi\r\n")
    assert str(reply) == "554 5.7.1 not"
    assert not mx.messages


@pytest.mark.parametrize("domain", ["good.example", "unsigned.example",
                                    "six.example", "alpha.example",
                                    "beta.example", "backup.example",
                                    "dane.example", "sts.example"])
def test_postfix_delivers(lab, gateway, postfix, world, domain):
    _delivers(postfix, world[domain], f"postfix@{domain}", "198.51.100.10",
              "2001:db8:100::10")


@pytest.mark.parametrize("domain", ["good.example", "unsigned.example",
                                    "six.example", "beta.example",
                                    "dane.example", "sts.example"])
def test_exim_delivers(lab, gateway, exim, world, domain):
    _delivers(exim, world[domain], f"exim@{domain}", "198.51.100.11",
              "2001:db8:100::11")


def _delivers(mta, case, recipient, *addresses):
    mta.send(SENDER, [recipient], "Subject: hi\n\n.dot\nbye\n")
    outcome = mta.outcome(recipient)
    assert outcome.status == "sent", outcome
    messages = [m for m in case.messages() if m.recipients == [recipient]]
    assert len(messages) == 1
    assert messages[0].client in addresses
    assert messages[0].content.endswith(b"\r\n\r\n.dot\r\nbye\r\n")
    assert messages[0].tls == "TLSv1.3"
    if case.domain == "beta.example":
        assert messages[0].sni == "mx.beta.example"


def test_real_postfix_receives(gateway, postfix, world):
    case = world["real.example"]
    postfix.send(SENDER, ["bob@real.example"], "Subject: hi\n\nhi\n")
    assert postfix.outcome("bob@real.example").status == "sent"
    case.postfix.log.wait(re.compile(
        r"to=<bob@real\.example>.* status=sent"))
    case.postfix.log.wait(re.compile("TLS connection established"))


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_swaks_delivers(lab, gateway, ipv6):
    domain, mx = lab.good_domain()
    address = mx.addresses[1 if ipv6 else 0]
    lab.client.run("swaks", "--server", address, "--from", SENDER, "--to",
                   f"bob@{domain}", "--helo", "client.lan.example",
                   "--body", "hello")
    assert mx.wait_message().recipients == [f"bob@{domain}"]


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_local_mode_delivers(lab, local_gateway, ipv6):
    domain, mx = lab.good_domain()
    with lab.connect(mx, ipv6=ipv6) as client:
        reply = client.deliver(SENDER, [f"bob@{domain}"], MESSAGE)
    assert reply.code == 250, reply
    message = mx.wait_message()
    assert message.content == MESSAGE and message.tls == "TLSv1.3"
