# SPDX-License-Identifier: ISC
"""postern beside an application in a pod: our manifests and our image, run as
a node runs them, in one network namespace with who sends."""

import contextlib
import copy
import os
import re
import signal
import stat

import pytest

from lab import manifests, pki
from lab.gateway import BUILD
from lab.manifests import KUBERNETES, Kustomization
from lab.netns import is_ready
from lab.pod import Image, Pod

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
POSTERN = 10025
FAMILIES = pytest.mark.parametrize("ipv6", [False, True],
                                   ids=["ipv4", "ipv6"])
_SANITIZER = re.compile("AddressSanitizer|LeakSanitizer|runtime error:")


@pytest.fixture(scope="module")
def image(lab):
    return Image(f"{BUILD}/image/oci", lab.directory_for("image"))


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def in_lab(lab, built):
    """A manifest's configuration, and where this internet's roots are."""
    made = copy.deepcopy(built.files())
    made["postern"]["postern.conf"] += (
        'trust = "/etc/postern/trust.pem"\ndns {\n'
        '    root_hints = "/etc/postern/root.hints"\n'
        '    trust_anchor = "/etc/postern/root.key"\n}\n')
    made["postern"] |= {"trust.pem": read(lab.trust),
                        "root.hints": read(lab.dns.root_hints),
                        "root.key": read(lab.dns.trust_anchor)}
    return made


@pytest.fixture(scope="module")
def files(lab):
    return in_lab(lab, Kustomization(f"{KUBERNETES}/example"))


def spec():
    return manifests.pod_of(
        Kustomization(f"{KUBERNETES}/example").one("Deployment"))


@pytest.fixture(scope="module")
def pod(lab, image, files):
    """A pod that is up; its application is whoever comes."""
    with Pod(lab, lab.lan_host("pod", 30), spec(), image, files) as made:
        made.up()
        yield made
        said = "\n".join(made.logs["postern"].lines)
        assert not _SANITIZER.search(said), said


@pytest.fixture(scope="module")
def network(lab):
    """One for pods that do not last."""
    return lab.lan_host("network", 31)


@pytest.fixture
def make_pod(lab, network, image, files):
    """make_pod(files=..., spec=...): a pod for one test, nothing in it up."""
    with contextlib.ExitStack() as held:
        def make(*, spec=spec(), files=files):
            return held.enter_context(Pod(lab, network, spec, image, files))

        yield make
    network.run("nft", "delete", "table", "inet", "postern", check=False)


def configured(files, *lines):
    """The files with more lines of configuration, those of the same setting
    taken out."""
    made = copy.deepcopy(files)
    keys = {line.split()[0] for line in lines}
    text = made["postern"]["postern.conf"].splitlines()
    made["postern"]["postern.conf"] = "\n".join(
        [row for row in text if row.partition(" ")[0] not in keys]
        + list(lines)) + "\n"
    return made


def deliver(lab, place, server, domain, ipv6=False):
    with lab.connect(server, ipv6=ipv6, ns=place) as client:
        return client.deliver("me@lan.example", [f"bob@{domain}"], MESSAGE)


def is_refused(lab, place, server):
    """Both families, at once."""
    for ipv6 in (False, True):
        with pytest.raises(ConnectionRefusedError):
            lab.connect(server, ipv6=ipv6, ns=place)
    return True


