# SPDX-License-Identifier: ISC
"""Sessions that end, or go on, in the middle of something: each of these was
once wrong."""

import ctypes
import os
import re
import socket
import threading
import time

import pytest
from cryptography.hazmat.primitives import hashes
from lab.smtp_client import Closed
from lab.smtp_server import close, late, reset, silence, then

PIDFD_GETFD = 438  # pidfd_getfd(2)
MESSAGE = b"Subject: test\r\n\r\nbody\r\n"


def ready(lab, server, **options):
    client = lab.connect(server, **options)
    assert client.reply().code == 220
    assert client.ehlo().code == 250
    return client


def sha256(certificate):
    return certificate.certificate.fingerprint(hashes.SHA256()).hex()


def relays(gateway):
    return gateway.children("postern-relay")


def test_server_resets_while_bytes_are_written(lab, gateway):
    """The relay outlives it, some hundred times over."""
    domain, server = lab.good_domain()
    before = relays(gateway)
    server.on["DATA"] = then(b"354 go\r\n", reset)
    left = iter(range(600))
    lock = threading.Lock()

    def send():
        while True:
            with lock:
                if next(left, None) is None or relays(gateway) != before:
                    return
            try:
                with ready(lab, server) as client:
                    client.envelope("a@lan.example", f"b@{domain}")
                    client.command("DATA")
                    client.send(MESSAGE + b".\r\n")
                    assert client.reply().code >= 400
            except (Closed, OSError):
                pass

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert relays(gateway) == before


def test_server_refuses_the_message_twice(lab, gateway):
    """What comes behind the reply that ends the session is nobody's."""
    domain, server = lab.good_domain()
    before = relays(gateway)
    server.on["data"] = lambda session, _line: (
        session.send(b"552 5.3.4 enough\r\n552 5.3.4 enough\r\n"),
        session.drain())
    for _ in range(8):
        with ready(lab, server) as client:
            client.envelope("a@lan.example", f"b@{domain}")
            assert client.command("DATA").code == 354
            client.send(b"x\r\n")
            assert client.reply().raw == b"552 5.3.4 enough\r\n"
    server.on.clear()
    for _ in range(8):
        with ready(lab, server) as client:
            assert client.command("NOOP").code == 250
    assert relays(gateway) == before


def test_server_refuses_the_message_and_goes(lab, gateway):
    """Its reply says why, whether or not writing finds it gone first."""
    domain, server = lab.good_domain()
    server.on["data"] = then(b"552 5.3.4 enough\r\n", close)
    for _ in range(20):
        with ready(lab, server) as client:
            client.envelope("a@lan.example", f"b@{domain}")
            assert client.command("DATA").code == 354
            client.send((b"x" * 998 + b"\r\n") * 1000)
            assert client.reply().raw == b"552 5.3.4 enough\r\n"


def test_unasked_421_leaves_nothing_behind(lab, gateway):
    _domain, server = lab.good_domain()

    def descriptors():
        return sum(len(os.listdir(f"/proc/{pid}/fd"))
                   for pid in relays(gateway))

    before = descriptors()
    server.on["NOOP"] = b"250 ok\r\n421 4.4.2 idle too long\r\n"
    for _ in range(20):
        with ready(lab, server) as client:
            assert client.command("NOOP").code == 250
            assert client.reply().code == 421
            assert client.at_end()
    until = time.monotonic() + 40
    while descriptors() > before + 2 and time.monotonic() < until:
        time.sleep(0.1)
    assert descriptors() <= before + 2


