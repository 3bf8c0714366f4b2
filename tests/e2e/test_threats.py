# SPDX-License-Identifier: ISC
"""What went wrong in systems like this one, each tried on postern: the number
in a test's name is the row of the threat list that it stands for.

Other rows are where their matter is: test_session (34 to 44), test_evidence
(3, 6, 7, 9, 16), test_dane (D1 to D12), test_policy_dns (21, 22), test_rules
(45 to 49), test_resilience (43, 45, 46, 53, 54).
"""

import contextlib
import ctypes
import ctypes.util
import ipaddress
import os
import pathlib
import random
import re
import socket
import ssl
import struct
import subprocess
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rrset
import pytest
from lab import Gateway, hostile_dns, nameservers, pki
from lab.gateway import BUILD
from lab.smtp_client import Client, Closed
from lab.smtp_server import Closed as SessionClosed
from lab.smtp_server import reset

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
TESTS = pathlib.Path(__file__).resolve().parents[1]
_SANITIZER = re.compile("AddressSanitizer|LeakSanitizer|runtime error:")

# A hand on the wall clock of every process of a gateway: an offset in
# seconds, in a file that is mapped before any jail closes.
_SHIM = r"""
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

static void __attribute__((constructor)) begin(void)
{
	const char *path = getenv("LAB_CLOCK");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
	void *map = fd == -1 ? MAP_FAILED
	    : mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		offset = map;
	if (fd != -1)
		close(fd);
}

int clock_gettime(clockid_t id, struct timespec *now)
{
	int ret = (int)syscall(SYS_clock_gettime, id, now);

	if (ret == 0 && offset != NULL &&
	    (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		now->tv_sec += *offset;
	return ret;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	now->tv_sec = t.tv_sec;
	now->tv_usec = t.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}
"""


