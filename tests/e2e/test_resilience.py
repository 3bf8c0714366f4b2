# SPDX-License-Identifier: ISC
"""Time, limits, signals and deaths: what postern does when others take too
long, when it is told to stop or to reload, and when it is killed under load.
"""

import collections
import contextlib
import errno
import hashlib
import os
import re
import selectors
import signal
import socket
import threading
import time
import warnings

import pytest
from lab import Gateway, nameservers
from lab.gateway import BUILD
from lab.netns import is_ready
from lab.smtp_client import Closed
from lab.smtp_server import silence, then

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
TIMEOUTS = ("connect", "greeting", "handshake", "command", "reply",
            "data_initiation", "data_block", "data_termination", "decision",
            "drain")


def timeouts(short, seconds=1):
    """One that is short: where another one rules, the test times out."""
    return "timeouts { " + " ".join(
        f"{name} = {seconds if name == short else 300}s;"
        for name in TIMEOUTS) + " }"


_SANITIZER = re.compile("AddressSanitizer|LeakSanitizer|runtime error:")


@pytest.fixture(scope="module")
def gate(lab):
    with Gateway(lab, lab.gateway, lab.config("workers = 1")) as gate:
        yield gate
    said = gate.log.matching(_SANITIZER)
    assert not said, "\n".join(gate.log.lines)


@pytest.fixture
def ruled(lab, gate):
    """The gateway under more lines of configuration: ruled("...")."""
    def rule(*settings):
        gate.configure(lab.config("workers = 1", *settings))
        gate.reload()
        return gate

    yield rule
    rule()


@pytest.fixture
def restarted(lab, gate):
    """The gateway, started anew: restarted("...")."""
    def restart(*settings):
        gate.stop(timeout=5)
        gate.configure(lab.config(*settings))
        gate.start()
        return gate

    yield restart
    gate.stop(timeout=2)
    gate.configure(lab.config("workers = 1"))
    gate.start()


@pytest.fixture(scope="module")
def good(lab):
    return lab.good_domain()


@pytest.fixture
def served(good):
    domain, server = good
    server.forget()
    return domain, server


def ready(lab, server, **options):
    client = lab.connect(server, **options)
    assert client.reply().code == 220
    client.capabilities = client.ehlo()
    assert client.capabilities.code == 250, client.capabilities
    return client


def in_transaction(lab, server, domain):
    client = ready(lab, server)
    assert client.envelope("a@lan.example", f"b@{domain}")[-1].code == 250
    return client


def in_message(lab, server, domain):
    client = in_transaction(lab, server, domain)
    assert client.command("DATA").code == 354
    client.send(b"half a message\r\n")
    return client


def send(lab, server, *recipients, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", recipients, MESSAGE)


def ends_with(client, status, *texts, least=0.9):
    """The client hears 421, not at once, and nothing after it."""
    began = time.monotonic()
    reply = client.reply()
    assert (reply.code, reply.lines[-1][:5]) == (421, status), str(reply)
    for text in texts:
        assert text in reply.text, str(reply)
    assert client.at_end()
    assert time.monotonic() - began >= least
    return reply


# Deadlines (RFC 5321 4.5.3.2).

def test_deadline_connect(lab, ruled):
    """A host that does not answer at all, in place of its greeting."""
    ruled(timeouts("connect"))
    addresses = lab.new_addresses()
    lab.internet.run("nft", "-f", "-", stdin=f"""table inet hole {{
        chain input {{ type filter hook input priority 0;
            ip daddr {addresses[0]} drop; ip6 daddr {addresses[1]} drop; }}
        }}""")
    try:
        for address in addresses:
            with lab.connect(address) as client:
                ends_with(client, "4.4.1", address, "timed out")
    finally:
        lab.internet.run("nft", "delete", "table", "inet", "hole")


def test_deadline_greeting(lab, ruled, served):
    _domain, server = served
    ruled(timeouts("greeting"))
    server.on["connect"] = silence
    with lab.connect(server) as client:
        ends_with(client, "4.4.2", "greeting")


@pytest.mark.parametrize("is_tls", [False, True], ids=["clear", "tls"])
def test_deadline_reply_to_ehlo(lab, ruled, served, is_tls):
    _domain, server = served
    ruled(timeouts("reply"))
    server.on["EHLO"] = lambda session, line: (
        silence(session) if session.is_tls == is_tls else None)
    with lab.connect(server) as client:
        client.reply()
        client.send(b"EHLO client\r\n")
        ends_with(client, "4.4.2", "EHLO")


@pytest.mark.parametrize("action, status, word", [
    (silence, "4.7.4", "starttls-not-supported"),
    (then(b"220 go\r\n", silence), "4.7.5", "validation-failure")],
    ids=["starttls", "tls"])
def test_deadline_handshake(lab, ruled, served, action, status, word):
    """"The reply to STARTTLS, and TLS" (postern.conf)."""
    _domain, server = served
    ruled(timeouts("handshake"))
    server.on["connect"] = b"220 mx\r\n"  # no name to try again with
    server.on["STARTTLS"] = action
    with lab.connect(server) as client:
        client.reply()
        client.send(b"EHLO client\r\n")
        ends_with(client, status, word)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "RSET", "NOOP", "BDAT"])
