# SPDX-License-Identifier: ISC
"""postern doctor: nothing fails where all is well; then each fault is made,
and exactly what it is about fails, with what to do."""

import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import types

import pytest

from lab import Gateway, pki
from lab.nameservers import Server, servfail, unsigned

INTERFACES = ("-i", "lan0", "-i", "spare0")
GATEWAY = ["configuration", "processes", "descriptors", "listener", "rules",
           "bypass", "routing", "interfaces", "forwarding", "return-path",
           "conntrack", "trust", "state", "dns", "bogus", "tlsa", "mta-sts"]
LOCAL = [name for name in GATEWAY
         if name not in ("routing", "forwarding", "return-path")]
SANITIZER = re.compile("AddressSanitizer|LeakSanitizer|runtime error:")
# Without those that ask the internet, and take longer.
QUICK = ("--skip", "dns")


@pytest.fixture(scope="module")
def names(lab):
    """Domains that tell, as options."""
    bogus = lab.fresh("bogus")
    lab.domain(bogus, lab.mx(f"mx.{bogus}"), signing="expired",
               publish=False)
    dane = lab.fresh("dane")
    server = lab.mx(f"mx.{dane}", tlsa="3 1 1")
    zone = lab.domain(dane, server, own_server=True, publish=False)
    sts = lab.sts(dane, mx=[server.name])
    return types.SimpleNamespace(
        zone=zone, sts=sts, dane=dane, bogus=bogus,
        options=("--bogus", bogus, "--dane", dane, "--mta-sts", dane))


@pytest.fixture(scope="module")
def gate(lab):
    """postern between LAN and internet, with one interface to spare."""
    lab.gateway.run("ip", "link", "add", "spare0", "type", "veth",
                    "peer", "name", "spare1")
    lab.gateway.run("ip", "link", "set", "spare1", "up")
    lab.gateway.run("ip", "link", "set", "spare0", "up")
    lab.gateway.run("ip", "address", "add", "10.77.0.1/24", "dev", "spare0")
    try:
        with Gateway(lab, lab.gateway, lab.config("workers = 2"),
                     arguments=INTERFACES) as started:
            yield started
    finally:
        lab.gateway.run("ip", "link", "del", "spare0", check=False)


@pytest.fixture(scope="module")
def here(lab):
    """postern in mode local."""
    with Gateway(lab, lab.client, lab.config("workers = 1", mode="local")) \
            as started:
        yield started


class Told:
    """What it said, by check: [{status, found, remedy}]."""

    def __init__(self, result):
        self.status = result.returncode
        said = json.loads(result.stdout)
        self.is_healthy = said["healthy"]
        self.findings = said["checks"]

    def of(self, status):
        """{check: "found; remedy" of all of that status}."""
        made = {}
        for each in self.findings:
            if each["status"] == status:
                made[each["check"]] = (made.get(each["check"], "")
                                       + f"{each['found']}; "
                                       + f"{each['remedy'] or ''}\n")
        return made

    def __repr__(self):
        return json.dumps(self.findings, indent=1)


def doctor(gateway, *arguments):
    result = gateway.command("doctor", "--json", "-c", gateway.config_path,
                             *arguments, check=False)
    assert result.returncode in (0, 1), result.stderr
    assert not SANITIZER.search(result.stderr), result.stderr
    told = Told(result)
    assert told.is_healthy == (told.status == 0) == (not told.of("fail"))
    return told


def fails(gateway, wanted, *arguments):
    """Exactly these checks fail, {check: [words of what is said]}."""
    told = doctor(gateway, *arguments)
    assert sorted(told.of("fail")) == sorted(wanted), told
    for check, words in wanted.items():
        for word in words:
            assert word in told.of("fail")[check], told
    for each in told.findings:
        assert each["status"] != "fail" or each["remedy"], each
    return told


def quick(gate, wanted, *arguments):
    return fails(gate, wanted, *QUICK, *INTERFACES, *arguments)


@contextlib.contextmanager
def undone(ns, *command):
    """What is broken meanwhile is put right by this."""
    try:
        yield
    finally:
        ns.run(*command)