def as_application(place, *command, **options):
    """Runs a program with what the example's application may."""
    context = spec()["containers"][0]["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    user = options.pop("user", context["runAsUser"])
    return place.run(
        "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
        "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", "--",
        *command, check=False, **options)


def is_sanitized():
    """Then there is no seccomp of our own."""
    with open(f"{BUILD}/postern-relay", "rb") as file:
        return b"__asan_init" in file.read()


def status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(row.rstrip("\n").split(":\t", 1) for row in file)


# Coming up.

def test_order(lab, make_pod, network):
    """In no stage is there a way out but a proved one."""
    domain, server = lab.good_domain()
    pod = make_pod()
    seen = []

    def look(name, word):
        seen.append((name, word))
        if word == "ended":
            assert is_refused(lab, network, server)
        if word == "started":
            # It listens, or not yet.
            with contextlib.suppress(ConnectionRefusedError):
                lab.connect(server, ns=network).close()

    pod.up(stages=look)
    assert seen == [("postern-rules", "ended"), ("postern", "started"),
                    ("postern", "well")]
    assert deliver(lab, network, server, domain).code == 250
    assert [s.tls for s in server.sessions if s.verbs[1:]] == ["TLSv1.3"]


def test_rules_again(pod):
    """As when a node starts the pod's sandbox anew."""
    before = pod.ns.run("nft", "list", "table", "inet", "postern").stdout
    assert "meta skuid 10025" in before
    pod.run("postern-rules")
    assert pod.ns.run("nft", "list", "table", "inet",
                      "postern").stdout == before
    assert pod.probe("postern")[0]


# Mail.

@FAMILIES
def test_delivery(lab, pod, ipv6):
    """By the application's own user, with a mail program of its own."""
    domain, server = lab.good_domain()
    done = as_application(
        pod.ns, "swaks", "--server", server.addresses[1 if ipv6 else 0],
        "--from", "me@lan.example", "--to", f"bob@{domain}", "--helo",
        "client.lan.example", "--body", "hello")
    assert done.returncode == 0, done.stdout
    message = server.wait_message()
    assert (message.tls, message.recipients) == ("TLSv1.3", [f"bob@{domain}"])


@FAMILIES
def test_refusals(lab, pod, ipv6):
    domain, server = lab.good_domain(certificates=[
        pki.self_signed(["mx.elsewhere.example"])])
    reply = deliver(lab, pod.ns, server, domain, ipv6)
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    domain, plain = lab.good_domain(starttls=False)
    reply = deliver(lab, pod.ns, plain, domain, ipv6)
    assert (reply.code, reply.text[:5]) == (421, "4.7.4"), str(reply)
    for each in (server, plain):
        assert each.messages == []
        for session in each.sessions:
            assert set(session.verbs) <= {"EHLO", "STARTTLS", "QUIT"}


# Privilege.

def test_nobody_has_any(pod):
    """No process of the sidecar, first one included."""
    pids = pod.pids("postern")
    assert len(pids) >= 3
    for pid in pids:
        said = status(pid)
        assert said["Uid"].split() == said["Gid"].split() == [str(POSTERN)] * 4
        assert said["Groups"].strip() in ("", str(POSTERN))
        for key in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(said[key], 16) == 0, key
        assert said["NoNewPrivs"] == "1"
        assert said["Seccomp"] == "2"
    # The children have locked themselves in further, by two filters.
    filters = [int(status(pid)["Seccomp_filters"]) for pid in pids]
    own = 0 if is_sanitized() else 2
    assert filters == [1] + [1 + own] * (len(pids) - 1)


def test_rules_need_but_one_capability(make_pod, network):
    """Which the manifest gives, and nothing but it; without it the step fails
    and the pod goes no further."""
    pod = make_pod()
    given = []

    def without(config):
        held = config["process"]["capabilities"]
        given.append(copy.deepcopy(held))
        held["bounding"] = held["effective"] = held["permitted"] = []

    done = pod.run("postern-rules", change=without, check=False)
    assert given == [{"bounding": ["CAP_NET_ADMIN"],
                      "effective": ["CAP_NET_ADMIN"],
                      "permitted": ["CAP_NET_ADMIN"],
                      "inheritable": [], "ambient": []}]
    assert done.returncode == 1
    assert "needs CAP_NET_ADMIN" in done.stderr
    assert "postern" not in network.run("nft", "list", "tables").stdout


# What an application could try, and what it gets.
_TRY = {
    "mark": "s = socket.socket(); s.setsockopt(1, 36, 0x100)",
    "user": f"os.setuid({POSTERN})",
    "group": f"os.setgid({POSTERN})",
    "raw": "socket.socket(2, socket.SOCK_RAW, 255)",
    "packet": "socket.socket(17, socket.SOCK_RAW, 0x300)",
    "transparent": "s = socket.socket(); s.setsockopt(0, 19, 1)",
}


@pytest.mark.parametrize("how", _TRY)
def test_application_cannot_pass_for_postern(pod, how):
    done = as_application(pod.ns, "/usr/bin/python3", "-c",
                          f"import os, socket\n{_TRY[how]}")
    assert "PermissionError: [Errno 1]" in done.stderr, done


def test_application_cannot_take_rules_away(lab, pod):
    """Neither by nft nor with our own program."""
    _domain, server = lab.good_domain()
    for command in (("nft", "delete", "table", "inet", "postern"),
                    ("nft", "flush", "ruleset")):
        done = as_application(pod.ns, *command)
        assert "Operation not permitted" in done.stderr, done
    done = pod.exec("postern", "/usr/sbin/postern", "rules", "remove")
    assert done.returncode == 1 and "needs CAP_NET_ADMIN" in done.stderr
    assert pod.probe("postern")[0]
    assert server.sessions == []


@FAMILIES
def test_same_user_is_the_limit(lab, pod, ipv6):
    """Why no other container may run as postern's user: the rules cannot tell
    them apart.  test_manifests sees that ours do not."""
    _domain, server = lab.good_domain()
    done = as_application(pod.ns, "swaks", "--server",
                          server.addresses[1 if ipv6 else 0], "--helo",
                          "client.lan.example", "--quit-after", "EHLO",
                          user=POSTERN)
    assert done.returncode == 0, done.stdout
    assert [(s.tls, s.verbs[0]) for s in server.sessions] == [("", "EHLO")]


# Files.

def writable(pid):
    """Mount points that a process sees and could write to, by the mount."""
    with open(f"/proc/{pid}/mountinfo", encoding="ascii") as file:
        rows = [row.split(" - ")[0].split() for row in file]
    return {row[4] for row in rows if "rw" in row[5].split(",")}


def listing(root):
    found = {}
    for folder, _, names in os.walk(root):
        for name in [".", *names]:
            path = os.path.join(folder, name)
            seen = os.lstat(path)
            found[path] = (seen.st_mode, seen.st_uid, seen.st_size,
                           seen.st_mtime_ns)
    return found


def test_writes_nothing_but_its_state(lab, pod, image):
    before = listing(image.root)
    domain, server = lab.good_domain()
    lab.sts(domain, mx=[server.name])
    assert deliver(lab, pod.ns, server, domain).code == 250
    pod.logs["postern"].wait(re.compile(
        f"verdict .* to={re.escape(domain)} evidence=mta-sts "))
    for pid in pod.pids("postern"):
        # /proc has its dangerous parts mounted over, read-only.
        assert writable(pid) <= {"/proc", "/dev", "/dev/shm",
                                 "/var/lib/postern"}
        assert os.statvfs(f"/proc/{pid}/root/").f_flag & os.ST_RDONLY
        for folder in ("dev", "dev/shm"):
            made = [name for name in os.listdir(f"/proc/{pid}/root/{folder}")
                    if stat.S_ISREG(os.lstat(
                        f"/proc/{pid}/root/{folder}/{name}").st_mode)]
            assert made == []
    assert listing(image.root) == before
    state = f"{pod.volume('postern-state')}/state"
    seen = os.stat(state)
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (POSTERN, 0o700)
    assert "state.db" in os.listdir(state)
    assert os.listdir(pod.volume("postern-state")) == ["state"]


def test_without_a_volume(lab, make_pod, network):
    """It runs and forgets, and says so."""
    without = spec()
    container = without["initContainers"][1]
    container["volumeMounts"] = [
        mount for mount in container["volumeMounts"]
        if mount["name"] != "postern-state"]
    pod = make_pod(spec=without)
    pod.up()
    pod.logs["postern"].wait(re.compile("Read-only file system"))
    pod.logs["postern"].wait(re.compile("forgotten at each restart"))
    domain, server = lab.good_domain()
    assert deliver(lab, network, server, domain).code == 250
    assert server.wait_message().tls == "TLSv1.3"


# Gone, stuck and back.

@contextlib.contextmanager
def until_gone(pod):
    with contextlib.ExitStack() as held:
        fds = [os.pidfd_open(pid) for pid in pod.pids("postern")]
        for fd in fds:
            held.callback(os.close, fd)
        yield
        for fd in fds:
            assert is_ready(fd, 20)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM],
                         ids=["killed", "stopped"])