def test_deadline_reply(lab, ruled, served, verb):
    domain, server = served
    ruled(timeouts("reply"))
    server.on[verb] = silence
    with ready(lab, server) as client:
        client.send(f"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@{domain}>\r\n"
                    .encode())
        assert client.reply().code == 250
        if verb not in ("MAIL", "RCPT"):
            assert client.reply().code == 250
            client.send(b"BDAT 2\r\nxy" if verb == "BDAT"
                        else verb.encode() + b"\r\n")
        ends_with(client, "4.4.2", "timed out")
    assert server.messages == []


def test_deadline_data_initiation(lab, ruled, served):
    domain, server = served
    ruled(timeouts("data_initiation"))
    server.on["DATA"] = silence
    with in_transaction(lab, server, domain) as client:
        client.send(b"DATA\r\n")
        ends_with(client, "4.4.2", "timed out")


@pytest.mark.parametrize("said", [b"DATA\r\n", b"BDAT 100 LAST\r\n"])
def test_deadline_data_block_of_the_client(lab, ruled, served, said):
    """The client stops inside a message, which is then no message."""
    domain, server = served
    ruled(timeouts("data_block"))
    with in_transaction(lab, server, domain) as client:
        client.send(said)
        if said.startswith(b"DATA"):
            assert client.reply().code == 354
        client.send(b"half a message\r\n")
        ends_with(client, "4.4.2", "client")
    assert server.wait_session().ended.wait(10)
    assert server.messages == []


def test_deadline_data_block_of_the_server(lab, ruled, served):
    """The server stops reading."""
    domain, server = served
    ruled(timeouts("data_block"))
    stuck = threading.Event()
    server.on["data"] = lambda session, _line: stuck.wait(60)
    with in_transaction(lab, server, domain) as client:
        assert client.command("DATA").code == 354

        def pour():
            with contextlib.suppress(OSError):
                while True:
                    client.send(b"x" * 998 + b"\r\n")

        thread = threading.Thread(target=pour)
        thread.start()
        try:
            reply = client.reply()
            assert (reply.code, reply.text[:5]) == (421, "4.4.2"), str(reply)
            assert "timed out" in reply.text
        finally:
            stuck.set()
            client.socket.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert server.messages == []


@pytest.mark.parametrize("said", [b"BDAT 2 LAST\r\nxy", b"DATA\r\n"])
def test_deadline_data_termination(lab, ruled, served, said):
    domain, server = served
    ruled(timeouts("data_termination"))
    server.on["message"] = silence
    with in_transaction(lab, server, domain) as client:
        client.send(said)
        if said.startswith(b"DATA"):
            assert client.reply().code == 354
            client.send(b"xy\r\n.\r\n")
        ends_with(client, "4.4.2", "timed out")


@pytest.mark.parametrize("stage", ["greeted", "part of a line", "up",
                                   "transaction", "auth"])