@contextlib.contextmanager
def repaired(gate, *options):
    """By what the remedies say."""
    try:
        yield
    finally:
        gate.command("rules", "apply", "-c", gate.config_path,
                     *(options or INTERFACES))


# Where all is well.

def test_healthy_gateway(gate, names):
    told = fails(gate, {}, *INTERFACES, *names.options)
    assert sorted(told.of("pass")) == sorted(
        GATEWAY + ["clock"] * ("clock" in told.of("pass"))), told
    assert set(told.of("note")) <= {"clock"}, told
    assert "2 postern-relay" in told.of("pass")["processes"]
    assert "1 postern-policy" in told.of("pass")["processes"]
    assert "1 postern-gate" in told.of("pass")["processes"]


def test_healthy_host(here, names):
    told = fails(here, {}, *names.options)
    assert sorted(told.of("pass")) == sorted(
        LOCAL + ["clock"] * ("clock" in told.of("pass"))), told
    assert set(told.of("note")) <= {"clock"}, told


def test_text(gate):
    result = gate.command("doctor", "-c", gate.config_path, *INTERFACES,
                          *QUICK, check=False)
    lines = result.stdout.splitlines()
    assert result.returncode == 0 and result.stderr == ""
    assert ("pass rules: table inet postern is as this configuration has it,"
            " for IPv4 and IPv6") in lines
    assert {line.split()[0] for line in lines} <= {"pass", "note"}
    result = gate.command("doctor", "-c", gate.config_path, *QUICK,
                          *INTERFACES, "-i", "nothing0", check=False)
    assert result.returncode == 1
    assert ("FAIL interfaces: nothing0 is not there; `ip link` lists those "
            "that are: name the right one in `interfaces`, or bring it "
            "about") in result.stdout.splitlines()


@pytest.mark.parametrize("arguments, code", [
    (("--help",), 0),
    (("more",), 2),
    (("--no-such-option",), 2),
    (("--skip", "weather"), 2),
    (("--bogus", "a b"), 2),
    (("--limit", "0"), 2),
    (("--mode", "both"), 2),
], ids=str)
def test_usage(gate, arguments, code):
    result = gate.command("doctor", *arguments, check=False)
    assert result.returncode == code
    assert bool(result.stderr) == (code != 0)
    assert bool(result.stdout) == (code == 0)


def test_without_root(gate):
    """What it cannot see is no pass."""
    result = gate.as_user("doctor", "--json", "-c", gate.config_path, *QUICK,
                          *INTERFACES)
    told = Told(result)
    assert told.of("fail") == {}, told
    for check in ("processes", "rules", "bypass"):
        assert check not in told.of("pass"), told
        assert "needs root" in told.of("note")[check], told
    assert "routing" in told.of("pass"), told


def test_changes_nothing(gate, names):
    def snapshot():
        return [gate.ns.run(*command.split()).stdout for command in (
            "nft list ruleset", "ip -4 rule", "ip -6 rule",
            "ip -4 route show table all", "ip -6 route show table all",
            "ip -o link", "sysctl -a --pattern ^net\\.ipv[46]\\.conf",
            f"find {gate.lab.directory} -path */state-* -ls")]

    before = snapshot()
    doctor(gate, *INTERFACES, *names.options)
    assert snapshot() == before


class Nft:
    """nft under another name: postern's, or it would put its rules back at
    once."""

    path = None

    def __str__(self):
        return self.path


NFT = Nft()


@pytest.fixture(scope="module", autouse=True)
def nft_by_name(tmp_path_factory):
    NFT.path = str(tmp_path_factory.mktemp("nft") / "postern")
    os.symlink(shutil.which("nft"), NFT.path)


# Rules and routing.

def test_no_table(gate):
    with repaired(gate):
        gate.ns.run(NFT, "delete", "table", "inet", "postern")
        quick(gate, {"rules": ["there is no table inet postern",
                               "`postern rules apply`"]})
        told = quick(gate, {}, "-o", "manage_rules = false")
        assert "not judged" in told.of("note")["rules"]


