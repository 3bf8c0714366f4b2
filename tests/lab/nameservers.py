# SPDX-License-Identifier: ISC
"""The lab's domain name system: a signed root, `example.`, and zones below.

NSD serves the zones (root, TLD and leaves on an address each), ldns signs
them, and Unbound resolves for the LAN's MTAs, without validation.  In front
of each NSD a thread passes queries on, keeps a record of them, and does what
a test scripts:

    dns.zone("a.example", ["@ MX 10 mx1", "mx1 A 203.0.113.9"])
    dns.zone("b.example", [...], signed=False)
    zone = dns.zone("c.example", [...], own_server=True)
    zone.server.on["c.example", "MX"] = servfail      # a type, or None: all
    zone.server.on["c.example", None] = late(3)
    dns.publish()
    dns.queries                                       # (server, name, type)

Scripted zones need a server of their own: resolvers hold what a server does
against all of its zones.  Zones may be wrong in themselves, too (SIGNINGS):

    dns.zone("d.example", [...], signing="expired")

What forges denials and wears validators out is in hostile_dns.
"""

import contextlib
import glob
import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone

TTL = 60
NEGATIVE_TTL = 1  # so that a name may appear while a lab runs
SIGNING = "ECDSAP256SHA256"
# How a zone with signed=True is signed, and what its parent says of it.
SIGNINGS = {
    "nsec": "as it should be",
    "nsec3": "likewise, with hashed denials",
    "nsec3-costly": "with 2000 iterations of the hash",
    "expired": "the signatures ended ten days ago",
    "future": "they begin in ten days",
    "other-key": "the parent's DS is another key's",
    "none": "the parent has a DS, the zone no signature",
    "island": "signed, but the parent has no DS",
}
_DENIALS = {"nsec3": ["-n", "-t", "0"], "nsec3-costly": ["-n", "-t", "2000"]}
# Days from now: begin and end.  Validators forgive a day.
_SIGNED = {"expired": (-40, -10), "future": (10, 40)}
_BACKENDS = {"root": "127.0.0.2", "tld": "127.0.0.3", "leaf": "127.0.0.4"}


# What a server may be made to do: (query message, usual answer) -> the
# answer, as a message, as bytes, or None for silence.

def _rcode(code):
    def act(query, _answer):
        made = dns.message.make_response(query)
        made.set_rcode(code)
        return made
    return act


servfail = _rcode(dns.rcode.SERVFAIL)
refused = _rcode(dns.rcode.REFUSED)
nxdomain = _rcode(dns.rcode.NXDOMAIN)  # unsigned: a forged denial
notimp = _rcode(dns.rcode.NOTIMP)


def drop(_query, _answer):
    """Never answers."""
    return None


def bogus(_query, answer):
    """Breaks every signature."""
    for section in (answer.answer, answer.authority):
        for index, rrset in enumerate(section):
            if rrset.rdtype == dns.rdatatype.RRSIG:
                broken = [rdata.replace(signature=bytes(
                    [rdata.signature[0] ^ 1]) + rdata.signature[1:])
                          for rdata in rrset]
                section[index] = dns.rrset.from_rdata_list(
                    rrset.name, rrset.ttl, broken)
    return answer


def unsigned(_query, answer):
    """Leaves the signatures out."""
    for section in (answer.answer, answer.authority):
        section[:] = [rrset for rrset in section
                      if rrset.rdtype != dns.rdatatype.RRSIG]
    return answer


def late(seconds):
    """Answers after a while."""
    def act(_query, answer):
        time.sleep(seconds)
        return answer
    return act


def answers(*records):
    """Answers with these records ("mx1 60 IN A 192.0.2.1") unsigned."""
    def act(query, _answer):
        made = dns.message.make_response(query)
        made.flags |= dns.flags.AA
        for record in records:
            made.answer.append(dns.rrset.from_text(*record.split(None, 4)))
        return made
    return act


