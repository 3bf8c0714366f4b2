# SPDX-License-Identifier: ISC
"""MTA-STS policy files over HTTPS, from inside the jail: what a policy host
may do, and which of it yields a file."""

import contextlib
import os
import socket
import ssl
import subprocess
import threading
import types

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from lab import hostile_tls
from lab.gateway import BUILD
from lab.netns import Namespace
from lab.pki import Authority, days, self_signed
from OpenSSL import SSL

RESOLVER, IPV4, IPV6 = "127.0.0.53", "203.0.113.1", "2001:db8::1"
TLS11, TLS12 = "203.0.113.11", "203.0.113.12"  # speak nothing newer
HOSTILE = "203.0.113.13"  # speaks no TLS that a library speaks
REFUSING = "2001:db8::dead"  # nobody listens there
ANCHOR = ("elsewhere.example. IN DS 1 13 2 " + "0" * 64 + "\n")
TIMEOUT = 4
MAX = 65536
FILE = b"version: STSv1\r\nmode: enforce\r\nmx: mx.a.example\r\nmax_age: 1\r\n"


def reply(body=FILE, status="200 OK", kind="text/plain", length=None,
          more=""):
    """A whole HTTP answer, as bytes."""
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\n{more}"
    if kind is not None:
        head += f"Content-Type: {kind}\r\n"
    if length is not False:
        head += f"Content-Length: {length or len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def chunked(body):
    head = reply(b"", length=False, more="Transfer-Encoding: chunked\r\n")
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def drip(connection):
    """Header lines for as long as the client stays."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    connection.settimeout(0.2)
    while True:
        with contextlib.suppress(TimeoutError):
            if connection.recv(1) == b"":
                return
        connection.sendall(b"x: y\r\n")


def end_without_notice(connection):
    """An answer whose end is the end of the connection, torn off."""
    connection.sendall(reply(length=False))


def end_with_notice(connection):
    connection.sendall(reply(length=False))
    connection.unwrap()


class PolicyHost:
    """One address for every policy host; SNI tells which is meant."""

    def __init__(self, namespace, directory):
        self.directory = directory
        self.namespace = namespace
        self.contexts = {}
        self.acts = {}
        self.requests = {}
        self.names = {}  # of the DNS: {name: [addresses] or an rcode}
        self.root = Authority("Web Root")
        self.root.write(directory / "trust.pem")
        newest = ssl.TLSVersion.MAXIMUM_SUPPORTED
        self._listen(socket.AF_INET, IPV4, newest)
        self._listen(socket.AF_INET6, IPV6, newest)
        self._listen(socket.AF_INET, TLS11, ssl.TLSVersion.TLSv1_1)
        self._listen(socket.AF_INET, TLS12, ssl.TLSVersion.TLSv1_2)
        self.hostile = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.hostile.bind((HOSTILE, 443))
        self.hostile.listen(64)
        resolver = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        resolver.bind((RESOLVER, 53))
        threading.Thread(target=self._resolve, args=[resolver],
                         daemon=True).start()

    def _listen(self, family, address, newest):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = newest
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.sni_callback = self._choose
        self._load(context, self_signed(["nobody.example"]), "nobody")
        listener = self.namespace.socket(family, socket.SOCK_STREAM)
        listener.bind((address, 443))
        listener.listen(64)
        threading.Thread(target=self._accept, args=[listener, context],
                         daemon=True).start()

    def _load(self, context, certificate, name):
        chain, key = (self.directory / f"{name}.{kind}"
                      for kind in ("pem", "key"))
        certificate.write(chain, key)
        context.load_cert_chain(chain, key)

    def add(self, domain, act=None, certificate=None,
            addresses=(IPV4,)):
        """act: the answer as bytes, or what to do with the connection."""
        host = f"mta-sts.{domain}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("ALL:@SECLEVEL=0")
        self._load(context, certificate or self.root.issue([host]), domain)
        self.contexts[host] = context
        self.acts[host] = reply() if act is None else act
        self.names[host] = addresses
        return domain

    def _choose(self, connection, name, _context):
        connection.host = name
        if name in self.contexts:
            connection.context = self.contexts[name]
        return None

    def _accept(self, listener, context):
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=[connection, context],
                             daemon=True).start()

    def _serve(self, raw, context):
        with contextlib.suppress(OSError), raw:
            raw.settimeout(20)
            with context.wrap_socket(raw, server_side=True) as connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(4096)
                host = connection.host
                self.requests.setdefault(host, []).append(request.decode())
                act = self.acts[host]
                if callable(act):
                    act(connection)
                else:
                    connection.sendall(act)
                    connection.unwrap()

    def _resolve(self, server):
        while True:
            data, client = server.recvfrom(4096)
            query = dns.message.from_wire(data)
            question = query.question[0]
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            name = question.name.to_text(omit_final_dot=True).lower()
            known = self.names.get(name, dns.rcode.NXDOMAIN)
            if not isinstance(known, tuple):
                answer.set_rcode(known)
                known = ()
            kind = dns.rdatatype.to_text(question.rdtype)
            of_kind = [address for address in known
                       if (":" in address) == (kind == "AAAA")]
            if kind in ("A", "AAAA") and of_kind:
                answer.answer.append(dns.rrset.from_text(
                    question.name, 60, "IN", kind, *of_kind))
            server.sendto(answer.to_wire(), client)

    def fetch(self, *domains, trust=None):
        """{domain: (word, is local, bytes, why)}, all fetched at once."""
        anchor = self.directory / "anchor"
        anchor.write_text(ANCHOR)
        run = self.namespace.run(
            os.path.join(BUILD, "tests/e2e/sts_fetch"),
            trust or self.directory / "trust.pem", anchor, RESOLVER, 53,
            TIMEOUT, *domains, check=False)
        assert run.returncode == 0, (run.returncode, run.stdout, run.stderr)
        assert run.stderr == ""
        results = {}
        for line in run.stdout.splitlines():
            domain, word, local, size, why = line.split(" ", 4)
            assert domain not in results, "told twice"
            results[domain] = types.SimpleNamespace(
                word=word, is_local=local == "1", bytes=int(size), why=why)
        assert set(results) == set(domains)
        return results


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    namespace = Namespace("sts")
    for address in (IPV4, IPV6, TLS11, TLS12, HOSTILE, REFUSING):
        namespace.run("ip", "address", "add", address, "dev", "lo")
    directory = tmp_path_factory.mktemp("sts")
    directory.chmod(0o755)
    yield PolicyHost(namespace, directory)
    namespace.close()


def test_file(host):
    for number in range(20):
        host.add(f"at-once-{number}.example")
    host.add("a.example")
    host.add("six.example", addresses=(IPV6,))
    host.add("second.example", addresses=(REFUSING, IPV4))
    host.add("wildcard.example",
             certificate=host.root.issue(["*.wildcard.example"]))
    host.add("below.example", certificate=host.root.authority(
        "Web Issuing CA").issue(["other.example", "MTA-STS.below.example"]))
    host.add("chunked.example", chunked(FILE))
    host.add("closed.example", end_with_notice)
    host.add("typed.example", reply(kind="Text/PLAIN ; charset=utf-8"))
    host.add("empty.example", reply(b""))
    host.add("tls12.example", addresses=(TLS12,))
    domains = [name.removeprefix("mta-sts.") for name in host.contexts]
    for domain, result in host.fetch(*domains).items():
        assert result.word == "none", (domain, result)
        assert result.bytes == (0 if domain == "empty.example"
                                else len(FILE)), domain
    request, = host.requests["mta-sts.a.example"]
    lines = request.split("\r\n")
    assert lines[0] == "GET /.well-known/mta-sts.txt HTTP/1.1"
    assert "Host: mta-sts.a.example" in lines
    names = {line.partition(":")[0].lower() for line in lines[1:] if line}
    assert names == {"host", "user-agent", "accept"}


def test_size(host):
    host.add("most.example", reply(b"x" * MAX))
    host.add("more.example", reply(b"x" * (MAX + 1)))
    host.add("most-chunked.example", chunked(b"x" * MAX))
    host.add("more-chunked.example", chunked(b"x" * (MAX + 1)))
    host.add("short.example", reply(b"x" * 10, length=20))
    host.add("head.example", reply(more="X: y\r\n" * 20000))
    host.add("line.example", reply(more=f"X: {'y' * 90000}\r\n"))
    got = host.fetch("most.example", "more.example", "most-chunked.example",
                     "more-chunked.example", "short.example", "head.example",
                     "line.example")
    for domain in ("most.example", "most-chunked.example"):
        assert (got[domain].word, got[domain].bytes) == ("none", MAX)
    for domain in ("more.example", "more-chunked.example"):
        assert got[domain].word == "sts-policy-fetch-error"
        assert got[domain].why == (
            f"https://mta-sts.{domain}/.well-known/mta-sts.txt: "
            "it is longer than 65536 bytes")
    for domain in ("short.example", "head.example", "line.example"):
        assert got[domain].word == "sts-policy-fetch-error", domain
    assert "header lines" in got["head.example"].why


ANSWERS = {
    "r301": (reply(status="301 Moved", more="Location: https://mta-sts.a"
                   ".example/.well-known/mta-sts.txt\r\n"),
             "HTTP 301: redirects are not followed (RFC 8461 3.3)"),
    "r304": (reply(b"", status="304 Not Modified"),
             "HTTP 304: redirects are not followed (RFC 8461 3.3)"),
    "r404": (reply(status="404 Not Found"), "HTTP 404, not 200"),
    "r206": (reply(status="206 Partial Content"), "HTTP 206, not 200"),
    "r204": (reply(b"", status="204 No Content"), "HTTP 204, not 200"),
    "r500": (reply(status="500 Oops"), "HTTP 500, not 200"),
    "html": (reply(kind="text/html; a=text/plain"), "its Content-Type is "
             "text/html; a=text/plain, not text/plain"),
    "plainer": (reply(kind="text/plainer"), "its Content-Type is "
                "text/plainer, not text/plain"),
    "hostile": (reply(kind="text/x\x1b[2J\x7f"), "its Content-Type is "
                "text/x\\x1b[2J\\x7f, not text/plain"),
    "untyped": (reply(kind=None), "it has no Content-Type, not text/plain"),
    "torn": (end_without_notice, "non-properly terminated"),
    "nothing": (b"", "Empty reply"),
    "garbage": (b"\x00\xff" * 100 + b"\r\n\r\n", "HTTP/0.9"),
    "zip": (reply(more="Transfer-Encoding: gzip\r\n"), ""),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answers(host, name):
    act, why = ANSWERS[name]
    domain = host.add(f"{name}.example", act)
    got = host.fetch(domain)[domain]
    assert got.word == "sts-policy-fetch-error", got
    assert not got.is_local
    assert got.why.startswith(
        f"https://mta-sts.{domain}/.well-known/mta-sts.txt: ")
    assert why in got.why


def _certificates(root):
    other = Authority("Other Root")

    def host(name):
        return f"mta-sts.{name}.example"

    def wrong_purpose(name):
        return root.issue([host(name)],
                          purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])
    return {
        "expired": (lambda n: root.issue([host(n)], not_before=days(-9),
                                         not_after=days(-1)), "expired"),
        "early": (lambda n: root.issue([host(n)], not_before=days(1)),
                  "not yet"),
        "stranger": (lambda n: other.issue([host(n)]), "issuer"),
        "self": (lambda n: self_signed([host(n)]), "NOT trusted"),
        "name": (lambda n: root.issue([f"{n}.example"]), "not carry that host"),
        "deeper": (lambda n: root.issue(["*.example"]), "not carry that host"),
        "cn": (lambda n: root.issue([], common_name=host(n)), "not carry that host"),
        "cn-and-ip": (lambda n: root.issue([], [IPV4], common_name=host(n)),
                      "not carry that host"),
        "cn-and-long": (lambda n: root.issue(
            [".".join(["a" * 60] * 5)], common_name=host(n)), "not carry that host"),
        "cn-and-other": (lambda n: root.issue(
            ["other.example"], common_name=host(n)), "not carry that host"),
        "purpose": (wrong_purpose, "not one for servers"),
    }


@pytest.mark.parametrize("name", _certificates(None))
def test_certificates(host, name):
    make, why = _certificates(host.root)[name]
    domain = host.add(f"{name}.example", certificate=make(name))
    got = host.fetch(domain)[domain]
    assert got.word == "sts-webpki-invalid", got
    assert not got.is_local
    assert why in got.why
    assert f"mta-sts.{domain}" not in host.requests, "asked before it was sure"


# What costs the client more than the server.  A good host that answers only
# when the bad one was given up shows that the loop went on: by the time that
# it would have stood still, the fetch from the good one is over.

def waits_for(event):
    def act(connection):
        assert event.wait(20)
        connection.sendall(reply())
        connection.unwrap()
    return act


def one_hostile(host, act):
    """Lets act have the next connection to HOSTILE; an event for its end."""
    over = threading.Event()

    def serve():
        connection, _ = host.hostile.accept()
        with contextlib.suppress(OSError, SSL.Error), connection:
            connection.settimeout(20)
            act(connection)
        over.set()

    threading.Thread(target=serve, daemon=True).start()
    return over


def sends(flight):
    """The server's first flight, and then nothing."""
    def act(connection):
        connection.recv(16384)
        connection.sendall(flight)
        while connection.recv(4096):
            pass
    return act