def handle_of(ns, chain, words):
    listed = ns.run("nft", "-a", "list", "chain", "inet", "postern",
                    chain).stdout
    return next(line.rpartition("# handle ")[2]
                for line in listed.splitlines() if words in line)


@pytest.mark.parametrize("chain, words", [
    ("forward", "tcp dport 25"), ("seize", "[::1]:10025"),
    ("input", "tcp dport 10025"), ("prerouting", "fib daddr")])
def test_rule_deleted(gate, chain, words):
    with repaired(gate):
        gate.ns.run(NFT, "delete", "rule", "inet", "postern", chain,
                    "handle", handle_of(gate.ns, chain, words))
        told = quick(gate, {"rules": [f"chain {chain} is not as",
                                      "`postern rules apply`"]})
        assert len([each for each in told.findings
                    if each["check"] == "rules"]) == 1, told


def test_rule_added(gate):
    with repaired(gate):
        gate.ns.run(NFT, "insert rule inet postern forward accept")
        gate.ns.run(NFT, "add chain inet postern hole")
        quick(gate, {"rules": ["chain forward is not as",
                               "chain hole is there, and not in"]})


def test_table_asleep(gate):
    with repaired(gate):
        gate.ns.run(NFT, "add table inet postern { flags dormant; }")
        quick(gate, {"rules": ["table is not as this configuration"]})


def test_rules_of_other_settings(gate):
    quick(gate, {"rules": ["chain prerouting is not as",
                           "chain forward is not as"]},
          "-o", "ports = [25, 587]")


def test_rules_that_say_the_same(gate):
    """Whatever their handles, and in whatever order sets were written."""
    options = ("-o", "ports = [25, 465, 587]", *(
        word for number in range(9) for word in ("-i", f"other{number}")))
    replace = [NFT, "replace", "rule", "inet", "postern", "forward",
               "handle"]
    skips = ("--skip", "interfaces")
    with repaired(gate):
        gate.command("rules", "apply", "-c", gate.config_path, *INTERFACES,
                     *options)
        quick(gate, {}, *options, *skips)
        handle = handle_of(gate.ns, "forward", "dport")
        gate.ns.run(*replace, handle,
                    "tcp dport { 587, 25, 465 } counter reject with tcp "
                    "reset comment mine")
        quick(gate, {"rules": ["chain forward"]}, *options, *skips)
        handle = handle_of(gate.ns, "forward", "dport")
        gate.ns.run(*replace, handle,
                    "tcp dport { 587, 25, 465 } reject with tcp reset "
                    "comment mine")
        quick(gate, {}, *options, *skips)
        gate.ns.run(*replace, handle_of(gate.ns, "forward", "dport"),
                    "tcp dport { 587, 465 } reject with tcp reset")
        quick(gate, {"rules": ["chain forward"]}, *options, *skips)


def test_flowtable_is_noted(gate):
    made = gate.ns.run("nft", "-f", "-", check=False, stdin="""
        table inet fast {
            flowtable ft { hook ingress priority 0; devices = { lan0 }; }
        }""")
    if made.returncode != 0:
        pytest.skip(f"this kernel has no flowtables: {made.stderr}")
    with undone(gate.ns, "nft", "delete table inet fast"):
        told = quick(gate, {})
        assert "flowtable inet fast ft" in told.of("note")["bypass"], told


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("what, words", [
    (("rule", "del", "pref", "925"), ["priority 925"]),
    (("rule", "del", "pref", "926"), ["priority 926"]),
    (("route", "flush", "table", "25925"), ["route in table 25925"]),
], ids=lambda given: " ".join(given))
def test_routing_gone(gate, family, what, words):
    with repaired(gate):
        gate.ns.run("ip", f"-{family}", *what)
        told = quick(gate, {"routing": [
            *words, f"IPv{family}:", "`postern rules apply`"]})
        assert f"IPv{10 - family}:" not in told.of("fail")["routing"]


@pytest.mark.parametrize("family, via", [(4, "203.0.113.254"),
                                         (6, "2001:db8:203::fffe")])