class Clock:
    """The wall clock of the gateway."""

    def __init__(self, folder):
        os.chmod(folder, 0o755)
        self.library = f"{folder}/clock.so"
        self.file = f"{folder}/offset"
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O1",
                        "-o", self.library, "-x", "c", "-"],
                       input=_SHIM.encode(), check=True)
        self.set(0)
        os.chmod(self.file, 0o644)
        os.chmod(self.library, 0o755)
        options = os.environ.get("ASAN_OPTIONS", "")
        self.env = {"LD_PRELOAD": self.library, "LAB_CLOCK": self.file,
                    "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}

    def set(self, seconds):
        with open(self.file, "r+b" if os.path.exists(self.file) else "wb",
                  buffering=0) as file:
            file.write(struct.pack("q", seconds))


@pytest.fixture(scope="module")
def clock(lab):
    return Clock(lab.directory_for("clock"))


@pytest.fixture(scope="module")
def gate(lab, clock):
    with Gateway(lab, lab.gateway, lab.config("workers = 1"),
                 env=clock.env) as gate:
        yield gate
    said = gate.log.matching(_SANITIZER)
    assert not said, "\n".join(gate.log.lines)


@pytest.fixture
def jump(clock):
    """jump(seconds): the gateway's clock is that much off."""
    yield clock.set
    clock.set(0)


@pytest.fixture
def ruled(lab, gate):
    """The gateway under more lines of configuration: ruled("...")."""
    def rule(*settings):
        gate.configure(lab.config("workers = 1", *settings))
        gate.reload()
        return gate

    yield rule
    rule()


@pytest.fixture(scope="module")
def good(lab):
    return lab.good_domain()


@pytest.fixture
def served(gate, good):
    domain, server = good
    server.forget()
    return domain, server


def ready(lab, server, **options):
    client = lab.connect(server, **options)
    assert client.reply().code == 220
    client.capabilities = client.ehlo()
    assert client.capabilities.code == 250, client.capabilities
    return client


def send(lab, server, *recipients, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", recipients, MESSAGE)


def first_refusal(lab, server, recipient):
    with lab.connect(server) as client:
        reply = client.reply()
        if reply.code == 220:
            reply = client.ehlo()
        if reply.code == 250:
            reply = client.envelope("me@lan.example", recipient)[-1]
        return reply


def nothing_sent(server):
    """Not one word of an envelope, in TLS or out of it."""
    said = {verb for session in server.sessions for verb in session.verbs}
    assert said <= {"EHLO", "HELO", "STARTTLS", "QUIT", "NOOP", "RSET"}, said
    assert server.messages == []


def in_parallel(count, work, workers=8):
    """work(0) ... work(count - 1); what they raised."""
    numbers, failures, lock = iter(range(count)), [], threading.Lock()

    def run():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                work(number)
            except Exception as error:  # noqa: BLE001
                failures.append((number, error))

    threads = [threading.Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


# The boundary of STARTTLS.

@pytest.mark.parametrize("glued, codes", [
    (b"MAIL FROM:<a@lan.example>\r\n", [250]),
    (b"MAIL FROM:<a@lan.example>\r\nRCPT TO:<b@%s>\r\nDATA\r\n",
     [250, 250, 354]),
    (b"AUTH PLAIN AGEAYg==\r\n", [502]),
    (b"AUTH LOGIN\r\nYQ==\r\nYg==\r\n", [502, 502, 502])],
    ids=["mail", "transaction", "auth", "login"])
def test_4_5_commands_glued_to_starttls(lab, served, glued, codes):
    """The client's STARTTLS is refused: what is behind it is in clear still,
    and is judged as that.  It reaches the server inside TLS or not at all."""
    domain, server = served
    with ready(lab, server) as client:
        client.send(b"STARTTLS\r\n"
                    + glued.replace(b"%s", domain.encode()))
        got = [client.reply().code for _ in range(1 + len(codes))]
        assert got == [502, *codes]
    for session in server.sessions:
        assert [verb for is_tls, line in session.lines
                if not is_tls and (verb := line.split()[0])
                not in (b"EHLO", b"STARTTLS")] == []
        assert "AUTH" not in session.verbs


@pytest.mark.parametrize("said", [
    b"500 what\r\n", b"502 no\r\n", b"220 mx\r\n", b"354 go on\r\n",
    b"235 2.7.0 welcome\r\n", b"250 mx\r\n",
    b"250-mx\r\n250 AUTH PLAIN\r\n"])
def test_8_odd_replies_to_ehlo(lab, gate, said):
    """TLS is asked for whatever EHLO brought."""
    domain, server = lab.good_domain(starttls=False)
    server.on["EHLO"] = said
    reply = first_refusal(lab, server, f"b@{domain}")
    assert (reply.code, reply.text[:5]) == (421, "4.7.4"), str(reply)
    assert server.sessions[0].verbs[:2] == ["EHLO", "STARTTLS"]
    nothing_sent(server)


@pytest.mark.parametrize("greeting", [
    b"235 2.7.0 authenticated already\r\n", b"250 mx\r\n",
    b"230 logged in\r\n", b"220-mx\r\n220 PREAUTH, go ahead with MAIL\r\n",
    b"* PREAUTH mx ready\r\n", b"334 \r\n", b"354 go on\r\n",
    b"220 mx\r\n250 mx\r\n250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n"])
def test_10_server_claims_to_be_further_on(lab, gate, greeting):
    domain, server = lab.good_domain(starttls=False)
    server.on["connect"] = greeting
    with lab.connect(server) as client, contextlib.suppress(
            Closed, ValueError):
        client.send(b"EHLO client\r\nMAIL FROM:<me@lan.example>\r\n"
                    b"RCPT TO:<b@%s>\r\nDATA\r\n" % domain.encode())
        while True:
            reply = client.reply()
            assert reply.code not in (250, 251) or reply.raw == greeting
            assert reply.code != 354 or reply.raw == greeting
    nothing_sent(server)
    for session in server.sessions:
        assert session.ended.wait(10)


@pytest.mark.parametrize("cut", range(1, 10))
def test_11_clients_command_half_behind_starttls(lab, served, cut):
    domain, server = served
    rest = b"RCPT TO:<b@%s>\r\n" % domain.encode()
    with ready(lab, server) as client:
        client.send(b"STARTTLS\r\n" + rest[:cut])
        assert client.reply().code == 502
        client.send(rest[cut:])
        assert client.reply().code == 503
        assert client.command("NOOP").code == 250
    assert "RCPT" not in server.sessions[-1].verbs


@pytest.mark.parametrize("clear, inside", [
    (b"2", b"50-mx\r\n250 X\r\n"), (b"250-mx", b"\r\n250 X\r\n"),
    (b"250-mx\r", b"\n250 X\r\n"), (b"250-mx\r\n", b"250 X\r\n"),
    (b"250-mx\r\n250 X", b"\r\n")])
def test_11_servers_reply_half_in_clear(lab, gate, clear, inside):
    domain, server = lab.good_domain()
    server.on["STARTTLS"] = b"220 go\r\n" + clear
    server.on["EHLO"] = lambda session, _line: (
        inside if session.is_tls else None)
    reply = first_refusal(lab, server, f"b@{domain}")
    assert (reply.code, reply.text[:5]) == (421, "4.7.5"), str(reply)
    assert "injection" in reply.text
    nothing_sent(server)


def close_notify(session):
    """Sends it, and does not wait for the other's."""
    session.stream.settimeout(0)
    with contextlib.suppress(ssl.SSLError, OSError, BlockingIOError):
        session.stream.unwrap()


@pytest.mark.parametrize("notifies", [True, False])
@pytest.mark.parametrize("clear", [b"2", b"250 2.0.0 taken\r\n",
                                   b"250 ok\r\n250 ok\r\n221 bye\r\n"])
def test_12_servers_clear_bytes_inside_bdat(lab, served, notifies, clear):
    """After close_notify, or without it: they end the session, and are no
    reply to anything."""
    domain, server = served

    def leave_tls(session, _line):
        session.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        if notifies:
            close_notify(session)
        session.send_plain(clear)
        session.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        session.stream = session.raw
        session.raw.settimeout(1)  # half a record is waited for
        session.drain()

    server.on["RCPT"] = lambda session, line: (
        session.send(b"250 2.1.5 ok\r\n"), session.line(),
        leave_tls(session, line))[-1]
    with ready(lab, server) as client:
        assert client.envelope("a@lan.example", f"b@{domain}")[-1].code == 250
        client.send(b"BDAT 100\r\n" + b"x" * 50)
        reply = client.reply()
        assert reply.code == 421, str(reply)
        assert client.at_end()
    assert server.sessions[-1].ended.wait(10)
    assert server.messages == []


def test_12_clients_tls_records_inside_bdat(lab, served):
    """On its side there is no TLS to leave: an alert is content there."""
    domain, server = served
    alert = b"\x15\x03\x03\x00\x02\x01\x00"
    with ready(lab, server) as client:
        client.envelope("a@lan.example", f"b@{domain}")
        client.send(b"BDAT 12\r\nabcd" + alert + b"\nBDAT 4 LAST\r\nend.")
        assert [client.reply().code for _ in range(2)] == [250, 250]
        client.send(alert + b"NOOP\r\n")
        assert client.reply().code in (421, 500, 502)
    assert server.wait_message().content == b"abcd" + alert + b"\nend."


class Slow:
    """The server's side of a TLS handshake through a pump that the test
    holds: pump(session, bytes) passes on what the server says."""

    def __init__(self, session, pump):
        self.session = session
        self.pump = pump
        self.near, self.far = socket.socketpair()
        self.threads = [threading.Thread(target=run, daemon=True)
                        for run in (self._to_server, self._to_client)]

    def run(self, serve):
        """serve(stream) on the TLS stream, where there comes to be one."""
        for thread in self.threads:
            thread.start()
        try:
            self.near.settimeout(20)
            stream = self.session.server.context().wrap_socket(
                self.near, server_side=True)
            serve(stream)
        except (OSError, ValueError):
            pass
        finally:
            for each in (self.near, self.far):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                self.session.raw.shutdown(socket.SHUT_RDWR)
            for thread in self.threads:
                thread.join()
            self.near.close()
            self.far.close()

    def _to_server(self):
        with contextlib.suppress(OSError):
            while data := self.session.raw.recv(65536):
                self.far.sendall(data)
        with contextlib.suppress(OSError):
            self.far.shutdown(socket.SHUT_WR)

    def _to_client(self):
        with contextlib.suppress(OSError, SessionClosed):
            while data := self.far.recv(65536):
                self.pump(self.session, data)


def to_starttls(session, greeting=b"220 mx\r\n"):
    """A script's way to the point where 220 is due."""
    session.send(greeting)
    assert session.line()[:4] == b"EHLO"
    session.send(b"250-mx\r\n250 STARTTLS\r\n")
    assert session.line() == b"STARTTLS"


def test_13_bytes_at_odd_moments(lab, gate):
    """Upgrades that race with bytes: those of the handshake itself in odd
    pieces, which must work, and clear ones among them, which must not."""
    domain, server = lab.good_domain()
    odds = random.Random(13)
    poison = (b"250 2.0.0 ok\r\n", b"220 go\r\n", b"2", b"\r\n",
              b"250-mx\r\n250 AUTH PLAIN\r\n")
    plans, outcomes = {}, {}

    def pause():
        time.sleep(odds.random() * 0.005)

    def script(session):
        # The client's name tells which one it is.
        session.send(b"220 mx\r\n")
        number = int(session.line().split(b"-")[1])
        plan = plans[number]
        session.send(b"250-mx\r\n250 STARTTLS\r\n")
        assert session.line() == b"STARTTLS"
        for byte in b"220 go\r\n":
            session.send(bytes([byte]))
        if plan is not None:
            pause()
            with contextlib.suppress(SessionClosed):
                session.send_plain(plan)

        def pump(_session, data):
            while data:
                size = odds.randint(1, 200)
                session.send_plain(data[:size])
                data = data[size:]
                pause()

        def serve(stream):
            stream.recv(4096)
            stream.sendall(b"250 mx\r\n")
            outcomes[number] = stream.recv(4096)

        Slow(session, pump).run(serve)

    server.script = script

    def one(number):
        plans[number] = odds.choice(poison) if number % 2 else None
        with lab.connect(server, name=f"client-{number}") as client:
            assert client.reply().code == 220
            reply = client.ehlo()
            if plans[number] is not None:
                assert (reply.code, reply.text[:5]) == (421, "4.7.5"), reply
                return
            assert reply.code == 250, str(reply)
            assert client.envelope("s3cret@lan.example",
                                   f"b@{domain}")[0].code == 250

    lab.tap.mark("s3cret")
    assert in_parallel(400, one) == []
    # Those that were let alone, and no other, got to hear the envelope.
    assert {n for n, said in outcomes.items() if said[:4] == b"MAIL"} == set(
        range(0, 400, 2))


# TLS 1.2 renegotiation, which Python's ssl cannot ask for.

_libssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
for _name in ("SSL_CTX_new", "TLS_server_method", "SSL_new"):
    getattr(_libssl, _name).restype = ctypes.c_void_p
_NO_TLS13 = 1 << 29


class OpenSsl:
    """A server's side of TLS 1.2 on a plain socket, by libssl itself."""

    def __init__(self, sock, certificate, folder):
        chain, key = f"{folder}/chain.pem", f"{folder}/key.pem"
        certificate.write(chain, key)
        self.context = ctypes.c_void_p(_libssl.SSL_CTX_new(
            ctypes.c_void_p(_libssl.TLS_server_method())))
        _libssl.SSL_CTX_set_options(self.context, ctypes.c_uint64(_NO_TLS13))
        assert _libssl.SSL_CTX_use_certificate_chain_file(
            self.context, chain.encode()) == 1
        assert _libssl.SSL_CTX_use_PrivateKey_file(
            self.context, key.encode(), 1) == 1
        self.ssl = ctypes.c_void_p(_libssl.SSL_new(self.context))
        sock.setblocking(True)
        assert _libssl.SSL_set_fd(self.ssl, sock.fileno()) == 1
        assert _libssl.SSL_accept(self.ssl) == 1

    def read(self):
        buffer = ctypes.create_string_buffer(65536)
        size = _libssl.SSL_read(self.ssl, buffer, len(buffer))
        return buffer.raw[:max(size, 0)]

    def write(self, data):
        return _libssl.SSL_write(self.ssl, data, len(data))

    def renegotiate(self):
        """Sends HelloRequest."""
        assert _libssl.SSL_renegotiate(self.ssl) == 1
        assert _libssl.SSL_do_handshake(self.ssl) == 1

    def close(self):
        _libssl.SSL_free(self.ssl)
        _libssl.SSL_CTX_free(self.context)


@pytest.mark.parametrize("at", [b"EHLO", b"RCPT"])
def test_14_server_asks_to_renegotiate(lab, gate, tmp_path, at):
    domain, server = lab.good_domain()
    heard = []

    def script(session):
        to_starttls(session)
        session.send(b"220 go\r\n")
        tls = OpenSsl(session.raw, server.certificates[0], tmp_path)
        try:
            while data := tls.read():
                heard.append(data)
                if at in data:
                    tls.renegotiate()
                    # Read on: a ClientHello would be taken up here.
                    heard.append(tls.read())
                    return
                tls.write(b"250 ok\r\n")
        finally:
            with contextlib.suppress(OSError):  # it was first
                session.raw.shutdown(socket.SHUT_RDWR)
            tls.close()

    server.script = script
    with lab.connect(server) as client:
        assert client.reply().code == 220
        reply = client.ehlo()
        if at == b"RCPT":
            assert reply.code == 250, str(reply)
            reply = client.envelope("a@lan.example", f"b@{domain}")[-1]
        assert reply.code == 421, str(reply)
        assert client.at_end()
    assert server.sessions[-1].ended.wait(10)
    assert at in b"".join(heard)
    assert heard[-1] == b"", "it went on after the HelloRequest"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3],
                         ids=["tls12", "tls13"])
def test_15_handshakes_aborted_at_every_byte(lab, gate, version):
    """By FIN and by RST.  One process lives through all of them, and keeps
    none of their memory."""
    name = lab.fresh("abort")
    server = lab.mx(f"mx.{name}", tls_min=version, tls_max=version,
                    certificates=[lab.ca.issue([f"mx.{name}"])])
    lab.domain(name, server)
    pid, = gate.children("postern-relay")
    sizes = []

    def whole(session):
        to_starttls(session)
        session.send(b"220 go\r\n")
        size = [0]

        def pump(_session, data):
            size[0] += len(data)
            session.send_plain(data)

        Slow(session, pump).run(lambda stream: (
            sizes.append(size[0]), stream.recv(1)))

    server.script = whole
    with lab.connect(server) as client:
        client.reply()
        client.ehlo()
    assert sizes and 500 < sizes[0] < 2000, sizes

    lengths = {}

    def cut(session):
        session.send(b"220 mx\r\n")
        number = int(session.line().split(b"-")[1])
        session.send(b"250-mx\r\n250 STARTTLS\r\n")
        session.line()
        session.send(b"220 go\r\n")
        left = [lengths[number]]

        def pump(_session, data):
            session.send_plain(data[:left[0]])
            left[0] -= len(data)
            if left[0] <= 0:
                if number % 2:
                    session.raw.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER,
                        struct.pack("ii", 1, 0))
                    session.raw.shutdown(socket.SHUT_RD)
                else:
                    session.raw.shutdown(socket.SHUT_WR)
                raise SessionClosed("cut")

        Slow(session, pump).run(lambda stream: stream.recv(1))

    server.script = cut

    def one(number):
        lengths[number] = number % sizes[0]
        with lab.connect(server, name=f"client-{number}") as client:
            assert client.reply().code == 220
            reply = client.ehlo()
            assert reply.code == 421, str(reply)

    assert in_parallel(100, one) == []  # its memory has settled
    before = resident(pid)
    assert in_parallel(sizes[0], one) == []
    assert gate.children("postern-relay") == [pid]
    # A sanitizer holds on to what was freed.
    assert is_sanitized() or resident(pid) - before < 2048
    server.script = None
    nothing_sent(server)
    assert send(lab, server, f"b@{name}").code == 250