@pytest.mark.clear_text
def test_expired_rule_ends_with_its_connection_open(lab, start_gateway):
    name = lab.fresh("plain")
    server = lab.mx(f"mx.{name}", starttls=False)
    lab.domain(name, server)
    end = time.time() + 5
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))
    start_gateway(f'server "old" {{ match = ["{server.addresses[0]}"]; '
                  f'level = none; until = "{until}" }}')
    with ready(lab, server) as client:
        replies = client.envelope("before@lan.example", f"b@{name}")
        assert [r.code for r in replies] == [250, 250]
        assert client.message(MESSAGE).code == 250
        time.sleep(max(0, end + 2.5 - time.time()))  # time itself is awaited
        replies = client.envelope("after@lan.example", f"b@{name}")
        assert replies[-1].code in (421, 451), replies
    assert not any(b"after@" in line for session in server.sessions
                   for _tls, line in session.lines)


def test_refused_second_ehlo_keeps_the_transaction(lab, gateway):
    """As the server does (RFC 5321 4.1.4): no two are ever mixed."""
    domain, server = lab.good_domain()
    with ready(lab, server) as client:
        client.envelope("one@lan.example", f"first@{domain}")
        kept = dict(vars(server.sessions[-1]))

        def refuse(session, _line):
            for key in ("sender", "mail_line", "recipients", "rcpt_lines"):
                setattr(session, key, kept[key])
            return b"550 5.7.1 not again\r\n"

        server.on["EHLO"] = refuse
        assert client.ehlo().code == 550
        assert client.command("MAIL FROM:<two@lan.example>").code == 503
        assert client.message(MESSAGE).code == 250
    message = server.wait_message()
    assert (message.sender, message.recipients) == (
        "one@lan.example", [f"first@{domain}"])


def one_at_a_time(session, line):
    """Action: 550 where more came before the reply to this line."""
    session.stream.settimeout(0.5)
    try:
        session.buffer += session.stream.recv(65536)
        return b"550 5.5.0 pipelined: " + line + b"\r\n"
    except TimeoutError:
        return None
    finally:
        session.stream.settimeout(session.server.timeout)


@pytest.mark.parametrize("again", ["EHLO", "HELO"])
def test_pipelining_follows_the_last_hello(lab, gateway, again):
    domain, server = lab.good_domain()
    with ready(lab, server) as client:
        server.on["EHLO"] = b"250 mx\r\n"
        assert client.command(again + " client.lan.example").code == 250
        for verb in ("MAIL", "RCPT", "DATA"):
            server.on[verb] = one_at_a_time
        client.send((f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                     f"RCPT TO:<c@{domain}>\r\nDATA\r\n").encode())
        assert [client.reply().code for _ in range(4)] == [250, 250, 250, 354]
        client.send(b"x\r\n.\r\n")
        assert client.reply().code == 250


def test_second_connection_of_a_helo_only_client(lab, gateway):
    """It says HELO where EHLO is refused inside TLS, as the first one did."""
    name = lab.fresh("helo")
    server = lab.mx(f"mx.{name}", certificates=[
        lab.issue("default.example"), lab.issue(f"mx.{name}")])
    lab.domain(name, server)
    server.on["EHLO"] = lambda session, _line: (
        b"502 5.5.1 what?\r\n" if session.is_tls else None)
    with lab.connect(server) as client:
        client.reply()
        assert client.command("HELO old.lan.example").code == 250
        assert [r.code for r in client.envelope("a@lan.example",
                                                f"b@{name}")] == [250, 250]
        assert client.message(MESSAGE).code == 250
    assert server.wait_message().helo == "old.lan.example"
    assert server.wait_message().sni == f"mx.{name}"


def silent_at(server, stage):
    """Has the server say nothing more from a stage on; an Event that says
    when it has come to it."""
    reached = threading.Event()

    def act(session, line):
        reached.set()
        return silence(session, line)

    server.on[stage] = act
    if stage == "tls-EHLO":
        server.on["EHLO"] = lambda session, line: (
            act(session, line) if session.is_tls else None)
    elif stage == "handshake":
        server.on["STARTTLS"] = then(b"220 go\r\n", act)
    return reached


SILENT = ["connect", "EHLO", "STARTTLS", "handshake", "tls-EHLO"]


