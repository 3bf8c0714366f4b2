# SPDX-License-Identifier: ISC
"""A scriptable SMTP server: an MX host of the lab, good or hostile.

    server = SmtpServer(ns, ["203.0.113.20", "2001:db8:203::20"],
                        certificates=[certificate])
    server.starttls = False                      # not offered, refused
    server.on["RCPT"] = b"550 5.1.1 no\\r\\n"    # instead of its own answer
    server.on["STARTTLS"] = b"220 go\\r\\n250 injected\\r\\n"  # then TLS
    server.on["MAIL"] = reset                    # an action: RST now
    server.on["EHLO"] = lambda session, line: ... # bytes, or None: as usual
    message = server.wait_message(lambda m: "bob@a.example" in m.recipients)

Keys of `on`: "connect" (in place of the greeting), the verbs, "tls" (right
after the handshake), "data" (in place of the 354), "message" (in place of the
reply to a whole message), and "?" for any other verb.  A value is bytes that
are sent, an action called with (session, line) that returns bytes or None, or
a list of those, one a time they are met, the last one for ever.

`script`, when set, replaces all of it: it is called with the session and owns
the connection until it returns.

Everything that was said is recorded: `sessions` (each with `lines`, as
(is_tls, bytes)), and `messages`, one an accepted transaction.
"""

import contextlib
import dataclasses
import hashlib
import os
import socket
import ssl
import struct
import tempfile
import threading
import warnings

from cryptography import x509

KEEP_MAX = 32 * 1024 * 1024  # of a message; its digest covers all of it
LINE_MAX = 1024 * 1024
CAPABILITIES = ("PIPELINING", "SIZE 0", "8BITMIME", "SMTPUTF8", "DSN",
                "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME")


_here = threading.local()  # .session: whose handshake this thread does


class Closed(Exception):
    """The session is over, by the peer's or a script's doing."""


def close(session, _line=None):
    """Action: end the connection at once, in order."""
    raise Closed("closed by script")


def reset(session, _line=None):
    """Action: end the connection with a RST."""
    session.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                           struct.pack("ii", 1, 0))
    raise Closed("reset by script")


def half_close(session, _line=None):
    """Action: send FIN, then read on until the peer is gone."""
    session.raw.shutdown(socket.SHUT_WR)
    session.drain()


def silence(session, _line=None):
    """Action: say nothing more, until the peer is gone."""
    session.drain()


def late(seconds, reply=None):
    """Action: wait, then answer reply (None: as usual)."""
    def act(session, _line):
        session.server.closing.wait(seconds)
        return reply
    return act


def then(reply, action):
    """Action: send reply, then do another action."""
    def act(session, line):
        session.send(reply)
        return action(session, line)
    return act


@dataclasses.dataclass
class Message:
    """One accepted transaction."""

    sender: str
    recipients: list
    mail_line: str  # as it came, parameters included
    rcpt_lines: list
    content: bytes  # dots unstuffed; at most KEEP_MAX of it
    size: int
    sha256: str
    chunked: bool  # by BDAT
    client: str
    server: str
    helo: str
    tls: str  # "TLSv1.3", or "" in clear
    cipher: str
    sni: str
    session: object = dataclasses.field(repr=False, default=None)


class _Content:
    """A message's bytes as they come: counted, digested, the head kept."""

    def __init__(self, keep, skip):
        self.kept = bytearray()
        self.size = 0
        self.digest = hashlib.sha256()
        self._keep = keep
        self._skip = skip  # bytes in front that are not the message's

    def add(self, piece):
        piece, self._skip = (piece[self._skip:],
                             max(self._skip - len(piece), 0))
        self.size += len(piece)
        self.digest.update(piece)
        room = self._keep - len(self.kept)
        if room > 0:
            self.kept += piece[:room]


