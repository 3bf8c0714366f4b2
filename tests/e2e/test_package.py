# SPDX-License-Identifier: ISC
"""The Debian package, in a Debian system that its own systemd boots: what it
installs, what an upgrade does while mail comes, and what is left of it.
"""

import contextlib
import itertools
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import tempfile
import threading

import pytest

from lab.lab import ROOTS
from lab.netns import Lines, Namespace, link
from lab.system import System

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CONF = "/etc/postern/postern.conf"
STATE = "/var/lib/postern"
UNIT = "/lib/systemd/system/postern.service"
SERVER = ("192.0.2.1", 25)
# What postern cannot be without: a parent that is root, on the host's network.
EXPOSED = {
    "User=/DynamicUser=", "SystemCallFilter=~@privileged",
    "CapabilityBoundingSet=~CAP_KILL", "CapabilityBoundingSet=~CAP_NET_ADMIN",
    "CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)",
    "CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)",
    "PrivateNetwork=", "PrivateUsers=", "IPAddressDeny=",
    "RestrictAddressFamilies=~AF_NETLINK", "RestrictAddressFamilies=~AF_UNIX",
    "RestrictAddressFamilies=~AF_(INET|INET6)",
    "DeviceAllow=",  # the clock, to be read, comes with ProtectClock
}
ON_HOST = "mode = local; # mine\n"

pytestmark = pytest.mark.skipif(
    "sanitize" in os.environ.get("POSTERN_BUILD", ""),
    reason="the package is built without sanitizers")