@pytest.mark.parametrize("ending", ["reset", "half_close", "close"])
@pytest.mark.parametrize("stage", SILENT)
def test_client_leaves_a_silent_server(lab, gateway, stage, ending):
    """Nothing can come of it any more: the session ends there and then."""
    _domain, server = lab.good_domain()
    reached = silent_at(server, stage)
    client = lab.connect(server)
    if stage != "connect":
        client.reply()
        client.send(b"EHLO client.lan.example\r\n")
    assert reached.wait(20)
    getattr(client, ending)()
    gateway.log.wait(re.compile("session id=.* end=\"the client"), 10)
    assert server.wait_session().ended.wait(10)
    client.close()


def test_half_close_before_the_greeting(lab, gateway):
    """All that was asked is answered, however late the server is."""
    _domain, server = lab.good_domain()
    server.on["connect"] = late(2)
    server.on["EHLO"] = late(1)
    with lab.connect(server) as client:
        client.send(b"EHLO client.lan.example\r\nNOOP\r\nQUIT\r\n")
        client.half_close()
        assert [client.reply().code for _ in range(4)] == [220, 250, 250, 221]
        assert client.at_end()


def test_client_dies_before_the_354(lab, gateway):
    """Nothing of ours, QUIT least of all, gets into the message."""
    domain, server = lab.good_domain()
    asked, gone = threading.Event(), threading.Event()

    def act(session, _line):
        asked.set()
        gone.wait(10)
        return b"354 go\r\n"

    server.on["DATA"] = act
    client = ready(lab, server)
    client.envelope("a@lan.example", f"b@{domain}")
    client.send(b"DATA\r\n")
    assert asked.wait(10)
    client.reset()
    gone.set()
    assert server.wait_session().ended.wait(20)
    assert server.messages == []
    assert not any(b"QUIT" in line for _tls, line in server.sessions[-1].lines)


@pytest.mark.config("timeouts { command = 2; data_termination = 60 }")
def test_server_takes_longer_than_a_client_may(lab, gateway):
    """The client that waits for an answer is not the silent one."""
    domain, server = lab.good_domain()
    server.on["message"] = late(4)
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.send(b"BDAT 5 LAST\r\nabc\r\n")
        assert client.reply().code == 250
    assert len(server.messages) == 1


def test_many_changes_of_name_on_one_connection(lab, gateway):
    names = [lab.fresh("turn") for _ in range(2)]
    server = lab.mx(f"mx.{names[0]}")
    server.certificates.append(lab.issue(f"mx.{names[1]}"))
    lab.name_host(f"mx.{names[1]}", server.addresses)
    lab.domain(names[0], server, publish=False)
    lab.domain(names[1], f"mx.{names[1]}")
    with ready(lab, server) as client:
        for turn in range(12):
            replies = client.envelope("a@lan.example", f"b@{names[turn % 2]}")
            assert [r.code for r in replies] == [250, 250], turn
            assert client.message(MESSAGE).code == 250


def test_more_accepted_than_can_be_replayed(lab, start_gateway):
    """They are let be, and the other domain is sent apart."""
    name, lax = lab.fresh("sni"), lab.fresh("lax")
    server = lab.mx(f"mx.{name}", certificates=[
        lab.issue("default.example"), lab.issue(f"mx.{name}")])
    lab.domain(name, server)
    start_gateway(f'domain "{lax}" {{ level = encrypt }}')
    with ready(lab, server) as client:
        replies = client.envelope("a@lan.example",
                                  *(f"u{n}@{lax}" for n in range(130)))
        assert replies[-1].code == 250
        assert client.command(f"RCPT TO:<b@{name}>").code == 452
        assert client.message(MESSAGE).code == 250
    assert len(server.wait_message().recipients) == 130


@pytest.mark.config("workers = 1")
def test_an_address_is_no_hint_for_sni(lab, gateway):
    addresses = lab.new_addresses()
    server = lab.mx(f"mx.{lab.fresh()}", addresses=addresses, certificates=[
        lab.issue("x.example", ips=addresses)])
    lab.publish()
    for _ in range(2):
        with lab.connect(server) as client:
            assert client.deliver("a@lan.example", [f"b@[{addresses[0]}]"],
                                  MESSAGE).code == 250
    assert [session.sni for session in server.sessions] == ["", ""]