def test_gone_is_closed(lab, pod, number):
    """Until the node starts it again, with no new rules."""
    domain, server = lab.good_domain()
    with until_gone(pod):
        if number == signal.SIGTERM:
            os.kill(pod.pids("postern")[0], number)
        else:
            pod.signal("postern", number)
    code = pod.processes["postern"].popen.wait(20)
    assert code == (0 if number == signal.SIGTERM else 128 + number)
    assert is_refused(lab, pod.ns, server)
    assert not pod.probe("postern")[0]
    pod.start("postern")
    pod.await_well("postern")
    assert deliver(lab, pod.ns, server, domain).code == 250
    assert [s.tls for s in server.sessions] == ["TLSv1.3"]


def test_stuck_is_closed(lab, pod):
    """A connection waits, and nobody speaks to it or for it."""
    domain, server = lab.good_domain()
    pids = pod.pids("postern")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        with lab.connect(server, ns=pod.ns) as client:
            client.send(b"EHLO client.lan.example\r\n")
            assert not is_ready(client.socket, 1)
            assert server.sessions == []
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert deliver(lab, pod.ns, server, domain).code == 250


# Readiness.

def test_not_ready_without_rules(make_pod):
    """Somebody left the first step out."""
    pod = make_pod()
    pod.start("postern")
    pod.logs["postern"].wait(re.compile(r"\]: ready$"))
    is_well, said = pod.probe("postern")
    assert not is_well
    assert "rules: NOT in place" in said