class Session:
    """One connection.  Scripts use send, line, reads and start_tls."""

    def __init__(self, server, connection, peer):
        self.server = server
        self.raw = connection  # plain, even under TLS
        self.stream = connection
        self.client = peer[0]
        self.address = connection.getsockname()[0]
        self.port = peer[1]
        self.buffer = bytearray()
        self.lines = []
        self.helo = ""
        self.is_tls = False
        self.resumed = False
        self.tls = self.cipher = self.sni = ""
        self.error = ""  # why it ended, where not by QUIT
        self.ended = threading.Event()
        self._reset_transaction()

    def __repr__(self):
        return f"<{self.client} {self.tls or 'clear'} {self.lines}>"

    @property
    def verbs(self):
        """What was asked for, in order: ["EHLO", "STARTTLS", ...]."""
        return [line.split(b" ")[0].upper().decode("latin-1")
                for _tls, line in self.lines]

    # What scripts may call.

    def send(self, data):
        """Sends bytes on the stream as it is now: plain or TLS."""
        try:
            self.stream.sendall(data)
        except (OSError, ValueError) as error:
            raise Closed(str(error)) from error

    def send_plain(self, data):
        """Sends bytes on the bare socket, under TLS too."""
        try:
            self.raw.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def read(self, most=65536):
        """Some bytes, those that are buffered first; Closed at the end."""
        if self.buffer:
            data = bytes(self.buffer[:most])
            del self.buffer[:most]
            return data
        try:
            data = self.stream.recv(most)
        except (OSError, ValueError) as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of file")
        return data

    def line(self):
        """One line without its CRLF, recorded."""
        start = 0
        while (end := self.buffer.find(b"\n", start)) == -1:
            start = len(self.buffer)
            if start > LINE_MAX:
                raise Closed("line too long for the lab")
            held = bytes(self.buffer)
            self.buffer.clear()
            self.buffer += held + self.read()
        line = bytes(self.buffer[:end + 1])
        del self.buffer[:end + 1]
        line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
        self.lines.append((self.is_tls, line))
        return line

    def drain(self):
        """Reads and forgets until the peer ends; always raises Closed."""
        while True:
            self.read()

    def start_tls(self, context=None):
        """The server's side of a handshake; sets tls, cipher and sni."""
        context = context or self.server.context()
        # The original socket stays for send_plain.
        copy = socket.socket(fileno=os.dup(self.raw.fileno()))
        copy.settimeout(self.server.timeout)
        if self.buffer:
            # What came glued to STARTTLS: part of the record for tests.
            self.lines.append((False, b"[early] " + bytes(self.buffer)))
            self.buffer.clear()
        try:
            self.stream = context.wrap_socket(copy, server_side=True)
        except (OSError, ValueError) as error:
            copy.close()
            raise Closed(f"handshake: {error}") from error
        self.is_tls = True
        self.tls = self.stream.version()
        self.cipher = self.stream.cipher()[0]
        self.resumed = self.stream.session_reused

    def stop_tls(self):
        """Sends close_notify and goes on in clear."""
        try:
            self.stream = self.stream.unwrap()
        except (OSError, ValueError):
            self.stream = self.raw
        self.is_tls = False

    # The ordinary life.

    def _reset_transaction(self):
        self.sender = self.mail_line = None
        self.recipients = []
        self.rcpt_lines = []
        self.chunks = None

    def _hook(self, key, line=b""):
        """What the script says in this place; None where nothing."""
        answer = self.server.on.get(key)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(self, line)
        return answer

    def answer(self, key, line, usual):
        """Sends the scripted answer, or the usual one; which it was."""
        scripted = self._hook(key, line)
        reply = usual if scripted is None else scripted
        if reply:
            self.send(reply)
        return reply or b""

    def serve(self):
        _here.session = self
        try:
            if self.server.script is not None:
                self.server.script(self)
                return
            if self.server.tls_at_once:
                self.start_tls()
            greeting = self.answer("connect", b"", b"220 %s ESMTP lab\r\n"
                                   % self.server.name.encode())
            if not greeting.startswith(b"220"):
                self.drain()
            while True:
                self._command(self.line())
        except Closed as why:
            self.error = str(why)
        finally:
            for each in {self.stream, self.raw}:
                with contextlib.suppress(OSError, ValueError):
                    each.close()
            self.ended.set()

    def _command(self, line):
        verb = line.split(b" ", 1)[0].upper().decode("latin-1")
        handler = getattr(self, "_on_" + verb.lower(), None)
        if handler is not None and verb.isalpha():
            handler(line)
        else:
            key = verb if verb in self.server.on else "?"
            self.answer(key, line, b"500 5.5.2 what?\r\n")

    def _on_ehlo(self, line):
        self.helo = line[5:].decode("latin-1")
        self._reset_transaction()
        lines = [self.server.name, *self.server.capabilities]
        if self.server.starttls and not self.is_tls:
            lines.append("STARTTLS")
        if self.is_tls:
            lines += self.server.tls_capabilities
        reply = "".join(f"250{'-' if n + 1 < len(lines) else ' '}{text}\r\n"
                        for n, text in enumerate(lines))
        self.answer("EHLO", line, reply.encode())

    def _on_helo(self, line):
        self.helo = line[5:].decode("latin-1")
        self._reset_transaction()
        self.answer("HELO", line, b"250 %s\r\n" % self.server.name.encode())

    def _on_starttls(self, line):
        offered = self.server.starttls and not self.is_tls
        reply = self.answer("STARTTLS", line, b"220 2.0.0 go\r\n" if offered
                            else b"502 5.5.1 no STARTTLS here\r\n")
        if reply.startswith(b"220"):
            self.start_tls()
            self._reset_transaction()
            self.answer("tls", b"", b"")

    def _on_mail(self, line):
        reply = self.answer("MAIL", line, b"250 2.1.0 ok\r\n")
        if reply.startswith(b"2"):
            self._reset_transaction()
            self.mail_line = line.decode("utf-8", "surrogateescape")
            self.sender = _path(self.mail_line)

    def _on_rcpt(self, line):
        usual = b"250 2.1.5 ok\r\n"
        if self.mail_line is None:
            usual = b"503 5.5.1 MAIL first\r\n"
        if self.answer("RCPT", line, usual).startswith(b"2"):
            text = line.decode("utf-8", "surrogateescape")
            self.rcpt_lines.append(text)
            self.recipients.append(_path(text))

    def _on_rset(self, line):
        self._reset_transaction()
        self.answer("RSET", line, b"250 2.0.0 ok\r\n")

    def _on_noop(self, line):
        self.answer("NOOP", line, b"250 2.0.0 ok\r\n")

    def _on_auth(self, line):
        self.answer("AUTH", line, b"235 2.7.0 ok\r\n")

    def _on_vrfy(self, line):
        self.answer("VRFY", line, b"252 2.5.0 perhaps\r\n")

    def _on_quit(self, line):
        self.answer("QUIT", line, b"221 2.0.0 bye\r\n")
        self.stream.settimeout(2)
        if self.is_tls:
            self.stop_tls()
        raise Closed("")

    def _on_data(self, line):
        usual = b"354 go\r\n"
        if not self.recipients:
            usual = b"554 5.5.1 no recipients\r\n"
        if not self.answer("DATA", line, usual).startswith(b"3"):
            return
        self._hook("data", line)
        # A dot that opens the content is one behind a CRLF, too.
        content = _Content(self.server.keep, skip=2)
        held = b"\r\n"
        while (end := held.find(b"\r\n.\r\n")) == -1:
            # Keep what may begin the end, and no CRLF apart from its dot.
            cut = max(len(held) - 4, 0)
            while held[:cut].endswith((b"\r", b"\r\n")):
                cut -= 1
            content.add(held[:cut].replace(b"\r\n.", b"\r\n"))
            held = held[cut:] + self.read(1 << 20)
        content.add(held[:end + 2].replace(b"\r\n.", b"\r\n"))
        self.buffer[:0] = held[end + 5:]
        self._finish(content, False)

    def _on_bdat(self, line):
        words = line.split()
        size = int(words[1])
        if self.chunks is None:
            self.chunks = _Content(self.server.keep, skip=0)
        while size > 0:
            piece = self.read(min(size, 1 << 20))
            self.chunks.add(piece)
            size -= len(piece)
        if not self.recipients:
            self.answer("BDAT", line, b"503 5.5.1 no recipients\r\n")
        elif words[-1].upper() == b"LAST":
            self._finish(self.chunks, True)
        else:
            self.answer("BDAT", line, b"250 2.0.0 chunk\r\n")

    def _finish(self, content, chunked):
        message = Message(
            self.sender, self.recipients, self.mail_line, self.rcpt_lines,
            bytes(content.kept), content.size, content.digest.hexdigest(),
            chunked, self.client, self.address, self.helo, self.tls,
            self.cipher, self.sni, self)
        self._reset_transaction()
        scripted = self._hook("message")
        reply = b"250 2.0.0 taken\r\n" if scripted is None else scripted
        if reply.startswith(b"2"):
            self.server.record(message)
        self.send(reply)