def resident(pid):
    """KiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file
                    if line.startswith("VmRSS"))


def is_sanitized():
    with open(f"{BUILD}/postern-relay", "rb") as file:
        return b"__asan_init" in file.read()


# Downgrade, and proofs taken for others'.

def test_17_two_domains_one_mx_two_policies(lab, ruled):
    """One domain's rule lets the host pass as it is; the other's does not,
    on the same connection or another."""
    strict, lax = lab.fresh("strict"), lab.fresh("lax")
    server = lab.mx(f"mx.{strict}",
                    certificates=[lab.issue("elsewhere.example")])
    lab.domain(strict, server, publish=False)
    lab.domain(lax, server)
    ruled(f'domain "{lax}" {{ level = encrypt }}')
    with ready(lab, server) as client:
        for _ in range(2):
            assert client.envelope("a@lan.example",
                                   f"b@{lax}")[-1].code == 250
            assert client.message(MESSAGE).code == 250
            reply = client.envelope("a@lan.example", f"b@{strict}")[-1]
            assert (reply.code, reply.text[:5]) == (451, "4.7.5"), reply
            assert client.command("RSET").code == 250
    assert send(lab, server, f"b@{strict}").code == 451
    assert send(lab, server, f"b@{lax}").code == 250
    assert {m.recipients[0] for m in server.messages} == {f"b@{lax}"}


@pytest.mark.parametrize("is_first", [True, False])
def test_18_each_recipient_its_own_policy(lab, ruled, is_first):
    """A transaction that mixes a domain with an exception and one without."""
    strict, lax = lab.fresh("strict"), lab.fresh("lax")
    server = lab.mx(f"mx.{strict}",
                    certificates=[lab.issue("elsewhere.example")])
    lab.domain(strict, server, publish=False)
    lab.domain(lax, server)
    ruled(f'domain "{lax}" {{ level = encrypt }}')
    order = [lax, strict] if is_first else [strict, lax]
    with ready(lab, server) as client:
        client.command("MAIL FROM:<a@lan.example>")
        codes = {domain: client.command(f"RCPT TO:<b@{domain}>").code
                 for domain in order}
        assert codes == {lax: 250, strict: 451}
        assert client.message(MESSAGE).code == 250
    assert server.wait_message().recipients == [f"b@{lax}"]


def two_tenants(lab):
    """A strict domain and a lax one on one host with a good certificate,
    which is the lax one's."""
    strict, lax = lab.fresh("strict"), lab.fresh("lax")
    server = lab.mx(f"mx.{lax}")
    lab.domain(strict, server, publish=False)
    lab.domain(lax, server, publish=False)
    return strict, lax, server


