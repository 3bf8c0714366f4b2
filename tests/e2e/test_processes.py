# SPDX-License-Identifier: ISC
"""The parent and its children: order, restarts, reload, drain, privilege.

Most of the children here are fakes (fake_child.py), which can be made to
misbehave; the parent is the real one, in a network namespace of its own.  The
last part is the life of the real children.
"""

import contextlib
import errno
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

import pytest

from lab.netns import Lines, Namespace, is_ready

BUILD = os.path.abspath(os.environ.get("POSTERN_BUILD", "build"))
FAKE = os.path.join(os.path.dirname(__file__), "fake_child.py")
USER = "nobody"
PORT = 10025
NET_RAW = 1 << 13
NET_ADMIN = 1 << 12
PATIENCE = 15
CONFIG = f"""
user = {USER}
mode = local
own_connections = mark
workers = 2
timeouts {{ drain = 3s }}
"""
REAL = CONFIG + """
dns { forward = ["127.0.0.1:53"] }
"""


class Notified(Lines):
    """What the service manager was told, a line an assignment."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.times = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        os.chmod(path, 0o777)  # for a start without root
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                for line in data.decode().splitlines():
                    self.times.append(time.monotonic())
                    self.add(line)

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class House:
    """A `postern run`, with fake children or real ones."""

    def __init__(self, is_real=False):
        self.directory = tempfile.mkdtemp(prefix="postern-house.")
        os.chmod(self.directory, 0o755)
        shutil.copy(f"{BUILD}/postern", self.directory)
        for name in ("postern-relay", "postern-policy", "postern-gate"):
            shutil.copy(f"{BUILD}/{name}" if is_real else FAKE,
                        f"{self.directory}/{name}")
        self.ns = Namespace("house")
        self.log = Lines()
        self.told = Notified(f"{self.directory}/notify")
        self.process = None

    def close(self):
        if self.process is not None:
            self.process.stop()
        self.told.close()
        self.ns.close()
        shutil.rmtree(self.directory)

    def does(self, name, what):
        """From its next start on, this is how a child behaves."""
        with open(f"{self.directory}/postern-{name}.does", "w",
                  encoding="ascii") as file:
            file.write(what)

    def configure(self, text):
        if "state_directory" not in text:  # this machine's is not ours
            text += f'\nstate_directory = "{self.directory}/state"\n'
        with open(f"{self.directory}/postern.conf", "w",
                  encoding="ascii") as file:
            file.write(text)

    def start(self, config=CONFIG, *, arguments=("--no-rules",), before=(),
              watchdog=None, wait=True):
        self.configure(config)
        env = {**os.environ, "NOTIFY_SOCKET": self.told.path}
        if watchdog is not None:
            env["WATCHDOG_USEC"] = str(watchdog * 1000000)
        self.process = self.ns.start(
            *before, f"{self.directory}/postern", "run", "-f",
            "-c", f"{self.directory}/postern.conf", *arguments,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        self.log.follow(self.process.popen.stdout)
        if wait:
            self.await_told("READY=1")
            self.await_log(r"\]: ready$")  # and all that was said before it

    @property
    def pid(self):
        return self.process.pid

    def await_log(self, text, *, since=0, count=1):
        return self.log.wait(re.compile(text), PATIENCE, since, count)

    def await_told(self, text, *, since=0, count=1):
        return self.told.wait(re.compile(text), PATIENCE, since, count)

    def await_end(self):
        return self.process.popen.wait(PATIENCE)

    def signal(self, number):
        os.kill(self.pid, number)

    def children(self, name=None):
        """Process ids by the order of their start."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children",
                  encoding="ascii") as file:
            pids = [int(pid) for pid in file.read().split()]
        return [pid for pid in pids
                if name is None or name_of(pid) == f"postern-{name}"]

    def child(self, name):
        """The process id that the log tells of, by the name in the log."""
        return int(self.log.matching(re.compile(
            rf"{name}\[(\d+)\]: started"))[-1][1])

    def ask(self):
        """Which relay answers a connection."""
        with self.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", PORT))
            return int(client.recv(32))


def status(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"{key}:"):
                return line.split(":", 1)[1].strip()
    raise KeyError(key)


