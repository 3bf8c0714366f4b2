# SPDX-License-Identifier: ISC
"""Certificate authorities and certificates for tests and the lab.

    root = Authority("Lab Root")
    mail = root.authority("Lab Issuing CA")
    server = mail.issue(names=["mx1.example.org"], ips=["192.0.2.9"])
    root.write("trust.pem")
    server.write("mx1.pem", "mx1.key")

`write` puts the leaf first and the intermediates behind it, as a server sends
them; the root is left out.  What a sane library refuses to make is made
elsewhere (tests/unit/make_certs.py).
"""

import datetime
import hashlib
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_KEY_KINDS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "rsa1024": lambda: rsa.generate_private_key(65537, 1024),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "rsa3072": lambda: rsa.generate_private_key(65537, 3072),
    "rsa4096": lambda: rsa.generate_private_key(65537, 4096),
}


def new_key(kind="p256"):
    """A new private key: "p256", "ed25519", "rsa2048" and the like."""
    return _KEY_KINDS[kind]()


def utc(when):
    """A naive UTC datetime out of a datetime or of seconds since 1970."""
    if not isinstance(when, datetime.datetime):
        when = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
    if when.tzinfo is not None:
        when = when.astimezone(datetime.timezone.utc).replace(tzinfo=None)
    return when.replace(microsecond=0)


def days(count):
    """That many days from now, as a naive UTC datetime; may be negative."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return utc(now + datetime.timedelta(days=count))


def _subject(common_name):
    attributes = []
    if common_name is not None:
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    return x509.Name(attributes)


def _usage(**given):
    every = dict.fromkeys(("digital_signature", "content_commitment",
                           "key_encipherment", "data_encipherment",
                           "key_agreement", "key_cert_sign", "crl_sign",
                           "encipher_only", "decipher_only"), False)
    return x509.KeyUsage(**{**every, **given})


def _write(path, data, mode):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _sign(issuer_name, issuer_key, subject, public_key, not_before, not_after,
          extensions):
    builder = (x509.CertificateBuilder()
               .subject_name(subject)
               .issuer_name(issuer_name)
               .public_key(public_key)
               .serial_number(x509.random_serial_number())
               .not_valid_before(utc(not_before))
               .not_valid_after(utc(not_after))
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(
                   public_key), False)
               .add_extension(
                   x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       issuer_key.public_key()), False))
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    is_edwards = isinstance(issuer_key, ed25519.Ed25519PrivateKey)
    return builder.sign(issuer_key, None if is_edwards else hashes.SHA256())


def _server_certificate(issuer_name, issuer_key, key, names, ips, *,
                        not_before=None, not_after=None, common_name=None,
                        purposes=(ExtendedKeyUsageOID.SERVER_AUTH,),
                        extensions=()):
    listed = [(x509.BasicConstraints(False, None), True),
              (_usage(digital_signature=True), True)]
    names = [x509.DNSName(name) for name in names]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    if names:
        # RFC 5280 4.2.1.6: critical where there is no subject.
        listed.append((x509.SubjectAlternativeName(names),
                       common_name is None))
    if purposes:
        listed.append((x509.ExtendedKeyUsage(purposes), False))
    return _sign(issuer_name, issuer_key, _subject(common_name),
                 key.public_key(), not_before or days(-1),
                 not_after or days(90), [*listed, *extensions])


class Certificate:
    """A certificate, its key, and what a server sends along with it."""

    def __init__(self, certificate, key, above=()):
        self.certificate = certificate
        self.key = key
        self.above = tuple(above)  # intermediates, nearest first

    @property
    def pem(self):
        """The certificate alone, as bytes."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def chain_pem(self):
        """The certificate and its intermediates."""
        return self.pem + b"".join(above.pem for above in self.above)

    @property
    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())

    @property
    def fingerprint(self):
        """SHA-256 of the certificate, in hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def spki(self):
        """The SubjectPublicKeyInfo, DER."""
        return self.key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def pin(self):
        """SHA-256 of the SubjectPublicKeyInfo, in hex."""
        return hashlib.sha256(self.spki).hexdigest()

    def tlsa(self, parameters="3 1 1"):
        """What a TLSA record of these says about this certificate (a CA's
        own for usage 0 and 2): "3 1 1 HEX"."""
        _usage, selector, matching = map(int, parameters.split())
        data = (self.der, self.spki)[selector]
        digest = (None, hashlib.sha256, hashlib.sha512)[matching]
        text = data.hex() if digest is None else digest(data).hexdigest()
        return f"{parameters} {text}"

    def sending(self, *authorities):
        """The same, sent with these above it: a root too, as DANE-TA(2)
        asks for (RFC 7672 3.1.2)."""
        return Certificate(self.certificate, self.key, authorities)

    def write(self, chain_path, key_path=None):
        """The chain, and the key where a path for it is given."""
        _write(chain_path, self.chain_pem, 0o644)
        if key_path is not None:
            _write(key_path, self.key_pem, 0o600)


class Authority(Certificate):
    """A CA: self-signed, or an intermediate where it has a parent."""

    def __init__(self, name, *, parent=None, key="p256", not_before=None,
                 not_after=None, path_length=None, extensions=()):
        self.common_name = name
        self.name = _subject(name)
        self.parent = parent
        key = new_key(key) if isinstance(key, str) else key
        issuer_name = self.name if parent is None else parent.name
        issuer_key = key if parent is None else parent.key
        certificate = _sign(
            issuer_name, issuer_key, self.name, key.public_key(),
            not_before or days(-30), not_after or days(3650),
            [(x509.BasicConstraints(True, path_length), True),
             (_usage(key_cert_sign=True, crl_sign=True), True),
             *extensions])
        above = () if parent is None else parent.sent()
        super().__init__(certificate, key, above)

    def sent(self):
        """What a server sends above a certificate of this authority."""
        return () if self.parent is None else (self, *self.above)

    def authority(self, name, **options):
        """An intermediate below this one; options as for Authority."""
        return Authority(name, parent=self, **options)

    def cross_sign(self, other, **options):
        """other's name and key under this authority's signature."""
        return Authority(other.common_name, parent=self, key=other.key,
                         **options)

    def issue(self, names=(), ips=(), *, key="p256", **options):
        """A server's certificate for these DNS names and addresses.

        Options are not_before and not_after (datetimes, or seconds since
        1970), common_name (a subject that nobody may match), purposes (OIDs,
        serverAuth by default) and extensions ([(extension, is_critical)]).
        """
        key = new_key(key) if isinstance(key, str) else key
        certificate = _server_certificate(self.name, self.key, key, names, ips,
                                          **options)
        return Certificate(certificate, key, self.sent())


def self_signed(names=(), ips=(), *, key="p256", common_name=None, **options):
    """A server's certificate that nobody but its own key vouches for."""
    key = new_key(key) if isinstance(key, str) else key
    certificate = _server_certificate(_subject(common_name), key, key, names,
                                      ips, common_name=common_name, **options)
    return Certificate(certificate, key)


def write_trust(path, *authorities):
    """One trust file out of several authorities' certificates."""
    _write(path, b"".join(authority.pem for authority in authorities), 0o644)