def strict_by_sts(lab):
    """The strict domain's policy has another host, the lax one's none."""
    strict, lax, server = two_tenants(lab)
    lab.sts(strict, mx=[f"mx.{strict}"], publish=False)
    lab.sts(lax, "none", mx=[], publish=False)
    return strict, lax, server


def strict_by_dane(lab):
    """The strict domain's name for the host has TLSA records of another
    certificate, the lax one's has none."""
    strict, lax, server = two_tenants(lab)
    zone = lab.dns.zone_of(strict)
    zone.remove("@", "MX")
    zone.add(f"@ MX 10 mx.{strict}.")
    lab.name_host(f"mx.{strict}", server.addresses)
    lab.tlsa(f"mx.{strict}", "3 1 1", certificate=lab.ca)
    server.certificates = [lab.issue(server.name, f"mx.{strict}")]
    return strict, lax, server


@pytest.mark.parametrize("build, evidence", [(strict_by_sts, "mta-sts"),
                                             (strict_by_dane, "dane")])
def test_17_two_domains_one_mx_two_proofs(lab, gate, build, evidence):
    """What is enough for one domain is not for the other, whichever comes
    first on a connection."""
    strict, lax, server = build(lab)
    lab.publish()
    for order in ((strict, lax, strict), (lax, strict, lax)):
        since = gate.log.mark()
        with ready(lab, server) as client:
            for domain in order:
                reply = client.envelope("a@lan.example", f"b@{domain}")[-1]
                assert reply.code == (250 if domain == lax else 451), reply
                if domain == lax:
                    assert client.message(MESSAGE).code == 250
                assert client.command("RSET").code == 250
        assert gate.verdict(strict, since)["evidence"] == evidence
        assert gate.verdict(lax, since)["evidence"] == "mx+dnssec"
    assert {m.recipients[0] for m in server.messages} == {f"b@{lax}"}


@pytest.mark.parametrize("build", [strict_by_sts, strict_by_dane])
@pytest.mark.parametrize("is_first", [True, False])
def test_18_enforce_and_none_in_one_transaction(lab, gate, build, is_first):
    strict, lax, server = build(lab)
    lab.publish()
    order = [lax, strict] if is_first else [strict, lax]
    with ready(lab, server) as client:
        client.command("MAIL FROM:<a@lan.example>")
        replies = {domain: client.command(f"RCPT TO:<b@{domain}>")
                   for domain in order}
        assert replies[lax].code == 250, replies
        # 452 4.5.3: to be sent apart, where it is refused.
        assert replies[strict].code in (451, 452), replies
        assert client.message(MESSAGE).code == 250
    assert send(lab, server, f"b@{strict}").code == 451
    assert [m.recipients for m in server.messages] == [[f"b@{lax}"]]


def resumed(lab, gate, server, domain):
    """Two sessions, the second one resumed."""
    since = gate.log.mark()
    for _ in range(3):
        assert send(lab, server, f"b@{domain}").code == 250
    # The log is read by another thread.
    last = gate.log.wait(re.compile("verdict .*"), since=since, count=3)
    assert "resumed=yes" in last[0]


def test_19_resumed_session_is_judged_by_its_date(lab, gate, jump):
    """And a fresh one, since the server may have another certificate now."""
    domain = lab.fresh("soon")
    server = lab.mx(f"mx.{domain}", certificates=[lab.issue(
        f"mx.{domain}", not_after=time.time() + 1800)])
    lab.domain(domain, server)
    resumed(lab, gate, server, domain)
    jump(3600)
    before = len(server.sessions)
    reply = send(lab, server, f"b@{domain}")
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    assert "certificate-expired" in reply.text
    assert [s.resumed for s in server.sessions[before:]] == [True, False]