def test_deadline_command(lab, ruled, served, stage):
    domain, server = served
    server.tls_capabilities = ["AUTH PLAIN"]
    server.on["AUTH"] = b"334 \r\n"
    ruled(timeouts("command"), f'server "x" {{ match = '
          f'["{server.addresses[0]}"]; names = ["{server.name}"]; '
          'auth = true }')
    with lab.connect(server) as client:
        client.reply()
        if stage == "part of a line":
            client.send(b"EHLO cli")
        elif stage != "greeted":
            assert client.ehlo().code == 250
        if stage == "transaction":
            client.envelope("a@lan.example", f"b@{domain}")
        if stage == "auth":
            assert client.command("AUTH PLAIN").code == 334
        ends_with(client, "4.4.2", "client")


def test_deadline_decision(lab, ruled):
    ruled(timeouts("decision"), "dns { timeout = 60 }")
    domain = lab.fresh("mute")
    server = lab.mx(lab.fresh())
    zone = lab.domain(domain, server, own_server=True)
    zone.server.on[domain, "MX"] = nameservers.drop
    with ready(lab, server) as client:
        assert client.command("MAIL FROM:<a@lan.example>").code == 250
        client.send(f"RCPT TO:<b@{domain}>\r\n".encode())
        ends_with(client, "4.4.3", "decision")
    assert "MAIL" not in server.sessions[-1].verbs


def test_deadline_decision_by_server_rule(lab, ruled):
    """What is decided after that is for nobody, and dials nobody."""
    name = lab.fresh("slow")
    server = lab.mx(f"mx.{name}")
    zone = lab.domain(name, server, own_server=True)
    zone.server.on[f"mx.{name}", None] = nameservers.drop
    ruled(timeouts("decision"), "dns { timeout = 60 }",
          f'server "slow" {{ match = ["mx.{name}"] }}')
    with lab.connect(server) as client:
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (421, "4.4.3"), str(reply)
        # Its connection stays, while the decision comes for others.
        zone.server.on.clear()
        eventually(lambda: first_reply(lab, server)[0] == 220, "a decision")
        ready(lab, server).close()
        assert len(server.sessions) == 2


# Stop.

def test_drain(lab, restarted, served):
    """Transactions in flight finish, idle sessions are told, nobody new
    comes in, and what does not end is ended."""
    domain, server = served
    gate = restarted("timeouts { drain = 4s }")
    idle, busy = ready(lab, server), in_message(lab, server, domain)
    begun, stuck = (in_transaction(lab, server, domain),
                    in_message(lab, server, domain))
    with idle, busy, begun, stuck:
        began = time.monotonic()
        os.kill(gate.pid, signal.SIGTERM)
        ends_with(idle, "4.3.2", least=0)
        with pytest.raises(ConnectionRefusedError):
            lab.connect(server)
        busy.send(b"the rest\r\n.\r\n")
        assert busy.reply().code == 250
        ends_with(busy, "4.3.2", least=0)
        assert begun.message(MESSAGE).code == 250
        ends_with(begun, "4.3.2", least=0)
        assert time.monotonic() - began < 3.5
        ends_with(stuck, "4.3.2", least=0)
        assert time.monotonic() - began >= 3.5
        assert gate.process.popen.wait(10) == 0
    assert sorted(m.content for m in server.messages) == sorted(
        [b"half a message\r\nthe rest\r\n", MESSAGE])
    with pytest.raises(ConnectionRefusedError):
        lab.connect(server)


def test_second_sigterm_ends_all_at_once(lab, restarted, served):
    domain, server = served
    gate = restarted("timeouts { drain = 300s }")
    with in_message(lab, server, domain) as client:
        since = gate.log.mark()
        os.kill(gate.pid, signal.SIGTERM)
        with pytest.raises(ConnectionError):
            while True:  # until it has been seen
                lab.connect(server).close()
        os.kill(gate.pid, signal.SIGTERM)
        ends_with(client, "4.3.2", least=0)
    assert gate.process.popen.wait(20) == 0
    assert not gate.log.matching(re.compile("killed"), since)
    assert server.wait_session().ended.wait(10)
    assert server.messages == []


# Reload: "Sessions in flight go on with the old ones" (postern.8).

