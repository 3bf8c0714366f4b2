# SPDX-License-Identifier: ISC
"""A scripted SMTP client that shows every byte.

    with Client(ns, "203.0.113.20") as client:
        client.reply()                     # the greeting
        client.ehlo()
        reply = client.command("MAIL FROM:<a@lan.example>")
        assert reply.code == 250, reply
        client.send(b"RSET\\r\\nNOOP\\r\\n")   # pipelined; one reply() each

`deliver` is a whole session for one message.
"""

import contextlib
import dataclasses
import socket
import ssl
import struct


class Closed(Exception):
    """The server ended the connection."""


@dataclasses.dataclass
class Reply:
    code: int
    lines: list  # texts without the code, as str
    raw: bytes

    @property
    def text(self):
        return " ".join(self.lines)

    def __str__(self):
        return self.raw.decode("latin-1").strip()


class Client:
    """Connects when made; timeout is for each read."""

    def __init__(self, ns, host, port=25, *, source=None, source_port=0,
                 timeout=30, name="client.lan.example"):
        self.name = name
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = ns.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if source is not None or source_port:
            self.socket.bind((source or "", source_port))
        self.buffer = bytearray()
        try:
            self.socket.connect((host, port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    @property
    def address(self):
        """This end, as the server is to see it."""
        return self.socket.getsockname()[0]

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        """One line of the server's with its end; Closed where none comes."""
        while (end := self.buffer.find(b"\n")) == -1:
            try:
                data = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed(str(error)) from error
            if not data:
                raise Closed(f"end of file after {bytes(self.buffer)!r}")
            self.buffer += data
        line = bytes(self.buffer[:end + 1])
        del self.buffer[:end + 1]
        return line

    def reply(self):
        """One reply, all of its lines; it must be perfectly formed."""
        raw, lines, code = b"", [], None
        while True:
            line = self.line()
            raw += line
            if not (line.endswith(b"\r\n") and line[:3].isdigit()
                    and line[3:4] in (b" ", b"-", b"\r")
                    and code in (None, line[:3])):
                raise ValueError(f"malformed reply: {raw!r}")
            code = line[:3]
            lines.append(line[4:-2].decode("utf-8", "surrogateescape"))
            if line[3:4] != b"-":
                return Reply(int(code), lines, raw)

    def command(self, text):
        """Sends one line; its reply."""
        if isinstance(text, str):
            text = text.encode("utf-8", "surrogateescape")
        self.send(text + b"\r\n")
        return self.reply()

    def ehlo(self):
        return self.command("EHLO " + self.name)

    def start_tls(self, context=None, server_name=None):
        """STARTTLS and the handshake; checks nothing unless told how."""
        reply = self.command("STARTTLS")
        if reply.code == 220:
            if context is None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket,
                                              server_hostname=server_name)
        return reply

    def message(self, content):
        """DATA with dots stuffed; the reply to the whole message."""
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        if content and not content.endswith(b"\r\n"):
            raise ValueError("a message ends in CRLF")
        self.send((b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
                  + b".\r\n")
        return self.reply()

    def envelope(self, sender, *recipients):
        """MAIL and RCPTs; the replies, up to the first that is no 2xx."""
        replies = [self.command(f"MAIL FROM:<{sender}>")]
        for recipient in recipients:
            if replies[-1].code >= 300:
                break
            replies.append(self.command(f"RCPT TO:<{recipient}>"))
        return replies

    def deliver(self, sender, recipients, content):
        """Greeting to QUIT.  The reply that ended it: the one to the whole
        message, or the first refusal."""
        reply = self.reply()
        if reply.code == 220:
            reply = self.ehlo()
        if reply.code == 250:
            reply = self.envelope(sender, *recipients)[-1]
        if reply.code == 250:
            reply = self.message(content)
        with contextlib.suppress(Closed, OSError):
            self.command("QUIT")
        return reply

    def at_end(self):
        """True where the server has ended the connection, with nothing
        more said."""
        try:
            return not self.buffer and self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends it with a RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        self.socket.close()