KEY = "the certificate's key is not one postern checks"
TOO_LONG = "the server's TLS messages are longer than postern reads"


def _flights():
    odd, certificate = hostile_tls.odd, hostile_tls.certificate
    big, pss = odd(65536), hostile_tls.RSA_PSS
    small = certificate(odd(2048), 65537)
    return {
        "modulus": ([certificate(big, 65537)], 65536, KEY),
        "modulus-and-exponent": ([certificate(big, odd(65534))], 65536, KEY),
        "exponent": ([certificate(odd(8192), odd(8190))], 8192, KEY),
        "exponent-just": ([certificate(odd(2048), odd(65))], 2048, KEY),
        "modulus-just": ([certificate(odd(8200), 65537)], 8200, KEY),
        "pss": ([certificate(big, odd(65534), pss)], 65536, KEY, pss),
        "issuer": ([small, certificate(odd(16384), odd(16382))], 2048, KEY),
        "dsa": ([certificate(odd(2048), 65537, hostile_tls.DSA)], 2048, KEY),
        "message": ([certificate(odd(300000), 65537)], 2048, TOO_LONG),
        "certificates": ([small] * 60, 2048, TOO_LONG),
        "junk": ([b"\x30\x80junk"], 2048, "the certificate cannot be read"),
        "torn": ([small[:-9]], 2048, "the certificate cannot be read"),
    }