def test_421_has_a_status_of_its_class(lab, start_gateway):
    name = lab.fresh()
    server = lab.mx(f"mx.{name}", certificates=[lab.issue("else.example")])
    lab.domain(name, server)
    start_gateway("on_refusal = bounce",
                  f'server "s" {{ match = ["{server.addresses[0]}"]; '
                  f'names = ["mx.{name}"] }}')
    with lab.connect(server) as client:
        client.reply()
        reply = client.ehlo()
        assert (reply.code, reply.text[:5]) == (421, "4.7.5")


def test_auth_goes_by_the_rules_of_now(lab, start_gateway):
    """A password goes to whom the rules of now name, not those of once."""
    _domain, server = lab.good_domain()
    server.tls_capabilities = ["AUTH PLAIN"]
    rule = (f'server "s" {{ match = ["{server.addresses[0]}"]; '
            'names = ["%s"]; auth = true }')
    gateway = start_gateway(rule % server.name)
    said = ("AUTH PLAIN AGEAYg==", "VRFY b@lan.example",
            "MAIL FROM:<a@lan.example>")
    clients = [ready(lab, server) for _ in said]
    gateway.configure(lab.config(rule % "mx.else.example"))
    gateway.reload()
    for client, line in zip(clients, said):
        with client:
            assert client.command(line).code == 421, line
    for session in server.sessions:
        assert not {"AUTH", "VRFY", "MAIL"} & set(session.verbs)


def test_auth_longer_than_a_command(lab, start_gateway):
    """RFC 4954 section 4: tokens are, and come with the command itself."""
    _domain, server = lab.good_domain()
    server.tls_capabilities = ["AUTH XOAUTH2"]
    start_gateway(f'server "s" {{ match = ["{server.addresses[0]}"]; '
                  f'names = ["{server.name}"]; auth = true }}')
    line = "AUTH XOAUTH2 " + "dG9r" * 2500
    with ready(lab, server) as client:
        assert client.command(line).code == 235
        assert client.command("NOOP").code == 250
        client.send(b"AUTH XOAUTH2 " + b"dG9r" * 4000 + b"\r\n")
        assert client.reply().code == 421
    assert (True, line.encode()) in server.sessions[-1].lines


@pytest.mark.config("timeouts { data_block = 2 }")
def test_chunk_waits_for_a_slow_server(lab, gateway):
    """It is the server's turn, so the client is not the silent one."""
    domain, server = lab.good_domain()
    server.on["EHLO"] = lambda session, _line: (
        b"250-mx\r\n250 CHUNKING\r\n" if session.is_tls else None)
    server.on["RCPT"] = late(4)
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                     "BDAT 3 LAST\r\nabc").encode())
        assert [client.reply().code for _ in range(3)] == [250] * 3
    assert server.wait_message().content == b"abc"


def test_server_takes_an_eager_message_unseen(lab, gateway):
    """Its 250 came with the 354: it is no word on what was sent then."""
    domain, server = lab.good_domain()
    server.on["DATA"] = lambda session, _line: (
        session.send(b"354 go\r\n250 2.0.0 taken already\r\n"),
        session.drain())
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.send(b"DATA\r\nx\r\n.\r\n")
        assert client.reply().code == 354
        assert client.reply().code == 421
    assert server.messages == []


def test_server_takes_a_chunk_for_a_sender_it_refused(lab, gateway):
    domain, server = lab.good_domain()
    server.on["MAIL"] = late(1, b"550 5.7.1 not from you\r\n")
    server.on["BDAT"] = b"250 2.0.0 taken all the same\r\n"
    with ready(lab, server) as client:
        client.send((f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                     "BDAT 3 LAST\r\nabc").encode())
        assert [client.reply().code for _ in range(3)] == [250, 550, 421]