def test_19_resumed_session_is_judged_for_its_domain(lab, gate):
    """The ticket is the host's; what it proves is not the domain's."""
    domain, server = lab.good_domain()
    other = lab.fresh("other")
    lab.name_host(f"mx.{other}", server.addresses)
    lab.domain(other, f"mx.{other}")
    resumed(lab, gate, server, domain)
    for _ in range(2):
        reply = send(lab, server, f"b@{other}")
        assert reply.code == 451, str(reply)
        assert "certificate-host-mismatch" in reply.text
        assert send(lab, server, f"b@{domain}").code == 250


def test_19_other_certificate_than_before(lab, gate):
    domain, server = lab.good_domain()
    resumed(lab, gate, server, domain)
    for certificate, word in (
            (lab.issue("elsewhere.example"), "certificate-host-mismatch"),
            (lab.unknown_ca.issue([f"mx.{domain}"]),
             "certificate-not-trusted")):
        server.certificates = [certificate]
        reply = send(lab, server, f"b@{domain}")
        assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
        assert word in reply.text


def test_19_trust_that_a_reload_takes_away(lab, ruled):
    domain, server = lab.good_domain()
    gate = ruled()
    resumed(lab, gate, server, domain)
    trust = f"{lab.directory}/others.pem"
    pki.write_trust(trust, lab.unknown_ca)
    gate.configure(lab.config("workers = 1").replace(lab.trust, trust))
    gate.reload()
    since = gate.log.mark()
    reply = send(lab, server, f"b@{domain}")
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    assert "certificate-not-trusted" in reply.text
    assert "resumed" not in gate.verdict(domain, since)
    ruled()
    assert send(lab, server, f"b@{domain}").code == 250


def test_19_other_records_than_before(lab, gate):
    """Of a key that is given up no session proves anything any more, resumed
    or not; and the next key is proved by a handshake, though the server goes
    on taking the tickets of the old one."""
    domain = lab.fresh("roll")
    old, new = (pki.self_signed([f"mx.{domain}"]) for _ in range(2))
    server = lab.mx(f"mx.{domain}", certificates=[old])
    lab.tlsa(server, "3 1 1", ttl=1)
    lab.domain(domain, server)
    resumed(lab, gate, server, domain)
    lab.tlsa(server, new.tlsa("3 1 1"), ttl=1)
    lab.publish()
    until = time.monotonic() + 30
    while (reply := send(lab, server, f"b@{domain}")).code == 250:
        assert time.monotonic() < until
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    assert "not proved by dane" in reply.text
    taken = len(server.messages)
    assert send(lab, server, f"b@{domain}").code == 451
    assert len(server.messages) == taken
    server.renew(new)
    since = gate.log.mark()
    assert send(lab, server, f"b@{domain}").code == 250
    verdict = gate.verdict(domain, since)
    assert verdict["certificate"] == new.fingerprint, verdict
    assert "resumed" not in verdict


@pytest.mark.parametrize("forge", ["wildcard", "parent", "other", "nothing"])
def test_20_forged_denial_of_tlsa_defers(lab, gate, forge):
    """True NSEC records that prove something else, and none at all: who has
    a certificate that anyone trusts does not get the mail by it."""
    domain = lab.fresh("forged")
    server = lab.mx(f"mx.{domain}")
    lab.tlsa(server, "3 1 1", certificate=lab.ca)
    zone = lab.domain(domain, server, own_server=True, publish=False)
    zone.add("* TXT x")
    lab.publish()
    acts = {"wildcard": lambda: hostile_dns.wildcard_denial(zone),
            "parent": lambda: hostile_dns.parent_denial(
                lab.dns.zones["example."], zone),
            "other": lambda: hostile_dns.other_denial(zone),
            "nothing": lambda: nameservers.nxdomain}
    zone.server.on[f"_25._tcp.mx.{domain}", "TLSA"] = acts[forge]()
    reply = first_refusal(lab, server, f"b@{domain}")
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    assert "dnssec-invalid" in reply.text, str(reply)
    nothing_sent(server)


@pytest.mark.parametrize("act", [nameservers.nxdomain, nameservers.unsigned,
                                 nameservers.bogus])
def test_20_forged_denial_defers(lab, gate, act):
    """Who forges that there are no MX records does not get the mail by the
    domain's own address."""
    domain = lab.fresh("forged")
    server = lab.mx(domain)
    zone = lab.domain(domain, f"mx.{domain}", own_server=True)
    zone.server.on[domain, "MX"] = act
    reply = first_refusal(lab, server, f"b@{domain}")
    assert reply.code == 451, str(reply)
    assert "dnssec" in reply.text, str(reply)
    nothing_sent(server)


def test_22_costly_validation_holds_up_nobody(lab, gate):
    """Three zones, each with thirty signatures that fit thirty keys by their
    tag and by nothing else, on every question that is asked of them."""
    traps = []
    for _ in range(3):
        domain = lab.fresh("trap")
        server = lab.mx(f"mx.{domain}", tlsa="3 1 1")
        traps.append((domain, server, lab.domain(
            domain, server, own_server=True, publish=False)))
    quick, good = lab.good_domain()  # which publishes them all
    for number, (domain, _server, zone) in enumerate(traps):
        hostile_dns.keytrap(zone, *[
            (domain, "MX"), (f"mx.{domain}", "A"), (f"mx.{domain}", "AAAA"),
            (f"_25._tcp.mx.{domain}", "TLSA")][number:])
    refused = []

    def try_one(trap):
        refused.append(first_refusal(lab, trap[1], f"b@{trap[0]}"))

    threads = [threading.Thread(target=try_one, args=[trap])
               for trap in traps]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert send(lab, good, f"b@{quick}").code == 250
    assert time.monotonic() - began < 3
    for thread in threads:
        thread.join()
    assert [reply.code for reply in refused] == [451] * 3, refused
    for _domain, server, _zone in traps:
        nothing_sent(server)


def test_22_hashes_by_the_thousand_prove_nothing(lab, gate):
    """CVE-2023-50868: a denial with 2000 rounds of NSEC3 is not computed; it
    counts as unsigned, and the MX host's name still is to be proved."""
    domain = lab.fresh("rounds")
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, signing="nsec3-costly")
    began = time.monotonic()
    assert send(lab, server, f"b@{domain}").code == 250
    assert time.monotonic() - began < 3
    server.certificates = [lab.issue("else.example")]
    assert send(lab, server, f"b@{domain}").code == 451


def record_of(*messages):
    """Handshake messages of TLS 1.2 (type, body) as one record."""
    data = b"".join(bytes([kind]) + len(body).to_bytes(3, "big") + body
                    for kind, body in messages)
    return b"\x16\x03\x03" + struct.pack("!H", len(data)) + data


def vector(data):
    return len(data).to_bytes(3, "big") + data


