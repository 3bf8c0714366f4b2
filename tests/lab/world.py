# SPDX-License-Identifier: ISC
"""The standard world: domains good and bad, and what is expected of each.

`build(lab)` raises them all; each is a Case with its host(s).  The
demonstration prints them, and the end-to-end tests run over them.
"""

import dataclasses
import ssl

from lab import middlebox, nameservers, pki


@dataclasses.dataclass
class Case:
    """A domain, and what a sender through postern gets."""

    domain: str
    delivered: bool
    evidence: str  # "dane", "mta-sts", "mx+dnssec" or "mx"; of what was
    # proved, or was not
    stage: str  # where it is refused: "hello" or "rcpt"
    code: str  # "451 4.7.5"
    word: str  # RFC 8460, as the reply says it
    what: str  # in words
    dns: object = None  # a name server of its own
    host: object = None  # SmtpServer, the first MX
    second: object = None  # the one behind it
    first_address: str = ""  # of the first MX host
    postfix: object = None  # where the MX host is a real Postfix

    def messages(self):
        """What the case's hosts have taken."""
        return [message for server in (self.host, self.second) if server
                for message in server.messages]


def _good(lab, domain, what, evidence="mx+dnssec", **options):
    case = Case(domain, True, evidence, "", "", "", what)
    case.host = lab.mx(f"mx.{domain}")
    lab.domain(domain, case.host, publish=False, **options)
    return case


def _bad(lab, domain, what, refusal, **settings):
    stage, code, word = refusal
    case = Case(domain, False, "mx+dnssec", stage, code, word, what)
    case.host = lab.mx(f"mx.{domain}", **settings)
    lab.domain(domain, case.host, publish=False)
    return case


def _dane(lab, domain, what, refusal=None, *, is_true=True):
    """Its host's certificate is nobody's, or not the one that its TLSA record
    is of; with a name server of its own, to be scripted."""
    case = Case(domain, refusal is None, "dane", *(refusal or ("", "", "")),
                what)
    name = f"mx.{domain}"
    case.host = lab.mx(name, certificates=[
        pki.self_signed([name]) if is_true else lab.issue(name)])
    of = case.host.certificates[0] if is_true else pki.self_signed([name])
    lab.tlsa(case.host, of.tlsa("3 1 1"))
    zone = lab.domain(domain, case.host, own_server=True, publish=False)
    case.dns = zone.server
    return case


def _dane_broken(lab):
    case = _dane(lab, "tlsafail.example", "TLSA lookup: SERVFAIL",
                 ("rcpt", "451 4.4.3", "SERVFAIL"))
    case.dns.on["_25._tcp.mx.tlsafail.example", "TLSA"] = nameservers.servfail
    return case


def _sts(lab, domain, what, refusal=None, *, mx=None, **settings):
    """An MTA-STS policy in mode enforce, of an unsigned domain."""
    case = Case(domain, refusal is None, "mta-sts",
                *(refusal or ("", "", "")), what)
    case.host = lab.mx(f"mx.{domain}", **settings)
    lab.domain(domain, case.host, signed=False, publish=False)
    lab.sts(domain, mx=[mx or f"mx.{domain}"], publish=False)
    return case


_NO_TLS = ("hello", "421 4.7.4", "starttls-not-supported")
_TOO_WEAK = ("hello", "421 4.7.6", "validation-failure")
_MISMATCH = ("rcpt", "451 4.7.5", "certificate-host-mismatch")
_EXPIRED = ("rcpt", "451 4.7.5", "certificate-expired")
_UNTRUSTED = ("rcpt", "451 4.7.5", "certificate-not-trusted")
_NOT_IN_POLICY = ("rcpt", "451 4.7.1", "validation-failure")