def test_record_of_a_session(lab, gateway):
    """One line that can be read alone."""
    domain, server = lab.good_domain()
    with lab.connect(server) as client:
        assert client.deliver("a@lan.example", [f"b@{domain}"],
                              MESSAGE).code == 250
    line = gateway.log.wait(re.compile("session id=.*"))[0]
    fields = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line))
    assert fields.keys() >= {"id", "client", "bytes_in", "bytes_out",
                             "up_ms", "ms", "group", "cipher"}, line
    assert fields["from"] == "lan.example"
    assert fields["to"] == domain
    assert fields["result"] == "proved"
    assert fields["evidence"] == "mx+dnssec"
    assert fields["name"] == server.name
    assert fields["tls"] == "TLSv1.3"
    assert fields["certificate"] == sha256(server.certificates[0])
    assert int(fields["up_ms"]) <= int(fields["ms"])


def test_record_of_a_refusal(lab, gateway):
    name = lab.fresh()
    server = lab.mx(f"mx.{name}", certificates=[lab.issue("else.example")])
    lab.domain(name, server)
    with lab.connect(server) as client:
        assert client.deliver("a@lan.example", [f"b@{name}"],
                              MESSAGE).code == 451
    line = gateway.log.wait(re.compile("session id=.*"))[0]
    for field in ("result=refused", f"to={name}", "evidence=mx+dnssec",
                  "word=certificate-host-mismatch", "tls=TLSv1.3",
                  f"certificate={sha256(server.certificates[0])}"):
        assert field in line, line


@pytest.mark.config("workers = 1", "gate.admission = off",
                    "limits { sessions_per_client = 2 }")
def test_ipv6_clients_are_counted_by_their_network(lab, gateway):
    """Whoever has one address of a /64 has all of them."""
    _domain, server = lab.good_domain()
    neighbour = lab.lan_host("neighbour", 77)
    with (ready(lab, server, ipv6=True),
          ready(lab, server, ipv6=True, ns=neighbour)):
        for ns in (lab.client, neighbour):
            with lab.connect(server, ipv6=True, ns=ns) as client:
                reply = client.reply()
                assert (reply.code, reply.text[:5]) == (421, "4.7.0")
            with lab.connect(server, ns=ns) as client:
                assert client.reply().code == 220


def borrow_channel(pid):
    """The relay's own end of its channel to postern-policy, or None."""
    pidfd = os.pidfd_open(pid)
    try:
        for name in map(int, os.listdir(f"/proc/{pid}/fd")):
            fd = ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, name, 0)
            if name <= 3 or fd == -1:
                continue
            try:
                end = socket.socket(fileno=fd)
            except OSError:
                os.close(fd)
                continue
            if (end.family, end.type & 0xf) == (socket.AF_UNIX,
                                                socket.SOCK_SEQPACKET):
                return end
            end.close()
    finally:
        os.close(pidfd)
    return None


@pytest.mark.timeout(180)
@pytest.mark.config("workers = 1")
def test_relay_that_lost_only_its_channel(lab, gateway):
    """Neither process has ended, and the mail flows again."""
    domain, server = lab.good_domain()
    [relay], policy = relays(gateway), gateway.children("postern-policy")
    with borrow_channel(relay) as end:
        # postern-policy hears nonsense from this relay, and hangs up.
        end.send(b"nonsense")
    with ready(lab, server) as client:
        reply = client.envelope("a@lan.example", f"b@{domain}")[-1]
        assert reply.code == 451
    until = time.monotonic() + 90
    while relays(gateway) in ([relay], []):
        assert time.monotonic() < until
        time.sleep(0.5)
    gateway.log.wait(re.compile("relay 1: serving"), count=2)
    with ready(lab, server) as client:
        reply = client.envelope("a@lan.example", f"b@{domain}")[-1]
        assert reply.code == 250
    assert gateway.children("postern-policy") == policy