@pytest.mark.parametrize("is_said", [True, False])
def test_23_raw_public_key(lab, gate, is_said):
    """A server that shows a key without a certificate, and says so or not:
    it is never asked to, and what came of the handshake is refused, though
    the TLSA record is of that very key."""
    domain = lab.fresh("rpk")
    server = lab.mx(f"mx.{domain}", tlsa="3 1 1",
                    certificates=[pki.self_signed([f"mx.{domain}"])])
    lab.domain(domain, server)
    offered = []

    def script(session):
        to_starttls(session)
        session.send(b"220 go\r\n")
        hello = b""
        while len(hello) < 5 or len(hello) < 5 + int.from_bytes(
                hello[3:5], "big"):
            hello += session.read()
        offered.extend(kind for kind, _data in extensions(hello))
        spki = server.certificates[0].spki
        said = b"\x00\x14\x00\x01\x02" if is_said else b""
        said += b"\xff\x01\x00\x01\x00"  # secure renegotiation
        session.send_plain(record_of(
            (2, b"\x03\x03" + b"r" * 32 + b"\x00" + b"\xc0\x2b" + b"\x00"
             + struct.pack("!H", len(said)) + said),
            (11, vector(spki) if is_said else vector(vector(spki))),
            (14, b"")))
        session.drain()

    server.script = script
    reply = first_refusal(lab, server, f"b@{domain}")
    assert reply.code in (421, 451), str(reply)
    assert reply.text.startswith("4.7.5"), str(reply)
    assert offered and 20 not in offered
    nothing_sent(server)


# Certificates: chains that a library refuses to make, as make_certs.py does.

CHAINS = [
    (24, "circle", 1), (24, "maze", 1), (24, "limit_wildcard_excluded", 1),
    (24, "limit_excluded_dot", 1), (24, "limit_excluded_base_dot", 1),
    (24, "circle_with_exit", 0), (25, "ca_not_ca", 1), (25, "damaged_ca", 1),
    (26, "explicit_leaf", 1), (26, "explicit_ca", 1), (26, "explicit_root", 1),
    (27, "name_nul", 1), (27, "name_nul_end", 1), (28, "name_punycode", 0),
    (28, "name_x400", 0), (28, "limit_x400", 0),
    (28, "limit_email_punycode", 0), (29, "limit_explosion", 1),
    (29, "same_subject_none", 1), (30, "leaf_signs_leaf", 1),
    (30, "trusted_leaf_signs", 1), (31, "name_bad_entries", 0),
    (31, "name_malformed", 1), (31, "name_other", 1)]


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chains")
    subprocess.run(["/usr/bin/python3", f"{TESTS}/unit/make_certs.py",
                    folder], check=True)
    return folder


@pytest.mark.parametrize("row, title, status", CHAINS)
def test_24_to_31_hostile_chains(chains, row, title, status):
    """By the command, which judges as a relay does: what unit tests look
    into, here from the outside, in a bounded time."""
    began = time.monotonic()
    done = subprocess.run(
        [f"{BUILD}/postern", "verify", "--at", "1800000000", "--name",
         "mx.example.org", "--chain", chains / f"{title}.chain.pem",
         "--trust", chains / f"{title}.trust.pem"],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    assert done.returncode == status, done
    assert done.stdout.startswith(("proved: ", "refused: ")[done.returncode])
    assert time.monotonic() - began < 5


def test_30_leaf_signs_leaf_on_the_wire(lab, gate):
    domain = lab.fresh("forger")
    forger = lab.issue(f"mx.{lab.fresh()}", common_name="a server")
    fake = pki.Authority("a server", key=forger.key)
    fake.above = (forger, *forger.above)
    leaf = fake.issue([f"mx.{domain}"])
    server = lab.mx(f"mx.{domain}", certificates=[
        pki.Certificate(leaf.certificate, leaf.key,
                        (forger, *forger.above))])
    lab.domain(domain, server)
    reply = first_refusal(lab, server, f"b@{domain}")
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    nothing_sent(server)


def test_32_proof_of_one_chain_is_no_other_ones(lab, gate):
    """What is remembered is remembered for that chain, name and trust."""
    domain, server = lab.good_domain()
    proved = server.certificates
    others = [lab.unknown_ca.issue([f"mx.{domain}"]),
              # The same key, even: only the signature is another's.
              pki.Certificate(
                  lab.unknown_ca.issue([f"mx.{domain}"],
                                       key=proved[0].key).certificate,
                  proved[0].key, proved[0].above),
              pki.self_signed([f"mx.{domain}"], key=proved[0].key)]
    for other in others:
        server.certificates = proved
        assert send(lab, server, f"b@{domain}").code == 250
        server.certificates = [other]
        for _ in range(2):
            reply = send(lab, server, f"b@{domain}")
            assert (reply.code, reply.text[:5]) == (451, "4.7.5"), reply
    server.certificates = proved
    assert send(lab, server, f"b@{domain}").code == 250


@pytest.mark.parametrize("settings", [
    "on_refusal = bounce", 'domain "{other}" {{ level = none }}',
    'domain "{domain}" {{ level = none; until = "2020-01-01" }}',
    'domain "*.{domain}" {{ level = none }}',
    'domain "{domain}" {{ level = encrypt }}',
    'domain "{domain}" {{ level = encrypt }}; '
    'domain "{other}" {{ level = none }}',
    'server "{other}" {{ match = ["192.0.2.1"]; level = none }}'])
def test_33_no_setting_turns_refusal_into_relay(lab, ruled, settings):
    """Other than level = none for that very domain: a server without TLS."""
    domain, server = lab.good_domain(starttls=False)
    ruled(settings.format(domain=domain, other=lab.fresh("other")))
    reply = first_refusal(lab, server, f"b@{domain}")
    assert reply.code >= 400
    assert "starttls-not-supported" in reply.text, str(reply)
    nothing_sent(server)


# Parsing.

def extensions(hello):
    """(type, data) of each of a ClientHello."""
    at = 9 + 2 + 32
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at] + 2
    while at + 4 <= len(hello):
        kind, size = struct.unpack("!HH", hello[at:at + 4])
        yield kind, hello[at + 4:at + 4 + size]
        at += 4 + size


def server_name(hello):
    """What a ClientHello asks for; None: nothing."""
    return next((data[5:] for kind, data in extensions(hello) if kind == 0),
                None)


@pytest.mark.parametrize("named", [
    b"192.0.2.1", b"[192.0.2.1]", b"mx.example.", b"mx..example", b".", b"..",
    b"mx.example\\", b"-mx.example-", b"mx.exa\0mple", b"2001:db8::1",
    b"x" * 64 + b".example", b"a." * 127 + b"example", b"mx.example",
    b"127.1", b"mx.example.0x7f"])