def test_reload_leaves_messages_in_flight(lab, ruled, served):
    domain, server = served
    gate = ruled()
    relays = gate.children("postern-relay")
    with in_message(lab, server, domain) as client:
        ruled("on_refusal = bounce")
        client.send(b"the rest\r\n.\r\n")
        assert client.reply().code == 250
        assert client.envelope("a@lan.example", f"b@{domain}")[-1].code == 250
        assert client.message(MESSAGE).code == 250
    assert len(server.messages) == 2
    assert len(server.sessions) == 1
    assert gate.children("postern-relay") == relays


def test_reload_keeps_the_sessions_settings(lab, ruled):
    domain, server = lab.good_domain(certificates=[lab.issue("x.example")])
    ruled("on_refusal = bounce")
    with ready(lab, server) as client:
        ruled()
        reply = client.envelope("a@lan.example", f"b@{domain}")[-1]
        assert reply.code == 550, str(reply)
    assert send(lab, server, f"b@{domain}").code == 451


def test_reload_and_a_session_in_flight(lab, ruled):
    """Who was let through stays so; who comes next is judged by the new
    rules: an exception that was taken away has ended."""
    domain, server = lab.good_domain(certificates=[lab.issue("x.example")])
    ruled(f'domain "{domain}" {{ level = encrypt }}')
    with ready(lab, server) as client:
        assert client.envelope("a@lan.example", f"b@{domain}")[-1].code == 250
        ruled()
        reply = client.command(f"RCPT TO:<c@{domain}>")
        assert reply.code == 451, str(reply)
        assert client.message(MESSAGE).code == 250
    assert server.wait_message().recipients == [f"b@{domain}"]
    assert send(lab, server, f"b@{domain}").code == 451


# Limits.

def eventually(check, what, timeout=10):
    until = time.monotonic() + timeout
    while not check():
        assert time.monotonic() < until, what
        time.sleep(0.01)


def first_reply(lab, server, **options):
    with lab.connect(server, **options) as client:
        reply = client.reply()
        return reply.code, reply.text[:5]


def test_53_sessions_per_client(lab, restarted, served):
    _domain, server = served
    # Seen by the relay, not by the gate before it.
    gate = restarted("workers = 1", "gate.admission = off",
                     "limits { sessions = 6; sessions_per_client = 4 }")
    assert not gate.children("postern-gate")
    other = lab.lan_host("other", 21)
    with contextlib.ExitStack() as held:
        mine = [held.enter_context(ready(lab, server)) for _ in range(4)]
        assert first_reply(lab, server) == (421, "4.7.0")
        assert len(server.sessions) == 4
        # Another client is none the worse for it, up to the whole limit.
        for ipv6 in (False, True):
            held.enter_context(ready(lab, server, ns=other, ipv6=ipv6))
        assert first_reply(lab, server, ns=other) == (421, "4.3.2")
        assert first_reply(lab, server) == (421, "4.3.2")
        mine[0].close()
        eventually(lambda: first_reply(lab, server)[0] == 220, "room again")
    assert len(server.messages) == 0


def relay_of(gate):
    pid, = gate.children("postern-relay")
    return pid


