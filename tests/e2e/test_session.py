# SPDX-License-Identifier: ISC
"""What a client and a server say to each other through the gateway."""

import hashlib
import os
import re
import threading

import pytest
from lab import Gateway
from lab.smtp_client import Closed
from lab.smtp_server import KEEP_MAX, close, half_close, reset

MESSAGE = b"Subject: test\r\n\r\n.dot\r\n..dots\r\nbody\r\n"


@pytest.fixture(scope="module")
def gate(lab):
    with Gateway(lab, lab.gateway, lab.config()) as gate:
        yield gate
    assert not [line for line in gate.log.lines
                if "Sanitizer" in line or "runtime error" in line]


@pytest.fixture(scope="module")
def good(lab):
    """(domain, server): one good MX host for the whole file."""
    return lab.good_domain()


@pytest.fixture
def served(gate, good):
    domain, server = good
    server.forget()
    server.keep = KEEP_MAX
    return domain, server


def ready(lab, server, **options):
    """A client that has had its EHLO answered."""
    client = lab.connect(server, **options)
    assert client.reply().code == 220
    client.capabilities = client.ehlo()
    return client


@pytest.mark.parametrize("ipv6", [False, True])
def test_delivery(lab, served, ipv6):
    domain, server = served
    with lab.connect(server, ipv6=ipv6) as client:
        reply = client.deliver("me@lan.example", [f"bob@{domain}"], MESSAGE)
        assert str(reply) == "250 2.0.0 taken"
        message = server.wait_message()
        assert message.client == client.address
    assert message.content == MESSAGE
    assert message.tls == "TLSv1.3"


def test_greeting_comes_as_it_is(lab, served):
    domain, server = served
    server.on["connect"] = b"220-mx one\r\n220 two words\r\n"
    with lab.connect(server) as client:
        assert client.reply().raw == b"220-mx one\r\n220 two words\r\n"


@pytest.mark.parametrize("code", [421, 450, 554])
def test_refusal_in_the_greeting_comes_as_it_is(lab, served, code):
    _domain, server = served
    said = b"%d 5.3.2 not today\r\n" % code
    server.on["connect"] = said
    with lab.connect(server) as client:
        assert client.reply().raw == said
        assert client.at_end()


def test_capabilities_are_those_inside_tls(lab, served):
    domain, server = served
    server.on["EHLO"] = lambda session, _line: (
        b"250-mx\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-X-ODD\r\n"
        b"250-AUTH PLAIN\r\n250-REQUIRETLS\r\n250 8BITMIME\r\n"
        if session.is_tls else
        b"250-mx\r\n250-CHUNKING\r\n250-SIZE 5\r\n250 STARTTLS\r\n")
    with ready(lab, server) as client:
        assert client.capabilities.lines == [
            "mx", "PIPELINING", "SIZE 1000", "8BITMIME"]
        # And once more, through the same list.
        assert client.ehlo().lines == client.capabilities.lines


def test_helo_only(lab, served):
    domain, server = served
    with lab.connect(server) as client:
        client.reply()
        reply = client.command("HELO old.lan.example")
        assert (reply.code, len(reply.lines)) == (250, 1)
        assert [r.code for r in client.envelope("", f"bob@{domain}")] == [
            250, 250]
        assert client.message(MESSAGE).code == 250
    assert server.wait_message().helo == "old.lan.example"


def test_null_sender_and_odd_addresses(lab, served):
    domain, server = served
    rcpts = [f'<"a b\\"c@d"@{domain}>', f"<@relay.example,@x.example:e@{domain}>",
             f"<p%q@{domain.upper()}>"]
    with ready(lab, server) as client:
        assert client.command("MAIL FROM:<>").code == 250
        for rcpt in rcpts:
            assert client.command("RCPT TO:" + rcpt).code == 250
        assert client.message(MESSAGE).code == 250
    message = server.wait_message()
    assert message.mail_line == "MAIL FROM:<>"
    assert message.rcpt_lines == ["RCPT TO:" + rcpt for rcpt in rcpts]