def run(*command, **options):
    """As run by somebody who is not inside of a make."""
    clean = {name: value for name, value in os.environ.items()
             if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(command, check=True, text=True, cwd=SOURCE,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=clean, **options).stdout


@pytest.fixture(scope="module")
def deb():
    """postern's package, built if it is not there or older than the tree."""
    try:
        run("scripts/deps", "system", timeout=150)
        run("make", "-s", "deb", timeout=150)
    except subprocess.CalledProcessError as failure:
        pytest.fail(f"{failure.cmd}: {failure.stdout}")
    path, = SOURCE.glob("build/deb/postern_*.deb")
    return path


@pytest.fixture(scope="module")
def newer(deb):
    """A higher version of it, with another configuration file."""
    with tempfile.TemporaryDirectory() as directory:
        tree = pathlib.Path(directory) / "tree"
        run("dpkg-deb", "--raw-extract", deb, tree)
        control = tree / "DEBIAN/control"
        control.write_text(re.sub("(?m)^Version: .*", "Version: 99",
                                  control.read_text()))
        with (tree / CONF[1:]).open("a") as conf:
            conf.write("# of version 99\n")
        path = tree.parent / "newer.deb"
        run("dpkg-deb", "--build", tree, path)
        yield path


@pytest.fixture
def places():
    """The system's network namespace, and that of a mail server."""
    with contextlib.ExitStack() as stack:
        gate, net = made = Namespace("system"), Namespace("server")
        for place in made:
            stack.callback(place.close)
        link(gate, "wan0", net, "net0")
        gate.run("ip", "addr", "add", "192.0.2.2/24", "dev", "wan0")
        net.run("ip", "addr", "add", "192.0.2.1/24", "dev", "net0")
        yield made


@pytest.fixture
def system(places):
    """A system that runs, without postern."""
    with System(places[0], f"{ROOTS}/system") as booted:
        os.mkdir(f"{booted.root}/packages")
        yield booted


def put(system, package):
    """The package's path in the system."""
    path = f"/packages/{package.name}"
    pathlib.Path(system.root + path).write_bytes(package.read_bytes())
    return path


def dpkg(system, *arguments):
    """What the package's scripts said, by dpkg: nothing but in a line of
    postern's."""
    text = system.run(
        "sh", "-c", 'LC_ALL=C DEBIAN_FRONTEND=noninteractive dpkg "$@" 2>&1',
        "sh", *arguments).stdout
    own = re.compile(r"$|Selecting|\(Reading|Preparing|Unpacking|Setting up|"
                     "Removing|Purging|Processing|Configuration| ==> |"
                     "Installing new version of config")
    said = [line for line in text.splitlines() if not own.match(line)]
    assert all(line.startswith("postern: ") for line in said), text
    return said


def install(system, deb, conf=None):
    said = dpkg(system, "--install", put(system, deb))
    if conf is not None:
        system.write(CONF, conf)
    return said


def start(system):
    """It is over when postern is ready."""
    try:
        system.run("systemctl", "enable", "--quiet", "--now", "postern",
                   timeout=20)
    except (RuntimeError, subprocess.TimeoutExpired):
        pytest.fail(system.run("journalctl", "--unit=postern").stdout)


def show(system, name):
    return system.run("systemctl", "show", "--value", "-p", name,
                      "postern").stdout.strip()


def has_rules(system):
    return "inet postern" in system.ns.run("nft", "list", "tables").stdout


def has_routes(system):
    return any("25925" in system.ns.run("ip", family, "rule").stdout
               for family in ("-4", "-6"))


# What is in it.

def programs():
    text = run("make", "-s", "--eval=print: ; @echo $(PROGRAMS)", "print")
    return {pathlib.PurePath(word).name for word in text.split()}


def test_lintian_is_content(deb):
    changes, = deb.parent.glob("*.changes")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", changes],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    assert not re.search("(?m)^[EW]: ", done.stdout), done.stdout


def test_build_dependencies_are_those_of_deps():
    """Else the package builds here, and nowhere else."""
    deps = (SOURCE / "scripts/deps").read_text()
    build = re.search('(?m)^build="([^"]*)"', deps)[1].split()
    # Debian has the compiler everywhere; the unit tests are for the tree.
    wanted = set(build) - {"gcc", "make", "libc6-dev", "libcmocka-dev"}
    control = (SOURCE / "scripts/debian/control").read_text()
    named = re.search(r"(?ms)^Build-Depends:(.*?)^\S", control)[1]
    assert set(re.findall(r"[a-z0-9.+-]+(?=,|\n)", named)) == wanted


def test_version_is_the_programs(deb):
    assert run("dpkg-deb", "-f", deb, "Version").strip() == run(
        "make", "-s", "--eval=print: ; @echo $(VERSION)", "print").strip()


def test_files_and_modes(deb):
    entries = {}
    for line in run("dpkg-deb", "--contents", deb).splitlines():
        mode, owner, _size, _day, _time, name = line.split()
        entries[name[1:]] = (mode, owner)
    assert {owner for _mode, owner in entries.values()} == {"root/root"}
    assert {mode for name, (mode, _owner) in entries.items()
            if name.endswith("/")} == {"drwxr-xr-x"}
    doc, man = "/usr/share/doc/postern", "/usr/share/man"
    executable = {"/usr/sbin/postern"} | {
        f"/usr/libexec/postern/{name}" for name in programs() - {"postern"}}
    assert {name: mode for name, (mode, _owner) in entries.items()
            if not name.endswith("/")} == {
        **dict.fromkeys(executable, "-rwxr-xr-x"),
        **dict.fromkeys([
            CONF, UNIT, f"{man}/man8/postern.8.gz",
            f"{man}/man5/postern.conf.5.gz", f"{doc}/README.Debian",
            f"{doc}/README.md.gz", f"{doc}/changelog.gz", f"{doc}/copyright",
            f"{doc}/examples/postern.conf",
            f"{doc}/examples/keepalived.conf",
            "/usr/share/lintian/overrides/postern",
        ], "-rw-r--r--")}
    assert run("dpkg-deb", "-I", deb, "conffiles").split() == [CONF]


# Installed.

def test_is_installed_and_not_started(system, deb):
    said = install(system, deb)
    assert "installed, not started" in said[0]
    assert len(said) == 3

    user = system.run("getent", "passwd", "postern").stdout.strip().split(":")
    assert user[5:] == ["/nonexistent", "/usr/sbin/nologin"]
    assert int(user[2]) < 1000
    assert system.run("stat", "-c", "%a %U %G", STATE).stdout == (
        "700 postern postern\n")
    assert show(system, "UnitFileState") == "disabled"
    assert show(system, "ActiveState") == "inactive"
    assert not has_rules(system)

    # The example knows no interfaces, and says so.
    done = system.run("postern", "check", check=False)
    assert done.returncode == 2
    assert "interfaces" in done.stderr
    system.write(CONF, ON_HOST)
    assert f"{CONF}: ok" in system.run("postern", "check").stdout


def test_every_setting_of_the_example_is_the_default(system, deb):
    """As it says of itself: with all comments off, it checks, and says what
    a file with nothing but the interfaces does."""
    install(system, deb)
    example = system.read(CONF)
    settings = "".join(re.findall(r"(?m)^#(\w+ = .*\n)", example))
    assert "mode" in settings and "enforce" in settings
    blocks = "".join(re.findall(r"(?m)^#((?:\w+ \"| {4}|}).*\n)", example))
    system.write(CONF, settings + blocks)
    whole = system.run("postern", "check").stdout
    assert "blocks: 1 server, 1 domain" in whole
    system.write(CONF, settings)
    whole = system.run("postern", "check").stdout
    system.write(CONF, "interfaces = [lan0]; inbound = [wan0];\n")
    assert system.run("postern", "check").stdout == whole


def test_unit_is_sound_and_as_narrow_as_it_says(system, deb):
    install(system, deb)
    done = system.run("systemd-analyze", "verify", "--man=no", UNIT)
    assert done.stdout + done.stderr == ""
    stated = re.search(r"`systemd-analyze security`: (\d\.\d)\.",
                       system.read(UNIT))[1]
    analyze = ["systemd-analyze", "security", "--no-pager", "--offline=true"]
    text = system.run(*analyze, UNIT).stdout
    found = re.search(r"Overall exposure level for \S+: (\d\.\d)", text)[1]
    assert float(found) <= float(stated), text
    # The level is rounded: one setting more or less may not show in it.
    rows = json.loads(system.run(*analyze, "--json=short", UNIT).stdout)
    assert {row["name"] for row in rows if row["exposure"]} <= EXPOSED


def test_service_serves(system, deb):
    """With all that the unit takes away: the rules, the relays, the state."""
    install(system, deb, 'interfaces = ["wan0"];\n')
    start(system)
    assert re.match(r"running: (\d+) of \1 relays, policy up",
                    show(system, "StatusText"))
    assert has_rules(system) and has_routes(system)
    user = system.run("id", "-u", "postern").stdout.strip()
    processes = system.run(
        "sh", "-c", 'for pid in $(cat /sys/fs/cgroup"$1"/cgroup.procs); do'
        ' echo $(stat -c %u /proc/$pid) $(cat /proc/$pid/comm); done', "sh",
        show(system, "ControlGroup")).stdout.split("\n")
    assert "0 postern" in processes
    assert f"{user} postern-policy" in processes
    assert f"{user} postern-relay" in processes
    assert system.run("stat", "-c", "%a %U", f"{STATE}/state.db").stdout == (
        "600 postern\n")
    system.run("systemctl", "reload", "postern")
    system.run("systemctl", "stop", "postern")
    assert show(system, "Result") == "success"
    assert has_rules(system)


def test_rules_come_back_after_nftables(system, deb):
    """Debian's nftables.conf begins with `flush ruleset`."""
    assert "flush ruleset" in system.read("/etc/nftables.conf")
    install(system, deb, ON_HOST)
    start(system)
    log = Lines()
    journal = system.start(
        "journalctl", "--follow", "--lines=0", "--output=cat",
        "--unit=postern", stdout=subprocess.PIPE)
    try:
        log.follow(journal.popen.stdout)
        system.run("systemctl", "start", "nftables")
        log.wait(re.compile('a process "nft" took them away'))
        system.run("systemctl", "reload", "nftables")
        log.wait(re.compile("reloaded: settings 2"))
    finally:
        journal.stop()
    assert has_rules(system)


def test_road_is_closed_before_the_network(places, deb):
    """At a boot, where nftables.service flushes all rules before, and what
    the unit needs of /tmp must not be cleaned away meanwhile."""
    files = {"/packages/postern.deb": deb.read_bytes(),
             "/mine": ON_HOST.encode()}
    before = f"""
        dpkg --install /packages/postern.deb
        cp /mine {CONF}
        systemctl enable nftables postern"""
    with System(places[0], f"{ROOTS}/system", files, before) as system:
        assert has_rules(system)
        assert {"nftables.service", "systemd-tmpfiles-setup.service"} <= set(
            show(system, "After").split())
        times = [int(system.run("systemctl", "show", "--value", "-p",
                                "ActiveEnterTimestampMonotonic", unit).stdout)
                 for unit in ("nftables.service", "postern.service",
                              "network-pre.target")]
        assert 0 < times[0] < times[1] <= times[2]


# Upgraded.

class Sender:
    """Connects to the server all the time, as a mail server of the system
    would, from ports that tell its connections from postern's own."""

    PORTS = range(11000, 30000)

    def __init__(self, gate, net):
        self.gate = gate
        self.refused = self.taken = 0
        self.leaks = []  # ports that came through as they were
        self._stopped = threading.Event()
        self._listener = net.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(SERVER)
        self._listener.listen(1024)
        self._ports = itertools.cycle(self.PORTS)
        self._threads = [threading.Thread(target=body)
                         for body in (self._accept, self._send)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception):
        self._stopped.set()
        self._threads[1].join()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            connection.close()
            if peer[1] in self.PORTS:
                self.leaks.append(peer[1])

    def _send(self):
        while not self._stopped.is_set():
            with self.gate.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
                one.settimeout(5)
                one.bind(("", next(self._ports)))
                try:
                    one.connect(SERVER)
                    self.taken += 1
                except OSError:  # refused, or reset by a relay that ends
                    self.refused += 1


def test_upgrade_keeps_the_road_closed(system, places, deb, newer):
    install(system, deb, ON_HOST)
    start(system)
    before = show(system, "MainPID")
    with Sender(*places) as sender:
        said = dpkg(system, "--install", "--force-confold",
                    put(system, newer))
    assert sender.taken and not sender.leaks
    assert show(system, "ActiveState") == "active"
    assert show(system, "MainPID") != before
    assert system.run("dpkg-query", "-W", "-f", "${Version}",
                      "postern").stdout == "99"
    assert system.read(CONF) == ON_HOST
    assert not said


def test_reinstall_keeps_what_was_edited(system, deb):
    install(system, deb, ON_HOST)
    install(system, deb)
    assert system.read(CONF) == ON_HOST


def test_upgrade_starts_nothing(system, deb, newer):
    install(system, deb)
    said, = install(system, newer)
    assert "does not run" in said
    assert show(system, "UnitFileState") == "disabled"
    assert show(system, "ActiveState") == "inactive"
    assert not has_rules(system)
    assert "# of version 99" in system.read(CONF)  # nobody had edited it


# Removed.

def test_removal_opens_the_road_and_says_so(system, places, deb):
    install(system, deb, 'interfaces = ["wan0"];\n')
    start(system)
    said = dpkg(system, "--remove", "postern")
    assert "packet rules are gone" in said[0]
    assert "clear text" in said[1]
    assert show(system, "ActiveState") == "inactive"
    assert not has_rules(system)
    assert not has_routes(system)
    assert "wan0" in system.read(CONF)
    assert system.run("stat", "-c", "%a %U", STATE).stdout == "700 postern\n"
    # Again, with what was left.
    said, = install(system, deb)
    assert "does not run" in said
    assert "wan0" in system.read(CONF)
    system.run("systemctl", "start", "postern")
    assert has_rules(system)


def test_removal_in_a_chroot_leaves_the_hosts_rules(system, deb):
    install(system, deb, ON_HOST)
    start(system)
    # Another root with the same package, of the same network.
    system.run("sh", "-ec", "mkdir /other; mount -t tmpfs none /packages;"
               " mkdir /packages/up /packages/work;"
               " mount -t overlay -o lowerdir=/,upperdir=/packages/up,"
               "workdir=/packages/work none /other;"
               " mount -t proc proc /other/proc")
    text = system.run("chroot", "/other", "dpkg", "--remove",
                      "postern").stdout
    assert "postern:" not in text
    assert has_rules(system)
    assert show(system, "ActiveState") == "active"


def snapshot(system):
    """Every file but those that a system writes by itself."""
    own = re.compile("/var/log/(journal/|dpkg.log)|/packages/")
    found = system.run("find", "/", "-xdev", "-printf", "%p %m %u\\n").stdout
    return {line for line in found.splitlines() if not own.match(line)}


def test_purge_leaves_the_user_alone(system, deb):
    users = {path: system.read(path).splitlines()
             for path in ("/etc/passwd", "/etc/group")}
    before = snapshot(system)
    install(system, deb, ON_HOST)
    start(system)
    system.run("systemctl", "stop", "postern")
    dpkg(system, "--purge", "postern")
    assert snapshot(system) == before
    assert not has_rules(system)
    for path, lines in users.items():
        more = [line for line in system.read(path).splitlines()
                if line not in lines]
        assert [line.split(":")[0] for line in more] == ["postern"], path
