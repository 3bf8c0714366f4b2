# SPDX-License-Identifier: ISC
"""A wire with a box in it: a host, a bridge that carries its frames, and the
router behind that.

    with Wire(lab) as wire:
        Gateway(lab, wire.box, wire.config()) ...
        lab.connect(server, ns=wire.host)

The box has addresses on a management network only; its bridge has none.
"""

from lab.netns import link

HOST4, HOST6 = "10.9.0.2", "2001:db8:9::2"
ROUTER4, ROUTER6 = "10.9.0.1", "2001:db8:9::1"
NEIGHBOUR4, NEIGHBOUR6 = "10.9.0.3", "2001:db8:9::3"


class Wire:
    def __init__(self, lab):
        self.lab = lab
        self.host = lab.namespace("host")
        self.box = lab.namespace("box")
        for name in ("iptables", "ip6tables"):
            self.box.write(f"/proc/sys/net/bridge/bridge-nf-call-{name}", "0")
        # Another host on the router's side, without a router between.
        self.neighbour = lab.namespace("neighbour")
        self._switch = lab.namespace("switch")
        self._switch.write("/proc/sys/net/ipv6/conf/default/disable_ipv6",
                           "1")
        self._switch.run("ip", "link", "add", "br0", "type", "bridge")
        self._switch.run("ip", "link", "set", "br0", "up")
        link(self.box, "inner0", self.host, "eth0")
        link(self.box, "outer0", self._switch, "box0")
        link(self.neighbour, "eth0", self._switch, "neighbour0")
        link(lab.gateway, "dmz0", self._switch, "router0")
        link(lab.gateway, "manage0", self.box, "manage0")
        for port in ("box0", "neighbour0", "router0"):
            self._switch.run("ip", "link", "set", port, "master", "br0")
        _addresses(self.host, "eth0", HOST4 + "/24", HOST6 + "/64")
        _addresses(self.neighbour, "eth0", NEIGHBOUR4 + "/24",
                   NEIGHBOUR6 + "/64")
        _addresses(lab.gateway, "dmz0", ROUTER4 + "/24", ROUTER6 + "/64")
        _addresses(lab.gateway, "manage0", "10.8.0.1/24",
                   "2001:db8:8::1/64")
        _addresses(self.box, "manage0", "10.8.0.2/24", "2001:db8:8::2/64")
        for ns, *gateways in ((self.host, ROUTER4, ROUTER6),
                              (self.neighbour, ROUTER4, ROUTER6),
                              (self.box, "10.8.0.1", "2001:db8:8::1")):
            for gateway in gateways:
                ns.run("ip", "-6" if ":" in gateway else "-4", "route", "add",
                       "default", "via", gateway)
        self.add_bridge()

    def add_bridge(self):
        """br0, without any address of its own."""
        self.box.run("ip", "link", "add", "br0", "type", "bridge",
                     "forward_delay", "0")
        self.box.run("ip", "link", "set", "br0", "addrgenmode", "none")
        for port in ("inner0", "outer0"):
            self.box.run("ip", "link", "set", port, "addrgenmode", "none")
            self.box.run("ip", "address", "flush", "dev", port)
            self.box.run("ip", "link", "set", port, "master", "br0")
        self.box.run("ip", "link", "set", "br0", "up")

    def remove_bridge(self):
        self.box.run("ip", "link", "del", "br0")

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def config(self, *settings):
        return self.lab.config(
            "bridge = br0", "interfaces = [inner0]", *settings, mode="bridge")

    def close(self):
        self.lab.gateway.run("ip", "link", "del", "dmz0", check=False)
        self.lab.gateway.run("ip", "link", "del", "manage0", check=False)
        for ns in (self.host, self.box, self.neighbour, self._switch):
            ns.close()


def _addresses(ns, interface, *addresses):
    for address in addresses:
        options = ("nodad",) if ":" in address else ()
        ns.run("ip", "address", "add", address, "dev", interface, *options)