@pytest.mark.parametrize("name", _flights())
def test_hostile_keys(host, name):
    chain, bits, why, *kind = _flights()[name]
    over = one_hostile(host, sends(hostile_tls.flight(chain, bits, *kind)))
    bad = host.add(f"{name}.hostile.example", addresses=(HOSTILE,))
    good = host.add("meanwhile.example", waits_for(over))
    got = host.fetch(bad, good)
    assert (got[bad].word, got[bad].is_local) == ("sts-webpki-invalid", False)
    assert why in got[bad].why
    assert got[good].word == "none", got


@pytest.fixture(scope="module")
def large_key():
    """8676 bits that a library signs with; no primes had to be searched."""
    p, q = 2 ** 4253 - 1, 2 ** 4423 - 1
    d = pow(65537, -1, (p - 1) * (q - 1))
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(65537, p * q)).private_key()


@pytest.mark.parametrize("address", [IPV4, TLS12], ids=["tls13", "tls12"])
def test_large_certificates(host, large_key, address):
    names = ["mta-sts.large.example"]

    def fetch(certificate):
        host.add("large.example", certificate=certificate,
                 addresses=(address,))
        return host.fetch("large.example")["large.example"]

    assert fetch(host.root.issue(names, key="rsa4096")).word == "none"
    assert fetch(host.root.issue(names + ["a.example"] * 1000)).word == "none"
    for certificate, why in (
            (host.root.issue(names, key=large_key), KEY),
            (self_signed(names + ["a"] * 20000), TOO_LONG)):
        got = fetch(certificate)
        assert got.word == "sts-webpki-invalid", got
        assert why in got.why