def test_smtputf8(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        assert client.command("MAIL FROM:<ü@lan.example> SMTPUTF8").code == 250
        assert client.command(f"RCPT TO:<ö@{domain}>").code == 250
        assert client.message(MESSAGE).code == 250
        assert client.command("MAIL FROM:<ü@lan.example>").code == 553
    assert server.wait_message().recipients == [f"ö@{domain}"]


def test_pipelined_burst(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                     f"RCPT TO:<c@{domain}>\r\nDATA\r\n").encode())
        assert [client.reply().code for _ in range(4)] == [250, 250, 250, 354]
        client.send(MESSAGE.replace(b"\r\n.", b"\r\n..") + b".\r\n"
                    b"NOOP\r\nQUIT\r\n")
        assert [client.reply().code for _ in range(3)] == [250, 250, 221]
        assert client.at_end()
    assert server.wait_message().content == MESSAGE


def test_pipelined_answers_stay_in_order(lab, served):
    """Some of them given here, some by the server, some refused."""
    domain, server = served
    server.on["RCPT"] = [b"250 2.1.5 first\r\n", b"550 5.1.1 second\r\n",
                         b"451 4.2.1 third\r\n"]
    with ready(lab, server) as client:
        client.send((f"RCPT TO:<b@{domain}>\r\nMAIL FROM:<a@lan.example>\r\n"
                     f"RCPT TO:<1@{domain}>\r\nVRFY x@{domain}\r\n"
                     f"RCPT TO:<2@{domain}>\r\nRCPT TO:<>\r\nHELP\r\n"
                     f"RCPT TO:<3@{domain}>\r\nFROB\r\nRSET\r\n").encode())
        got = [client.reply().code for _ in range(10)]
    assert got == [503, 250, 250, 252, 550, 553, 214, 451, 502, 250]


def test_server_without_pipelining(lab, served):
    domain, server = served
    server.on["EHLO"] = lambda session, _line: (
        b"250 mx\r\n" if session.is_tls else b"250-mx\r\n250 STARTTLS\r\n")
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                     "DATA\r\n").encode())
        assert [client.reply().code for _ in range(3)] == [250, 250, 354]
        client.send(b"x\r\n.\r\n")
        assert client.reply().code == 250
    assert server.wait_message().content == b"x\r\n"


@pytest.mark.parametrize("code", [451, 550])
def test_refused_mail_is_the_answer_to_each_rcpt(lab, served, code):
    domain, server = served
    said = b"%d 5.7.1 not from you\r\n" % code
    server.on["MAIL"] = said
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                     f"RCPT TO:<c@{domain}>\r\nDATA\r\n").encode())
        assert client.reply().code == 250
        assert client.reply().raw == said
        assert client.reply().raw == said
        assert client.reply().raw == said
        assert client.command("RSET").code == 250
        server.on.clear()
        assert client.envelope("a@lan.example", f"b@{domain}")[-1].code == 250
        assert client.message(MESSAGE).code == 250


def test_envelope_waits_for_its_proof(lab, served):
    """MAIL is answered here and reaches nobody before a recipient is let
    through."""
    domain, server = served
    with ready(lab, server) as client:
        assert client.command("MAIL FROM:<a@lan.example>").code == 250
        assert client.command("NOOP").code == 250
        assert "MAIL" not in server.sessions[-1].verbs
        assert client.command(f"RCPT TO:<b@{domain}>").code == 250
        assert server.sessions[-1].verbs[-2:] == ["MAIL", "RCPT"]


def test_rset_of_a_held_mail_stays_here(lab, served):
    _domain, server = served
    with ready(lab, server) as client:
        assert client.command("MAIL FROM:<a@lan.example>").code == 250
        assert client.command("MAIL FROM:<b@lan.example>").code == 503
        assert client.command("RSET").code == 250
        assert client.command("MAIL FROM:<b@lan.example>").code == 250
        assert client.command("QUIT").code == 221
    assert not {"MAIL", "RSET"} & set(server.sessions[-1].verbs)