def _shared(lab):
    """Two domains on one host, which tells them apart by SNI."""
    first = _good(lab, "alpha.example", "shares its host, by SNI")
    addresses = first.host.addresses
    first.host.certificates.append(lab.issue("mx.beta.example"))
    second = Case("beta.example", True, "mx+dnssec", "", "", "",
                  "shares its host, by SNI", host=first.host)
    lab.name_host("mx.beta.example", addresses)
    lab.domain("beta.example", "mx.beta.example", publish=False)
    return [first, second]


def _backup(lab):
    """A second MX that is good behind a first that is bad."""
    case = Case("backup.example", True, "mx+dnssec", "", "", "",
                "first MX has no STARTTLS, second good")
    case.host = lab.mx("mx1.backup.example", starttls=False)
    case.second = lab.mx("mx2.backup.example")
    lab.domain(case.domain, case.host, case.second, publish=False)
    return case


def _hidden(lab):
    """A box that takes the offer out and lets the command pass: asked for
    all the same, TLS comes up."""
    case = _good(lab, "hidden.example", "STARTTLS offer hidden on the wire")
    lab.middlebox(case.host.addresses, middlebox.strip_starttls,
                  middlebox.unchanged)
    return case


def _stripped(lab):
    case = _bad(lab, "stripped.example", "STARTTLS stripped on the wire",
                _NO_TLS)
    lab.middlebox(case.host.addresses)
    return case


def _real(lab):
    case = Case("real.example", True, "mx+dnssec", "", "", "",
                "a real Postfix")
    case.postfix, addresses = lab.postfix_mx("mx.real.example")
    case.first_address = addresses[0]
    lab.domain(case.domain, "mx.real.example", publish=False)
    return case


def build(lab):
    """Raises all cases and returns them by domain."""
    six = Case("six.example", True, "mx+dnssec", "", "", "", "IPv6 only")
    six.host = lab.mx("mx.six.example", addresses=lab.new_addresses()[1:])
    lab.domain(six.domain, six.host, publish=False)
    past = {"not_before": pki.days(-60), "not_after": pki.days(-2)}
    cases = [
        _good(lab, "good.example", "good"),
        _good(lab, "unsigned.example", "good, without DNSSEC", "mx",
              signed=False),
        six,
        _dane(lab, "dane.example", "DANE, self-signed"),
        _sts(lab, "sts.example", "MTA-STS, without DNSSEC"),
        *_shared(lab),
        _real(lab),
        _backup(lab),
        _hidden(lab),
        _bad(lab, "nostarttls.example", "no STARTTLS", _NO_TLS,
             starttls=False),
        _stripped(lab),
        _bad(lab, "wrongname.example", "another name's certificate",
             _MISMATCH, certificates=[lab.issue("mx.elsewhere.example")]),
        _bad(lab, "expired.example", "expired certificate", _EXPIRED,
             certificates=[lab.issue("mx.expired.example", **past)]),
        _bad(lab, "selfsigned.example", "self-signed certificate",
             _UNTRUSTED,
             certificates=[pki.self_signed(["mx.selfsigned.example"])]),
        _bad(lab, "unknownca.example", "unknown CA", _UNTRUSTED,
             certificates=[lab.unknown_ca.issue(["mx.unknownca.example"])]),
        _bad(lab, "tls10.example", "TLS 1.0 only", _TOO_WEAK,
             tls_min=ssl.TLSVersion.TLSv1, tls_max=ssl.TLSVersion.TLSv1,
             ciphers="ALL:@SECLEVEL=0"),
        _dane(lab, "tlsawrong.example", "TLSA of another certificate",
              _UNTRUSTED, is_true=False),
        _dane_broken(lab),
        _sts(lab, "stsother.example", "MX not in its MTA-STS policy",
             _NOT_IN_POLICY, mx="mx.elsewhere.example"),
        _sts(lab, "stsname.example", "MTA-STS, another's certificate",
             _MISMATCH, certificates=[lab.issue("mx.elsewhere.example")]),
    ]
    lab.publish()
    for case in cases:
        if case.host is not None:
            case.first_address = case.host.addresses[0]
    return {case.domain: case for case in cases}
