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
from cryptography.x509.oid import ExtendedKeyUsageOID
from lab.gateway import BUILD
from lab.netns import Namespace
from lab.pki import Authority, days, self_signed

RESOLVER, IPV4, IPV6 = "127.0.0.53", "203.0.113.1", "2001:db8::1"
TLS11, TLS12 = "203.0.113.11", "203.0.113.12"  # speak nothing newer
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
    for address in (IPV4, IPV6, TLS11, TLS12, REFUSING):
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


def test_deadline(host):
    host.add("drips.example", drip)
    host.add("silent.example", lambda connection: connection.recv(1))
    got = host.fetch("drips.example", "silent.example")
    for domain, result in got.items():
        assert result.word == "sts-policy-fetch-error", domain
        assert result.why.endswith(
            f"not had within {TIMEOUT} seconds (mta_sts.timeout)"), result


def test_bad_trust(host):
    with pytest.raises(AssertionError, match="for HTTPS: "):
        host.fetch("a.example", trust="/dev/null")
