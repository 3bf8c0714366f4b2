# SPDX-License-Identifier: ISC
"""A tap on a wire: judges that no envelope crosses it in clear.

It puts TCP streams together again, and of each keeps the clear part: all up
to the first TLS record of that direction.  A leak is an envelope's verb in
the client's clear part, a line there that no SMTP client sends before
STARTTLS, or one of the given markers (a body's, an address's) anywhere in
clear, whatever the port.
"""

import dataclasses
import re
import select
import socket
import struct
import threading

from lab.netns import is_ready

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_STATISTICS = 6
SO_RCVBUFFORCE = 33
CLEAR_MAX = 1 << 20  # bytes of one direction that are looked at

# What may be said in clear.  EHLO's argument is the MTA's own name.
HARMLESS = re.compile(rb"(EHLO|HELO) [^@<>]*|STARTTLS|QUIT|RSET|NOOP|HELP|",
                      re.IGNORECASE)
ENVELOPE = re.compile(
    rb"^\s*(MAIL\s+FROM|RCPT\s+TO|SEND\s+FROM|DATA\s*$|BDAT\s|AUTH\s|VRFY\s|"
    rb"EXPN\s|ETRN\s)", re.IGNORECASE | re.MULTILINE)
TLS_RECORD = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")


@dataclasses.dataclass
class Leak:
    what: str
    flow: tuple
    clear: bytes

    def __str__(self):
        source, sport, target, port = self.flow
        return (f"{self.what} from {source}:{sport} to {target}:{port}: "
                f"{self.clear[-200:]!r}")


class _Stream:
    """One direction of a TCP connection."""

    def __init__(self, first):
        self.next = first
        self.waiting = {}
        self.clear = b""
        self.is_tls = False
        self.is_dense = False  # not looked at any more
        self.has_ended = False

    def add(self, sequence, data):
        self.waiting.setdefault(sequence, bytes(data))
        while self.waiting and not self.is_dense:
            ready = [s for s in self.waiting
                     if (self.next - s) % 2**32 < 2**31]
            if not ready:
                return
            for s in sorted(ready, key=lambda s: (s - self.next) % 2**32):
                piece = self.waiting.pop(s)[(self.next - s) % 2**32:]
                self.next = (self.next + len(piece)) % 2**32
                self._take(piece)

    def _take(self, piece):
        if self.is_dense:
            return
        self.clear += piece
        # A record starts where a line does: TLS inside a line is text.
        for match in TLS_RECORD.finditer(self.clear):
            start = match.start()
            if start == 0 or self.clear[start - 1:start] == b"\n":
                self.clear = self.clear[:start]
                self.is_tls = self.is_dense = True
        if len(self.clear) > CLEAR_MAX:
            self.is_dense = True
        if self.is_dense:
            self.waiting.clear()