class Server:
    """What stands at a name server's addresses, in front of its NSD."""

    def __init__(self, ns, addresses, backend, queries):
        self.addresses = addresses
        self.on = {}  # {(name, type or None): act}
        self._ns = ns
        self._backend = backend
        self._queries = queries
        self._sockets = []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for kind, serve in ((socket.SOCK_DGRAM, self._serve_udp),
                                (socket.SOCK_STREAM, self._serve_tcp)):
                bound = ns.socket(family, kind)
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind((address, 53))
                self._sockets.append(bound)
                threading.Thread(target=serve, args=(bound,),
                                 daemon=True).start()

    def _serve_udp(self, bound):
        while True:
            try:
                wire, peer = bound.recvfrom(65535)
            except OSError:  # close() was done before it woke
                return
            if not wire:  # close() shut it down
                return
            # A slow answer holds up no other.
            threading.Thread(target=self._answer_udp, daemon=True,
                             args=(bound, wire, peer)).start()

    def _answer_udp(self, bound, wire, peer):
        with contextlib.suppress(OSError, dns.exception.DNSException):
            answer = self._answer(wire, tcp=False)
            if answer is not None:
                bound.sendto(answer, peer)

    def _serve_tcp(self, bound):
        bound.listen(64)
        while True:
            try:
                connection, _peer = bound.accept()
            except OSError:
                return
            connection.settimeout(10)
            threading.Thread(target=self._answer_tcp, args=(connection,),
                             daemon=True).start()

    def _answer_tcp(self, connection):
        with connection, contextlib.suppress(OSError, EOFError,
                                             dns.exception.DNSException):
            while True:
                size, = struct.unpack("!H", _exactly(connection, 2))
                answer = self._answer(_exactly(connection, size), tcp=True)
                if answer is None:
                    return
                connection.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, wire, tcp):
        query = dns.message.from_wire(wire)
        if not query.question:
            return None
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self._queries.append((self.addresses[0], name, kind))
        act = self.on.get((name, kind)) or self.on.get((name, None))
        usual = self._ask(wire, tcp)
        if act is None:
            return usual
        answer = act(query, dns.message.from_wire(usual))
        if isinstance(answer, dns.message.Message):
            answer = _wire(query, answer, tcp)
        return answer

    def _ask(self, wire, tcp):
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        with self._ns.socket(socket.AF_INET, kind) as sock:
            sock.settimeout(5)
            sock.connect((self._backend, 53))
            if not tcp:
                sock.send(wire)
                return sock.recv(65535)
            sock.sendall(struct.pack("!H", len(wire)) + wire)
            size, = struct.unpack("!H", _exactly(sock, 2))
            return _exactly(sock, size)

    def close(self):
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _wire(query, answer, tcp):
    wire = answer.to_wire(max_size=65535)
    if tcp or len(wire) <= max(query.payload, 512):
        return wire
    cut = dns.message.make_response(query)
    cut.flags |= dns.flags.TC | dns.flags.AA
    return cut.to_wire()


def _exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


class Zone:
    """A zone's records; `records` may be changed, then publish."""

    def __init__(self, origin, records, signed, server, signing="nsec"):
        if signing not in SIGNINGS:
            raise ValueError(signing)
        self.origin = origin.rstrip(".") + "."
        self.records = list(records)
        self.signed = signed
        self.signing = signing
        self.server = server  # a Server of its own, or None
        self.serial = 0
        self.key = None
        self.ds = None
        self.path = None  # as it was published last
        self.is_dirty = True

    def add(self, *records):
        self.records += records
        self.is_dirty = True

    def remove(self, owner, kind):
        """Takes out what add was given as "OWNER KIND ...", or with a TTL
        between these."""
        self.records = [r for r in self.records if not (
            r.split()[0] == owner and kind in r.split()[1:3])]
        self.is_dirty = True

    def signed_rrset(self, name, kind):
        """An RRset as published, and its RRSIGs."""
        zone = dns.zone.from_file(self.path, self.origin, relativize=False)
        name = dns.name.from_text(name)
        covers = dns.rdatatype.from_text(kind)
        return (zone.get_rrset(name, covers),
                zone.get_rrset(name, dns.rdatatype.RRSIG, covers))

    @property
    def file(self):
        return "root" if self.origin == "." else self.origin.rstrip(".")


