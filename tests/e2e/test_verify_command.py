# SPDX-License-Identifier: ISC
"""`postern verify`: what it prints, and how it exits."""

import hashlib
import os
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization

from lab import pki

POSTERN = os.path.abspath(os.environ.get("POSTERN_BUILD", "build")) + "/postern"


def postern(*arguments):
    done = subprocess.run([POSTERN, "verify", *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


class Files:
    """A root, a CA under it, and a server's chain, as files."""

    def __init__(self, folder):
        self.folder = folder
        self.root = pki.Authority("Lab Root")
        self.ca = self.root.authority("Lab CA")
        self.server = self.ca.issue(["mx1.example.org", "*.example.net"],
                                    ["192.0.2.9", "2001:db8::9"])
        self.trust = self.put("trust.pem", self.root.pem)
        self.chain = self.put("chain.pem", self.server.chain_pem)

    def put(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def verify(self, *arguments, chain=None, trust=None):
        return postern("--trust", trust or self.trust,
                       "--chain", chain or self.chain, *arguments)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("verify"))


def assert_proved(answer, *parts):
    code, out, err = answer
    assert (code, err) == (0, ""), answer
    assert out.startswith("proved: ") and out.count("\n") == 1
    for part in parts:
        assert part in out


def assert_refused(answer, word, *parts):
    code, out, err = answer
    assert (code, err) == (1, ""), answer
    assert out.startswith(f"refused: {word}: ") and out.count("\n") == 1
    for part in parts:
        assert part in out


def assert_usage(answer, *parts):
    code, out, err = answer
    assert (code, out) == (2, ""), answer
    for part in parts:
        assert part in err


def test_proved(files):
    end = files.server.certificate.not_valid_after
    assert_proved(
        files.verify("--name", "mx1.example.org"),
        'proved: mx1.example.org by "CN=Lab CA" < "CN=Lab Root"; '
        "certificate for mx1.example.org, *.example.net, 192.0.2.9, "
        f"2001:db8::9; valid until {end:%Y-%m-%d %H:%M:%S}Z\n")


@pytest.mark.parametrize("asked", [
    ["--name", "MX1.example.org."],
    ["--name", "a.example.net"],
    ["--name", "mail.example.com", "--name", "mx1.example.org"],
    ["--name", "192.0.2.9"],
    ["--name", "2001:DB8::9"],
    ["--ip", "192.0.2.9"],
    ["--ip", "[2001:db8:0::9]"],
    ["--ip", "192.0.2.1", "--name", "mx1.example.org"],
])
def test_names(files, asked):
    assert_proved(files.verify(*asked))


@pytest.mark.parametrize("asked", [
    ["--name", "mx2.example.org"],
    ["--name", "example.net"],
    ["--name", "a.b.example.net"],
    ["--name", "192.0.2.1"],
    ["--ip", "2001:db8::1"],
])
def test_other_names(files, asked):
    assert_refused(files.verify(*asked), "certificate-host-mismatch",
                   "certificate is for mx1.example.org, *.example.net",
                   f"not for {asked[1]}")


def test_any_order(files):
    upper = files.root.authority("Upper CA")
    lower = upper.authority("Lower CA")
    leaf = lower.issue(["mx.example.org"])
    chain = files.put("any_order.pem", b"some text\n" + leaf.pem + upper.pem
                      + files.root.pem + files.ca.pem + lower.pem)
    assert_proved(files.verify("--name", "mx.example.org", chain=chain),
                  '"CN=Lower CA" < "CN=Upper CA" < "CN=Lab Root"')


def test_at(files):
    asked = ("--name", "mx1.example.org", "--at")
    assert_refused(files.verify(*asked, 0), "certificate-expired",
                   "not valid before")
    later = int(time.time()) + 100 * 86400
    end = files.server.certificate.not_valid_after
    assert_refused(files.verify(*asked, later), "certificate-expired",
                   f"certificate expired on {end:%Y-%m-%d %H:%M:%S}Z")
    assert_proved(files.verify(*asked, int(time.time()) + 80 * 86400))


def test_not_trusted(files):
    other = files.put("other.pem", pki.Authority("Other Root").pem)
    assert_refused(files.verify("--name", "mx1.example.org", trust=other),
                   "certificate-not-trusted",
                   'issuer "CN=Lab Root" of the last certificate is not in '
                   "the trust file and was not sent")
    alone = files.put("alone.pem", files.server.pem)
    assert_refused(files.verify("--name", "mx1.example.org", chain=alone),
                   "certificate-not-trusted", '"CN=Lab CA"')
    lonely = files.put("self.pem", pki.self_signed(["mx.example.org"]).pem)
    assert_refused(files.verify("--name", "mx.example.org", chain=lonely),
                   "certificate-not-trusted", "self-signed certificate")


def test_failure(files):
    weak = files.ca.issue(["mx.example.org"], key="rsa1024")
    chain = files.put("weak.pem", weak.chain_pem)
    assert_refused(files.verify("--name", "mx.example.org", chain=chain),
                   "validation-failure", "shorter than 2048 bits")


def test_system_trust(files):
    # The default trust file knows nobody of the lab's.
    assert_refused(postern("--chain", files.chain, "--name",
                           "mx1.example.org"), "certificate-not-trusted")


def test_pins(files):
    pin = "sha256:" + files.server.pin
    other = "sha256:" + "0" * 64
    named = ("--name", "mx1.example.org")
    assert_proved(files.verify(*named, "--pin", pin))
    assert_proved(files.verify("--pin", other, "--pin", pin.upper().replace(
        "SHA256", "sha256")))
    assert_refused(files.verify(*named, "--pin", other),
                   "certificate-not-trusted", files.server.pin)
    assert_refused(files.verify("--name", "a.example", "--pin", pin),
                   "certificate-host-mismatch")
    # A pin alone asks for no trust, no name and no date.
    lonely = pki.self_signed(["mx.example.org"], not_before=pki.days(-9),
                             not_after=pki.days(-1))
    chain = files.put("pinned.pem", lonely.pem)
    assert_proved(postern("--chain", chain, "--pin", "sha256:" + lonely.pin),
                  "its pinned key")
    assert_refused(postern("--chain", chain, "--pin", other),
                   "certificate-not-trusted")
    # With a name it is asked besides trust, not instead of it.
    assert_refused(files.verify("--name", "mx.example.org", "--pin",
                                "sha256:" + lonely.pin, chain=chain),
                   "certificate-not-trusted")


def tlsa(usage, selector, matching, certificate):
    data = certificate.der
    if selector == 1:
        data = certificate.certificate.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
    if matching > 0:
        kind = {1: hashlib.sha256, 2: hashlib.sha512}[matching]
        data = kind(data).digest()
    return f"{usage} {selector} {matching} {data.hex()}"


class TestTlsa:
    """By TLSA records, and by nothing else."""

    named = ("--name", "mx1.example.org")

    def judge(self, files, *records, chain=None, asked=named):
        return postern("--chain", chain or files.chain, *asked,
                       *(word for record in records
                         for word in ("--tlsa", record)))

    @pytest.mark.parametrize("selector", [0, 1])
    @pytest.mark.parametrize("matching", [0, 1, 2])
    def test_proved(self, files, selector, matching):
        record = tlsa(3, selector, matching, files.server)
        assert_proved(self.judge(files, record),
                      f"proved: mx1.example.org by TLSA {record[:60]}",
                      "; certificate for mx1.example.org, *.example.net")
        record = tlsa(2, selector, matching, files.ca)
        assert_proved(self.judge(files, record),
                      f"by TLSA {record[:60]}", ': "CN=Lab CA"; ',
                      "; valid until ")

    def test_d7_authority_not_sent(self, files):
        for record in (tlsa(2, 0, 0, files.root), tlsa(2, 1, 0, files.root)):
            assert_proved(self.judge(files, record),
                          ': "CN=Lab CA" < "CN=Lab Root"; ')
        for record in (tlsa(2, 0, 1, files.root), tlsa(2, 1, 2, files.root)):
            assert_refused(self.judge(files, record),
                           "certificate-not-trusted",
                           f"no CA that was sent is 2 {record[2]}")

    def test_no_record_matches(self, files):
        other = pki.self_signed(["mx1.example.org"])
        assert_refused(
            self.judge(files, tlsa(3, 1, 1, other), tlsa(2, 0, 1, other)),
            "certificate-not-trusted",
            "matches no TLSA record of mx1.example.org: it is "
            f"3 1 1 {files.server.pin}, the record is 3 1 1 {other.pin} "
            "(1 more)")

    def test_d8_either(self, files):
        other = pki.self_signed(["mx1.example.org"])
        for good in (tlsa(3, 1, 1, files.server), tlsa(2, 0, 1, files.ca)):
            for wrong in (tlsa(3, 0, 2, other), tlsa(2, 1, 2, other)):
                assert_proved(self.judge(files, wrong, good),
                              f"TLSA {good}")

    def test_d10_names_and_dates(self, files):
        lonely = pki.self_signed(["mx.example.net"], not_before=pki.days(-9),
                                 not_after=pki.days(-1))
        chain = files.put("lonely.pem", lonely.pem)
        answer = self.judge(files, tlsa(3, 1, 1, lonely), chain=chain)
        assert_proved(answer, "proved: mx1.example.org by TLSA 3 1 1 ")
        assert "valid until" not in answer[1]
        record = tlsa(2, 0, 1, files.ca)
        assert_refused(self.judge(files, record, asked=("--name", "a.org")),
                       "certificate-host-mismatch", "not for a.org")
        assert_proved(self.judge(files, record, asked=(
            "--name", "a.org", "--name", "a.example.net")),
                      "proved: a.example.net by ")
        assert_refused(self.judge(files, record,
                                  asked=(*self.named, "--at", "0")),
                       "certificate-expired")

    def test_d11_digest_agility(self, files):
        other = pki.self_signed(["mx1.example.org"])
        good, wrong = tlsa(3, 1, 1, files.server), tlsa(3, 1, 2, other)
        assert_proved(self.judge(files, good))
        assert_refused(self.judge(files, good, wrong),
                       "certificate-not-trusted", "the record is 3 1 2 ")

    def test_d9_unusable(self, files):
        good = tlsa(3, 1, 1, files.server)
        rows = {tlsa(0, 0, 1, files.ca): "PKIX-TA(0)",
                tlsa(1, 1, 1, files.server): "PKIX-EE(1)",
                "4" + good[1:]: "an unknown usage",
                good[:-2]: "not the length of a SHA-256"}
        for record, why in rows.items():
            warning = (f"postern: warning: --tlsa {record}: unusable for "
                       f"SMTP: {why}\n")
            code, out, err = self.judge(files, record)
            assert (code, err) == (1, warning)
            assert out == ("refused: validation-failure: no usable TLSA "
                           "record of mx1.example.org\n")
            code, out, err = self.judge(files, record, good)
            assert (code, err) == (0, warning)
            assert out.startswith("proved: ")

    @pytest.mark.parametrize("other, says", [
        (["--trust", "/nonexistent"], "--trust does not go with --tlsa"),
        (["--pin", "sha256:" + "0" * 64], "--pin does not go with --tlsa"),
        (["--ip", "192.0.2.9"], "an address does not go with --tlsa"),
        (["--name", "192.0.2.9"], "an address does not go with --tlsa"),
    ])
    def test_alone(self, files, other, says):
        assert_usage(self.judge(files, tlsa(3, 1, 1, files.server),
                                asked=(*self.named, *other)), says)

    @pytest.mark.parametrize("record", [
        "", "3 1 1", "3 1 1 0", "3 1 1 0g", "3 1 256 00", "x 1 1 00",
        "3 1 1 00\n"])
    def test_malformed(self, files, record):
        assert_usage(self.judge(files, record),
                     f"--tlsa {record}: must be a usage, a selector")

    def test_no_roots(self, files):
        """The system's trusted roots are not even read."""
        record = tlsa(3, 1, 1, files.server)
        hide = 'mount -t tmpfs none /etc/ssl && exec "$@"'
        asked = [POSTERN, "verify", "--chain", str(files.chain), *self.named]
        for more, code in ([], 2), (["--tlsa", record], 0):
            done = subprocess.run(
                ["unshare", "-m", "sh", "-c", hide, "-", *asked, *more],
                capture_output=True, timeout=30, check=False)
            assert done.returncode == code, done

    def test_usage(self, files):
        good = tlsa(3, 1, 1, files.server)
        assert_usage(self.judge(files, good, asked=()),
                     "--tlsa needs --name")
        assert_proved(self.judge(files, *[good] * 64))
        assert_usage(self.judge(files, *[good] * 65), "too many records")


def test_help():
    code, out, err = postern("--help")
    assert (code, err) == (0, "")
    assert out.startswith("usage: postern verify ")
    for word in ("--chain", "--trust", "--name", "--ip", "--pin", "--tlsa",
                 "--at"):
        assert f"\n  {word} " in out


@pytest.mark.parametrize("asked, says", [
    ([], "give --name, --ip or --pin"),
    (["--name", "mx.example.org", "more"], "usage:"),
    (["--nome", "mx.example.org"], "--nome"),
    (["--name"], "--name"),
    (["--name", "*.example.org"], "neither a host name nor an address"),
    (["--name", ""], "neither a host name nor an address"),
    (["--name", "b\u00fccher.example"], "neither a host name"),
    (["--name", "192.0.2.256"], "neither a host name"),
    (["--ip", "mx.example.org"], "is not an IP address"),
    (["--ip", "192.0.2.1", "--name", "192.0.2.2"], "only one address"),
    (["--name", "a.example", "--pin", "0" * 64], "sha256:"),
    (["--name", "a.example", "--pin", "sha256:" + "0" * 63], "64 hex"),
    (["--name", "a.example", "--pin", "sha256:" + "x" * 64], "64 hex"),
    (["--name", "a.example", "--at", "yesterday"], "--at yesterday"),
    (["--name", "a.example", "--at", "-1"], "--at -1"),
])
def test_usage(files, asked, says):
    assert_usage(files.verify(*asked), says)


def test_no_chain(files):
    assert_usage(postern("--trust", files.trust, "--name", "a.example"),
                 "usage:")


@pytest.mark.parametrize("option", ["--chain", "--trust"])
def test_unreadable(files, option):
    def verify(path):
        paths = {"--chain": files.chain, "--trust": files.trust, option: path}
        return postern(*(word for pair in paths.items() for word in pair),
                       "--name", "mx1.example.org")
    pem = files.root.pem
    assert_usage(verify("/nonexistent"), "/nonexistent: No such file")
    assert_usage(verify(files.folder), "Is a directory")
    assert_usage(verify(files.put("empty", b"")), "empty: no certificate")
    assert_usage(verify(files.put("garbage", os.urandom(5000))),
                 "garbage: no certificate")
    assert_usage(verify(files.put("key", files.server.key_pem)),
                 "key: no certificate")
    assert_usage(verify(files.put("cut", pem[:len(pem) // 2])), "cut: no")
    assert_usage(verify("/dev/zero"), "/dev/zero: File too large")


def test_too_many(files):
    """What a relay takes from no server; the chain can be read for all that."""
    for count in (62, 63):
        chain = files.put("many.pem",
                          files.server.pem + files.ca.pem * (count + 1))
        answer = files.verify("--name", "mx1.example.org", chain=chain)
        if count == 62:
            assert_proved(answer)
        else:
            assert_refused(answer, "validation-failure",
                           "more than 64 certificates")


def test_pipe(files):
    """A chain comes out of a pipe as well as out of a file."""
    with open(files.chain, "rb") as chain:
        done = subprocess.run(
            ["sh", "-c", 'cat | "$@"', "-", POSTERN, "verify", "--chain",
             "/dev/stdin", "--trust", files.trust, "--name",
             "mx1.example.org"], stdin=chain, capture_output=True, text=True,
            timeout=30, check=False)
    assert_proved((done.returncode, done.stdout, done.stderr))


def test_hostile_names(files):
    """42: escape codes in a certificate do not reach the terminal."""
    root = pki.Authority("Root \x1b]0;x\x07 \"quoted\" \u00fc")
    server = root.issue(["mx.example.org"])
    trust = files.put("hostile_trust.pem", root.pem)
    chain = files.put("hostile.pem", server.chain_pem)
    code, out, _ = files.verify("--name", "mx.example.org", chain=chain,
                                trust=trust)
    assert code == 0
    assert out.rstrip("\n").isprintable() and out.isascii()
    assert "Root \\x1b]0;x\\x07 'quoted' \\xc3\\xbc\"" in out