def _path(line):
    """The mailbox of a MAIL or RCPT line, as text."""
    start, end = line.find("<"), line.rfind(">")
    return line[start + 1:end] if start != -1 < end else ""


class SmtpServer:
    """Listens on its addresses from the moment it is made."""

    def __init__(self, ns, addresses, *, name="mx.example", port=25,
                 certificates=()):
        """certificates: pki.Certificate, the first one for no or unknown
        SNI."""
        self.name = name
        self.addresses = list(addresses)
        self.port = port
        self.certificates = list(certificates)
        self.capabilities = list(CAPABILITIES)
        self.tls_capabilities = []  # more of them inside TLS
        self.starttls = True
        self.tls_at_once = False
        self.tls_min = ssl.TLSVersion.TLSv1_2
        self.tls_max = ssl.TLSVersion.TLSv1_3
        self.ciphers = None
        self.on = {}
        self.script = None
        self.timeout = 300
        self.keep = KEEP_MAX
        self.sessions = []
        self.messages = []
        self.closing = threading.Event()
        self._changed = threading.Condition()
        self._listeners = []
        self._contexts = {}
        for address in self.addresses:
            self._listen(ns, address)

    def _listen(self, ns, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = ns.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, self.port))
        listener.listen(1024)
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener,),
                         daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            connection.settimeout(self.timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(self, connection, peer)
            with self._changed:
                self.sessions.append(session)
                self._changed.notify_all()
            threading.Thread(target=session.serve, daemon=True).start()

    def context(self):
        """The TLS settings as they are now."""
        contexts = [self._context_of(c) for c in self.certificates]
        contexts[0].sni_callback = self._choose
        return contexts[0]

    def _context_of(self, certificate):
        key = (certificate, self.tls_min, self.tls_max, self.ciphers)
        if key not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with warnings.catch_warnings():  # TLS 1.0 is what is asked for
                warnings.simplefilter("ignore", DeprecationWarning)
                context.minimum_version = self.tls_min
                context.maximum_version = self.tls_max
            if self.ciphers:
                context.set_ciphers(self.ciphers)
            _load(context, certificate)
            self._contexts[key] = context
        return self._contexts[key]

    def renew(self, certificate):
        """Shows another certificate in place of its first one from now on,
        and takes the tickets that it gave before."""
        context = self._context_of(self.certificates[0])
        _load(context, certificate)
        self.certificates[0] = certificate
        self._contexts[(certificate, self.tls_min, self.tls_max,
                        self.ciphers)] = context

    def _choose(self, stream, sni, _context):
        _here.session.sni = sni or ""
        for certificate in self.certificates:
            if sni and sni in _names(certificate):
                stream.context = self._context_of(certificate)
                return

    def record(self, message):
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def _wait(self, rows, matches, timeout, what):
        def find():
            return next((row for row in rows if matches(row)), None)

        with self._changed:
            found = self._changed.wait_for(find, timeout)
        if found is None:
            raise TimeoutError(f"{self.name}: no such {what} in {timeout} s;"
                               f" it has {rows}")
        return found

    def wait_message(self, matches=lambda message: True, timeout=30):
        """The first message, come or still to come, that matches."""
        return self._wait(self.messages, matches, timeout, "message")

    def wait_session(self, matches=lambda session: True, timeout=30):
        """The first connection that matches, likewise."""
        return self._wait(self.sessions, matches, timeout, "session")

    def forget(self):
        """Back to an empty record and no script."""
        with self._changed:
            self.sessions.clear()
            self.messages.clear()
        self.on.clear()
        self.script = None

    def close(self):
        self.closing.set()
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for session in list(self.sessions):
            with contextlib.suppress(OSError):
                session.raw.shutdown(socket.SHUT_RDWR)


def _names(certificate):
    try:
        names = certificate.certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)


def _load(context, certificate):
    """Loads a pki.Certificate: ssl reads files only."""
    with tempfile.TemporaryFile() as file:
        file.write(certificate.chain_pem + certificate.key_pem)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