def name_of(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return status(pid, "Name")
    return None  # it ended meanwhile


def is_sanitized():
    """Then there is no seccomp: the sanitizers' runtime needs more."""
    with open(f"{BUILD}/postern-relay", "rb") as file:
        return b"__asan_init" in file.read()


def await_gone(pids):
    """Until none of them runs.  They are no children of ours to wait for."""
    until = time.monotonic() + PATIENCE
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                assert is_ready(fd, until - time.monotonic()), pid
            finally:
                os.close(fd)


@pytest.fixture
def house():
    made = House()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def real():
    made = House(is_real=True)
    try:
        yield made
    finally:
        made.close()


# What `postern status` says: to who may do no more than postern itself.

def ask_status(house, *become):
    """Its exit status and what it said."""
    done = house.ns.run(*become, f"{house.directory}/postern", "status",
                        check=False)
    return done.returncode, done.stdout


def test_status(house):
    assert ask_status(house) == (1, "no `postern run` is up here\n")
    house.does("policy", "nothing")
    house.start(wait=False, arguments=())
    house.await_log(r"fake policy \d+: never ready")
    for number in (1, 2):
        house.await_log(f"relay {number}: serving")
    house.await_told("STATUS=running: 2 of 2 relays, policy down")
    code, said = ask_status(house)
    assert code == 1 and f"postern[{house.pid}]: starting: 2 of 2" in said
    house.does("policy", "well")
    os.kill(house.child("policy"), signal.SIGKILL)
    house.await_told("READY=1")
    house.await_told("STATUS=running: 2 of 2 relays, policy up")
    assert ask_status(house) == (
        0, f"postern[{house.pid}]: ready: 2 of 2 relays, policy up, 6 sessions"
        ", settings 1\nrules: in place\n")
    told = house.told.mark()
    house.does("policy", "nothing")
    os.kill(house.child("policy"), signal.SIGKILL)
    house.await_told("STATUS=running: 2 of 2 relays, policy down", since=told)
    code, said = ask_status(house)
    assert code == 1 and "]: not ready: 2 of 2 relays, policy down" in said
    assert "rules" not in said


@pytest.mark.parametrize("arguments, code", [
    (("--help",), 0), (("now",), 2), (("--mode", "x"), 2), (("-x",), 2),
    (("-c", "/nonexistent"), 1),  # and nobody serves
])
def test_status_arguments(house, arguments, code):
    done = house.ns.run(f"{house.directory}/postern", "status", *arguments,
                        check=False)
    assert done.returncode == code, done
    assert ("usage: postern status" in done.stdout + done.stderr) == (
        arguments[0] in ("--help", "now", "-x"))


def test_status_of_another_port(house):
    """The one in the configuration, which is not the default here."""
    house.start(CONFIG + "listen_port = 10026\n", arguments=())
    config = f"{house.directory}/postern.conf"
    done = house.ns.run(f"{house.directory}/postern", "status", "-c", config)
    assert "rules: in place" in done.stdout
    # By postern's own hand: another's would be put right.
    house.ns.run(f"{house.directory}/postern", "rules", "remove")
    done = house.ns.run(f"{house.directory}/postern", "status", "-c", config,
                        check=False)
    assert done.returncode == 1
    assert "port 10026 of 127.0.0.1 can be dialled" in done.stdout


def test_status_without_rules(house):
    house.start()
    code, said = ask_status(house)
    assert code == 1
    assert "ready: 2 of 2 relays" in said
    assert "rules: NOT in place: port 10025 of 127.0.0.1 can be dialled" in said


def test_status_is_of_this_network(house, real):
    """Another network's postern is not ours."""
    house.start(arguments=())
    code, said = ask_status(house)
    assert code == 0
    assert ask_status(real) == (1, "no `postern run` is up here\n")
    # Who may not look does not guess.
    code, said = ask_status(house, "setpriv", "--reuid=nobody",
                            "--clear-groups", "--")
    assert code == 1
    assert ": ready: " in said and "ask as root" in said


def test_status_believes_only_root_and_itself(house):
    """A title is anybody's to choose."""
    liar = house.ns.start(
        "setpriv", "--reuid=daemon", "--clear-groups", "--", "perl", "-e",
        "$0 = 'postern: ready: x'; $| = 1; print qq(up\\n); sleep",
        stdout=subprocess.PIPE)
    try:
        assert liar.popen.stdout.readline() == b"up\n"
        assert ask_status(house) == (1, "no `postern run` is up here\n")
        # Where there are rules, too.
        house.start(arguments=())
        assert ask_status(house)[0] == 0
    finally:
        liar.stop()
        liar.popen.stdout.close()


# Start.

def test_ready_only_when_all_serve(house):
    house.does("policy", "nothing")
    house.start(wait=False, watchdog=2)
    house.await_log(r"fake policy \d+: never ready")
    for number in (1, 2):
        house.await_log(f"relay {number}: serving")
    assert "READY=1" not in house.told.lines
    house.does("policy", "well")
    os.kill(house.child("policy"), signal.SIGKILL)
    house.await_told("READY=1")
    house.await_told("STATUS=running: 2 of 2 relays, policy up, 6 sessions")
    assert len(house.children("relay")) == 2
    assert len(house.children("policy")) == 1


def test_not_ready_without_a_relay(house):
    house.does("relay", "nothing")
    house.start(wait=False)
    house.await_log("policy: serving")
    house.await_log(r"fake relay \d+: never ready", count=2)
    house.does("relay", "well")
    os.kill(house.child("relay 1"), signal.SIGKILL)
    house.await_log("relay 1: serving")
    assert "READY=1" not in house.told.lines
    os.kill(house.child("relay 2"), signal.SIGKILL)
    house.await_told("READY=1")


def test_each_child_gets_what_it_needs(house):
    house.start()
    for pid in house.children("relay"):
        house.await_log(rf"fake relay {pid}: POLICY")
        said = [match[1] for match in house.log.matching(
            re.compile(rf"fake relay {pid}: (\w+)"))]
        assert said == ["CONFIG", "files", "LISTENER", "LISTENER", "POLICY"]
        for family in ("AF_INET", "AF_INET6"):
            house.await_log(f"fake relay {pid}: LISTENER {family}$")
        files = house.await_log(rf"fake relay {pid}: files (\d+)")[1]
        assert int(files) >= 2 * 8192 + 64  # limits.sessions
        house.await_log(rf"fake policy \d+: channel to relay {pid}")
    assert house.ask() in house.children("relay")


def test_descriptors_beyond_the_hard_limit_are_told(house):
    house.start(CONFIG + "limits { sessions = 100000 }",
                before=("prlimit", "--nofile=1024:1024", "setpriv",
                        "--bounding-set=-sys_resource"))
    house.await_log(r"postern-relay wants 200064 descriptors \(relays: "
                    r"limits.sessions\), but the system allows 1024")
    house.await_log(r"fake relay \d+: files 1024")


def test_port_of_another(house):
    with house.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.bind(("127.0.0.1", PORT))
        other.listen()
        house.start(wait=False)
        assert house.await_end() == 1
        house.await_log(rf"cannot listen on port {PORT} \(.*\): "
                        "Address already in use")
    assert "READY=1" not in house.told.lines


def test_missing_user_says_how_to_create_it(house):
    house.start(CONFIG.replace(USER, "no-such-user"), wait=False)
    assert house.await_end() == 1
    house.await_log('no user "no-such-user"; create it with: useradd .*'
                    " no-such-user$")


def test_missing_program(house):
    os.unlink(f"{house.directory}/postern-policy")
    house.start(wait=False)
    assert house.await_end() == 1
    house.await_log("postern-policy is neither in")


def test_wrong_configuration(house):
    house.start(CONFIG + "nonsense = 1\n", wait=False)
    assert house.await_end() == 2
    house.await_log(r"postern\.conf:\d+: .*nonsense")


# Privilege.

def capabilities(pid):
    return {key: int(status(pid, f"Cap{key}"), 16)
            for key in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


def confined(pid):
    nobody = "\t".join(["65534"] * 4)
    assert status(pid, "Uid") == nobody
    assert status(pid, "Gid") == nobody
    assert status(pid, "Groups") == ""
    assert status(pid, "NoNewPrivs") == "1"
    return capabilities(pid)


NOTHING = dict.fromkeys(("Inh", "Prm", "Eff", "Bnd", "Amb"), 0)


@pytest.mark.parametrize("config, kept", [
    ("mode = gateway; interfaces = [lan0]", NET_RAW),
    ("mode = gateway; interfaces = [lan0]; keep_source_address = false", 0),
    ("mode = local; own_connections = mark", NET_RAW),
    ("mode = local; own_connections = uid", 0),
    ("mode = local; own_connections = auto", NET_RAW),
])
def test_children_keep_only_what_they_need(house, config, kept):
    house.start(f"user = {USER}; workers = 1; {config}",
                before=("setpriv", "--groups=0,4"))
    relay, = house.children("relay")
    policy, = house.children("policy")
    wanted = {key: kept for key in NOTHING} | {"Bnd": 0}
    assert confined(relay) == wanted
    assert confined(policy) == NOTHING
    assert [confined(gate) for gate in house.children("gate")] == (
        [dict.fromkeys(NOTHING, NET_ADMIN) | {"Bnd": 0}]
        if "gateway" in config else [])


WRONG_USER = re.compile('rules made by `postern rules apply` let pass the user'
                        ' "(.*)", id (.*), and this is id (.*): its own ')


def test_without_root_as_another_user(house):
    """Whose rules, made by the step before, would lead it to itself."""
    daemon = pwd.getpwnam("daemon").pw_uid
    nobody = pwd.getpwnam(USER).pw_uid
    house.start("user = daemon; mode = local; workers = 1",
                before=("setpriv", f"--reuid={nobody}", "--regid=65534",
                        "--clear-groups"))
    assert house.log.wait(WRONG_USER).groups() == (
        "daemon", str(daemon), str(nobody))


def test_without_root(house):
    """A container: nothing to change, nothing managed, and it says so."""
    house.start(f"user = {USER}; mode = local; workers = 1", arguments=(),
                before=("setpriv", f"--reuid={USER}", "--regid=65534",
                        "--clear-groups"))
    house.await_log("not root: all of postern runs as user id 65534")
    house.await_log("not root: the rules are not managed here")
    assert not house.log.matching(WRONG_USER)
    for pid in (house.pid, *house.children()):
        assert status(pid, "Uid").split() == ["65534"] * 4
    relay, = house.children("relay")
    assert capabilities(relay)["Eff"] == 0
    house.signal(signal.SIGTERM)
    assert house.await_end() == 0


def test_state_directory_is_the_childrens(house):
    house.start()
    status = os.stat(f"{house.directory}/state")
    assert status.st_uid == pwd.getpwnam(USER).pw_uid
    assert stat.S_IMODE(status.st_mode) == 0o700
    house.configure(CONFIG + f'state_directory = "{house.directory}/other"\n')
    told = house.told.mark()
    house.signal(signal.SIGHUP)
    house.await_told("STATUS=.* settings 2$", since=told)
    assert os.stat(f"{house.directory}/other").st_uid == status.st_uid


def test_gateway_without_capability(house):
    house.start("mode = gateway; interfaces = [lan0]", wait=False,
                before=("setpriv", f"--reuid={USER}", "--regid=65534",
                        "--clear-groups"))
    assert house.await_end() == 1
    house.await_log("keep_source_address needs CAP_NET_RAW: start postern")


def test_the_unit_grants_enough(real):
    """What scripts/postern.service leaves of root does for a whole life."""
    unit = os.path.join(os.path.dirname(__file__), "../../scripts",
                        "postern.service")
    with open(unit, encoding="ascii") as file:
        granted, = re.findall(r"^CapabilityBoundingSet=(.*)", file.read(),
                              re.MULTILINE)
    bounding = ",".join(["-all", *(f"+{name.removeprefix('CAP_').lower()}"
                                   for name in granted.split())])
    real.start(REAL.replace("mode = local", "mode = gateway\n"
                            "interfaces = [lan0]\nkeep_rules = false"),
               arguments=(), watchdog=2,
               before=("setpriv", f"--bounding-set={bounding}",
                       "--no-new-privs"))
    assert has_rules(real)
    assert confined(real.child("relay 1"))["Bnd"] == 0
    since, told = real.log.mark(), real.told.mark()
    real.signal(signal.SIGHUP)
    real.await_told("STATUS=.* settings 2$", since=told)
    os.kill(real.child("relay 1"), signal.SIGSTOP)
    real.await_log(r"relay 1\[\d+\]: killed .*stuck", since=since)
    real.await_log("relay 1: serving", since=since)
    real.signal(signal.SIGTERM)
    assert real.await_end() == 0
    assert not has_rules(real)


# Ends of children.

def test_killed_relay_comes_back_with_back_off(house):
    house.start()
    since = house.log.mark()
    for number, wait in ((1, 1), (2, 2)):
        old = house.child("relay 1")
        began = time.monotonic()
        os.kill(old, signal.SIGKILL)
        house.await_log(rf"relay 1\[{old}\]: killed by signal 9")
        house.await_log(f"relay 1: restart in {wait} s", since=since)
        house.await_log("relay 1: serving", since=since, count=number)
        assert time.monotonic() - began >= wait
        new = house.child("relay 1")
        assert new != old
        house.await_log(rf"fake policy \d+: channel to relay {new}")
    house.await_told("STATUS=running: 2 of 2 relays, policy up",
                     since=house.told.mark() - 1)


def test_killed_policy_comes_back_to_every_relay(house):
    house.start()
    since, told = house.log.mark(), house.told.mark()
    os.kill(house.child("policy"), signal.SIGKILL)
    house.await_told("STATUS=running: 2 of 2 relays, policy down", since=told)
    house.await_log("policy: serving", since=since)
    for pid in house.children("relay"):
        house.await_log(rf"fake relay {pid}: POLICY", since=since)
        house.await_log(rf"fake policy \d+: channel to relay {pid}",
                        since=since)


def test_dead_relay_strands_nobody(house):
    """The kernel hashes connections over the group of listeners."""
    house.start()
    house.does("relay", "exit")
    dead, living = house.child("relay 1"), house.child("relay 2")
    since = house.log.mark()
    os.kill(dead, signal.SIGKILL)
    house.await_log(rf"relay 1\[{dead}\]: killed", since=since)
    assert {house.ask() for _ in range(50)} == {living}


def test_no_relay_is_a_reset(house):
    house.start()
    house.does("relay", "exit")
    since = house.log.mark()
    for number in (1, 2):
        os.kill(house.child(f"relay {number}"), signal.SIGKILL)
    house.await_log("restart in 1 s", since=since, count=2)
    with pytest.raises(ConnectionRefusedError):
        house.ask()


@pytest.mark.parametrize("does, said", [
    ("exit", r"relay 1\[\d+\]: ended with status 3"),
    ("sigsys", r"relay 1\[\d+\]: killed by its sandbox"),
    ("lie", r"relay 1\[\d+\]: killed by signal 9 .*not allowed"),
])
def test_bad_child_harms_only_itself(house, does, said):
    house.start()
    policy, other = house.child("policy"), house.child("relay 2")
    house.does("relay", does)
    os.kill(house.child("relay 1"), signal.SIGKILL)
    since = house.log.mark()
    house.await_log(said, since=since)
    house.does("relay", "well")
    house.await_log("relay 1: serving", since=since)
    assert house.child("policy") == policy in house.children()
    assert house.child("relay 2") == other in house.children()


def test_stuck_child_is_found(house):
    house.start(watchdog=2)
    house.await_told("WATCHDOG=1", count=2)
    for name in ("relay 2", "policy"):
        since, told = house.log.mark(), house.told.mark()
        os.kill(house.child(name), signal.SIGSTOP)
        house.await_log(rf"{name}\[\d+\]: killed by signal 9 .*stuck",
                        since=since)
        house.await_log(f"{name}: serving", since=since)
        house.await_told("WATCHDOG=1", since=told, count=2)


def test_watchdog_is_silent_while_a_child_is_stuck(house):
    """Four pings in its time: the one that finds a child stuck tells none."""
    house.start(watchdog=4)
    house.await_told("WATCHDOG=1")
    os.kill(house.child("relay 1"), signal.SIGSTOP)
    house.await_log(r"relay 1\[\d+\]: killed .*stuck")
    house.await_told("WATCHDOG=1", since=house.told.mark())
    beats = [when for line, when in zip(house.told.lines, house.told.times)
             if line == "WATCHDOG=1"]
    gaps = [later - earlier for earlier, later in zip(beats, beats[1:])]
    assert 1.9 < max(gaps) < 4


# Reload.

def test_reload(house):
    house.start()
    since, told = house.log.mark(), house.told.mark()
    old = house.child("policy")
    relays = house.children("relay")
    house.signal(signal.SIGHUP)
    house.await_told("READY=1", since=told)
    said = [line.split("=")[0] for line in house.told.lines[told:]]
    assert [word for word in said if word != "STATUS"] == [
        "RELOADING", "MONOTONIC_USEC", "READY"]
    house.await_told("STATUS=running: 2 of 2 relays, policy up, "
                     r"\d+ sessions, settings 2$", since=told)
    house.await_log(rf"fake policy {old}: DRAIN", since=since)
    await_gone([old])
    new = house.child("policy")
    for pid in relays:
        house.await_log(rf"fake policy {new}: channel to relay {pid}",
                        since=since)
        said = [match[1] for match in house.log.matching(
            re.compile(rf"fake relay {pid}: (.*)"), since)]
        assert said == ["CONFIG 2", "POLICY"]
    # One that is restarted later has the new settings too.
    os.kill(relays[0], signal.SIGKILL)
    house.await_log(r"fake relay \d+: CONFIG 2", since=since, count=3)
    assert sorted(house.children("relay"))[0] == relays[1]


def test_reload_of_a_bad_file(house):
    house.start()
    told = house.told.mark()
    before = house.children()
    house.configure(CONFIG + "nonsense = 1\n")
    house.signal(signal.SIGHUP)
    house.await_log("not reloaded, the old settings stay: .*nonsense")
    house.await_told("READY=1", since=told)
    house.await_told("STATUS=.* settings 1; not reloaded: .*nonsense",
                     since=told)
    assert house.children() == before
    assert house.ask() in before
    house.configure(CONFIG)
    house.signal(signal.SIGHUP)
    house.await_told("STATUS=.* settings 2$", since=told)


@pytest.mark.parametrize("does", ["exit", "sigsys", "lie"])
def test_reload_whose_policy_does_not_serve(house, does):
    house.start()
    told = house.told.mark()
    before = house.children()
    house.does("policy", does)
    house.signal(signal.SIGHUP)
    house.await_log("not reloaded, the old settings stay: the new "
                    "postern-policy does not serve")
    house.await_told("READY=1", since=told)
    assert house.children() == before
    house.does("policy", "well")
    house.signal(signal.SIGHUP)
    house.await_told("STATUS=.* settings 2$", since=told)


def test_reload_storm(house):
    house.start()
    told = house.told.mark()
    for _ in range(50):
        house.signal(signal.SIGHUP)
        time.sleep(0.002)  # so that some arrive at every stage
    house.configure(CONFIG + "ports = [2525]\n")
    house.signal(signal.SIGHUP)
    house.await_told("STATUS=.* settings [2-9]", since=told)
    await_quiet(house)
    assert len(house.children("relay")) == 2
    assert house.children("policy") == [house.child("policy")]
    assert house.told.lines.count("RELOADING=1") == len(
        [line for line in house.told.lines[told:] if line == "READY=1"])
    assert house.ask() in house.children("relay")


def await_quiet(house):
    """Until one policy process is left, and no reload under way."""
    until = time.monotonic() + PATIENCE
    while (len(house.children("policy")) != 1
           or house.told.lines.count("RELOADING=1")
           != house.told.lines.count("READY=1") - 1):
        assert time.monotonic() < until
        with contextlib.suppress(TimeoutError):
            house.told.wait(re.compile("."), 0.1, house.told.mark())


def test_reload_of_a_bad_trust_file(house):
    """The relays could only refuse it when it is too late."""
    house.start()
    before = house.children()
    with open(f"{house.directory}/trust.pem", "w", encoding="ascii") as file:
        file.write("-----BEGIN CERTIFICATE-----\nAAAA\n"
                   "-----END CERTIFICATE-----\n")
    house.configure(CONFIG + f'trust = "{house.directory}/trust.pem"\n')
    house.signal(signal.SIGHUP)
    house.await_log("not reloaded, the old settings stay: .*/trust.pem: ")
    assert house.children() == before


def test_some_settings_need_a_restart(house):
    """What the rules and the open sockets were made with."""
    config = CONFIG.replace("= mark", "= uid")
    house.start(config, arguments=())
    rules = house.ns.run("nft", "list", "ruleset").stdout
    house.configure(config.replace("workers = 2", "workers = 3")
                    .replace(USER, "daemon") + "listen_port = 10026\n")
    house.signal(signal.SIGHUP)
    for key in ("workers", "user", "listen_port"):
        house.await_log(f"{key} changes only with a restart")
    house.await_told("STATUS=running: 2 of 2 relays.* settings 2$")
    assert house.ns.run("nft", "list", "ruleset").stdout == rules
    since = house.log.mark()
    os.kill(house.child("relay 1"), signal.SIGKILL)
    house.await_log("relay 1: serving", since=since)
    confined(house.child("relay 1"))
    with house.ns.socket(socket.AF_INET, socket.SOCK_STREAM) as client:
        assert client.connect_ex(("127.0.0.1", 10026)) == errno.ECONNREFUSED


# Stop.

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop(house, number):
    house.start()
    children = house.children()
    since = house.log.mark()
    house.signal(number)
    assert house.await_end() == 0
    house.await_log("stopped")
    await_gone(children)
    house.await_told("STOPPING=1")
    house.await_told(r"EXTEND_TIMEOUT_USEC=13000000")
    said = [match[1] for match in house.log.matching(
        re.compile(r"fake (\w+) \d+: DRAIN"), since)]
    assert said == ["relay", "relay", "policy"]


def test_stop_does_not_wait_for_ever(house):
    """Nor does what has ended by then come back."""
    house.does("relay", "stay")
    house.start(CONFIG.replace("3s", "1s"))
    house.does("relay", "well")
    since = house.log.mark()
    os.kill(house.child("relay 1"), signal.SIGKILL)
    house.await_log("relay 1: serving", since=since)
    children = house.children()
    since = house.log.mark()
    house.signal(signal.SIGTERM)
    house.await_log(r"relay 1\[\d+\]: ended$", since=since)
    assert house.await_end() == 0
    house.await_log(r"relay 2\[\d+\]: killed .*did not end in time")
    await_gone(children)
    assert not house.log.matching(re.compile("started"), since)


def test_second_stop_is_at_once(house):
    house.does("relay", "stay")
    house.start(CONFIG.replace("3s", "5min"))
    children = house.children()
    house.signal(signal.SIGTERM)
    house.await_log(r"fake relay \d+: DRAIN", count=2)
    house.signal(signal.SIGTERM)
    house.await_log(r"fake relay \d+: DRAIN", count=4)
    assert house.await_end() == 0
    await_gone(children)


def test_stop_amid_a_reload(house):
    house.start()
    house.does("policy", "nothing")
    house.signal(signal.SIGHUP)
    house.await_log("never ready")
    children = house.children()
    assert len(children) == 4
    house.signal(signal.SIGTERM)
    assert house.await_end() == 0
    await_gone(children)


def test_stop_amid_a_start(house):
    house.does("policy", "nothing")
    house.start(wait=False)
    house.await_log("never ready")
    house.signal(signal.SIGTERM)
    assert house.await_end() == 0


@pytest.mark.parametrize("is_stuck", [False, True])
def test_killed_parent_leaves_no_orphan(house, is_stuck):
    house.start()
    children = house.children()
    assert len(children) == 3
    if is_stuck:
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
    house.signal(signal.SIGKILL)
    await_gone(children)


# Rules.

def has_rules(house):
    shown = house.ns.run("nft", "list", "tables").stdout
    return "table inet postern" in shown


def test_rules_come_first_and_stay(house):
    house.does("relay", "exit")
    house.start(arguments=(), wait=False)
    house.await_log("ended with status 3")
    assert has_rules(house)
    house.signal(signal.SIGTERM)
    assert house.await_end() == 0
    assert has_rules(house)


def test_nothing_opens_without_the_rules(house):
    house.start(arguments=(), wait=False,
                before=("setpriv", "--bounding-set=-net_admin",
                        "--inh-caps=-net_admin"))
    assert house.await_end() == 1
    house.await_log("needs CAP_NET_ADMIN")
    assert not house.log.matching(re.compile("started"))


def test_rules_go_where_told(house):
    house.start(CONFIG + "keep_rules = false\n", arguments=())
    assert has_rules(house)
    house.signal(signal.SIGTERM)
    assert house.await_end() == 0
    assert not has_rules(house)


def test_rules_of_others(house):
    house.start()
    assert not has_rules(house)


def test_reload_changes_the_rules(house):
    house.start(arguments=())
    assert "2525" not in house.ns.run("nft", "list", "ruleset").stdout
    house.configure(CONFIG + "ports = [25, 2525]\n")
    house.signal(signal.SIGHUP)
    house.await_told("STATUS=.* settings 2$")
    assert "2525" in house.ns.run("nft", "list", "ruleset").stdout


def test_rules_that_cannot_be_changed(house):
    """Nothing of the new settings holds where the rules do not."""
    house.start(arguments=())
    children = house.children()
    # A table that another process owns can be changed by that one alone.
    # By this name: what others change is put right at once.
    os.mkdir(f"{house.directory}/nft")
    nft = f"{house.directory}/nft/postern"
    os.symlink(shutil.which("nft"), nft)
    owner = house.ns.start(nft, "-i", stdin=subprocess.PIPE,
                           stdout=subprocess.DEVNULL)
    owner.popen.stdin.write(b"delete table inet postern\n"
                            b"add table inet postern { flags owner; }\n"
                            b"add chain inet postern owned\n")
    owner.popen.stdin.flush()
    until = time.monotonic() + PATIENCE
    while "owned" not in house.ns.run("nft", "list", "ruleset").stdout:
        assert time.monotonic() < until
    house.configure(CONFIG + "ports = [25, 2525]\n")
    told, since = house.told.mark(), house.log.mark()
    house.signal(signal.SIGHUP)
    house.await_told("STATUS=.* settings 1; not reloaded: .*", since=told)
    await_quiet(house)
    assert house.children() == children
    assert not house.log.matching(re.compile(r"fake relay \d+:"), since)
    owner.stop()


# The real children.

def test_real_life(real):
    real.start(REAL, arguments=())
    relays, policies = real.children("relay"), real.children("policy")
    assert (len(relays), len(policies)) == (2, 1)
    for pid in relays + policies:
        assert status(pid, "Seccomp") == ("0" if is_sanitized() else "2")
    assert confined(relays[0]) == {key: NET_RAW for key in NOTHING} | {
        "Bnd": 0}
    assert confined(policies[0]) == NOTHING
    told = real.told.mark()
    real.signal(signal.SIGHUP)
    real.await_told("STATUS=.* settings 2$", since=told)
    await_gone(policies)
    assert real.children("relay") == relays
    children = real.children()
    real.signal(signal.SIGTERM)
    assert real.await_end() == 0
    await_gone(children)
    for number in (1, 2):
        real.await_log(rf"relay {number}\[\d+\]: ended$")
    assert len(real.log.matching(re.compile(r"policy\[\d+\]: ended$"))) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV,
                                    signal.SIGTERM])