def test_parameters_the_server_does_not_offer(lab, served):
    domain, server = served
    server.on["EHLO"] = lambda session, _line: (
        b"250-mx\r\n250 SIZE 1000\r\n" if session.is_tls
        else b"250-mx\r\n250 STARTTLS\r\n")
    with ready(lab, server) as client:
        for parameter in ("BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "AUTH=<>",
                          "REQUIRETLS", "X-Y=z"):
            reply = client.command(f"MAIL FROM:<a@lan.example> {parameter}")
            assert (reply.code, reply.text[:5]) == (555, "5.5.4"), parameter
        assert client.command(
            "MAIL FROM:<a@lan.example> SIZE=1001").code == 552
        assert client.command(
            "MAIL FROM:<a@lan.example> SIZE=1000").code == 250
        assert client.command(
            f"RCPT TO:<b@{domain}> NOTIFY=NEVER").code == 555


def test_address_verbs_are_answered_here(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        assert client.command(f"VRFY bob@{domain}").code == 252
        assert client.command(f"EXPN list@{domain}").code == 502
        assert client.command("AUTH PLAIN AGEAYg==").code == 502
        assert client.command("STARTTLS").code == 502
        assert client.command("XCLIENT ADDR=192.0.2.1").code == 502
        assert client.command("ETRN x").code == 502
        assert client.command("NOOP secret@address").code == 250
    assert set(server.sessions[-1].verbs) <= {"EHLO", "STARTTLS", "NOOP",
                                              "QUIT"}
    assert (True, b"NOOP") in server.sessions[-1].lines


def test_two_messages_on_one_connection(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        for text in (b"one\r\n", b"two\r\n"):
            assert client.envelope("a@lan.example",
                                   f"b@{domain}")[-1].code == 250
            assert client.message(text).code == 250
    assert [m.content for m in server.messages] == [b"one\r\n", b"two\r\n"]
    assert len(server.sessions) == 1


def test_bdat(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<a@lan.example> BODY=BINARYMIME\r\n"
                     f"RCPT TO:<b@{domain}>\r\nBDAT 5\r\n").encode()
                    + b"a\n\0.\r" + b"BDAT 0\r\n" + b"BDAT 4 LAST\r\n\n.\r\n")
        assert [client.reply().code for _ in range(5)] == [250] * 5
        assert client.command("NOOP").code == 250
    message = server.wait_message()
    assert message.chunked
    assert message.content == b"a\n\0.\r\n.\r\n"


def test_bdat_last_with_nothing(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.send(b"BDAT 3\r\nabcBDAT 0 LAST\r\n")
        assert [client.reply().code for _ in range(2)] == [250, 250]
        assert client.command("BDAT 0 LAST").code == 503
        assert client.envelope("a@lan.example", f"b@{domain}")[-1].code == 250
        assert client.message(b"next\r\n").code == 250
    assert [m.content for m in server.messages] == [b"abc", b"next\r\n"]


def test_bdat_after_refused_recipients(lab, served):
    """Its bytes are not taken for commands."""
    _domain, server = served
    with ready(lab, server) as client:
        client.send(b"MAIL FROM:<a@lan.example>\r\n"
                    b"RCPT TO:<b@nowhere.invalid>\r\nBDAT 12 LAST\r\n"
                    b"MAIL FROM:<>NOOP\r\n")
        assert client.reply().code == 250
        assert client.reply().code == 451
        assert client.reply().code == 451
        assert client.reply().code == 250
    assert not {"MAIL", "BDAT"} & set(server.sessions[-1].verbs)


def test_38_bdat_malformed(lab, served):
    domain, server = served
    for line in ("BDAT", "BDAT x", "BDAT -1", "BDAT 18446744073709551616",
                 "BDAT 1 FIRST", "BDAT 0x10"):
        with ready(lab, server) as client:
            client.envelope("a@lan.example", f"b@{domain}")
            assert client.command(line).code == 421
            assert client.at_end()
    assert server.messages == []


def test_38_bdat_4g_and_then_gone(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.send(b"BDAT 4294967296 LAST\r\n" + b"x" * 1000)
    session = server.wait_session()
    assert session.ended.wait(10)
    assert server.messages == []


def test_38_data_and_recipients_between_chunks(lab, served):
    """Not one of them reaches the server amid a message, and the message is
    none the worse for it."""
    domain, server = served
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.send(b"BDAT 3\r\nabc")
        assert client.reply().code == 250
        for line in ("DATA", f"RCPT TO:<c@{domain}>", "MAIL FROM:<>"):
            assert client.command(line).code == 503, line
        client.send(b"BDAT 5 LAST\r\ndef\r\n")
        assert client.reply().code == 250
    message = server.wait_message()
    assert message.content == b"abcdef\r\n"
    assert message.recipients == [f"b@{domain}"]
    verbs = server.sessions[-1].verbs
    assert (verbs.count("MAIL"), verbs.count("RCPT")) == (1, 1)
    assert "DATA" not in verbs


def test_bdat_where_not_offered(lab, served):
    domain, server = served
    server.on["EHLO"] = lambda session, _line: (
        b"250 mx\r\n" if session.is_tls else b"250-mx\r\n250 STARTTLS\r\n")
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.send(b"BDAT 6 LAST\r\nNOOP\r\nRSET\r\n")
        assert client.reply().code == 502
        assert client.reply().code == 250
    assert server.messages == []


def test_client_dies_inside_data(lab, served):
    """A message cut short is no message."""
    domain, server = served
    for ending in ("close", "reset", "half_close"):
        server.forget()
        client = ready(lab, server)
        client.envelope("a@lan.example", f"b@{domain}")
        assert client.command("DATA").code == 354
        client.send(b"half a message\r\n")
        getattr(client, ending)()
        assert server.wait_session().ended.wait(10), ending
        client.close()
        assert server.messages == [], ending


def test_half_close_after_quit(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                     "DATA\r\n").encode())
        for _ in range(3):
            client.reply()
        client.send(b"x\r\n.\r\nQUIT\r\n")
        client.half_close()
        assert [client.reply().code for _ in range(2)] == [250, 221]
        assert client.at_end()


@pytest.mark.parametrize("action", [close, reset, half_close])
@pytest.mark.parametrize("stage", ["connect", "EHLO", "STARTTLS", "tls",
                                   "MAIL", "RCPT", "DATA", "data", "message",
                                   "RSET", "NOOP"])
def test_server_ends_at_every_stage(lab, served, stage, action):
    """The client always hears 421 and never an invented 2xx."""
    domain, server = served
    server.on[stage] = action
    codes = []
    with lab.connect(server) as client:
        try:
            codes.append(client.reply().code)
            codes.append(client.ehlo().code)
            for line in ("NOOP", "MAIL FROM:<a@lan.example>",
                         f"RCPT TO:<b@{domain}>", "RSET",
                         "MAIL FROM:<a@lan.example>", f"RCPT TO:<b@{domain}>",
                         "DATA"):
                codes.append(client.command(line).code)
            client.send(b"x\r\n.\r\n")
            codes.append(client.reply().code)
        except (Closed, ConnectionError):
            pass
    assert codes[-1] == 421, codes
    assert server.messages == []


def test_server_says_421_by_itself(lab, served):
    domain, server = served
    server.on["RCPT"] = lambda session, _line: session.send(
        b"250 2.1.5 ok\r\n421 4.3.2 going down\r\n") or b""
    with ready(lab, server) as client:
        client.command("MAIL FROM:<a@lan.example>")
        assert client.command(f"RCPT TO:<b@{domain}>").code == 250
        assert client.reply().raw == b"421 4.3.2 going down\r\n"
        assert client.at_end()


def test_server_refuses_inside_the_message(lab, served):
    domain, server = served
    server.on["data"] = lambda session, _line: (
        session.send(b"552 5.3.4 enough\r\n"), session.drain())
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.command("DATA")
        client.send(b"x\r\n" * 1000)
        assert client.reply().raw == b"552 5.3.4 enough\r\n"


def test_server_accepts_what_it_does_not_have(lab, served):
    """Law 2: no 2xx for a message that is not all there."""
    domain, server = served
    server.on["data"] = lambda session, _line: (
        session.send(b"250 2.0.0 taken already\r\n"), session.drain())
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.command("DATA")
        client.send(b"x\r\n")
        assert client.reply().code == 421


@pytest.mark.parametrize("said", [
    b"250\r\n", b"250-a\r\n250 b\r\n", b"250 " + b"x" * 500 + b"\r\n"])
def test_35_odd_but_legal_replies_pass(lab, served, said):
    domain, server = served
    server.on["RCPT"] = said
    with ready(lab, server) as client:
        client.command("MAIL FROM:<a@lan.example>")
        assert client.command(f"RCPT TO:<b@{domain}>").raw == said


@pytest.mark.parametrize("said", [
    b"25\r\n", b"250-a\r\n251 b\r\n", b"250 a\n", b"\r\n", b"999 x\r\n",
    b"250 a\rb\r\n", b"250 \x1b]0;x\x07\r\n", b"250 a\0b\r\n",
    b"250-" + b"x" * 1000000 + b"\r\n250 x\r\n",
    b"250-x\r\n" * 20000 + b"250 x\r\n"], ids=lambda said: repr(said[:12]))
def test_35_malformed_replies_end_the_session(lab, served, said):
    domain, server = served
    server.on["RCPT"] = said
    with ready(lab, server) as client:
        client.command("MAIL FROM:<a@lan.example>")
        assert client.command(f"RCPT TO:<b@{domain}>").code == 421


def test_36_huge_ehlo(lab, served):
    _domain, server = served
    server.on["EHLO"] = b"250-" + b"x" * 1000000 + b"\r\n250 STARTTLS\r\n"
    with lab.connect(server) as client:
        client.reply()
        assert client.ehlo().code == 421
    server.forget()
    with lab.connect(server) as client:
        client.reply()
        client.send(b"EHLO " + b"x" * 1000000 + b"\r\n")
        assert client.reply().code == 421


def test_lines_up_to_the_limit_and_past_it(lab, served):
    domain, server = served
    with ready(lab, server) as client:
        assert client.command("NOOP " + "x" * 2000).code == 250
        client.command("MAIL FROM:<a@lan.example>")
        local = "l" * 200
        assert client.command(f"RCPT TO:<{local}@{domain}>").code == 250
        client.send(b"NOOP " + b"x" * 3000 + b"\r\n")
        assert client.reply().code == 421
        assert client.at_end()


@pytest.mark.parametrize("said", [
    b"NOOP\nQUIT\r\n", b"NOOP\rQUIT\r\n", b"NO\0OP\r\n"])
def test_only_crlf_ends_a_command(lab, served, said):
    _domain, server = served
    with ready(lab, server) as client:
        client.send(said)
        assert client.reply().code == 421
        assert client.at_end()


@pytest.mark.parametrize("reads", [True, False])
def test_flood_of_commands(lab, served, reads):
    """More answers than fit a queue, read at once or only at the end."""
    _domain, server = served
    count = 5000 if reads else 3000
    with ready(lab, server) as client:
        sender = threading.Thread(
            target=client.send, args=(b"VRFY somebody\r\n" * count,))
        sender.start()
        if not reads:
            sender.join(5)
        assert {client.reply().code for _ in range(count)} == {252}
        sender.join()
        assert client.command("QUIT").code == 221


ENDS = [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n",
        b"\n\r\n.\r", b"\r\n\n.\r\n", b"\r\r\n.\r\r\n", b"x\r.\r\n",
        b"\r\n.\r\r\n"]


@pytest.mark.parametrize("end", ENDS)
def test_34_smuggling(lab, served, end):
    """One message or none, whatever stands for its end."""
    domain, server = served
    inner = (f"MAIL FROM:<evil@lan.example>\r\nRCPT TO:<victim@{domain}>\r\n"
             "DATA\r\nsmuggled\r\n.\r\n").encode()
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        assert client.command("DATA").code == 354
        client.send(b"Subject: x\r\n\r\nouter" + end + inner)
        reply = client.reply()
    assert (reply.code, reply.text[:5]) == (554, "5.5.2")
    assert server.wait_session().ended.wait(10)
    assert server.messages == []


def test_34_nul_and_dots_pass(lab, served):
    domain, server = served
    text = b"a\0b\r\n.\0\r\n..\r\n.x\r\n"
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        assert client.message(text).code == 250
    assert server.wait_message().content == text


def test_40_http_into_port_25(lab, served):
    _domain, server = served
    with ready(lab, server) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n" + b"C: d\r\n" * 40)
        codes = []
        with pytest.raises(Closed):
            while True:
                codes.append(client.reply().code)
    assert codes[-1] == 421
    assert len(codes) < 40
    assert set(server.sessions[-1].verbs) <= {"EHLO", "STARTTLS", "QUIT"}


def test_42_escape_codes_stay_out_of_the_log(lab, gate, served):
    _domain, server = served
    mark = gate.log.mark()
    with lab.connect(server) as client:
        client.reply()
        client.command(b"EHLO \x1b]0;pwned\x07")
        client.command(b"RCPT TO:<\x1b]0;x@y>")
    server.on["connect"] = b"220 \x1b]0;pwned\x07\r\n"
    with lab.connect(server) as client:
        client.reply()
    # Those of eight bits, which a reply may hold.
    server.on["connect"] = b"220 mx\r\n"
    server.on["STARTTLS"] = b"454 \x9b2J \xff\xc2\x9d0;pwned\r\n"
    with lab.connect(server) as client:
        client.reply()
        said = client.ehlo().raw
        assert re.fullmatch(rb"421 [ -~]* 454 \\x9b2J [ -~]*\r\n", said), said
    gate.log.wait(re.compile("session id="), since=mark, count=3)
    assert gate.log.matching(re.compile("x9b2J"), mark)
    for line in gate.log.lines[mark:]:
        assert re.fullmatch("[ -~]*", line), line


def memory(gate, what):
    """Resident KiB of the children of that name, together."""
    total = 0
    for pid in gate.children("postern-relay"):
        with open(f"/proc/{pid}/status", encoding="ascii") as file:
            total += sum(int(line.split()[1]) for line in file
                         if line.startswith(what))
    return total


def is_sanitized(gate):
    with open(f"/proc/{gate.children('postern-relay')[0]}/maps",
              encoding="ascii") as file:
        return "libasan" in file.read()


@pytest.mark.timeout(900)
def test_44_large_message_in_constant_memory(lab, gate, served):
    """As much as a 32-bit sum cannot hold, byte for byte."""
    domain, server = served
    line = b"0123456789" * 7 + b"xxxxxxxx\r\n"
    block = line * 13107
    size = int(os.environ.get("POSTERN_LARGE", str(5 * 10**9)))
    digest = hashlib.sha256()
    before = memory(gate, "VmHWM")
    server.keep = 0
    with ready(lab, server, timeout=600) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        assert client.command("DATA").code == 354
        sent = 0
        while sent < size:
            client.send(block)
            digest.update(block)
            sent += len(block)
        client.send(b".\r\n")
        assert client.reply().code == 250
    message = server.wait_message()
    assert (message.size, message.sha256) == (sent, digest.hexdigest())
    # A sanitizer holds on to what was freed: its figure says nothing.
    assert is_sanitized(gate) or memory(gate, "VmHWM") - before < 1024


def test_many_at_once(lab, served):
    """Forty sessions together, each its own message."""
    domain, server = served
    failures = []

    def one(number):
        text = b"message %d\r\n" % number
        try:
            with lab.connect(server) as client:
                reply = client.deliver("me@lan.example",
                                       [f"u{number}@{domain}"], text)
                if reply.code != 250:
                    failures.append(reply)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(m.content for m in server.messages) == sorted(
        b"message %d\r\n" % n for n in range(40))
