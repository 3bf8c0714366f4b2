# SPDX-License-Identifier: ISC
"""A TLS 1.2 server that shows what no library makes: certificates with keys
of any size, and signatures that nobody made.  It costs the server nothing, and
a client that looks before it checks, whole minutes.

    flight = hostile_tls.flight(bits=65536)
    connection.recv(...)        # the ClientHello
    connection.sendall(flight)  # all up to ServerHelloDone
"""

import os
import secrets

RSA = bytes.fromhex("06092a864886f70d010101")
RSA_PSS = bytes.fromhex("06092a864886f70d01010a")
DSA = bytes.fromhex("06072a8648ce380401")
_SHA256_RSA = bytes.fromhex("06092a864886f70d01010b")
_COMMON_NAME = bytes.fromhex("0603550403")
_P256_BASE = bytes.fromhex(
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
_ECDHE_RSA_AES128_GCM = b"\xc0\x2f"
_CERTIFICATE, _KEY_EXCHANGE, _SERVER_HELLO, _DONE = 11, 12, 2, 14
_NULL = b"\x05\x00"


def _der(tag, *parts):
    body = b"".join(parts)
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def _integer(number):
    return _der(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def odd(bits):
    """An odd number of just that many bits."""
    return secrets.randbits(bits) | 1 << bits - 1 | 1


def certificate(modulus, exponent, kind=RSA):
    """A self-signed certificate for that public key, DER."""
    name = _der(0x30, _der(0x31, _der(0x30, _COMMON_NAME, _der(12, b"x"))))
    signed_by = _der(0x30, _SHA256_RSA, _NULL)
    key = _der(0x30, _der(0x30, kind, _NULL if kind == RSA else b""),
               _der(3, b"\0", _der(0x30, _integer(modulus),
                                   _integer(exponent))))
    dates = [_der(0x17, when) for when in (b"250101000000Z", b"450101000000Z")]
    body = _der(0x30, _der(0xa0, _integer(2)), _integer(5), signed_by, name,
                _der(0x30, *dates), name, key)
    return _der(0x30, body, signed_by, _der(3, b"\0", b"\1" * 256))


def _message(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def _records(data):
    pieces = [data[i:i + 16000] for i in range(0, len(data), 16000)]
    return b"".join(b"\x16\x03\x03" + len(piece).to_bytes(2, "big") + piece
                    for piece in pieces)


def flight(chain, signature_bits, kind=RSA):
    """What the server says after any ClientHello.  chain: DER certificates;
    signature_bits: as many as the key has that is to check it."""
    listed = b"".join(len(der).to_bytes(3, "big") + der for der in chain)
    signature = secrets.randbits(signature_bits - 1).to_bytes(
        (signature_bits + 7) // 8, "big")
    scheme = b"\x08\x09" if kind == RSA_PSS else b"\x04\x01"
    hello = (b"\x03\x03" + os.urandom(32) + b"\0" + _ECDHE_RSA_AES128_GCM +
             b"\0" + b"\0\5\xff\1\0\1\0")  # renegotiation_info, empty
    exchange = (b"\x03\0\x17" + bytes([len(_P256_BASE)]) + _P256_BASE +
                scheme + len(signature).to_bytes(2, "big") + signature)
    return _records(
        _message(_SERVER_HELLO, hello) +
        _message(_CERTIFICATE, len(listed).to_bytes(3, "big") + listed) +
        _message(_KEY_EXCHANGE, exchange) + _message(_DONE, b""))