def resident(pid):
    """KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("VmRSS"))


def is_sanitized():
    with open(f"{BUILD}/postern-relay", "rb") as file:
        return b"__asan_init" in file.read()


def test_53_idle_sessions_cost_little(lab, ruled, served):
    _domain, server = served
    gate = ruled("limits { sessions_per_client = 1000 }")
    for _ in range(20):
        ready(lab, server).close()
    before, count = resident(relay_of(gate)), 200
    with contextlib.ExitStack() as held:
        for _ in range(count):
            held.enter_context(ready(lab, server))
        each = (resident(relay_of(gate)) - before) / count
    assert each < (1000 if is_sanitized() else 64), f"{each} KiB each"


def test_53_slow_handshakes_end(lab, ruled, served):
    """One byte at a time does not push the deadline on."""
    _domain, server = served
    gate = ruled(timeouts("handshake", 2))
    server.on["connect"] = b"220 mx\r\n"

    def drip(session, _line):
        session.send(b"220 go\r\n")
        record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + b"\x03" * 16380
        for index in range(len(record)):
            session.send_plain(record[index:index + 1])
            session.server.closing.wait(0.1)

    server.on["STARTTLS"] = drip
    with contextlib.ExitStack() as held:
        clients = [held.enter_context(lab.connect(server))
                   for _ in range(40)]
        began = time.monotonic()
        for client in clients:
            client.reply()
            client.send(b"EHLO client\r\n")
        for client in clients:
            reply = client.reply()
            assert (reply.code, reply.text[:5]) == (421, "4.7.5"), str(reply)
        # the bytes alone would take half an hour
        assert 1 < time.monotonic() - began < 60
        for session in list(server.sessions):
            assert session.ended.wait(10)
    server.on.clear()
    assert first_reply(lab, server)[0] == 220
    assert len(gate.children("postern-relay")) == 1


def cpu(pid):
    """Seconds of it, ever."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Cramped(Gateway):
    """postern with few descriptors, and no way to get more."""

    def _inside(self, arguments):
        return ("setpriv", "--bounding-set=-sys_resource",
                "--inh-caps=-sys_resource", "--", "prlimit", "--nofile=80:80",
                "--", *super()._inside(arguments))


WAITING = re.compile("accept: waiting")


@pytest.fixture
def cramped(lab, gate, served):
    """(gateway, [clients that are up]): no descriptor is left."""
    domain, server = served
    gate.stop()
    with contextlib.ExitStack() as held:
        small = held.enter_context(Cramped(lab, lab.gateway, lab.config(
            "workers = 1", "gate.admission = off")))
        assert send(lab, server, f"b@{domain}").code == 250
        server.forget()
        up = []
        while not small.log.matching(WAITING):
            assert len(up) < 60
            client = held.enter_context(lab.connect(server))
            # The last one finds room for its own side at most.
            if is_ready(client.socket, 0.3):
                reply = client.reply()
                if reply.code == 220:
                    client.ehlo()
                    up.append(client)
                else:
                    assert (reply.code, reply.text[:5]) == (421, "4.4.1")
                    assert "Too many open files" in reply.text
        yield small, up
    gate.start()


def test_54_no_descriptors(lab, cramped, served):
    """Connections wait in the backlog, at no cost, and get past nobody."""
    domain, server = served
    gate, up = cramped
    pid, sessions = relay_of(gate), len(server.sessions)
    waiting = lab.connect(server)
    since, used, began = gate.log.mark(), cpu(pid), time.monotonic()
    gate.log.wait(WAITING, since=since, count=4)
    took = time.monotonic() - began
    assert took > 1
    assert cpu(pid) - used < took / 4
    assert len(server.sessions) == sessions > 5
    # Those that are there are as well as before.
    assert up[0].envelope("a@lan.example", f"b@{domain}")[-1].code == 250
    assert up[0].message(MESSAGE).code == 250
    for each in up[1:6]:
        each.close()
    with waiting:
        assert waiting.reply().code == 220
        waiting.ehlo()
        assert waiting.envelope("a@lan.example",
                                f"b@{domain}")[-1].code == 250
        assert waiting.message(MESSAGE).code == 250
    assert relay_of(gate) == pid


@pytest.mark.parametrize("what", ["reload", "policy"])
def test_54_no_descriptors_for_postern_itself(lab, cramped, served, what):
    """A relay that cannot take what the parent hands it keeps its sessions."""
    domain, server = served
    gate, up = cramped
    pid = relay_of(gate)
    assert up[0].envelope("a@lan.example", f"b@{domain}")[-1].code == 250
    assert up[0].command("DATA").code == 354
    with lab.connect(server):
        gate.log.wait(WAITING, since=gate.log.mark())
        since = gate.log.mark()
        if what == "reload":
            gate.reload()
        else:
            gate.kill("postern-policy")
            gate.log.wait(re.compile("policy: serving"), since=since)
        up[0].send(b"the rest\r\n.\r\n")
        assert up[0].reply().code == 250
    assert relay_of(gate) == pid


# Deaths under load.

SAID = (b"EHLO load\r\nMAIL FROM:<s3cret-sender@lan.example>\r\n"
        b"RCPT TO:<s3cret-recipient@victim.example>\r\nDATA\r\n"
        b"s3cret body\r\n.\r\nQUIT\r\n")