class Dns:
    """The servers; made by Lab."""

    def __init__(self, ns, jail, directory, new_addresses):
        """new_addresses: a function that gives (IPv4, IPv6)."""
        self.queries = []
        self.zones = {}
        self._ns = ns
        self._jail = jail
        self._directory = directory
        self._new_addresses = new_addresses
        self._lock = threading.RLock()
        os.makedirs(f"{directory}/keys")
        self.servers = []
        self._level = {}
        for level in _BACKENDS:
            self._start_nsd(level, _BACKENDS[level])
            self._level[level] = self._new_server(level)
        self._add_infrastructure()
        self.publish()
        self.root_hints = f"{directory}/root.hints"
        self.trust_anchor = f"{directory}/root.key"
        with open(self.root_hints, "w", encoding="ascii") as file:
            file.write(". 3600 IN NS ns-root.\n"
                       + _addresses("ns-root.", self.root_server.addresses))
        with open(self.trust_anchor, "w", encoding="ascii") as file:
            file.write(self.zones["."].ds)
        self.resolver = new_addresses()
        self._start_unbound()

    @property
    def root_server(self):
        return self._level["root"]

    def _new_server(self, level="leaf"):
        server = Server(self._ns, self._new_addresses(), _BACKENDS[level],
                        self.queries)
        self.servers.append(server)
        return server

    def _write(self, path, text):
        with open(self._jail.root + path, "w", encoding="ascii") as file:
            file.write(text)

    def _start_nsd(self, level, address):
        os.makedirs(self._jail.root + f"/zones/{level}")
        self._write(f"/zones/{level}.conf", f"""
server:
  ip-address: {address}
  server-count: 1
  username: ""
  zonesdir: "/zones/{level}"
  zonelistfile: "/zones/{level}.list"
  xfrdfile: ""
  database: ""
  pidfile: "/zones/{level}.pid"
  logfile: "/zones/{level}.log"
  rrl-ratelimit: 0
  minimal-responses: no
remote-control:
  control-enable: yes
  control-interface: "/zones/{level}.ctl"
pattern:
  name: "lab"
  zonefile: "%s.zone"
""")
        self._jail.run("nsd", "-c", f"/zones/{level}.conf")

    def _start_unbound(self):
        self._write("/zones/unbound.conf", f"""
server:
  interface: {self.resolver[0]}
  interface: {self.resolver[1]}
  access-control: 0.0.0.0/0 allow
  access-control: ::/0 allow
  chroot: ""
  username: ""
  directory: "/zones"
  pidfile: ""
  use-syslog: yes
  do-daemonize: no
  root-hints: "/zones/root.hints"
  module-config: "iterator"
  do-not-query-localhost: no
  cache-max-ttl: 2
  cache-max-negative-ttl: 1
  num-threads: 1
""")
        shutil.copy(self.root_hints, self._jail.root + "/zones/root.hints")
        mark = self._jail.log.mark()
        self._jail.start("unbound", "-c", "/zones/unbound.conf")
        self._jail.log.wait(re.compile("start of service"), since=mark)

    def _add_infrastructure(self):
        level = self._level
        self.zones["."] = Zone(".", [
            "@ NS ns-root.", "example. NS ns-tld.",
            *_addresses("ns-root.", level["root"].addresses).splitlines(),
            *_addresses("ns-tld.", level["tld"].addresses).splitlines(),
            *_addresses("ns-leaf.", level["leaf"].addresses).splitlines(),
        ], True, None)
        self.zones["example."] = Zone("example.", ["@ NS ns-tld."], True,
                                      None)

    def zone(self, origin, records=(), *, signed=True, own_server=False,
             signing="nsec"):
        """A zone below example.; publish makes it seen."""
        origin = origin.rstrip(".") + "."
        parent = origin.split(".", 1)[1]
        if parent != "example.":
            raise ValueError(f"{origin} is not right below example.")
        server = self._new_server() if own_server else None
        zone = Zone(origin, records, signed, server, signing)
        if server is None:
            zone.add("@ NS ns-leaf.")
        else:
            zone.add(f"@ NS ns.{origin}",
                     *_addresses(f"ns.{origin}",
                                 server.addresses).splitlines())
        with self._lock:
            self.zones[origin] = zone
            self.zones["example."].is_dirty = True
        return zone

    def zone_of(self, name):
        """The zone below example. that a host name is in; made if need be."""
        origin = ".".join(name.rstrip(".").split(".")[-2:]) + "."
        return self.zones.get(origin) or self.zone(origin)

    def publish(self):
        """Signs what is new and returns once it is served."""
        with self._lock:
            dirty = [z for z in self.zones.values() if z.is_dirty]
            # Children first: their parents hold their DS.
            for zone in sorted(dirty, key=lambda z: -len(z.origin)):
                self._make(zone)
            for level in _BACKENDS:
                self._load(level, [z for z in dirty
                                   if self._level_of(z) == level])
            for zone in dirty:
                zone.is_dirty = False

    @staticmethod
    def _level_of(zone):
        return {".": "root", "example.": "tld"}.get(zone.origin, "leaf")

    def _make(self, zone):
        records = list(zone.records)
        if zone.origin == "example.":
            for child in self.zones.values():
                if self._level_of(child) == "leaf":
                    records += self._delegation(child)
        if zone.origin == ".":
            records.append(self.zones["example."].ds)
        zone.serial += 1
        path = f"{self._directory}/keys/{zone.file}.zone"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"$ORIGIN {zone.origin}\n$TTL {TTL}\n"
                       f"@ SOA ns-leaf. hostmaster.example. {zone.serial}"
                       f" 60 60 3600 {NEGATIVE_TTL}\n"
                       + "\n".join(records) + "\n")
        if zone.signed:
            self._sign(zone, path)
        zone.path = path
        shutil.copy(path, f"{self._jail.root}/zones/{self._level_of(zone)}/"
                    + (zone.origin.rstrip(".") or ".") + ".zone")

    def _delegation(self, child):
        if child.server is None:
            yield f"{child.origin} NS ns-leaf."
        else:
            yield f"{child.origin} NS ns.{child.origin}"
            yield from _addresses(f"ns.{child.origin}",
                                  child.server.addresses).splitlines()
        if child.signed and child.signing != "island":
            yield child.ds

    def _new_key(self, origin):
        """A key's path and its DS."""
        keys = f"{self._directory}/keys"
        made = subprocess.run(
            ["ldns-keygen", "-k", "-a", SIGNING, origin], cwd=keys,
            check=True, capture_output=True, text=True).stdout.strip()
        path = f"{keys}/{made}"
        with open(glob.glob(glob.escape(path) + ".ds")[0],
                  encoding="ascii") as file:
            return path, file.read()

    def _sign(self, zone, path):
        if zone.key is None:
            zone.key, zone.ds = self._new_key(zone.origin)
            if zone.signing == "other-key":
                _path, zone.ds = self._new_key(zone.origin)
        if zone.signing == "none":
            return
        begin, end = _SIGNED.get(zone.signing, (-1 / 24, 28))
        subprocess.run(["ldns-signzone", *_DENIALS.get(zone.signing, ()),
                        "-i", _date(begin), "-e", _date(end),
                        "-o", zone.origin, "-f", path, path, zone.key],
                       check=True, capture_output=True)

    def _load(self, level, zones):
        control = ("nsd-control", "-c", f"/zones/{level}.conf")
        new = [z for z in zones if z.serial == 1]
        if new:
            self._jail.run(*control, "addzones", stdin="".join(
                f"{z.origin.rstrip('.') or '.'} lab\n" for z in new))
        for zone in zones:
            if zone not in new:
                self._jail.run(*control, "reload", zone.origin.rstrip(".")
                               or ".")
        for zone in zones:
            self._wait_served(_BACKENDS[level], zone)
        if zones:
            self._wait_alone(level)

    def _wait_alone(self, level):
        """Until nobody answers any more as before the reload: of each NSD
        there are three processes, and meanwhile some more."""
        title = f"nsd -c /zones/{level}.conf"
        until = time.monotonic() + 10
        while self._jail.titles().count(title) > 3:
            if time.monotonic() > until:
                raise TimeoutError(f"{title} does not end its reload")
            time.sleep(0.002)

    def _wait_served(self, backend, zone):
        query = dns.message.make_query(zone.origin, "SOA")
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with self._ns.entered(), contextlib.suppress(dns.exception.Timeout,
                                                         OSError):
                answer = dns.query.udp(query, backend, timeout=1)
                if answer.answer and answer.answer[0][0].serial == zone.serial:
                    return
            # NSD reloads behind its control channel's back.
            time.sleep(0.005)
        raise TimeoutError(f"{zone.origin} is not served: "
                           + self._nsd_log(zone))

    def _nsd_log(self, zone):
        path = f"{self._jail.root}/zones/{self._level_of(zone)}.log"
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def asked(self, name, kind=None):
        """How often the servers were asked this."""
        name = name.rstrip(".").lower()
        return sum(1 for _s, n, k in self.queries
                   if n == name and kind in (None, k))

    def close(self):
        for server in self.servers:
            server.close()


def _date(days):
    return time.strftime("%Y%m%d%H%M%S",
                         time.gmtime(time.time() + days * 86400))


def _addresses(name, addresses):
    return "".join(f"{name} {TTL} IN {'AAAA' if ':' in a else 'A'} {a}\n"
                   for a in addresses)