# Compose, where postern's container holds the network and so comes first.

def test_compose(lab, make_pod, network):
    pod = make_pod(spec=manifests.compose_pod(manifests.compose()))
    pod.start("postern")
    pod.logs["postern"].wait(re.compile(r"\]: ready$"))
    assert not pod.probe("postern")[0]
    pod.run("postern-rules")
    pod.await_well("postern")
    domain, server = lab.good_domain()
    assert deliver(lab, network, server, domain).code == 250
    assert server.wait_message().tls == "TLSv1.3"
    first, *_ = pod.pids("postern")
    assert int(status(first)["CapBnd"], 16) == 0
    state = f"/proc/{first}/root/var/lib/postern/state"
    assert "state.db" in os.listdir(state)
    pod.signal("postern", signal.SIGKILL)
    pod.processes["postern"].popen.wait(20)
    assert is_refused(lab, network, server)


# Mistakes: closed, and told.

def loop(lab, pod, network):
    """What mail gets where the two steps do not agree."""
    domain, server = lab.good_domain()
    for ipv6 in (False, True):
        with lab.connect(server, ipv6=ipv6, ns=network) as client:
            reply = client.reply()
            assert (reply.code, reply.text[:5]) == (421, "4.4.6"), str(reply)
            assert "see whether the rules have its user and mark" in str(
                reply)
    assert server.sessions == []
    pod.logs["postern"].wait(re.compile(
        "turned away: routing loop: .* its user and mark"))


def test_rules_by_a_mark_that_postern_cannot_set(lab, make_pod, network,
                                                 files):
    """The first step has NET_RAW, as containers do by default, and chooses by
    that."""
    pod = make_pod(files=configured(files, "own_connections = auto"))

    def with_raw(config):
        for kind in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][kind].append("CAP_NET_RAW")

    pod.run("postern-rules", change=with_raw)
    assert "meta mark & 0x00000100" in network.run(
        "nft", "list", "table", "inet", "postern").stdout
    pod.start("postern")
    pod.await_well("postern")
    loop(lab, pod, network)


def test_postern_as_another_user(lab, make_pod, network):
    other = spec()
    other["initContainers"][1]["securityContext"] |= {
        "runAsUser": 10026, "runAsGroup": 10026}
    pod = make_pod(spec=other)
    pod.up()
    pod.logs["postern"].wait(re.compile(
        'rules made by `postern rules apply` let pass the user "postern", '
        "id 10025, and this is id 10026"))
    loop(lab, pod, network)