class Eager:
    """An MX host that takes anything in clear, and keeps what it took: one
    thread for all of its connections."""

    def __init__(self, lab):
        self.addresses = lab.new_addresses()
        self.lines = collections.Counter()
        self.connections = 0
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._selector.register(self._stopped, selectors.EVENT_READ)
        for address in self.addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = lab.internet.socket(family, socket.SOCK_STREAM)
            listener.bind((address, 25))
            listener.listen(1024)
            listener.setblocking(False)
            self._selector.register(listener, selectors.EVENT_READ, "listen")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            for key, _events in self._selector.select():
                if key.fileobj is self._stopped:
                    return
                if key.data == "listen":
                    self._accept(key.fileobj)
                else:
                    self._read(key.fileobj, key.data)

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            connection, _peer = listener.accept()
            self.connections += 1
            connection.setblocking(False)
            connection.send(b"220 eager\r\n")
            self._selector.register(connection, selectors.EVENT_READ,
                                    bytearray())

    def _read(self, connection, buffer):
        try:
            data = connection.recv(65536)
            buffer += data
            while (end := buffer.find(b"\n")) != -1:
                line = bytes(buffer[:end]).strip()
                del buffer[:end + 1]
                self.lines[line] += 1
                connection.send(
                    b"250-eager\r\n250 STARTTLS\r\n" if line[:4] == b"EHLO"
                    else b"454 4.7.0 no\r\n" if line == b"STARTTLS"
                    else b"354 go\r\n" if line == b"DATA" else b"250 ok\r\n")
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(connection)
            connection.close()

    def close(self):
        self._stop.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()
        self._stop.close()


class Load:
    """Clients that connect hundreds of times a second and say all that they
    have to say at once, whoever listens."""

    AT_ONCE = 48
    RATE = 400
    PATIENCE = 5

    def __init__(self, lab, addresses):
        self.lab = lab
        self.addresses = addresses
        self.begun = 0
        self.ends = collections.Counter()
        self._more = threading.Condition()
        self._open = {}
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with self.lab.client.entered():
            while not self._stopping or self._open:
                while (not self._stopping and len(self._open) < self.AT_ONCE
                       and self.begun < self.RATE * (time.monotonic()
                                                     - self._started)):
                    self._connect()
                for key, events in self._selector.select(0.005):
                    self._turn(key.fileobj, events)
                now = time.monotonic()
                for each in [s for s, until in self._open.items()
                             if until < now]:
                    self._end(each, "patience")

    def _connect(self):
        address = self.addresses[self.begun % 2]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setblocking(False)
        self.begun += 1
        error = made.connect_ex((address, 25))
        self._open[made] = time.monotonic() + self.PATIENCE
        self._selector.register(made, selectors.EVENT_WRITE)
        if error not in (0, errno.EINPROGRESS):
            self._end(made, errno.errorcode[error])

    def _turn(self, made, events):
        try:
            if events & selectors.EVENT_WRITE:
                error = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "")
                made.send(SAID)
                self._selector.modify(made, selectors.EVENT_READ)
            elif not made.recv(65536):
                self._end(made, "closed")
        except OSError as error:
            self._end(made, errno.errorcode[error.errno])

    def _end(self, made, how):
        self._selector.unregister(made)
        made.close()
        del self._open[made]
        with self._more:
            self.ends[how] += 1
            self._more.notify_all()

    def wait(self, how, count, timeout=30):
        """Until that many more have ended so."""
        with self._more:
            target = self.ends[how] + count
            assert self._more.wait_for(lambda: self.ends[how] >= target,
                                       timeout), (how, self.ends)

    def stop(self):
        """The rate that there was."""
        took = time.monotonic() - self._started
        self._stopping = True
        self._thread.join()
        self._selector.close()
        return self.begun / took


def kill_relays(gate, load):
    for _ in range(2):
        since = gate.log.mark()
        assert gate.kill("postern-relay")
        load.wait("ECONNREFUSED", 50)
        gate.log.wait(re.compile("relay 1: serving"), since=since)
        gate.log.wait(re.compile("relay 2: serving"), since=since)
        load.wait("closed", 50)