def test_37_odd_names_are_never_asked_for(lab, gate, named):
    """The one name that comes from a peer before anything is proved is that
    in its greeting: what is asked for by SNI is a host name, or nothing."""
    server = lab.mx(f"mx.{lab.fresh()}")
    asked = []

    def script(session):
        to_starttls(session, b"220 " + named + b" ESMTP\r\n")
        session.send(b"220 go\r\n")
        hello = b""
        while len(hello) < 5 or len(hello) < 5 + int.from_bytes(
                hello[3:5], "big"):
            hello += session.read()
        asked.append(server_name(hello))
        reset(session)

    server.script = script
    with lab.connect(server) as client, contextlib.suppress(Closed):
        if client.reply().code == 220:
            assert client.ehlo().code == 421
    label = rb"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
    for name in filter(None, asked):
        assert re.fullmatch(label + rb"(\." + label + rb")+", name), name
        assert len(name) <= 253
        # A name whose last part is a number is an address to somebody.
        assert not re.fullmatch(rb"(0[xX][0-9a-fA-F]*|[0-9]+)",
                                name.split(b".")[-1]), name
    if named == b"mx.example":
        assert asked == [None, named]


HOSTILE = [b"a\r\nRCPT TO:<x>", b"a b", b"a\0b", b"\x1b]0;pwned\x07",
           b"\nverdict result=proved"]


@pytest.mark.parametrize("kind", ["MX", "CNAME"])
def test_39_names_in_dns_data(lab, ruled, kind):
    """They reach no wire and break no line of the log."""
    domain = lab.fresh("crlf")
    server = lab.mx(f"mx.{lab.fresh()}")
    zone = lab.domain(domain, signed=False, own_server=True)
    top = tuple(domain.encode().split(b".")) + (b"",)
    hosts = [dns.name.Name((label, *top)) for label in HOSTILE]
    ways = [dns.name.Name((b"alias%d" % n, *top)) for n in range(len(hosts))]

    def answer(query, records):
        made = dns.message.make_response(query)
        made.flags |= dns.flags.AA
        made.answer += [dns.rrset.from_rdata(owner, 60, rdata)
                        for owner, rdata in records]
        return made

    def mx(query, _usual):
        made = answer(query, [])
        made.answer.append(dns.rrset.from_rdata_list(
            query.question[0].name, 60, [dns.rdtypes.ANY.MX.MX(
                dns.rdataclass.IN, dns.rdatatype.MX, number, host)
                for number, host in enumerate(
                    hosts if kind == "MX" else ways)]))
        return made

    def address(query, _usual):
        asked = query.question[0]
        records = []
        if asked.name in ways:
            records.append((asked.name, dns.rdtypes.ANY.CNAME.CNAME(
                dns.rdataclass.IN, dns.rdatatype.CNAME,
                hosts[ways.index(asked.name)])))
        text = server.addresses[asked.rdtype == dns.rdatatype.AAAA]
        if asked.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA):
            records.append((records[0][1].target if records else asked.name,
                            dns.rdata.from_text("IN", asked.rdtype, text)))
        return answer(query, records)

    zone.server.on[domain, "MX"] = mx
    for name in (*hosts, *ways):
        zone.server.on[name.to_text(omit_final_dot=True).lower(),
                       None] = address
    gate = ruled("log { addresses = full; verbose = true }")
    since = gate.log.mark()
    with lab.connect(server) as client:
        client.reply()
        client.ehlo()
        replies = client.envelope("me@lan.example", f"b@{domain}")
        assert replies[-1].code // 100 == 4, str(replies[-1])
        assert all(32 <= byte < 127 for reply in replies
                   for byte in reply.raw.replace(b"\r\n", b""))
        assert client.command("NOOP").code == 250
    gate.log.wait(re.compile("session id="), since=since)
    assert lab.dns.asked(domain, "MX")
    for line in gate.log.lines[since:]:
        assert all(32 <= ord(c) < 127 for c in line), line
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:]+Z postern", line), line
    for session in server.sessions:
        assert all(re.fullmatch(rb"[ -~]*", line)
                   for _tls, line in session.lines)
    nothing_sent(server)


def test_41_auth_again_and_again(lab, ruled):
    """Each line of it is passed whole or not at all."""
    name = lab.fresh("smarthost")
    server = lab.mx(f"smtp.{name}", tls_capabilities=["AUTH PLAIN LOGIN"])
    lab.publish()
    ruled(f'server "s" {{ match = ["{server.addresses[0]}"]; '
          f'names = ["smtp.{name}"]; auth = true }}')

    def challenge(session, _line):
        session.send(b"334 \r\n")
        session.line()
        return b"535 5.7.8 no\r\n"

    server.on["AUTH"] = challenge
    answers = [b"", b"=", b"*", b"====", b"AGEAYg==", b"\xff", b" ",
               b"A" * 2040, b"A" * 12286]
    with ready(lab, server) as client:
        for answer in answers:
            assert client.command("AUTH PLAIN").code == 334
            assert client.command(answer).code == 535, answer
        for odd in ("AUTH", "AUTH PLAIN =", "AUTH PLAIN " + "A" * 2000,
                    "AUTH PLAIN x y z", "AUTH \x01"):
            reply = client.command(odd)
            assert reply.code in (334, 500, 501, 504, 535), (odd, reply)
            if reply.code == 334:
                assert client.command("*").code == 535
        assert client.command("AUTH LOGIN").code == 334
        reply = client.command(b"A" * 12287)
        assert (reply.code, reply.text[:5]) == (421, "4.5.2"), str(reply)
        assert client.at_end()
    heard = [line for is_tls, line in server.sessions[-1].lines if is_tls]
    for answer in answers:
        assert answer in heard
    assert max(map(len, heard)) == 12286


# Interception.

@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("port", [25, 587, 2525])
def test_47_other_ports(lab, ruled, port, ipv6):
    ruled("ports = [25, 465, 587, 2525]")
    domain, server = lab.good_domain(port=port)
    assert send(lab, server, f"b@{domain}", ipv6=ipv6).code == 250
    message = server.wait_message()
    assert message.tls == "TLSv1.3"
    assert message.client == lab.client_address(ipv6)
    plain_domain, plain = lab.good_domain(port=port, starttls=False)
    assert send(lab, plain, f"b@{plain_domain}", ipv6=ipv6).code == 421
    nothing_sent(plain)


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_47_tls_from_the_first_byte(lab, ruled, ipv6):
    """Port 465, where it is to be intercepted, is closed: no byte of a
    client's passes there unjudged."""
    ruled("ports = [25, 465]", "timeouts { greeting = 1s }")
    domain, server = lab.good_domain(port=465, tls_at_once=True)
    with lab.connect(server, ipv6=ipv6) as client:
        client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert client.reply().code == 421
        assert client.at_end()
    for session in server.sessions:
        assert session.ended.wait(10)
        assert session.lines == [] and session.tls == ""