def test_routing_taken_by_another_rule(gate, family, via):
    ip = ("ip", f"-{family}")
    with undone(gate.ns, *ip, "rule", "del", "pref", "10"), \
            undone(gate.ns, *ip, "route", "flush", "table", "77"):
        gate.ns.run(*ip, "route", "add", "default", "via", via, "table", "77")
        gate.ns.run(*ip, "rule", "add", "pref", "10", "iif", "lan0",
                    "lookup", "77")
        quick(gate, {"routing": [f"IPv{family}: a seized packet from lan0 "
                                 "would go to wan0", "`ip "]})


def test_forwarding_past_the_rules_is_noted(gate):
    with undone(gate.ns, "nft", "delete table netdev early"):
        gate.ns.run("nft", "-f", "-", stdin="""
            table netdev early {
                chain steal {
                    type filter hook ingress device "spare1" priority 0;
                    tcp dport 9 fwd to "spare0"
                }
            }""")
        told = quick(gate, {})
        assert "netdev early steal" in told.of("note")["bypass"], told
        assert "bypass" not in told.of("pass"), told


# Interfaces and the kernel.

def test_interface_missing(gate):
    lines = ["nothing0 is not there", "`interfaces`"]
    with repaired(gate):
        gate.command("rules", "apply", "-c", gate.config_path, *INTERFACES,
                     "-i", "nothing0")
        quick(gate, {"interfaces": lines}, "-i", "nothing0")


def test_inbound_missing(gate):
    with repaired(gate):
        options = ("-o", 'inbound = ["nothing1"]')
        gate.command("rules", "apply", "-c", gate.config_path, *INTERFACES,
                     *options)
        quick(gate, {"interfaces": ["nothing1 is not there", "`inbound`"]},
              *options)


def test_interface_down(gate):
    with undone(gate.ns, "ip", "link", "set", "spare0", "up"):
        gate.ns.run("ip", "link", "set", "spare0", "down")
        quick(gate, {"interfaces": ["spare0 is down",
                                    "`ip link set spare0 up`"]})
    with undone(gate.ns, "ip", "link", "set", "spare1", "up"):
        gate.ns.run("ip", "link", "set", "spare1", "down")
        told = quick(gate, {})
        assert "spare0 has no carrier" in told.of("note")["interfaces"]


def test_port_of_a_bridge(gate):
    with undone(gate.ns, "ip", "link", "del", "bridge0"):
        gate.ns.run("ip", "link", "add", "bridge0", "type", "bridge")
        gate.ns.run("ip", "link", "set", "spare0", "master", "bridge0")
        gate.ns.run("ip", "link", "set", "bridge0", "up")
        quick(gate, {"interfaces": ["spare0 is a port of the bridge bridge0",
                                    "name bridge0 in its place"]})
        calls = "/proc/sys/net/bridge/bridge-nf-call-iptables"
        for value, words in (("0", "meets no rule"), ("1", "led to postern")):
            if os.path.exists(calls):
                gate.ns.write(calls, value)
            elif value == "1":
                break
            told = fails(gate, {"rules": []}, *QUICK, "-i", "lan0", "-i",
                         "bridge0")
            assert words in told.of("note")["interfaces"], told


CONF = "/proc/sys/net/ipv4/conf/"


@pytest.mark.parametrize("path, check, words", [
    ("/proc/sys/net/ipv4/ip_forward", "forwarding",
     ["IPv4: ", "`sysctl -w net.ipv4.ip_forward=1`"]),
    (CONF + "lan0/forwarding", "forwarding", ["IPv4: off on lan0"]),
    ("/proc/sys/net/ipv6/conf/all/forwarding", "forwarding",
     ["IPv6: ", "`sysctl -w net.ipv6.conf.all.forwarding=1`"]),
])
def test_forwarding_off(gate, path, check, words):
    try:
        gate.ns.write(path, "0")
        told = quick(gate, {check: words})
        assert ("IPv4" in words[0]) != ("IPv6" in told.of("fail")[check])
    finally:
        gate.ns.write(path, "1")