def test_new_handshake(host):
    """A server that asks for one, once its certificate was found good: what
    libcurl does then waits for that server alone."""
    domain = "again.hostile.example"
    host.add(domain, addresses=(HOSTILE,))
    certificate = host.root.issue([f"mta-sts.{domain}"])
    chain, key = (host.directory / f"again.{kind}" for kind in ("pem", "key"))
    certificate.write(chain, key)
    context = SSL.Context(SSL.TLSv1_2_METHOD)
    context.use_certificate_chain_file(str(chain))
    context.use_privatekey_file(str(key))

    def act(connection):
        connection.settimeout(None)
        tls = SSL.Connection(context, connection)
        tls.set_accept_state()
        tls.do_handshake()
        assert tls.recv(4096).startswith(b"GET ")
        tls.renegotiate()
        tls.do_handshake()  # a HelloRequest, and no more
        while connection.recv(4096):
            pass

    over = one_hostile(host, act)
    good = host.add("meanwhile.example", waits_for(over))
    got = host.fetch(domain, good)
    assert got[domain].word == "sts-policy-fetch-error"
    assert "asks for another TLS handshake" in got[domain].why
    assert got[good].word == "none", got


def test_old_tls(host):
    domain = host.add("tls11.example", addresses=(TLS11,))
    got = host.fetch(domain)[domain]
    assert got.word == "sts-policy-fetch-error", got
    assert "mta-sts.tls11.example" not in host.requests