def kill_one_relay(gate, load):
    """Its share of connections goes to the other."""
    since = gate.log.mark()
    os.kill(gate.children("postern-relay")[0], signal.SIGKILL)
    load.wait("closed", 100)
    gate.log.wait(re.compile(r"relay \d: serving"), since=since)


def kill_policy(gate, load):
    for _ in range(2):
        since = gate.log.mark()
        assert gate.kill("postern-policy")
        load.wait("closed", 50)
        gate.log.wait(re.compile("policy: serving"), since=since)


def kill_parent(gate, load):
    os.kill(gate.pid, signal.SIGKILL)
    gate.process.popen.wait(10)
    load.wait("ECONNREFUSED", 1000)
    gate.start()
    load.wait("closed", 100)


def kill_all(gate, load):
    for _ in range(2):
        for pid in (*gate.children(), gate.pid):
            os.kill(pid, signal.SIGKILL)
        gate.process.popen.wait(10)
        load.wait("ECONNREFUSED", 100)
        gate.start()
        load.wait("closed", 50)


def stop_and_start(gate, load):
    for _ in range(2):
        assert gate.stop() == 0
        load.wait("ECONNREFUSED", 100)
        gate.start()
        load.wait("closed", 50)


def reload_storm(gate, load):
    for _ in range(40):
        os.kill(gate.pid, signal.SIGHUP)
        load.wait("closed", 3)
    since = gate.log.mark()
    os.kill(gate.pid, signal.SIGHUP)
    gate.log.wait(re.compile("reloaded: settings"), since=since)


def rules_again(gate, load):
    for _ in range(20):
        gate.command("rules", "apply", "-c", gate.config_path)
    load.wait("closed", 50)