def test_strict_rp_filter(gate):
    try:
        gate.ns.write(CONF + "spare0/rp_filter", "1")
        told = quick(gate, {})
        with undone(gate.ns, "ip", "address", "add", "10.77.0.1/24", "dev",
                    "spare0"):
            gate.ns.run("ip", "address", "del", "10.77.0.1/24", "dev",
                        "spare0")
            told = quick(gate, {"return-path": [
                "strict on spare0", "net.ipv4.conf.spare0.rp_filter=2"]})
        assert "lan0" not in told.of("fail")["return-path"]
    finally:
        gate.ns.write(CONF + "spare0/rp_filter", "0")


def test_dropped_by_rp_filter(lab, start_gateway):
    """A client that comes in where its answers would not go out."""
    place = lab.lan_host("strict", 80)
    place.run("ip", "route", "del", "default")
    place.write(CONF + "eth0/rp_filter", "1")
    place.write("/proc/sys/net/ipv4/ip_forward", "1")
    place.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
    strict = start_gateway(ns=place, arguments=("-i", "eth0"))
    told = fails(strict, {}, *QUICK, "-i", "eth0")
    assert "return-path" in told.of("pass") and \
        "return-path" not in told.of("note"), told
    packet = struct.pack(
        "!BBHHHBBH4s4s8s", 0x45, 0, 28, 1, 0, 64, socket.IPPROTO_UDP, 0,
        socket.inet_aton("192.0.2.1"), socket.inet_aton("198.51.100.80"),
        struct.pack("!HHHH", 9, 9, 8, 0))
    with lab.client.socket(socket.AF_INET, socket.SOCK_RAW,
                           socket.IPPROTO_RAW) as raw:
        for _ in range(3):
            raw.sendto(packet, ("198.51.100.80", 0))
    told = fails(strict, {}, *QUICK, "-i", "eth0")
    assert "rp_filter has dropped 3 packets" in \
        told.of("note")["return-path"], told


def test_route_localnet_is_noted(gate):
    try:
        gate.ns.write(CONF + "lan0/route_localnet", "1")
        told = quick(gate, {})
        assert "route_localnet is on for lan0" in \
            told.of("note")["return-path"]
    finally:
        gate.ns.write(CONF + "lan0/route_localnet", "0")


BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_XDP, BPF_XDP = 6, 37
XDP_PASS = 2


def bpf(command, attributes):
    call = ctypes.CDLL(None, use_errno=True).syscall
    room = ctypes.create_string_buffer(attributes, 128)
    fd = call(321 if os.uname().machine == "x86_64" else 280, command, room,
              128)
    if fd == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd


@contextlib.contextmanager
def xdp(ns, interface):
    """A program that lets all pass; it goes with its descriptors."""
    code = ctypes.create_string_buffer(struct.pack(
        "<BBhi BBhi", 0xb7, 0, 0, XDP_PASS, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"ISC")
    with contextlib.ExitStack() as stack:
        program = bpf(BPF_PROG_LOAD, struct.pack(
            "=IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code),
            ctypes.addressof(licence)))
        stack.callback(os.close, program)
        with ns.entered():
            link = bpf(BPF_LINK_CREATE, struct.pack(
                "=IIII", program, socket.if_nametoindex(interface), BPF_XDP,
                0))
        stack.callback(os.close, link)
        yield


def test_xdp_is_noted(gate):
    try:
        with xdp(gate.ns, "spare0"):
            told = quick(gate, {})
    except OSError as error:
        pytest.skip(f"this kernel has no XDP: {error}")
    assert "XDP program on spare0" in told.of("note")["bypass"], told
    assert "bypass" in quick(gate, {}).of("pass")


def test_without_ipv6(lab, start_gateway):
    place = lab.lan_host("four", 79)
    place.write("/proc/sys/net/ipv4/ip_forward", "1")
    place.write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
    four = start_gateway(ns=place, arguments=("-i", "eth0"))
    told = fails(four, {}, *QUICK, "-i", "eth0")
    assert "IPv6 is switched off" in told.of("note")["routing"]
    assert "IPv6 is not forwarded" in told.of("note")["forwarding"]


# Processes.

def test_other_user_and_limits(gate):
    quick(gate, {"processes": ["not as nobody", "restart"]},
          "-o", "user = nobody")
    quick(gate, {"descriptors": ["limits.sessions = 1000000 needs 2000064",
                                 "LimitNOFILE="]},
          "-o", "limits { sessions = 1000000 }")


def test_too_few_relays(gate):
    quick(gate, {"processes": ["2 of 3 postern-relay run"]},
          "-o", "workers = 3")


def wait_state(pid, letter):
    """As in proc(5).  A signal takes its time."""
    while True:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            if file.read().rpartition(")")[2].split()[0] == letter:
                return


@contextlib.contextmanager
def frozen(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_state(pid, "T")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_gone(pids):
    """A parent that is stopped reaps nobody: they are zombies."""
    for pid in pids:
        wait_state(pid, "Z")


def test_relay_stopped(gate):
    pid = gate.children("postern-relay")[0]
    with frozen(pid):
        quick(gate, {"processes": [f"postern-relay (pid {pid}) is stopped",
                                   f"`kill -CONT {pid}`"]})


@pytest.fixture(scope="module")
def apart(lab):
    """A place of its own, with an eth0."""
    place = lab.lan_host("apart", 77)
    place.write("/proc/sys/net/ipv4/ip_forward", "1")
    place.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
    return place


@pytest.fixture
def ruin(apart, start_gateway):
    """ruin(...): a gateway that may be ruined."""
    def start(**options):
        return start_gateway("workers = 2", ns=apart,
                             arguments=("-i", "eth0"), **options)
    return start


def ruined(gateway, wanted):
    return fails(gateway, wanted, *QUICK, "-i", "eth0")


def test_children_killed(ruin):
    own = ruin()
    ruined(own, {})
    with frozen(own.pid):
        stopped = f"postern (pid {own.pid}) is stopped"
        ruined(own, {"processes": [stopped]})
        wait_gone(own.kill("postern-policy"))
        ruined(own, {"processes": ["0 of 1 postern-policy run", stopped]})
        wait_gone(own.kill("postern-gate"))
        ruined(own, {"processes": ["0 of 1 postern-gate run"]})
        wait_gone(own.kill("postern-relay"))
        ruined(own, {"processes": ["0 of 2 postern-relay run"],
                     "listener": ["nobody listens at 127.0.0.1 port 10025",
                                  "nobody listens at ::1 port 10025"]})


def test_not_running(lab, ruin):
    own = ruin()
    own.stop()
    told = ruined(own, {
        "processes": ["no `postern run`", "`systemctl start postern`"],
        "listener": ["nobody listens"]})
    assert "descriptors" in told.of("note")
    assert "rules" in told.of("pass")
    # Another program has the port, whoever it is.
    with own.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        os.fchown(other.fileno(), lab.user, lab.user)
        other.bind(("127.0.0.1", 10025))
        other.listen()
        ruined(own, {"processes": [],
                     "listener": [f"belongs to user id {lab.user}",
                                  "is not transparent",
                                  "nobody listens at ::1"]})


def test_listener_of_one_family(apart, start_gateway):
    """It started before there was an IPv6 loopback address."""
    apart.run("ip", "-6", "address", "del", "::1/128", "dev", "lo")
    with undone(apart, "ip", "-6", "address", "replace", "::1/128", "dev",
                "lo"):
        own = start_gateway(mode="local", ns=apart)
        told = fails(own, {}, *QUICK)
        assert "::1 is not there" in told.of("note")["listener"]
    while "tentative" in apart.run("ip", "-6", "address", "show", "dev",
                                   "lo").stdout:
        pass  # the kernel takes it up behind our back
    told = fails(own, {"listener": ["nobody listens at ::1 port 10025"]},
                 *QUICK)
    assert "127.0.0.1" not in told.of("fail")["listener"]


def test_queue_full(lab, apart, ruin):
    """Nobody takes what comes: relays that are stuck."""
    room = 64
    apart.write("/proc/sys/net/core/somaxconn", str(room))
    own = ruin()
    crowd = lab.lan_host("crowd", 78)
    crowd.run("ip", "route", "replace", "default", "via", "198.51.100.77")
    with contextlib.ExitStack() as stack:
        for pid in own.children("postern-relay"):
            stack.enter_context(frozen(pid))
        for _ in range(8 * room):
            client = stack.enter_context(crowd.socket(
                socket.AF_INET, socket.SOCK_STREAM))
            client.setblocking(False)
            client.connect_ex(("203.0.113.250", 25))
        told = ruined(own, {"processes": ["is stopped"],
                            "listener": ["take no connections"]})
        assert "::1" not in told.of("fail")["listener"], told


# Files and the clock.

def test_configuration_wrong(gate):
    told = fails(gate, {"configuration": ["no-such.pem", "`postern check`"]},
                 "-o", 'trust = "/no-such.pem"')
    assert len(told.findings) == 1
    fails(gate, {"configuration": ["surprise"]}, "-o", "surprise = true")


def test_trust(gate):
    path = f"{gate.directory}/trust.pem"
    option = ("-o", f'trust = "{path}"')
    with open(path, "w", encoding="ascii") as file:
        file.write("-----BEGIN CERTIFICATE-----\nAAAA\n"
                   "-----END CERTIFICATE-----\n")
    quick(gate, {"trust": [path, "none of its 1 certificates can be read",
                           "`update-ca-certificates`"]}, *option)
    ended = pki.Authority("Ended CA", not_before=pki.days(-30),
                          not_after=pki.days(-1))
    ending = pki.Authority("Ending CA", not_before=pki.days(-30),
                           not_after=pki.days(20))
    pki.write_trust(path, ended)
    quick(gate, {"trust": [path, "all of its 1 anchors have expired"]},
          *option)
    pki.write_trust(path, ended, ending, gate.lab.ca)
    told = quick(gate, {}, *option)
    assert f"{path}: 1 of 3 anchors have expired" in told.of("note")["trust"]
    assert "1 of 3 anchors end within 30 days, CN=Ending CA first" in \
        told.of("note")["trust"], told


@pytest.mark.parametrize("mode, owner, words", [
    (0o755, None, "open to others"), (0o700, 0, "belongs to another user"),
    (0o500, None, "Permission denied"), (None, None, "No such file")])
def test_state_directory(gate, mode, owner, words):
    path = gate.lab.state_directory()
    if mode is None:
        os.rmdir(path)
    else:
        os.chmod(path, mode)
        os.chown(path, *[gate.lab.user if owner is None else owner] * 2)
    quick(gate, {"state": [path, words, "`install -d -m 700 -o postern"]},
          "-o", f'state_directory = "{path}"')


def test_disk_full_and_clock_behind(lab, ruin):
    """Where only postern sees it: a disk that is full, and a program that is
    of the day after tomorrow."""
    path = lab.state_directory()
    own = ruin(state_directory=path, setup=(
        f"mount -t tmpfs -o size=1m,mode=700,uid={lab.user} lab {path};"
        f" head -c 1m /dev/zero >{path}/fill || true;"
        " touch -d '+2 days' $run"))
    ruined(own, {"state": ["the disk is full", f"`df -h {path}`"],
                 "clock": ["but this program is of", "`date -s`"]})


# DNS and MTA-STS.

class Always(dict):
    """The same for whatever is asked."""

    def __init__(self, act):
        super().__init__()
        self.act = act

    def get(self, _key, _default=None):
        return self.act


@pytest.fixture
def stripping(lab):
    """A resolver that leaves signatures out; its address."""
    server = Server(lab.internet, lab.new_addresses(),
                    lab.dns.resolver[0], [])
    server.on = Always(unsigned)
    yield server.addresses[0]
    server.close()


def forward(*addresses):
    listed = ", ".join(f'"{each}"' for each in addresses)
    return ("-o", f"dns {{ forward = [{listed}] }}")


def test_resolver_strips_signatures(lab, gate, names, stripping):
    told = fails(gate, {"dns": [f"the resolver {stripping}:53 says of arpa "
                                "is wrong by DNSSEC", "name another"]},
                 *INTERFACES, *forward(stripping), "--skip", "bogus",
                 "--skip", "tlsa", "--skip", "mta-sts")
    good = lab.dns.resolver[0]
    told = fails(gate, {}, *INTERFACES, *names.options, *forward(good))
    assert f"the resolver {good}:53" in told.of("pass")["dns"]
    told = doctor(gate, *INTERFACES, *names.options,
                  *forward(good, stripping), "--skip", "bogus",
                  "--skip", "tlsa", "--skip", "mta-sts")
    assert list(told.of("fail")) == ["dns"], told
    assert f"the resolver {stripping}:53" in told.of("fail")["dns"], told
    assert f"the resolver {good}:53" not in told.of("fail")["dns"], told
    assert f"the resolver {good}:53" in told.of("pass")["dns"], told


def test_resolver_dead(gate):
    told = fails(gate, {"dns": ["no answer from the resolver "
                                "203.0.113.253:53", "`dig "]},
                 *INTERFACES, *forward("203.0.113.253"), "--limit", "2",
                 *("--skip", "bogus", "--skip", "tlsa", "--skip", "mta-sts"))
    assert "routing" in told.of("pass")


def test_no_dnssec(gate, names):
    """An anchor that is not the root's: all is believed."""
    path = f"{gate.directory}/other.key"
    with open(path, "w", encoding="ascii") as file:
        file.write("other.example. IN DS 1 13 2 " + "ab" * 32 + "\n")
    os.chmod(path, 0o644)
    told = fails(gate, {"dns": ["not proved by DNSSEC", "dns.trust_anchor"],
                        "bogus": [f"{names.bogus}, which is signed wrongly, "
                                  "was believed"]},
                 *INTERFACES, *names.options, "-o",
                 f'dns {{ trust_anchor = "{path}" }}')
    assert "nothing was tried" in told.of("note")["tlsa"]


def test_anchor_that_cannot_be_read(gate, names):
    path = shutil.copy(gate.lab.dns.trust_anchor, f"{gate.directory}/mine")
    os.chmod(path, 0o600)
    told = fails(gate, {"dns": ["postern-policy ended",
                                "dns.trust_anchor"]},
                 *INTERFACES, *names.options, "-o",
                 f'dns {{ trust_anchor = "{path}" }}')
    assert {"bogus", "tlsa", "mta-sts"} <= set(told.of("note"))


def test_tlsa_lost(gate, names):
    names.zone.server.on[f"_25._tcp.mx.{names.dane}", "TLSA"] = servfail
    try:
        fails(gate, {"tlsa": [f"TLSA records of mx.{names.dane}",
                              "put off"]}, *INTERFACES, *names.options)
    finally:
        names.zone.server.on.clear()


def test_policy_host_down(gate, names):
    names.sts.stop()
    try:
        fails(gate, {"mta-sts": [f"the policy of {names.dane} cannot be had",
                                 "port 443"]}, *INTERFACES, *names.options)
    finally:
        names.sts.start()


def test_names_that_are_not_there(gate):
    """A root of one's own."""
    told = fails(gate, {}, *INTERFACES)
    assert sorted(set(told.of("note")) - {"clock"}) == [
        "bogus", "mta-sts", "tlsa"], told
    assert "dnssec-failed.org is not there" in told.of("note")["bogus"]


# Mode local.

def test_local_after_gateway(here):
    rule = ("rule", "add", "pref", "925", "fwmark", "0x1", "lookup", "7",
            "protocol", "125")
    with undone(here.ns, "ip", "-6", *(
            "del" if word == "add" else word for word in rule)):
        here.ns.run("ip", "-6", *rule)
        told = fails(here, {}, *QUICK)
        assert "IPv6: 1 rules or routes of mode gateway are left" in \
            told.of("note")["routing"]
    assert "routing" not in doctor(here, *QUICK).of("note")


def test_local_faults(here):
    with repaired(here, "--mode", "local"):
        here.ns.run(NFT, "delete", "rule", "inet", "postern", "guard",
                    "handle", handle_of(here.ns, "guard", "skuid !="))
        fails(here, {"rules": ["chain guard is not as"]}, *QUICK)
        here.ns.run(NFT, "delete", "table", "inet", "postern")
        fails(here, {"rules": ["there is no table"]}, *QUICK)
    fails(here, {"rules": ["chain seize is not as", "chain guard is not as"]},
          *QUICK, "-o", "own_connections = uid")
