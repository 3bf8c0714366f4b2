# SPDX-License-Identifier: ISC
"""DNS answers made to deceive a validator, or to wear it out.

    zone.server.on[f"_25._tcp.mx.{domain}", "TLSA"] = wildcard_denial(zone)
    keytrap(zone, (domain, "MX"))

What they are made of is read when they are: publish the zone first.
"""

import base64
import functools
import itertools
import random
import time

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rdtypes.ANY.DNSKEY
import dns.rdtypes.ANY.RRSIG
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec

MANY_MAX = 64  # keys, and signatures, of one trap
RSASHA256 = 8
TAG = 50387


def _denial(query, *rrsets):
    """No data, or no such name, as these prove it."""
    made = dns.message.make_response(query)
    made.flags |= dns.flags.AA
    made.authority += [rrset for rrset in rrsets if rrset is not None]
    return made


def wildcard_denial(zone):
    """CVE-2017-15105: the NSEC of the zone's wildcard, expanded to the very
    name that is asked for, "proves" that it has no record of the type.  The
    zone needs a record at `*`."""
    soa = zone.signed_rrset(zone.origin, "SOA")
    nsec = zone.signed_rrset("*." + zone.origin, "NSEC")

    def act(query, _answer):
        name = query.question[0].name
        expanded = [dns.rrset.from_rdata_list(name, part.ttl, list(part))
                    for part in nsec]
        return _denial(query, *soa, *expanded)
    return act


def parent_denial(parent, zone):
    """The parent's NSEC at the delegation says what is not below it: it may
    speak of nothing below (RFC 6840 4.1)."""
    soa = parent.signed_rrset(parent.origin, "SOA")
    nsec = parent.signed_rrset(zone.origin, "NSEC")

    def act(query, _answer):
        return _denial(query, *soa, *nsec)
    return act


def other_denial(zone):
    """A true NSEC of the zone, of a name that has nothing to do with it."""
    soa = zone.signed_rrset(zone.origin, "SOA")
    nsec = zone.signed_rrset(zone.origin, "NSEC")

    def act(query, _answer):
        return _denial(query, *soa, *nsec)
    return act


# CVE-2023-50387: every signature fits every key by its tag, and none by its
# value.

def _private_key(zone):
    with open(zone.key + ".private", encoding="ascii") as file:
        text = next(line.split()[1] for line in file
                    if line.startswith("PrivateKey:"))
    return ec.derive_private_key(
        int.from_bytes(base64.b64decode(text), "big"), ec.SECP256R1())


def _key_of_tag(tag, noise):
    """An RSA key that is slow to verify by, with this tag."""
    for _ in itertools.repeat(None):
        exponent = bytes([noise.randrange(1, 256)]) + noise.randbytes(253)
        modulus = bytearray([0xc0 | noise.randrange(64)])
        modulus += noise.randbytes(254) + b"\xff"
        head = bytes([255]) + exponent + b"\x03"
        for step in range(4):
            key = dns.rdtypes.ANY.DNSKEY.DNSKEY(
                1, dns.rdatatype.DNSKEY, 256, 3, RSASHA256,
                head + bytes(modulus))
            off = (tag - dns.dnssec.key_id(key)) % 65535
            if dns.dnssec.key_id(key) == tag:
                return key
            word = (int.from_bytes(modulus[101:103], "big") + off) % 65536
            # An odd offset of the RDATA would swap the word's halves.
            modulus[101:103] = (word + step // 2 & 0xffff).to_bytes(2, "big")


@functools.lru_cache
def _keys_of_tag(tag, count):
    noise = random.Random(tag)
    return [_key_of_tag(tag, noise) for _ in range(count)]


def _keys(zone, tag, count):
    """The DNSKEY RRset with count keys more, and its true signature."""
    own, _signatures = zone.signed_rrset(zone.origin, "DNSKEY")
    signer = own[0]
    keys = dns.rrset.from_rdata_list(
        own.name, own.ttl, [signer, *_keys_of_tag(tag, count)])
    now = int(time.time())
    signature = dns.dnssec.sign(keys, _private_key(zone), own.name, signer,
                                inception=now - 3600, expiration=now + 86400)
    return [keys, dns.rrset.from_rdata_list(own.name, own.ttl, [signature])]


def _signatures(rrset, zone, tag, count, noise):
    now = int(time.time())
    name = rrset.name
    return dns.rrset.from_rdata_list(name, rrset.ttl, [
        dns.rdtypes.ANY.RRSIG.RRSIG(
            1, dns.rdatatype.RRSIG, rrset.rdtype, RSASHA256,
            len(name.labels) - 1, rrset.ttl, now + 86400, now - 3600, tag,
            dns.name.from_text(zone.origin), b"\x40" + noise.randbytes(255))
        for _ in range(count)])


def keytrap(zone, *questions, keys=30, signatures=30):
    """From now on the zone's own server answers these ((name, type), with
    records of the zone) so that a validator tries every signature with every
    key, in vain.  Each try is some 2 ms of a CPU."""
    if not 0 < max(keys, signatures) <= MANY_MAX:
        raise ValueError("too many keys or signatures")
    noise = random.Random(zone.origin)
    answer = _keys(zone, TAG, keys)

    def answers(*rrsets):
        def act(query, _answer):
            made = dns.message.make_response(query)
            made.flags |= dns.flags.AA
            made.answer += rrsets
            return made
        return act

    zone.server.on[zone.origin.rstrip("."), "DNSKEY"] = answers(*answer)
    for name, kind in questions:
        rrset, _true = zone.signed_rrset(name + ".", kind)
        zone.server.on[name, kind] = answers(
            rrset, _signatures(rrset, zone, TAG, signatures, noise))