@contextlib.contextmanager
def stopped(pids):
    """Alive and deaf: SIGSTOP."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def stop_relays(gate, load):
    with stopped(gate.children("postern-relay")):
        load.wait("patience", 40)
    load.wait("closed", 50)


def stop_policy(gate, load):
    """Servers without TLS are refused without asking it."""
    with stopped(gate.children("postern-policy")):
        load.wait("closed", 100)


def stop_parent(gate, load):
    """Relays serve without it, and one that dies comes back after it."""
    relays = gate.children("postern-relay")
    since = gate.log.mark()
    with stopped([gate.pid]):
        load.wait("closed", 50)
        for pid in relays:
            os.kill(pid, signal.SIGKILL)
        load.wait("ECONNREFUSED", 100)
    gate.log.wait(re.compile(r"relay \d: serving"), since=since, count=2)
    load.wait("closed", 50)


ACTS = [kill_relays, kill_one_relay, kill_policy, kill_parent, kill_all,
        stop_and_start, reload_storm, rules_again, stop_relays, stop_policy,
        stop_parent]


def under_load(lab, gate, act):
    """Does it while hundreds a second say all they have to say to a server
    that would take it in clear."""
    lab.tap.mark("s3cret")
    eager = Eager(lab)
    load = Load(lab, eager.addresses)
    try:
        load.wait("closed", 50)
        act(gate, load)
    finally:
        rate = load.stop()
        eager.close()
    assert set(eager.lines) <= {b"EHLO load", b"STARTTLS", b"QUIT"}
    assert eager.connections > 50
    minimum = 30 if act is stop_relays or is_sanitized() else 150
    assert rate > minimum, (rate, load.ends)


@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_45_46_nothing_passes_meanwhile(lab, tap, restarted, served, act):
    domain, server = served
    # With a gate it is test_closed.py's: what nobody judges is dropped there,
    # and a load that is not refused cannot be one.
    gate = restarted("workers = 2", "timeouts { drain = 1s }",
                     "gate.admission = off")
    under_load(lab, gate, act)
    # And all is well afterwards.
    assert send(lab, server, f"b@{domain}").code == 250


@pytest.fixture
def local(lab, gate):
    """postern beside the client, and the road from there on open: what
    leaves the host would arrive."""
    gate.stop(timeout=5)
    gate.command("rules", "remove", "-c", gate.config_path)
    with Gateway(lab, lab.client, lab.config(
            "workers = 2", "timeouts { drain = 1s }", mode="local")) as local:
        yield local
    said = local.log.matching(_SANITIZER)
    assert not said, "\n".join(local.log.lines)
    gate.start()


@pytest.mark.parametrize("act", [
    kill_relays, kill_parent, kill_all, stop_and_start, reload_storm,
    rules_again, stop_relays], ids=lambda act: act.__name__)
def test_45_46_nothing_passes_a_local_one(lab, tap, local, served, act):
    domain, server = served
    under_load(lab, local, act)
    reply = send(lab, server, f"b@{domain}")
    if reply.code == 421:
        # Seen once in many runs: no connection in all of its time.  A sender
        # would come again; what the kernel knew of it is told.
        warnings.warn(f"after {act.__name__}: {reply}\n" + "\n".join(
            ns.run("sh", "-c", "ss -tan | grep :25; cat"
                   " /proc/net/nf_conntrack | grep "
                   + server.addresses[0], check=False).stdout
            for ns in (lab.client, lab.gateway)))
        reply = send(lab, server, f"b@{domain}")
    assert reply.code == 250, reply


@pytest.mark.parametrize("mode", ["gate", "local"])
def test_46_rules_again_amid_a_message(lab, request, served, mode):
    """A stream is none the worse for rules that are put in place anew, nor,
    on a gateway, for a kernel that forgets its connections."""
    domain, server = served
    gate = request.getfixturevalue(mode)
    block, count = b"0123456789" * 7 + b"xxxxxxxx\r\n", 200000
    with in_transaction(lab, server, domain) as client:
        assert client.command("DATA").code == 354
        sent = threading.Event()

        def pour():
            for _ in range(count // 1000):
                client.send(block * 1000)
            sent.set()

        thread = threading.Thread(target=pour)
        thread.start()
        rounds = 0
        while not sent.is_set() or rounds < 3:
            gate.command("rules", "apply", "-c", gate.config_path)
            if mode == "gate":
                lab.gateway.flush_conntrack()
            rounds += 1
        thread.join()
        client.send(b".\r\n")
        assert client.reply().code == 250
    message = server.wait_message()
    assert message.size == count * len(block)
    assert message.sha256 == hashlib.sha256(block * count).hexdigest()


def test_43_storm_of_signals(lab, restarted, served):
    """Under load: no message is lost, none is doubled, nothing crashes, and
    a stop is still a stop."""
    domain, server = served
    gate = restarted("workers = 2", "timeouts { drain = 10s }")
    done, failures, taken = threading.Event(), [], []

    def deliver(worker):
        for number in range(10000):
            if done.is_set():
                return
            name = f"{worker}-{number}"
            try:
                with lab.connect(server) as client:
                    reply = client.deliver("me@lan.example",
                                           [f"{name}@{domain}"], MESSAGE)
            except (OSError, Closed):
                if not done.is_set():
                    raise
                return
            if reply.code == 250:
                taken.append(name)
            elif not done.is_set():
                failures.append(str(reply))

    threads = [threading.Thread(target=deliver, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    harmless = (signal.SIGCHLD, signal.SIGPIPE, signal.SIGWINCH,
                signal.SIGCONT, signal.SIGURG)
    children = gate.children()
    for number in range(400):
        os.kill(gate.pid, (signal.SIGHUP, *harmless)[number % 6])
        for pid in gate.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, harmless[number % 5])
        if number % 20 == 0:
            server.wait_message(lambda m, n=len(server.messages) + 1:
                                len(server.messages) > n)
    assert set(gate.children("postern-relay")) <= set(children)
    assert failures == []
    done.set()
    for _ in range(20):
        with contextlib.suppress(ProcessLookupError):
            os.kill(gate.pid, signal.SIGTERM)
            os.kill(gate.pid, signal.SIGHUP)
    assert gate.process.popen.wait(30) == 0
    for thread in threads:
        thread.join()
    got = collections.Counter(m.recipients[0].split("@")[0]
                              for m in server.messages)
    assert len(taken) > 20
    assert set(taken) <= set(got)
    assert max(got.values()) == 1