def test_real_children_come_back(real, number):
    real.start(REAL)
    for name in ("policy", "relay 1", "relay 2"):
        since = real.log.mark()
        os.kill(real.child(name), number)
        real.await_log(f"{name}: serving", since=since)
    real.await_told("STATUS=running: 2 of 2 relays, policy up",
                    since=real.told.mark() - 1)


def test_real_children_that_are_stuck(real):
    real.start(REAL, watchdog=2)
    for name in ("policy", "relay 1"):
        since = real.log.mark()
        os.kill(real.child(name), signal.SIGSTOP)
        real.await_log(rf"{name}\[\d+\]: killed .*stuck", since=since)
        real.await_log(f"{name}: serving", since=since)


@pytest.mark.parametrize("is_stuck", [False, True])
def test_killed_parent_leaves_no_real_orphan(real, is_stuck):
    real.start(REAL)
    children = real.children()
    assert len(children) == 3
    if is_stuck:
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
    real.signal(signal.SIGKILL)
    await_gone(children)


def test_reload_storm_with_real_children(real):
    real.start(REAL)
    relays = real.children("relay")
    for _ in range(30):
        real.signal(signal.SIGHUP)
        time.sleep(0.005)  # so that some arrive at every stage
    await_quiet(real)
    assert real.children("relay") == relays
    assert not real.log.matching(re.compile("killed|restart"))


def test_children_are_not_for_the_command_line():
    for name in ("postern-relay", "postern-policy"):
        done = subprocess.run([f"{BUILD}/{name}"], check=False, text=True,
                              capture_output=True, timeout=PATIENCE)
        assert done.returncode == 1
        assert "started by `postern run` only" in done.stderr


# The command line.

@pytest.mark.parametrize("arguments, code", [
    (("--help",), 0), (("version",), 0), (("--version",), 0),
    (("run", "--help"), 0), (("version", "--help"), 0),
    ((), 2), (("fly",), 2), (("run", "--fly"), 2), (("run", "extra"), 2),
    (("version", "extra"), 2), (("run", "--mode", "sideways"), 2),
    (("run", "-c", "/nonexistent"), 2),
])
def test_exit_codes(arguments, code):
    # A start that fails closes the road: not that of this machine.
    ns = Namespace("line")
    try:
        done = ns.run(f"{BUILD}/postern", *arguments, check=False,
                      timeout=PATIENCE)
    finally:
        ns.close()
    assert done.returncode == code
    assert (done.stdout if code == 0 else done.stderr) != ""
    assert (done.stderr if code == 0 else done.stdout) == ""
