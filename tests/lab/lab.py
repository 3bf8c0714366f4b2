# SPDX-License-Identifier: ISC
"""The lab itself: three places, cables between them, and who lives there."""

import contextlib
import fcntl
import glob
import itertools
import os
import pwd
import shutil

from lab import pki
from lab.jail import Jail
from lab.middlebox import Middlebox
from lab.mta import Exim, Postfix
from lab.nameservers import Dns
from lab.netns import Namespace, link
from lab.smtp_client import Client
from lab.smtp_server import SmtpServer
from lab.tap import Tap
from lab.web import Redis, Sts, Web

STATE = "/run/postern-lab"
ROOTS = os.path.abspath(f"{os.path.dirname(__file__)}/../../build/lab")

LAN4, LAN6 = "198.51.100.", "2001:db8:100::"
WAN4, WAN6 = "203.0.113.", "2001:db8:203::"
MORE4 = "198.18."  # behind the internet's own address, once WAN4 is used up


def sweep():
    """Removes what labs left that were killed: a folder, no more."""
    for directory in glob.glob(f"{STATE}/*"):
        with contextlib.suppress(OSError):
            with open(f"{directory}/lock", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)


def _free_user():
    taken = {user.pw_uid for user in pwd.getpwall()}
    return next(uid for uid in range(64000, 65000) if uid not in taken)