def test_47_ipv4_through_an_ipv6_socket(lab, served):
    domain, server = served
    with Client(lab.client, "::ffff:" + server.addresses[0]) as client:
        assert client.deliver("me@lan.example", [f"b@{domain}"],
                              MESSAGE).code == 250
    message = server.wait_message()
    assert (message.tls, message.client) == ("TLSv1.3", lab.client_address())


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_48_address_of_ones_own_and_anothers_name(lab, gate, ipv6):
    """An attacker's client dials the attacker's host, with a good certificate
    of its own, and names a victim: refused, and of no effect on others."""
    victim, real = lab.good_domain("victim")
    own, fake = lab.good_domain("attacker")
    for certificates in (fake.certificates,
                         [lab.issue(f"mx.{own}", own, "x." + victim)],
                         [lab.unknown_ca.issue([f"mx.{victim}"])]):
        fake.certificates = certificates
        fake.on["connect"] = f"220 mx.{victim} ESMTP\r\n".encode()
        for _ in range(2):
            reply = send(lab, fake, f"b@{victim}", ipv6=ipv6)
            assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    nothing_sent(fake)
    assert send(lab, real, f"b@{victim}", ipv6=ipv6).code == 250
    assert real.wait_message().sni in ("", f"mx.{victim}")
    fake.certificates = [lab.issue(f"mx.{own}")]
    assert send(lab, fake, f"b@{own}", ipv6=ipv6).code == 250
    # In one session, too.
    with ready(lab, fake, ipv6=ipv6) as client:
        assert client.envelope("a@lan.example", f"b@{own}")[-1].code == 250
        assert client.command(f"RCPT TO:<b@{victim}>").code == 452
        assert client.message(MESSAGE).code == 250
    assert {tuple(m.recipients) for m in fake.messages} == {(f"b@{own}",)}


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8:100::1",
                                     "203.0.113.1", "2001:db8:203::1"])
def test_49_listener_is_no_relay(lab, gate, address):
    """Its port, and port 25 of the gateway itself."""
    for port in (10025, 25):
        for place in (lab.client, lab.internet, lab.gateway):
            with pytest.raises(ConnectionRefusedError):
                Client(place, address, port)


def test_49_loopback_from_the_lan(lab, gate):
    lab.client.run("ip", "route", "add", "127.9.0.0/16", "via",
                   "198.51.100.1")
    try:
        for flag in ("0", "1"):
            for place in ("lan0", "all"):
                lab.gateway.write(
                    f"/proc/sys/net/ipv4/conf/{place}/route_localnet", flag)
            for port in (10025, 25):
                with pytest.raises(OSError):
                    Client(lab.client, "127.9.0.1", port, timeout=0.7)
    finally:
        for place in ("lan0", "all"):
            lab.gateway.write(
                f"/proc/sys/net/ipv4/conf/{place}/route_localnet", "0")
        lab.client.run("ip", "route", "del", "127.9.0.0/16")


# Clock jumps.

YEAR = 365 * 86400


@pytest.mark.parametrize("seconds", [YEAR, -YEAR, 40 * YEAR],
                         ids=["forward", "back", "far"])
def test_55_clock_jumps(lab, ruled, jump, seconds):
    """What was proved before is judged by the new date; what no date proves
    is refused; no deadline is any nearer or farther."""
    domain, server = lab.good_domain()
    other, smart = lab.good_domain()
    ruled(f'server "s" {{ match = ["{smart.addresses[0]}"]; '
          f'names = ["{smart.name}"] }}', "timeouts { command = 2s }")
    for recipient, host in ((domain, server), (other, smart)):
        for _ in range(2):
            assert send(lab, host, f"b@{recipient}").code == 250
    with ready(lab, server) as client:
        began = time.monotonic()
        jump(seconds)
        with lab.connect(smart) as again:
            again.reply()
            reply = again.ehlo()
            assert (reply.code, reply.text[:5]) == (421, "4.7.5"), str(reply)
            assert "certificate-expired" in reply.text
        reply = first_refusal(lab, server, f"b@{domain}")
        assert reply.code == 451, str(reply)
        # The session that was there ends when its time is up.
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (421, "4.4.2"), str(reply)
        assert 1.5 < time.monotonic() - began < 10
    jump(0)
    assert send(lab, smart, f"b@{other}").code == 250
    assert send(lab, server, f"b@{domain}").code == 250
    assert (len(server.messages), len(smart.messages)) == (3, 3)


def test_55_policy_ends_with_the_clock(lab, gate, jump):
    """max_age is of the wall clock; set back, it makes no policy end, and
    nothing is worse than before once it is right again."""
    domain = lab.fresh("age")
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, publish=False)
    sts = lab.sts(domain, mx=[f"mx.{domain}"], max_age=86400)

    def evidence(seconds):
        jump(seconds)
        gate.stop()
        gate.start()
        since = gate.log.mark()
        reply = send(lab, server, f"b@{domain}")
        assert reply.code == 250, str(reply)
        return gate.verdict(domain, since)["evidence"]

    assert evidence(0) == "mta-sts"
    sts.stop()
    assert evidence(-600) == "mta-sts"
    assert evidence(80000) == "mta-sts"
    assert evidence(90000) == "mx+dnssec"


def test_55_exception_ends_with_the_clock(lab, ruled, jump):
    domain, server = lab.good_domain(certificates=[lab.issue("x.example")])
    until = time.strftime("%Y-%m-%d", time.gmtime(time.time() + YEAR / 2))
    ruled(f'domain "{domain}" {{ level = encrypt; until = "{until}" }}')
    assert send(lab, server, f"b@{domain}").code == 250
    jump(YEAR)
    assert send(lab, server, f"b@{domain}").code == 451


# Not in the list: the gateway's own address as the source.

@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_source_address_of_the_gateway(lab, gate, ipv6):
    domain, server = lab.good_domain()
    gate.stop(timeout=5)
    gate.configure(lab.config("workers = 1", "keep_source_address = false"))
    gate.start()
    try:
        assert send(lab, server, f"b@{domain}", ipv6=ipv6).code == 250
        source = ipaddress.ip_address(server.wait_message().client)
        assert source in {ipaddress.ip_address("203.0.113.1"),
                          ipaddress.ip_address("2001:db8:203::1")}
    finally:
        gate.stop(timeout=5)
        gate.configure(lab.config("workers = 1"))
        gate.start()