class Tap:
    """Listens on an interface of a namespace from the start."""

    def __init__(self, ns, interface, ports=(25, 465, 587, 2525)):
        self.ports = set(ports)
        self.markers = []
        self.streams = {}
        self._ended = {}  # forgotten; what is sent again is still in TLS
        self.packets = 0
        self._lost = 0
        self._lock = threading.Lock()
        self._stop, self._stopped = socket.socketpair()
        self._socket = ns.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                 socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        self._socket.bind((interface, 0))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        frame = memoryview(bytearray(1 << 18))
        poll = select.poll()
        for each in (self._socket, self._stopped):
            poll.register(each, select.POLLIN)
        while True:
            if self._stopped.fileno() in dict(poll.poll()):
                return
            self._packet(frame[:self._socket.recv_into(frame)])

    def _packet(self, frame):
        kind = frame[12:14]
        if kind == b"\x08\x00":
            start = 14 + (frame[14] & 15) * 4
            if frame[23] != socket.IPPROTO_TCP:
                return
            source, target = bytes(frame[26:30]), bytes(frame[30:34])
            end = 14 + struct.unpack("!H", frame[16:18])[0]
        elif kind == b"\x86\xdd":
            start = 54
            if frame[20] != socket.IPPROTO_TCP:
                return
            source, target = bytes(frame[22:38]), bytes(frame[38:54])
            end = 54 + struct.unpack("!H", frame[18:20])[0]
        else:
            return
        sport, port, sequence = struct.unpack("!HHI", frame[start:start + 8])
        if sport not in self.ports and port not in self.ports:
            return
        flags = frame[start + 13]
        data = frame[start + (frame[start + 12] >> 4) * 4:end]
        flow = (source, sport, target, port)
        with self._lock:
            self.packets += 1
            if flags & 2:  # SYN: a new connection, the old one's ports or not
                self._renew(flow, sequence)
                sequence += 1
            if flow not in self.streams:
                if not data:
                    return
                self.streams[flow] = [  # older than the tap
                    self._ended.get(flow) or _Stream(sequence)]
            stream = self.streams[flow][-1]
            stream.has_ended |= bool(flags & 5)  # FIN, RST
            if data and not stream.is_dense:
                stream.add(sequence, data)

    def _renew(self, flow, sequence):
        self._ended.pop(flow, None)
        streams = self.streams.setdefault(flow, [])
        first = (sequence + 1) % 2**32
        if not streams or streams[-1].next != first:
            streams.append(_Stream(first))

    def _readable(self, flow):
        family = socket.AF_INET if len(flow[0]) == 4 else socket.AF_INET6
        return (socket.inet_ntop(family, flow[0]), flow[1],
                socket.inet_ntop(family, flow[2]), flow[3])

    def mark(self, *texts):
        """Bytes that nobody may see in clear from now on."""
        self.markers += [t.encode() if isinstance(t, str) else t
                         for t in texts]

    def flush(self):
        """Waits until what was sent before is seen."""
        while is_ready(self._socket, 0.05):
            pass

    def leaks(self):
        """Every leak so far."""
        self.flush()
        found = []
        with self._lock:
            for flow, streams in self.streams.items():
                for stream in streams:
                    found += [Leak(what, self._readable(flow), stream.clear)
                              for what in self._judge(flow, stream)]
        if self.drops():
            found.append(Leak("the tap lost packets: no verdict",
                              ("", 0, "", 0), b""))
        return found

    def _judge(self, flow, stream):
        clear = stream.clear + b"".join(stream.waiting.values())
        for marker in self.markers:
            if marker in clear:
                yield f"marker {marker!r}"
        if flow[3] not in self.ports:
            return
        match = ENVELOPE.search(clear)
        if match:
            yield f"verb {match[0]!r} in clear"
            return
        for line in clear.split(b"\n"):
            if not HARMLESS.fullmatch(line.rstrip(b"\r")):
                yield f"line {line[:80]!r} in clear"
                return

    def drops(self):
        """Packets that the kernel could not hand over, ever."""
        _, lost = struct.unpack("II", self._socket.getsockopt(
            SOL_PACKET, PACKET_STATISTICS, 8))  # which starts anew with it
        self._lost += lost
        return self._lost

    def connections(self, port=25):
        """(source, sport, target, port) of those that said something."""
        with self._lock:
            return [self._readable(flow) for flow in self.streams
                    if flow[3] == port]

    def clear(self, port=25):
        """What clients said in clear, one bytes a connection."""
        with self._lock:
            return [stream.clear for flow, streams in self.streams.items()
                    if flow[3] == port for stream in streams]

    def forget(self):
        """A fresh record, of live connections what they say from now on."""
        self.flush()
        with self._lock:
            for flow, streams in list(self.streams.items()):
                if streams[-1].has_ended:
                    del self.streams[flow]
                    if streams[-1].is_tls:
                        streams[-1].clear = b""
                        self._ended[flow] = streams[-1]
                else:
                    streams[-1].clear = b""
                    self.streams[flow] = streams[-1:]
            self.markers.clear()

    def close(self):
        self._stop.send(b"x")
        self._thread.join()
        for each in (self._socket, self._stop, self._stopped):
            each.close()