class Lab:
    """See the package's own text.  `mtas` tells which stock MTAs to raise:
    those and their jails are most of the time that it takes.  Where speed is
    measured there is no tap, since whoever sends pays for its copies.  With
    is_for_pair there is no gateway yet, but room for two: see pair."""

    def __init__(self, mtas=("postfix", "exim"), has_tap=True,
                 is_for_pair=False):
        self._stack = contextlib.ExitStack()
        self._numbers = itertools.count(4 if is_for_pair else 2)
        self._names = itertools.count(1)
        self._web = None
        self.user = _free_user()
        try:
            self._make_directory()
            self._make_wires(is_for_pair)
            self._make_tap(has_tap)
            self._make_authorities()
            self._make_dns()
            self._make_mtas(mtas)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def close(self):
        self._stack.close()

    # Raising it.

    def _make_directory(self):
        os.umask(0o022)  # what drops its privilege must read it
        os.makedirs(STATE, exist_ok=True)
        sweep()
        self.directory = next(
            path for number in itertools.count()
            if not os.path.exists(path := f"{STATE}/{os.getpid()}.{number}"))
        os.makedirs(self.directory)
        lock = self._stack.enter_context(
            open(f"{self.directory}/lock", "w", encoding="ascii"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        self._stack.callback(self._remove_directory)

    def _remove_directory(self):
        shutil.rmtree(self.directory)
        with contextlib.suppress(OSError):
            os.rmdir(STATE)

    def directory_for(self, what):
        """A fresh folder of the lab's."""
        path = f"{self.directory}/{what}-{next(self._names)}"
        os.makedirs(path)
        return path

    def state_directory(self):
        """A fresh folder for what postern keeps past its own life."""
        path = self.directory_for("state")
        os.chmod(path, 0o700)
        os.chown(path, self.user, self.user)
        return path

    def namespace(self, name):
        made = Namespace(name)
        self._stack.callback(made.close)
        return made

    def _make_wires(self, is_for_pair):
        self.internet = self.namespace("internet")
        self._switch = self.namespace("switch")
        self._ports = itertools.count(1)
        self._ports_of = {}
        self._make_bridge("br0")
        if is_for_pair:
            self._make_bridge("br1")
            self._plug_in(self.internet, "net0", "br1")
        else:
            self.gateway = self.namespace("gateway")
            self._plug_in(self.gateway, "lan0")
            link(self.gateway, "wan0", self.internet, "net0")
            self._make_router(self.gateway, 1)
        _address(self.internet, "net0", WAN4 + "254/24", WAN6 + "fffe/64")
        _routes(self.internet, WAN4 + "1", WAN6 + "1")
        self.client = self.lan_host("client", 20)

    def _make_bridge(self, name):
        self._switch.run("ip", "link", "add", name, "type", "bridge")
        self._switch.set_up(name)

    @staticmethod
    def _make_router(ns, number):
        _address(ns, "lan0", f"{LAN4}{number}/24", f"{LAN6}{number}/64")
        _address(ns, "wan0", f"{WAN4}{number}/24", f"{WAN6}{number}/64")
        ns.write("/proc/sys/net/ipv4/ip_forward", "1")
        ns.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        ns.run("ip", "route", "add", MORE4 + "0.0/16", "via", WAN4 + "254")

    def _make_tap(self, has_tap):
        self.tap = Tap(self.internet, "net0") if has_tap else None
        if self.tap is not None:
            self._stack.callback(self.tap.close)

    def _plug_in(self, ns, interface, bridge="br0"):
        port = f"port{next(self._ports)}"
        link(self._switch, port, ns, interface)
        self._switch.run("ip", "link", "set", port, "master", bridge)
        self._ports_of[ns, interface] = port

    def cables(self, ns, *interfaces, are_in=True):
        """Plugs in, or out, cables between a namespace and a switch, all at
        once."""
        to = "up" if are_in else "down"
        self._switch.run("ip", "-batch", "-", stdin="".join(
            f"link set {self._ports_of[ns, each]} {to}\n"
            for each in interfaces))

    def pair_gateway(self, name, number):
        """Where there is room for two: a namespace with lan0 and wan0, at
        198.51.100.NUMBER, 203.0.113.NUMBER and their IPv6 twins."""
        ns = self.namespace(name)
        self._plug_in(ns, "lan0")
        self._plug_in(ns, "wan0", "br1")
        self._make_router(ns, number)
        return ns

    def lan_host(self, name, number):
        """A namespace on the LAN at 198.51.100.NUMBER and its IPv6 twin."""
        ns = self.namespace(name)
        self._plug_in(ns, "eth0")
        _address(ns, "eth0", f"{LAN4}{number}/24", f"{LAN6}{number}/64")
        _routes(ns, LAN4 + "1", LAN6 + "1")
        return ns

    def _make_authorities(self):
        self.ca = pki.Authority("Lab Root CA")
        self.issuing_ca = self.ca.authority("Lab Issuing CA")
        self.unknown_ca = pki.Authority("Nobody's CA")
        self.trust = f"{self.directory}/trust.pem"
        pki.write_trust(self.trust, self.ca)

    def _make_dns(self):
        jail = Jail(self.internet, f"{self.directory}/dns",
                    f"{ROOTS}/postfix", "dns", {"/zones/empty": ""},
                    "echo unpacked; sleep infinity")
        self._stack.callback(jail.close)
        jail.wait_unpacked()
        self.dns = Dns(self.internet, jail, self.directory_for("zones"),
                       self.new_addresses)
        self._stack.callback(self.dns.close)

    def _make_mtas(self, mtas):
        resolver = self.dns.resolver[0]
        if "postfix" in mtas:
            self.postfix = self._add(Postfix(
                self.lan_host("postfix", 10), f"{self.directory}/postfix",
                f"{ROOTS}/postfix", "mail.lan.example", resolver))
        if "exim" in mtas:
            self.exim = self._add(Exim(
                self.lan_host("exim", 11), f"{self.directory}/exim",
                f"{ROOTS}/exim", "exim.lan.example", resolver))
        for name in mtas:
            getattr(self, name).wait_ready()

    def _add(self, thing):
        self._stack.callback(thing.close)
        return thing

    # Living in it.

    def new_addresses(self):
        """An IPv4 and an IPv6 address on the internet, nobody's yet."""
        number = next(self._numbers)
        address = (f"{WAN4}{number}" if number < 254
                   else f"{MORE4}{number >> 8}.{number & 255}")
        pair = (address, f"{WAN6}{number:x}")
        _address(self.internet, "net0", pair[0] + "/32", pair[1] + "/128")
        return pair

    def client_address(self, ipv6=False):
        """The scripted client's own."""
        return (LAN6 if ipv6 else LAN4) + "20"

    def fresh(self, word="d"):
        """A domain name that nobody has used: word-7.example."""
        return f"{word}-{next(self._names)}.example"

    def issue(self, *names, ips=(), **options):
        """A certificate that postern's trust file vouches for."""
        return self.issuing_ca.issue(list(names), list(ips), **options)

    def mx(self, name, *, certificates=None, addresses=None, port=25,
           tlsa=(), **settings):
        """An MX host with its address records; good unless told otherwise.

        settings are attributes of SmtpServer; tlsa is as for tlsa().
        domain() or publish() makes the name seen.
        """
        if addresses is None:
            addresses = self.new_addresses()
        if certificates is None:
            certificates = [self.issue(name)]
        server = self._add(SmtpServer(self.internet, addresses, name=name,
                                      port=port, certificates=certificates))
        for key, value in settings.items():
            if not hasattr(server, key):
                raise AttributeError(key)
            setattr(server, key, value)
        self.name_host(name, addresses)
        if tlsa:
            self.tlsa(server, *([tlsa] if isinstance(tlsa, str) else tlsa))
        return server

    def tlsa(self, host, *records, certificate=None, port=25, ttl=60):
        """A host's TLSA records, in place of those that it had: "3 1 1 HEX",
        or "3 1 1" for what is true of the certificate, of usage 0 and 2 for
        the CA right above it.  host is a name or an SmtpServer, whose first
        certificate then is meant.  publish makes them seen."""
        name = getattr(host, "name", host)
        if certificate is None and hasattr(host, "certificates"):
            certificate = host.certificates[0]
        zone = self.dns.zone_of(name)
        owner = f"_{port}._tcp.{name}."
        zone.remove(owner, "TLSA")
        for record in records:
            if len(record.split()) == 3:
                at = certificate
                if record.startswith(("0", "2")):
                    at = certificate.above[0]
                record = at.tlsa(record)
            zone.add(f"{owner} {ttl} TLSA {record}")

    def name_host(self, name, addresses):
        """Adds A and AAAA records; publish makes them seen."""
        self.dns.zone_of(name).add(
            *(f"{name}. {'AAAA' if ':' in a else 'A'} {a}"
              for a in addresses))

    def domain(self, name, *hosts, signed=True, own_server=False,
               signing="nsec", publish=True):
        """A domain whose MX hosts are these, best first: SmtpServers or
        names.  Its zone is signed, and published, unless told otherwise;
        signing is one of nameservers.SIGNINGS."""
        options = {"signed": signed, "own_server": own_server,
                   "signing": signing}
        zone = self.dns.zones.get(name + ".")
        if zone is None:
            zone = self.dns.zone(name, **options)
        elif ((zone.signed, zone.server is not None, zone.signing)
              != (signed, own_server, signing)):
            # Made on the way, for an MX host's name.
            records = [r for r in zone.records if not (
                r.startswith("@ NS") or r.startswith(f"ns.{name}. "))]
            zone = self.dns.zone(name, records, **options)
        zone.add(*(f"@ MX {10 * rank} {getattr(host, 'name', host)}."
                   for rank, host in enumerate(hosts, 1)))
        if publish:
            self.publish()
        return zone

    def good_domain(self, word="good", **options):
        """A fresh domain with one good MX host; (name, SmtpServer)."""
        name = self.fresh(word)
        server = self.mx(f"mx.{name}", **options)
        self.domain(name, server)
        return name, server

    def sts(self, domain, mode="enforce", *, publish=True, **settings):
        """A domain's MTA-STS, good and published unless told otherwise: see
        web.Sts for the settings, and for what it does."""
        made = self._add(Sts(self, self.web, domain, mode=mode, **settings))
        if publish:
            self.publish()
        return made

    @property
    def web(self):
        """The web server, raised when it is first needed."""
        if self._web is None:
            self._web = self._add(Web(self.internet, f"{self.directory}/web",
                                      f"{ROOTS}/web"))
        return self._web

    def redis(self, **options):
        """A running redis-server, with a url."""
        return self._add(Redis(self.web, self.new_addresses(), **options))

    def publish(self):
        """Makes seen what zones and policy hosts now are."""
        self.dns.publish()
        if self._web is not None:
            self._web.publish()

    def middlebox(self, addresses, *rewrite):
        """A box in front of these addresses; by default it strips
        STARTTLS."""
        return self._add(Middlebox(self.internet, addresses, *rewrite))

    def postfix_mx(self, name):
        """A real Postfix as a good MX host; (Postfix, addresses)."""
        addresses = self.new_addresses()
        certificate = self.issue(name)
        server = self._add(Postfix(
            self.internet, self.directory_for("mx") + "/jail",
            f"{ROOTS}/postfix", name, self.dns.resolver[0],
            settings=["smtpd_tls_cert_file=/etc/postfix/chain.pem",
                      "smtpd_tls_key_file=/etc/postfix/key.pem",
                      "smtpd_tls_received_header=yes",
                      "smtpd_tls_loglevel=1",
                      f"inet_interfaces={','.join(addresses)}",
                      "mydestination=", "virtual_minimum_uid=1",
                      "virtual_mailbox_domains=static:all",
                      "virtual_mailbox_maps=static:all",
                      "virtual_mailbox_base=/var/mail",
                      "virtual_uid_maps=static:8",
                      "virtual_gid_maps=static:8"],
            files={"/etc/postfix/chain.pem": certificate.chain_pem.decode(),
                   "/etc/postfix/key.pem": certificate.key_pem.decode()}))
        self.name_host(name, addresses)
        server.wait_ready()
        return server, addresses

    def connect(self, server, *, ipv6=False, ns=None, **options):
        """A scripted Client on its way to an SmtpServer or an address."""
        address = server
        if isinstance(server, SmtpServer):
            address = next(a for a in server.addresses
                           if (":" in a) == ipv6)
            options.setdefault("port", server.port)
        return Client(ns or self.client, address, **options)

    def config(self, *settings, mode="gateway", state_directory=None):
        """A configuration for postern in this lab, and more lines of it.  Its
        state directory is a fresh one unless it is given."""
        interfaces = 'interfaces = ["lan0"]\n' if mode == "gateway" else ""
        # Tests knock faster than anybody else.
        rate = ("" if any("connection_rate" in s for s in settings)
                else "limits.connection_rate = 0\n")
        state = state_directory or self.state_directory()
        return (f"mode = {mode}\n{interfaces}{rate}"
                f'trust = "{self.trust}"\n'
                f'state_directory = "{state}"\n'
                f'dns {{\n    root_hints = "{self.dns.root_hints}"\n'
                f'    trust_anchor = "{self.dns.trust_anchor}"\n}}\n'
                + "\n".join(settings) + "\n")


def _address(ns, interface, *addresses):
    ns.ip(*(f"address add {address} dev {interface}"
            + (" nodad" if ":" in address else "") for address in addresses))


def _routes(ns, *gateways):
    ns.ip(*(f"route add default via {gateway}" for gateway in gateways))