def test_unreachable(host):
    host.add("refuses.example", addresses=(REFUSING,))
    host.add("nowhere.example", addresses=())
    host.add("servfail.example", addresses=dns.rcode.SERVFAIL)
    got = host.fetch("refuses.example", "nowhere.example", "servfail.example",
                     "unknown.example")
    for domain, result in got.items():
        assert result.word == "sts-policy-fetch-error", domain
        assert not result.is_local, domain
    assert "connect" in got["refuses.example"].why
    assert "has no address" in got["nowhere.example"].why
    assert "has no address" in got["unknown.example"].why
    assert "SERVFAIL" in got["servfail.example"].why


def test_no_route(host):
    """It says nothing of the domain, unless one of its hosts was in reach."""
    host.add("unrouted.example", addresses=("198.51.100.1", "2001:db8:1::1"))
    host.add("routed.example", addresses=("198.51.100.1", REFUSING))
    host.add("answers.example", addresses=("2001:db8:1::1", IPV4))
    got = host.fetch("unrouted.example", "routed.example", "answers.example")
    assert got["unrouted.example"].word == "sts-policy-fetch-error"
    assert got["unrouted.example"].is_local
    assert "this machine has no route" in got["unrouted.example"].why
    assert got["routed.example"].word == "sts-policy-fetch-error"
    assert not got["routed.example"].is_local
    assert got["answers.example"].word == "none"


def test_deadline(host):
    host.add("drips.example", drip)
    host.add("silent.example", lambda connection: connection.recv(1))
    got = host.fetch("drips.example", "silent.example")
    for domain, result in got.items():
        assert result.word == "sts-policy-fetch-error", domain
        assert result.why.endswith(
            f"not had within {TIMEOUT} seconds (mta_sts.timeout)"), result


def test_many_mute_hosts(host):
    """One zone's, of which each would take all the time it gets: who comes
    last is not kept waiting by them."""
    mute = [host.add(f"d{number}.mute.example",
                     lambda connection: connection.recv(1))
            for number in range(64)]
    host.add("good.example")
    got = host.fetch(*mute, "good.example")
    assert got["good.example"].word == "none", got["good.example"]
    had_turn = [domain for domain in mute
                if "not had within" in got[domain].why]
    assert 4 <= len(had_turn) <= 8, had_turn
    for domain in set(mute) - set(had_turn):
        assert got[domain].word == "sts-policy-fetch-error"
        assert got[domain].is_local
        assert "others were waited for longer than" in got[domain].why


def test_bad_trust(host):
    with pytest.raises(AssertionError, match="for HTTPS: "):
        host.fetch("a.example", trust="/dev/null")