def test_postern_with_a_mark_that_it_cannot_set(lab, make_pod, network, files):
    pod = make_pod(files=configured(files, "own_connections = mark"))
    pod.run("postern-rules")
    assert pod.start("postern").popen.wait(20) == 1
    pod.logs["postern"].wait(re.compile(
        "own_connections = mark needs CAP_NET_RAW"))
    _domain, server = lab.good_domain()
    assert is_refused(lab, network, server)


@pytest.mark.parametrize("errno", [1, 38], ids=["EPERM", "ENOSYS"])
def test_no_landlock(lab, make_pod, network, errno):
    """A kernel or a profile without it: postern serves nobody, and says what
    is missing."""
    pod = make_pod()
    pod.run("postern-rules")

    def without(config):
        for row in config["linux"]["seccomp"]["syscalls"]:
            row["names"] = [name for name in row["names"]
                            if not name.startswith("landlock_")]
        config["linux"]["seccomp"]["syscalls"].append({
            "names": ["landlock_create_ruleset"], "errnoRet": errno,
            "action": "SCMP_ACT_ERRNO"})

    pod.start("postern", change=without)
    pod.logs["postern"].wait(re.compile(
        "no Landlock: the kernel has none, .* or a container's seccomp "
        "profile forbids it: "), count=3)
    is_well, said = pod.probe("postern")
    assert not is_well and ": starting: 0 of" in said
    _domain, server = lab.good_domain()
    # A listener is there for moments, while a relay is being started.
    for ipv6 in (False, True):
        with contextlib.suppress(ConnectionRefusedError):
            with lab.connect(server, ipv6=ipv6, ns=network) as client:
                assert client.at_end()
    assert server.sessions == []


# A node's gateway.

NET_ADMIN = 1 << 12


@pytest.fixture
def node(lab, image):
    """The DaemonSet's pod, on the network that the LAN's mail goes through."""
    built = Kustomization(f"{KUBERNETES}/gateway")
    made = configured(in_lab(lab, built), 'interfaces = ["lan0"];')
    with Pod(lab, lab.gateway, manifests.pod_of(built.one("DaemonSet")), image,
             made) as pod:
        try:
            pod.start("postern")
            pod.await_well("postern")
            yield pod
        finally:
            lab.gateway.run(f"{BUILD}/postern", "rules", "remove")


@FAMILIES
def test_node_gateway(lab, node, ipv6):
    """Its capabilities are enough, and its children keep none."""
    domain, server = lab.good_domain()
    assert deliver(lab, lab.client, server, domain, ipv6).code == 250
    message = server.wait_message()
    assert message.tls == "TLSv1.3"
    assert message.client != lab.client_address(ipv6)  # the node's own
    first, *children = node.pids("postern")
    assert status(first)["Uid"].split() == ["0"] * 4
    for pid in children:
        said = status(pid)
        assert said["Uid"].split() == [str(POSTERN)] * 4
        # The gate gives the kernel verdicts, and may do nothing else by it.
        kept = NET_ADMIN if said["Name"] == "postern-gate" else 0
        for key in ("CapPrm", "CapEff", "CapAmb"):
            assert int(said[key], 16) == kept, key
        assert int(said["CapBnd"], 16) == 0
    # What it made for its user, in a folder that is root's.
    seen = os.stat(f"{node.volume('postern-state')}/state")
    assert (seen.st_uid, stat.S_IMODE(seen.st_mode)) == (POSTERN, 0o700)


def test_node_gateway_gone_is_closed(lab, node):
    _domain, server = lab.good_domain()
    node.signal("postern", signal.SIGKILL)
    node.processes["postern"].popen.wait(20)
    # Nobody reads the queue: no answer, and no way past it.
    for ipv6 in (False, True):
        with pytest.raises(TimeoutError):
            lab.connect(server, ipv6=ipv6, ns=lab.client, timeout=2)
    assert server.sessions == []
    node.start("postern")
    node.await_well("postern")
