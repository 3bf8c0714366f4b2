#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make_certs.py FOLDER writes the chains that test_verify.c judges.

For each case there are CASE.chain.pem, what the server sent, and
CASE.trust.pem, what the operator trusts; or CASE.tlsa, the records that
test_dane.c judges the chain by.  Certificates are put together byte
by byte, since a library refuses to make most of what is tested here.  All
of them are made for the moment AT.
"""

import base64
import datetime
import hashlib
import os
import pathlib
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (
    ec, ed25519, padding, rsa)

AT = 1800000000  # 2027-01-15 08:00:00Z, in test_verify.c too
DAY = 86400
HOST = "mx.example.org"


# DER

def tlv(tag, *parts):
    body = b"".join(parts)
    length = len(body)
    if length < 128:
        return bytes([tag, length]) + body
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + body


def seq(*parts):
    return tlv(0x30, *parts)


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big",
                                 signed=True))


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    body = b""
    for arc in (first * 40 + second, *rest):
        digits = [arc & 0x7f]
        while arc := arc >> 7:
            digits.append(arc & 0x7f | 0x80)
        body += bytes(reversed(digits))
    return tlv(6, body)


def bits(data, unused=0):
    return tlv(3, bytes([unused]), data)


def octets(data):
    return tlv(4, data)


def context(number, *parts, constructed=True):
    return tlv(0x80 | constructed << 5 | number, *parts)


NULL = tlv(5)
TRUE = tlv(1, b"\xff")


def name(common_name):
    return seq(tlv(0x31, seq(oid("2.5.4.3"), tlv(12, common_name.encode()))))


def time(when):
    """UTCTime of seconds since 1970, or bytes as they are."""
    if isinstance(when, bytes):
        return when
    moment = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
    return tlv(0x17, moment.strftime("%y%m%d%H%M%SZ").encode())


# Names

def dns(text):
    data = text.encode() if isinstance(text, str) else text
    return context(2, data, constructed=False)


def address(data):
    return context(7, bytes(data), constructed=False)


def email(text):
    return context(1, text.encode(), constructed=False)


def directory(text):
    return context(4, name(text))


# Extensions

def extension(dotted, value, critical=False):
    return seq(oid(dotted), TRUE if critical else b"", octets(value))


def basic(ca, path_length=None):
    return extension("2.5.29.19", seq(
        TRUE if ca else b"",
        b"" if path_length is None else integer(path_length)), True)


DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, CERT_SIGN, CRL_SIGN = 0x80, 0x20, 4, 2


def usage(value):
    unused = (value & -value).bit_length() - 1
    return extension("2.5.29.15", bits(bytes([value]), unused), True)


SERVER = "1.3.6.1.5.5.7.3.1"
CLIENT = "1.3.6.1.5.5.7.3.2"
ANY = "2.5.29.37.0"


def purposes(*dotted):
    return extension("2.5.29.37", seq(*map(oid, dotted)))


def alt_names(*names):
    return extension("2.5.29.17", seq(*names))


def subject_key(key):
    return extension("2.5.29.14", octets(key.identifier))


def authority_key(key):
    return extension("2.5.29.35", seq(context(0, key.identifier,
                                              constructed=False)))


def constraints(permitted=(), excluded=()):
    def subtrees(number, names):
        return context(number, *map(seq, names)) if names else b""
    return extension("2.5.29.30", seq(subtrees(0, permitted),
                                      subtrees(1, excluded)), True)


def unknown(critical):
    return extension("1.3.6.1.4.1.55555.1", NULL, critical)


# Keys and signatures

SHA256_RSA = seq(oid("1.2.840.113549.1.1.11"), NULL)
SHA1_RSA = seq(oid("1.2.840.113549.1.1.5"), NULL)
MD5_RSA = seq(oid("1.2.840.113549.1.1.4"), NULL)
SHA256_EC = seq(oid("1.2.840.10045.4.3.2"))
SHA1_EC = seq(oid("1.2.840.10045.4.1"))
ED25519 = seq(oid("1.3.101.112"))
SHA1 = "1.3.14.3.2.26"
SHA256 = "2.16.840.1.101.3.4.2.1"
SHA512 = "2.16.840.1.101.3.4.2.3"


def pss(hash_oid=None, mask_oid=None, salt=None):
    """RSASSA-PSS; what is not given is left to its default."""
    parts = []
    if hash_oid is not None:
        parts.append(context(0, seq(oid(hash_oid), NULL)))
    if mask_oid is not None:
        parts.append(context(1, seq(oid("1.2.840.113549.1.1.8"),
                                    seq(oid(mask_oid), NULL))))
    if salt is not None:
        parts.append(context(2, integer(salt)))
    return seq(oid("1.2.840.113549.1.1.10"), seq(*parts))


class Key:
    def __init__(self, private, spki=None):
        self.private = private
        self.spki = spki or private.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)
        self.identifier = hashlib.sha256(self.spki).digest()[:20]

    def algorithm(self):
        if isinstance(self.private, rsa.RSAPrivateKey):
            return SHA256_RSA
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return ED25519
        return SHA256_EC

    def sign(self, data, algorithm):
        if algorithm == ED25519:
            return self.private.sign(data)
        if algorithm in (SHA256_EC, SHA1_EC):
            kind = hashes.SHA1() if algorithm == SHA1_EC else hashes.SHA256()
            return self.private.sign(data, ec.ECDSA(kind))
        kinds = {SHA256_RSA: hashes.SHA256(), SHA1_RSA: hashes.SHA1(),
                 MD5_RSA: hashes.MD5()}
        if algorithm in kinds:
            return self.private.sign(data, padding.PKCS1v15(),
                                     kinds[algorithm])
        strong = {pss(SHA256, SHA256, 32): (hashes.SHA256(), 32),
                  pss(SHA512, SHA512, 64): (hashes.SHA512(), 64)}
        kind, salt = strong.get(algorithm, (hashes.SHA1(), 20))
        return self.private.sign(
            data, padding.PSS(padding.MGF1(kind), salt), kind)


def p256():
    return Key(ec.generate_private_key(ec.SECP256R1()))


def on_curve(curve):
    return Key(ec.generate_private_key(curve))


def rsa_key(size):
    return Key(rsa.generate_private_key(65537, size))


def explicit_p256():
    """A P-256 key whose parameters are spelled out (RFC 3279 2.3.5), as in
    CVE-2020-0601."""
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(
        serialization.Encoding.X962,
        serialization.PublicFormat.UncompressedPoint)
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b
    base = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
    parameters = seq(
        integer(1), seq(oid("1.2.840.10045.1.1"), integer(prime)),
        seq(octets((prime - 3).to_bytes(32, "big")),
            octets(b.to_bytes(32, "big"))),
        octets(base), integer(order), integer(1))
    return Key(key, seq(seq(oid("1.2.840.10045.2.1"), parameters),
                        bits(point)))


def huge_rsa():
    """An RSA key of 9000 bits, which nobody has."""
    modulus = 1 << 8999 | int.from_bytes(os.urandom(1000), "big") | 1
    return Key(rsa.generate_private_key(65537, 2048), seq(
        seq(oid("1.2.840.113549.1.1.1"), NULL),
        bits(seq(integer(modulus), integer(65537)))))


# Certificates

serial = 0


def certificate(subject, issuer, key, signer, extensions, *, version=2,
                start=AT - 30 * DAY, end=AT + 60 * DAY, algorithm=None,
                inner=None):
    global serial
    serial += 1
    algorithm = algorithm or signer.algorithm()
    tbs = seq(
        context(0, integer(version)) if version else b"",
        integer(serial), inner or algorithm, issuer, seq(time(start),
                                                         time(end)),
        subject, key.spki,
        context(3, seq(*extensions)) if extensions else b"")
    return seq(tbs, algorithm, bits(signer.sign(tbs, algorithm)))


class CA:
    """A self-signed CA, or one below parent."""

    def __init__(self, common_name, parent=None, *, key=None, extensions=None,
                 more=(), path_length=None, ids=True, **options):
        self.common_name = common_name
        self.name = name(common_name)
        self.key = key or p256()
        self.ids = ids
        issuer = parent or self
        if extensions is None:
            extensions = [basic(True, path_length),
                          usage(CERT_SIGN | CRL_SIGN)]
            if ids:
                extensions += [subject_key(self.key),
                               authority_key(issuer.key)]
        self.der = certificate(self.name, issuer.name, self.key, issuer.key,
                               [*extensions, *more], **options)

    def leaf(self, *names, key=None, extensions=None, more=(),
             subject="", **options):
        key = key or p256()
        names = names or (dns(HOST),)
        if extensions is None:
            extensions = [basic(False), usage(DIGITAL_SIGNATURE),
                          purposes(SERVER), alt_names(*names),
                          subject_key(key)]
            if self.ids:
                extensions.append(authority_key(self.key))
        return certificate(name(subject) if subject else seq(), self.name,
                           key, self.key, [*extensions, *more], **options)


def self_signed(*names, extensions=None, **options):
    key = p256()
    who = name("a server")
    names = names or (dns(HOST),)
    if extensions is None:
        extensions = [basic(False), usage(DIGITAL_SIGNATURE),
                      purposes(SERVER)]
    return certificate(who, who, key, key,
                       [*extensions, alt_names(*names)], **options)


def damaged(der):
    """The last bytes, which belong to the signature, flipped."""
    return der[:-2] + bytes([der[-2] ^ 1, der[-1] ^ 1])


# Cases

def der_of(item):
    return item.der if isinstance(item, CA) else item


class Folder:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        for seeds in ("seeds", "seeds_dane"):
            (self.path / seeds).mkdir(parents=True, exist_ok=True)

    def case(self, title, chain, trust):
        chain = [der_of(item) for item in chain]
        trust = [der_of(item) for item in trust]
        self.write_pem(f"{title}.chain.pem", chain)
        self.write_pem(f"{title}.trust.pem", trust)
        # For fuzz_chain: two bytes of length before each certificate, the
        # trust anchor last.
        seed = b"".join(len(der).to_bytes(2, "big") + der
                        for der in (*chain, trust[0]))
        (self.path / "seeds" / title).write_bytes(seed)

    def dane(self, title, chain, *records):
        chain = [der_of(item) for item in chain]
        self.write_pem(f"{title}.chain.pem", chain)
        (self.path / f"{title}.tlsa").write_text("".join(
            f"{r[0]} {r[1]} {r[2]} {r[3:].hex()}\n" for r in records))
        # For fuzz_dane: the number of records, and each of these and of the
        # certificates behind two bytes of its length.
        seed = bytes([len(records)]) + b"".join(
            len(part).to_bytes(2, "big") + part for part in records)
        seed += b"".join(len(der).to_bytes(2, "big") + der for der in chain)
        (self.path / "seeds_dane" / title).write_bytes(seed)

    def write_pem(self, title, ders):
        with open(self.path / title, "wb") as file:
            for der in ders:
                file.write(b"-----BEGIN CERTIFICATE-----\n")
                file.write(base64.encodebytes(der))
                file.write(b"-----END CERTIFICATE-----\n")


def make_shapes(out, root, ca):
    """Chains that are good or not by what was sent, and in which order."""
    leaf = ca.leaf()
    stranger = CA("Stranger Root")
    second = CA("Lab Second CA", ca)
    below = second.leaf()
    out.case("good", [leaf, ca], [root])
    out.case("good_root_sent", [leaf, ca, root], [root])
    out.case("good_direct", [root.leaf()], [root])
    out.case("good_many_roots", [leaf, ca], [stranger, second, root])
    out.case("wrong_order", [below, root, ca, second], [root])
    out.case("repeated", [leaf, ca, ca, leaf, ca, root, root], [root])
    others = [CA(f"Other {i}") for i in range(61)]
    out.case("junk_most", [leaf, *others, stranger.leaf(), ca], [root])
    out.case("junk", [leaf, b"\x30\x03junk", stranger, stranger.leaf(), ca],
             [root])
    out.case("unreadable_ca", [leaf, b"\x30\x03junk"], [root])
    out.case("unreadable_leaf", [b"\x30\x03junk", ca], [root])
    out.case("trailing_byte", [leaf + b"\0", ca], [root])
    out.case("no_intermediate", [leaf], [root])
    out.case("no_upper_intermediate", [below, second], [root])
    out.case("unknown_root", [leaf, ca, root], [stranger])
    out.case("no_root_known", [leaf, ca], [stranger])
    out.case("trusted_intermediate", [leaf, ca], [ca])
    out.case("trusted_intermediate_alone", [leaf], [ca])
    out.case("trusted_leaf", [leaf], [leaf])
    out.case("trusted_other_leaf", [leaf], [ca.leaf()])
    out.case("damaged_leaf", [damaged(leaf), ca], [root])
    out.case("damaged_ca", [leaf, damaged(ca.der)], [root])
    out.case("impostor_root", [leaf, ca], [CA("Lab Root", ids=False)])
    out.case("impostor_root_sent", [leaf, ca, root],
             [CA("Lab Root", ids=False)])
    out.case("other_key_root", [leaf, ca], [CA("Lab Root")])
    mixed = ca.leaf(algorithm=SHA256_EC, inner=SHA1_EC)
    out.case("mixed_algorithms", [mixed, ca], [root])


def make_self_signed(out, root):
    alone = self_signed()
    out.case("self_signed", [alone], [root])
    out.case("self_signed_trusted", [alone], [alone])
    out.case("self_signed_other_trusted", [alone], [self_signed()])
    ca = self_signed(extensions=[basic(True)])
    out.case("self_signed_ca", [ca], [root])
    out.case("self_signed_ca_trusted", [ca], [ca])
    old = self_signed(start=AT - 60 * DAY, end=AT - DAY)
    out.case("self_signed_expired_trusted", [old], [old])
    plain = self_signed(extensions=[])
    out.case("self_signed_plain_trusted", [plain], [plain])
    weak = self_signed(algorithm=SHA1_EC)
    out.case("self_signed_sha1_trusted", [weak], [weak])
    # A server that has its authority's name did not sign itself.
    own = CA("a server", root)
    out.case("self_issued", [own.leaf(subject="a server"), own], [root])
    out.case("self_issued_ca_unknown",
             [own.leaf(subject="a server"), own], [CA("Other Root")])
    out.case("self_issued_unknown", [own.leaf(subject="a server")], [root])
    top = CA("a server")
    out.case("self_issued_direct", [top.leaf(subject="a server")], [top])
    out.case("self_issued_expired", [top.leaf(
        subject="a server", start=AT - 60 * DAY, end=AT - DAY)], [top])
    out.case("self_issued_other_key",
             [CA("a server", ids=False).leaf(subject="a server")], [top])
    plain = CA("a server", ids=False)
    out.case("self_issued_no_ids", [plain.leaf(subject="a server")], [plain])
    out.case("self_signed_other_ca", [alone], [plain])
    # A trusted server's certificate must not sign others'.
    key = p256()
    signer = CA("a server", key=key, extensions=[
        basic(False), usage(DIGITAL_SIGNATURE), alt_names(dns(HOST))])
    out.case("trusted_leaf_signs", [signer.leaf()], [signer])


def make_dates(out, root, ca):
    def dated(start, end):
        return {"start": AT + start * DAY, "end": AT + end * DAY}
    out.case("leaf_expired", [ca.leaf(**dated(-60, -1)), ca], [root])
    out.case("leaf_early", [ca.leaf(**dated(1, 60)), ca], [root])
    out.case("leaf_edge", [ca.leaf(start=AT, end=AT + 2), ca], [root])
    old = CA("Lab Old CA", root, **dated(-60, -1))
    out.case("ca_expired", [old.leaf(), old], [root])
    early = CA("Lab Early CA", root, **dated(1, 60))
    out.case("ca_early", [early.leaf(), early], [root])
    gone = CA("Gone Root", **dated(-600, -1))
    out.case("root_expired", [gone.leaf()], [gone])
    apart = CA("Apart Root", **dated(-600, -40))
    out.case("no_common_moment",
             [apart.leaf(**dated(-20, 20))], [apart])
    out.case("expired_wrong_key",
             [damaged(ca.leaf(**dated(-60, -1))), ca], [root])
    out.case("expired_sha1",
             [ca.leaf(**dated(-60, -1), algorithm=SHA1_EC), ca], [root])
    for title, text in (
            ("no_seconds", tlv(0x17, b"2801010000Z")),
            ("offset", tlv(0x17, b"280101000000+0100")),
            ("fraction", tlv(0x18, b"20280101000000.5Z")),
            ("no_such_day", tlv(0x17, b"280230000000Z"))):
        out.case("date_" + title, [ca.leaf(end=text), ca], [root])
    out.case("date_generalized",
             [ca.leaf(end=tlv(0x18, b"20510101000000Z")), ca], [root])


def make_paths(out):
    """Several ways up, some of them bad."""
    def dated(start, end):
        return {"start": AT + start * DAY, "end": AT + end * DAY}
    gone = CA("Gone Root", **dated(-600, -1))
    new = CA("New Root")
    cross = CA("New Root", gone, key=new.key)
    ca = CA("Issuing CA", new)
    leaf = ca.leaf()
    out.case("cross_expired_root", [leaf, ca, cross], [gone, new])
    out.case("cross_unknown_root", [leaf, ca, cross], [new])
    out.case("cross_old_trust", [leaf, ca, cross], [CA("Gone Root"), gone])
    # Two certificates for one CA: the one under the expired root comes
    # first, or last.
    by_gone = CA("Issuing CA", gone, key=ca.key)
    out.case("two_ways_bad_first", [leaf, by_gone, ca], [gone, new])
    out.case("two_ways_bad_last", [leaf, ca, by_gone], [gone, new])
    middle = CA("Middle", new)
    out.case("two_ways_unknown",
             [leaf, CA("Issuing CA", middle, key=ca.key), ca, middle], [gone])
    expired = CA("Issuing CA", new, key=ca.key, **dated(-60, -1))
    out.case("two_ways_expired_first", [leaf, expired, ca], [new])
    weak = CA("Issuing CA", new, key=ca.key, algorithm=SHA1_EC)
    out.case("two_ways_weak_first", [leaf, weak, ca], [new])
    out.case("two_ways_damaged_first",
             [leaf, damaged(CA("Issuing CA", new, key=ca.key).der), ca],
             [new])
    # Cross-signed in a circle, with no way out (CVE-2024-0567).
    one, other = CA("One"), CA("Other")
    one_by_other = CA("One", other, key=one.key)
    other_by_one = CA("Other", one, key=other.key)
    lost = one.leaf()
    out.case("circle", [lost, one_by_other, other_by_one], [new])
    out.case("circle_with_exit", [lost, one_by_other, other_by_one], [other])
    # The same, without key identifiers: every walk from the one name to the
    # other is a path.
    many = [lost]
    for _ in range(31):
        ones, others = CA("One", ids=False), CA("Other", ids=False)
        many += [CA("One", others, key=ones.key, ids=False),
                 CA("Other", ones, key=others.key, ids=False)]
    for title, count in ("maze", 15), ("maze_most", 63):
        out.case(title, many[:count], [new])
        out.case(title + "_with_anchor", many[:count],
                 [CA("Other", ids=False)])
    # Sixteen certificates, fifteen with one subject, one of them right.
    anchor = CA("Anchor", ids=False)
    same = [CA("Same", anchor, ids=False) for _ in range(15)]
    under = same[-1].leaf()
    out.case("same_subject", [under, *same], [anchor])
    out.case("same_subject_none",
             [CA("Same", anchor, ids=False).leaf(), *same], [anchor])
    anchors = [CA("Anchor", ids=False) for _ in range(8)]
    out.case("same_subject_many_anchors", [under, *same], anchors)
    # The key identifier leads past all of these to the right one.
    named = CA("Same", anchor)
    out.case("same_subject_by_key", [named.leaf(), *same[:3], named],
             [*anchors, anchor])
    # As long as may be, and one more.
    longest = [CA("Level 0")]
    for level in range(1, 8):
        longest.append(CA(f"Level {level}", longest[-1]))
    out.case("depth_most", [longest[6].leaf(), *reversed(longest[1:7])],
             [longest[0]])
    out.case("depth_over", [longest[7].leaf(), *reversed(longest[1:8])],
             [longest[0]])
    # An authority that renewed its key: new with old.
    old = CA("Renewed")
    renewed = CA("Renewed", old)
    out.case("rollover", [renewed.leaf(), renewed], [old])


def make_names(out, root, ca):
    def named(title, *names, **options):
        out.case(title, [ca.leaf(*names, **options), ca], [root])
    named("name_other", dns("mail.example.net"), dns("www.example.net"),
          dns("a.example.net"), dns("b.example.net"), dns("c.example.net"))
    named("name_last", dns("a.example.org"), dns("b.example.org"), dns(HOST))
    named("name_case", dns("MX.Example.ORG"))
    named("name_dot", dns("mx.example.org."))
    # CVE-2009-2408.
    named("name_nul", dns(b"mx.example.org\0.evil.example"))
    named("name_nul_end", dns(b"mx.example.org\0"))
    named("name_wildcard", dns("*.example.org"))
    named("name_wildcard_deep", dns("*.org"))
    named("name_wildcard_partial", dns("m*.example.org"))
    named("name_escape", dns(b"\x1b]0;x\x07.example"))
    named("name_address", address([192, 0, 2, 1]),
          address(bytes.fromhex("20010db8000000000000000000000001")))
    named("name_address_as_dns", dns("192.0.2.1"), dns("2001:db8::1"))
    named("name_address_as_text", address(b"mx.example.org"))
    # CVE-2015-2077: what is wrong with other entries changes nothing.
    named("name_bad_entries", dns(""), dns("*"), dns("mx..org"),
          dns("*.*.org"), address(b"\1\2\3"), dns(HOST))
    # CVE-2023-0286.
    named("name_x400", context(3, seq()), dns(HOST))
    named("name_email", email("mx.example.org"), directory(HOST))
    # CVE-2022-3602; limit_email_punycode as well.
    named("name_punycode",
          dns("xn--" + "a" * 59 + ".example"),
          email("x@xn--" + "q" * 300 + ".example"), dns(HOST))
    bare = [basic(False), usage(DIGITAL_SIGNATURE), purposes(SERVER)]
    named("name_cn_only", subject=HOST, extensions=bare)
    named("name_none", extensions=bare)
    named("name_malformed", extensions=[
        *bare, extension("2.5.29.17", b"\x30\x09\x82\x0e")])


def make_keys(out, root, ca):
    rsa_2048, rsa_1024 = rsa_key(2048), rsa_key(1024)

    def both(title, key):
        """Such a key in the leaf, the intermediate and the root."""
        out.case(title + "_leaf", [ca.leaf(key=key), ca], [root])
        middle = CA("Middle", root, key=key)
        out.case(title + "_ca", [middle.leaf(), middle], [root])
        top = CA("Top", key=key)
        out.case(title + "_root", [top.leaf()], [top])
    both("rsa_2048", rsa_2048)
    both("rsa_1024", rsa_1024)
    both("p384", on_curve(ec.SECP384R1()))
    both("p521", on_curve(ec.SECP521R1()))
    both("p224", on_curve(ec.SECP224R1()))
    both("secp256k1", on_curve(ec.SECP256K1()))
    both("ed25519", Key(ed25519.Ed25519PrivateKey.generate()))
    both("explicit", explicit_p256())
    out.case("rsa_9000_leaf", [ca.leaf(key=huge_rsa()), ca], [root])

    def signed(title, algorithm):
        """The leaf, the intermediate and the root so signed."""
        top = CA("RSA Root", key=rsa_2048)
        out.case(title + "_leaf", [top.leaf(algorithm=algorithm)], [top])
        middle = CA("RSA CA", top, algorithm=algorithm)
        out.case(title + "_ca", [middle.leaf(), middle], [top])
        weak = CA("RSA Root", key=rsa_2048, algorithm=algorithm)
        out.case(title + "_root", [weak.leaf()], [weak])
    signed("md5", MD5_RSA)
    signed("sha1", SHA1_RSA)
    signed("pss_sha256", pss(SHA256, SHA256, 32))
    signed("pss_sha512", pss(SHA512, SHA512, 64))
    signed("pss_default", pss())
    signed("pss_sha1", pss(SHA1, SHA1, 20))
    signed("pss_sha1_mask", pss(SHA256, SHA1, 32))
    out.case("sha1_ec_leaf", [ca.leaf(algorithm=SHA1_EC), ca], [root])


def make_roles(out, root, ca):
    def leaf(title, extensions, **options):
        out.case(title, [ca.leaf(extensions=[
            *extensions, alt_names(dns(HOST))], **options), ca], [root])

    def issuer(title, extensions, **options):
        middle = CA("Middle", root, extensions=extensions, **options)
        out.case(title, [middle.leaf(), middle], [root])
    leaf("leaf_plain", [])
    leaf("leaf_ca", [basic(True), usage(DIGITAL_SIGNATURE | CERT_SIGN)])
    leaf("leaf_ca_no_usage", [basic(True)])
    leaf("leaf_encipher", [usage(KEY_ENCIPHERMENT)])
    leaf("leaf_sign_only", [usage(CERT_SIGN)])
    leaf("leaf_client", [purposes(CLIENT)])
    leaf("leaf_any_purpose", [purposes(ANY)])
    leaf("leaf_both_purposes", [purposes(CLIENT, SERVER)])
    leaf("leaf_unknown_critical", [unknown(True)])
    leaf("leaf_unknown", [unknown(False)])
    leaf("leaf_twice", [basic(False), basic(False)])
    leaf("leaf_twice_unknown", [unknown(False), unknown(False)])
    leaf("leaf_many_extensions",
         [extension(f"1.3.6.1.4.1.55555.2.{i}", NULL) for i in range(70)])
    leaf("leaf_path_length", [basic(False, 0)])
    out.case("leaf_v1", [ca.leaf(extensions=[], version=0), ca], [root])
    issuer("ca_v1", [], version=0)
    issuer("ca_plain", [])
    issuer("ca_no_usage", [basic(True)])
    # CVE-2021-3450.
    issuer("ca_not_ca", [basic(False), usage(CERT_SIGN)])
    issuer("ca_no_sign", [basic(True), usage(CRL_SIGN)])
    issuer("ca_client", [basic(True), usage(CERT_SIGN), purposes(CLIENT)])
    issuer("ca_server", [basic(True), usage(CERT_SIGN), purposes(SERVER)])
    issuer("ca_unknown_critical",
           [basic(True), usage(CERT_SIGN), unknown(True)])
    policy = extension("2.5.29.36", seq(context(0, b"\0",
                                                constructed=False)), True)
    issuer("ca_policy", [basic(True), usage(CERT_SIGN), policy])
    # CVE-2002-0862: a server's certificate signs another's.
    server = CA("server", ca, extensions=[
        basic(False), usage(DIGITAL_SIGNATURE), purposes(SERVER),
        alt_names(dns("server.example.net"))])
    out.case("leaf_signs_leaf", [server.leaf(), server, ca], [root])
    for title, options in (
            ("root_v1", {"extensions": [], "version": 0}),
            ("root_plain", {"extensions": []}),
            ("root_no_usage", {"extensions": [basic(True)]}),
            ("root_unknown_critical", {"more": [unknown(True)]}),
            ("root_client", {"more": [purposes(CLIENT)]})):
        top = CA("Odd Root", **options)
        out.case(title, [top.leaf()], [top])


def make_lengths(out, root):
    none_below = CA("None Below", root, path_length=0)
    out.case("length_kept", [none_below.leaf(), none_below], [root])
    below = CA("Below", none_below)
    out.case("length_passed", [below.leaf(), below, none_below], [root])
    renewed = CA("None Below", none_below)
    out.case("length_self_issued",
             [renewed.leaf(), renewed, none_below], [root])
    under = CA("Under", renewed)
    out.case("length_self_issued_passed",
             [under.leaf(), under, renewed, none_below], [root])
    top = CA("Short Root", path_length=0)
    middle = CA("Middle", top)
    out.case("length_root_kept", [top.leaf()], [top])
    out.case("length_root_passed", [middle.leaf(), middle], [top])


def make_constraints(out, root):
    def limited(title, permitted=(), excluded=(), names=(), **options):
        middle = CA("Limited", root, more=[constraints(permitted, excluded)])
        out.case("limit_" + title,
                 [middle.leaf(*names, **options), middle], [root])
    limited("permitted", [dns("example.org")])
    limited("permitted_dot", [dns(".example.org")])
    limited("not_permitted", [dns("example.net")])
    limited("excluded", excluded=[dns("example.org")])
    limited("excluded_other", excluded=[dns("example.net")])
    limited("one_not_permitted", [dns("example.org")],
            names=[dns(HOST), dns("evil.example")])
    limited("wildcard_kept", [dns("example.org")],
            names=[dns("*.example.org")])
    # CVE-2025-61727: *.example.org covers the excluded mx.example.org.
    limited("wildcard_excluded", excluded=[dns("mx.example.org")],
            names=[dns("*.example.org")])
    limited("wildcard_excluded_dot", excluded=[dns("MX.example.org.")],
            names=[dns("*.Example.org.")])
    limited("wildcard_not_excluded", excluded=[dns("mx.example.net")],
            names=[dns("*.example.org")])
    # The dot at the end of a DNS name is no part of it.
    limited("excluded_dot", excluded=[dns("example.org")],
            names=[dns("mx.example.org.")])
    limited("excluded_base_dot", excluded=[dns("MX.example.org.")])
    limited("excluded_below_dot", excluded=[dns(".example.org")],
            names=[dns("mx.example.org.")])
    limited("excluded_below_itself", excluded=[dns(".mx.example.org")])
    limited("excluded_all", excluded=[dns("")])
    limited("excluded_part", excluded=[dns("x.example.org"),
                                       dns("a.mx.example.org")])
    limited("excluded_bad", excluded=[dns("*.example.net")])
    limited("excluded_root", excluded=[dns(".")])
    limited("wildcard_other_kind", excluded=[email("mx.example.org")],
            names=[dns("*.example.org")])
    limited("cn_only", [dns("example.org")], subject=HOST, extensions=[
        basic(False), usage(DIGITAL_SIGNATURE), purposes(SERVER)])
    limited("address", [address([192, 0, 2, 0, 255, 255, 255, 0])],
            names=[address([192, 0, 2, 1])])
    limited("address_unused", [address([192, 0, 2, 0, 255, 255, 255, 0])])
    limited("x400", [context(3, seq())])
    limited("email_punycode", [email("xn--" + "q" * 300 + ".example")],
            names=[dns(HOST), email("a@xn--" + "q" * 300 + ".example")])
    limited("bad_base", [dns(b"\xff\0")])
    top = CA("Limited Root", more=[constraints([dns("example.net")])])
    out.case("limit_root", [top.leaf()], [top])
    # Names times constraints (CVE-2018-16875).
    limited("explosion",
            excluded=[dns(f"x{i}.example") for i in range(1500)],
            names=[dns(f"n{i}.example.org") for i in range(1500)])
    limited("many", excluded=[dns(f"x{i}.example") for i in range(200)],
            names=[dns(f"n{i}.example.org") for i in range(250)]
            + [dns(HOST)])
    limited("bad_length", [dns("example.org")], names=[
        dns(HOST), address(b"\1\2\3")])


# TLSA records

def record(usage_number, selector, matching, data):
    if matching == 1:
        data = hashlib.sha256(data).digest()
    if matching == 2:
        data = hashlib.sha512(data).digest()
    return bytes([usage_number, selector, matching]) + data


def of_cert(usage_number, matching, item):
    return record(usage_number, 0, matching, der_of(item))


def of_key(usage_number, matching, key):
    return record(usage_number, 1, matching, key.spki)


def make_dane(out):
    def dated(start, end):
        return {"start": AT + start * DAY, "end": AT + end * DAY}
    root = CA("Private Root")
    ca = CA("Private CA", root)
    key, other_key = p256(), p256()
    leaf = ca.leaf(key=key)
    stranger = CA("Stranger Root")
    old = dated(-60, -1)

    def case(title, chain, *records):
        out.dane("dane_" + title, chain, *records)

    # A private authority, sent or in the record.
    for matching in (0, 1, 2):
        case(f"root_cert_{matching}", [leaf, ca, root],
             of_cert(2, matching, root))
        case(f"root_key_{matching}", [leaf, ca, root],
             of_key(2, matching, root.key))
        case(f"ca_cert_{matching}", [leaf, ca], of_cert(2, matching, ca))
        case(f"ca_key_{matching}", [leaf, ca], of_key(2, matching, ca.key))
        case(f"leaf_cert_{matching}", [leaf], of_cert(3, matching, leaf))
        case(f"leaf_key_{matching}", [leaf], of_key(3, matching, key))
    case("ca_of_more", [leaf, ca, root], of_cert(2, 1, ca))
    case("other_root", [leaf, ca, root], of_cert(2, 1, stranger))
    case("other_key", [leaf, ca, root], of_key(3, 1, other_key))
    case("other_key_512", [leaf, ca, root], of_key(3, 2, other_key))
    case("other_cert", [leaf, ca, root], of_cert(3, 1, ca.leaf(key=key)))
    case("other_cert_full", [leaf], of_cert(3, 0, ca.leaf(key=key)))
    case("root_not_sent", [leaf, ca], of_cert(2, 1, root))
    case("alone", [leaf], of_cert(2, 1, ca))
    second = CA("Second CA", ca)
    below = second.leaf()
    case("reordered", [below, root, stranger, ca, below, second],
         of_cert(2, 1, root))
    case("junk", [below, b"\x30\x03junk", stranger, second, stranger.leaf(),
                  ca, ca], of_key(2, 1, ca.key))
    case("leads_nowhere", [leaf, stranger], of_cert(2, 1, stranger))
    case("leads_elsewhere", [leaf, ca, stranger], of_cert(2, 1, stranger))
    cross = CA("Private Root", stranger, key=root.key)
    case("root_elsewhere", [leaf, ca, root, stranger],
         of_cert(2, 1, stranger))
    twin = CA("Private CA", root)
    case("twin", [leaf, twin], of_cert(2, 1, twin))
    case("cross_sent", [leaf, ca, cross], of_cert(2, 1, cross))
    case("cross_key", [leaf, ca, cross, stranger], of_key(2, 1, root.key))
    case("cross_up", [leaf, ca, cross, root, stranger],
         of_cert(2, 1, stranger))
    gone_cross = CA("Private Root", stranger, key=root.key, **old)
    case("cross_expired", [leaf, ca, gone_cross, root],
         of_key(2, 1, root.key))

    # Authorities that only the record has.
    case("full_root", [leaf, ca], of_cert(2, 0, root))
    case("full_ca", [leaf], of_cert(2, 0, ca))
    case("full_root_alone", [leaf], of_cert(2, 0, root))
    gone = CA("Gone Root", **old)
    case("full_expired", [gone.leaf()], of_cert(2, 0, gone))
    case("full_junk", [leaf, ca], record(2, 0, 0, b"\x30\x03junk"))
    case("full_short", [leaf, ca], of_cert(2, 0, root)[:-1])
    case("full_long", [leaf, ca], of_cert(2, 0, root) + b"\0")
    case("full_unread", [leaf, b"\x30\x03junk"], of_cert(2, 0, root))
    case("full_impostor", [leaf, ca],
         of_cert(2, 0, CA("Private Root", ids=False)))
    case("key_root", [leaf, ca], of_key(2, 0, root.key))
    case("key_ca", [leaf], of_key(2, 0, ca.key))
    case("key_second", [below, second, ca], of_key(2, 0, root.key))
    case("key_two", [below, second, ca], of_key(2, 0, other_key),
         of_key(2, 0, root.key))
    case("key_wrong", [leaf, ca], of_key(2, 0, other_key))
    case("key_wrong_kind", [leaf, ca], of_key(2, 0, rsa_key(2048)))
    case("key_short", [leaf, ca], of_key(2, 0, root.key)[:-1])
    case("key_long", [leaf, ca], of_key(2, 0, root.key) + b"\0")
    case("key_junk", [leaf, ca], record(2, 1, 0, b"\x30\x03junk"))
    case("key_expired_leaf", [ca.leaf(**old)], of_key(2, 0, ca.key))
    case("key_name", [ca.leaf(dns("mx.example.net"))], of_key(2, 0, ca.key))
    case("key_damaged", [damaged(leaf)], of_key(2, 0, ca.key))
    weak = CA("Weak Root", key=rsa_key(1024))
    case("key_weak", [weak.leaf()], of_key(2, 0, weak.key))
    case("key_sha1", [ca.leaf(algorithm=SHA1_EC)], of_key(2, 0, ca.key))
    # An authority key identifier that names issuer and serial number.
    by_serial = extension("2.5.29.35", seq(
        context(0, ca.key.identifier, constructed=False),
        context(1, email("a@example.org"), context(4, root.name)),
        context(2, b"\x12\x34", constructed=False)))
    case("key_by_serial", [ca.leaf(extensions=[
        alt_names(dns(HOST)), by_serial])], of_key(2, 0, ca.key))
    by_name = extension("2.5.29.35", seq(
        context(1, context(4, root.name))))
    case("key_by_name", [ca.leaf(extensions=[
        alt_names(dns(HOST)), by_name])], of_key(2, 0, ca.key))
    for title, value in (("empty", b""), ("open", b"\x30\x7f\xa1"),
                         ("names", seq(context(1, b"\xa4\x7f"))),
                         ("name", seq(context(1, context(4, NULL))))):
        case("key_id_" + title, [ca.leaf(extensions=[
            alt_names(dns(HOST)), extension("2.5.29.35", value)])],
             of_key(2, 0, ca.key))
    # The key is there, on a certificate that is not good any more.
    old_ca = CA("Private CA", root, key=ca.key, **old)
    case("key_sent_expired", [leaf, old_ca], of_key(2, 0, ca.key))
    many = [CA("Level 0")]
    for i in range(1, 9):
        many.append(CA(f"Level {i}", many[-1]))
    case("depth_most", [many[6].leaf(), *reversed(many[1:7])],
         of_key(2, 0, many[0].key))
    case("depth_over", [many[7].leaf(), *reversed(many[1:8])],
         of_key(2, 0, many[0].key))
    same = [CA("Same", CA("Above", ids=False), ids=False, more=[
        extension(f"1.3.6.1.4.1.55555.3.{i}", NULL)]) for i in range(40)]
    case("key_maze", [same[0].leaf(), *same],
         *(of_key(2, 0, p256()) for _ in range(64)))

    # The leaf is no authority over itself.
    lone_key = p256()
    who = name("a server")
    lone = certificate(who, who, lone_key, lone_key, [
        basic(True), alt_names(dns(HOST))])
    plain = certificate(who, who, lone_key, lone_key, [
        alt_names(dns(HOST))])
    own = certificate(seq(), who, lone_key, lone_key, [
        basic(False), alt_names(dns(HOST))])
    for title, der in (("lone", lone), ("lone_plain", plain), ("own", own)):
        for matching in (0, 1, 2):
            case(f"{title}_cert_{matching}", [der, der],
                 of_cert(2, matching, der))
            case(f"{title}_key_{matching}", [der, der],
                 of_key(2, matching, lone_key))
    for matching in (0, 1, 2):
        case(f"leaf_as_ta_cert_{matching}", [leaf, leaf, ca],
             of_cert(2, matching, leaf))
        case(f"leaf_as_ta_key_{matching}", [leaf, leaf, ca],
             of_key(2, matching, key))

    # Usage 3 looks at the leaf alone.
    bad = ca.leaf(dns("mx.example.net"), key=key, algorithm=SHA1_EC, **old)
    for title, item in (("bad", bad), ("lone", lone)):
        spki = key if title == "bad" else lone_key
        case(f"ee_{title}_cert", [item], of_cert(3, 1, item))
        case(f"ee_{title}_key", [item, b"\x30\x03junk"],
             of_key(3, 1, spki))
    unread = certificate(seq(octets(b"x")), ca.name, key, ca.key, [])
    case("ee_unread_key", [unread], of_key(3, 1, key))
    case("ee_unread_cert", [unread], of_cert(3, 1, unread))
    case("ee_unread_other", [unread], of_key(3, 1, other_key))
    case("ee_junk_cert", [b"\x30\x03junk"],
         record(3, 0, 1, b"\x30\x03junk"))
    case("ee_junk_key", [b"\x30\x03junk"], of_key(3, 1, key))
    case("ee_empty", [b"\x30\x03junk"], record(3, 1, 1, b""))
    case("ee_not_first", [leaf, ca], of_key(3, 1, ca.key))
    case("ee_short", [leaf], of_cert(3, 0, leaf)[:-1])
    case("ee_long", [leaf], of_cert(3, 0, leaf) + b"\0")
    case("ee_key_short", [leaf], of_key(3, 0, key)[:-1])
    case("ee_key_long", [leaf], of_key(3, 0, key) + b"\0")
    case("ta_unread", [unread, ca], of_cert(2, 1, ca))

    # Usage 2 looks at all of the path.
    case("ta_expired_leaf", [ca.leaf(**old), ca], of_cert(2, 1, ca))
    case("ta_early_leaf", [ca.leaf(**dated(1, 60)), ca], of_cert(2, 1, ca))
    case("ta_expired_ca", [old_ca.leaf(), old_ca, root], of_cert(2, 1, root))
    case("ta_expired_anchor", [leaf, old_ca], of_key(2, 1, ca.key))
    case("ta_expired_root", [gone.leaf(), gone], of_cert(2, 1, gone))
    case("ta_name", [ca.leaf(dns("mx.example.net")), ca], of_cert(2, 1, ca))
    case("ta_wildcard", [ca.leaf(dns("*.example.org")), ca],
         of_cert(2, 1, ca))
    case("ta_cn_only", [ca.leaf(subject=HOST, extensions=[]), ca],
         of_cert(2, 1, ca))
    case("ta_damaged", [damaged(leaf), ca], of_cert(2, 1, ca))
    case("ta_damaged_ca", [leaf, damaged(ca.der), root],
         of_cert(2, 1, root))
    case("ta_sha1", [ca.leaf(algorithm=SHA1_EC), ca], of_cert(2, 1, ca))
    case("ta_rsa_1024", [ca.leaf(key=weak.key), ca], of_cert(2, 1, ca))
    server = CA("server", ca, extensions=[
        basic(False), usage(DIGITAL_SIGNATURE)])
    case("ta_leaf_signs", [server.leaf(), server], of_cert(2, 1, server))
    case("ta_leaf_between", [server.leaf(), server, ca], of_cert(2, 1, ca))
    limited = CA("Limited", root, more=[constraints([dns("example.net")])])
    case("ta_constraints", [limited.leaf(), limited], of_cert(2, 1, limited))
    none_below = CA("None Below", path_length=0)
    under = CA("Under", none_below)
    case("ta_length", [under.leaf(), under, none_below],
         of_cert(2, 1, none_below))
    client = ca.leaf(extensions=[purposes(CLIENT), alt_names(dns(HOST))])
    case("ta_client", [client, ca], of_cert(2, 1, ca))

    # Both usages, several records.
    no_3, no_2 = of_key(3, 1, other_key), of_cert(2, 1, stranger)
    case("both_by_3", [leaf, ca], no_2, of_key(3, 1, key))
    case("both_by_2", [leaf, ca], no_3, of_cert(2, 1, ca))
    case("both_no", [leaf, ca], no_3, no_2)
    case("both_no_turned", [leaf, ca], no_2, no_3)
    case("full_3_is_no_anchor", [leaf, ca], no_2, of_cert(3, 0, root))
    case("key_3_is_no_anchor", [leaf, ca], no_2, of_key(3, 0, root.key))
    case("both_expired", [ca.leaf(**old), ca], no_3, of_cert(2, 1, ca))
    case("both_name_by_3", [ca.leaf(dns("mx.example.net"), key=key), ca],
         of_cert(2, 1, ca), of_key(3, 1, key))
    case("second_of_3", [leaf, ca], no_3, of_key(3, 1, key), no_2)
    case("second_of_2", [leaf, ca], no_2, of_key(2, 1, ca.key))

    # What is not usable matches nothing.
    digest = hashlib.sha256(key.spki).digest()
    ca_digest = hashlib.sha256(ca.der).digest()
    unusable = {
        "pkix_ta": of_cert(0, 1, ca), "pkix_ee": of_key(1, 1, key),
        "usage_4": of_key(4, 1, key), "usage_255": of_key(255, 1, key),
        "selector_2": record(3, 2, 1, key.spki),
        "matching_3": bytes([3, 1, 3]) + digest,
        "short": bytes([3, 1, 1]) + digest[:-1],
        "long": bytes([3, 1, 1]) + digest + b"\0",
        "ta_short": bytes([2, 0, 1]) + ca_digest[:-1],
        "ta_long": bytes([2, 0, 1]) + ca_digest + b"\0",
        "short_512": of_key(3, 2, key)[:-1],
        "digest_as_512": bytes([3, 1, 2]) + digest,
    }
    for title, one in unusable.items():
        case("unusable_" + title, [leaf, ca], one)
        case("unusable_also_" + title, [leaf, ca], one, no_3)
    case("unusable_and_good", [leaf, ca], *unusable.values(),
         of_key(3, 1, key))

    # Of digests, the strongest of its usage and selector decides.
    wrong_512 = of_key(3, 2, other_key)
    case("agility_weak", [leaf, ca], of_key(3, 1, key), wrong_512)
    case("agility_weak_last", [leaf, ca], wrong_512, of_key(3, 1, key))
    case("agility_strong", [leaf, ca], of_key(3, 2, key), no_3)
    case("agility_both_strong", [leaf, ca], wrong_512, of_key(3, 2, key))
    case("agility_selector", [leaf, ca], of_cert(3, 1, leaf), wrong_512)
    case("agility_usage", [leaf, ca], wrong_512, of_key(2, 1, ca.key))
    case("agility_full", [leaf, ca], wrong_512, of_key(3, 0, key))
    case("agility_full_wrong", [leaf, ca], of_key(3, 0, other_key),
         of_key(3, 1, key))
    case("agility_ta", [leaf, ca], of_cert(2, 1, ca),
         of_cert(2, 2, stranger))
    case("agility_bad_512", [leaf, ca], of_key(3, 1, key), wrong_512[:-1])


def main():
    out = Folder(sys.argv[1])
    root = CA("Lab Root")
    ca = CA("Lab CA", root)
    make_shapes(out, root, ca)
    make_self_signed(out, root)
    make_dates(out, root, ca)
    make_paths(out)
    make_names(out, root, ca)
    make_keys(out, root, ca)
    make_roles(out, root, ca)
    make_lengths(out, root)
    make_constraints(out, root)
    make_dane(out)


if __name__ == "__main__":
    main()
