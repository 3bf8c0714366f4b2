# SPDX-License-Identifier: ISC
"""Two gateways with keepalived, by the example that is installed: the active
one dies, and mail goes on through the other.

How a message is counted: each has a recipient of its own.  Postfix logs one
`status=sent` for it, when it has read a 250; the server has a copy for each
250 that it gave.  The two differ only where a connection is cut between the
server's 250 and Postfix's reading it, and then Postfix says so itself: "may
be sent more than once".  So there is a copy for the `sent`, at most one more
for each such line, and never another."""

import collections
import contextlib
import hashlib
import re
import threading
import time

import pytest
from lab import Lab, smtp_server
from lab.pair import Machine, Pair
from lab.smtp_client import Closed

SENDER = "alice@lan.example"
SECRET = "a word that no wire may carry in clear"
# What a Postfix waits for that has nothing to send, it waits for in vain, for
# minutes; and it comes back to a deferred message after more of them.
IMPATIENT = [f"smtp_{step}_timeout=8s" for step in (
    "connect", "helo", "mail", "rcpt", "data_init", "data_xfer", "data_done",
    "rset", "quit")] + ["queue_run_delay=1s", "minimal_backoff_time=1s",
                        "maximal_backoff_time=2s"]
FAMILIES = {"ipv4": False, "ipv6": True}


@pytest.fixture(scope="module")
def lab():
    """In place of the usual one: with room for two gateways."""
    with Lab(mtas=("postfix",), is_for_pair=True) as raised:
        raised.postfix.jail.run("postconf", "-e", *IMPATIENT)
        raised.postfix.jail.run("postfix", "reload")
        yield raised


@pytest.fixture(scope="module")
def raised_pair(lab):
    with Pair(lab) as pair:
        yield pair
    for machine in pair.machines:
        for log in machine.said:
            assert not [line for line in log.lines if "Sanitizer" in line
                        or "runtime error:" in line], "\n".join(log.lines)


@pytest.fixture
def pair(raised_pair, tap):
    """(active, standby), both well."""
    tap.mark(SECRET)
    return raised_pair.whole()


class Sinks:
    """A domain for each family, at an MX host that has no other address."""

    def __init__(self, lab, word, **settings):
        self.servers = {}
        self.domains = {}
        for family, ipv6 in FAMILIES.items():
            name = lab.fresh(f"{word}-{family}")
            server = lab.mx(f"mx.{name}", addresses=[
                lab.new_addresses()[ipv6]], **settings)
            lab.domain(name, server)
            self.servers[family] = server
            self.domains[family] = name

    def recipients(self, count=1):
        return [f"n{number}@{domain}" for number in range(count)
                for domain in self.domains.values()]

    def copies(self):
        """{recipient: [SHA-256 of what was told from the body, ...]}"""
        found = collections.defaultdict(list)
        for server in self.servers.values():
            for message in list(server.messages):
                assert message.tls, "taken in clear"
                body = message.content.partition(b"\r\n\r\n")[2]
                digest = hashlib.sha256(body).hexdigest()
                for recipient in message.recipients:
                    found[recipient].append(digest)
        return found

    def wait_copies(self, count):
        """Waits until the one by IPv4 has so many."""
        server = self.servers["ipv4"]
        server.wait_message(lambda _: len(server.messages) >= count)


def body_of(recipient, size=0):
    text = f"{SECRET}, {recipient}\n"
    return text * (1 + size // len(text)) + "the end\n"


def send(postfix, recipient, size=0):
    postfix.send(SENDER, [recipient], f"Subject: x\n\n"
                 f"{body_of(recipient, size)}")


class Stream:
    """Messages submitted one after the other, in a thread."""

    def __init__(self, postfix, recipients):
        self._failed = None
        self._thread = threading.Thread(
            target=self._run, args=(postfix, recipients), daemon=True)
        self._thread.start()

    def _run(self, postfix, recipients):
        try:
            for recipient in recipients:
                send(postfix, recipient)
        except Exception as error:
            self._failed = error

    def join(self):
        self._thread.join(60)
        assert not self._thread.is_alive() and self._failed is None, \
            self._failed


def fates(postfix, pattern):
    """How often Postfix logged that of each recipient."""
    return collections.Counter(
        match[1] for match in postfix.log.matching(
            re.compile(rf" to=<([^>]*)>,.*{pattern}")))


def story(postfix, recipient):
    """All that Postfix logged of its message, and what it still has."""
    ids = {match[1] for match in postfix.log.matching(
        re.compile(rf" (\w+): to=<{re.escape(recipient)}>"))}
    return "\n".join([f"{recipient}:", *(
        line for line in postfix.log.lines
        if any(f" {each}: " in line for each in ids)), queue(postfix)])


def wait_sent(postfix, recipients, timeout=40):
    """Waits until Postfix has delivered to all of them."""
    until = time.monotonic() + timeout
    for recipient in recipients:
        try:
            postfix.log.wait(re.compile(
                rf" to=<{re.escape(recipient)}>,.* status=sent "),
                max(until - time.monotonic(), 0.1))
        except TimeoutError as error:
            raise TimeoutError(story(postfix, recipient)) from error


def judge(postfix, sinks, size=0):
    """The law above, for all that was sent to these, each whole; who had
    more copies than one."""
    copies = sinks.copies()
    sent = fates(postfix, " status=sent ")
    unsure = fates(postfix, "may be sent more than once")
    for recipient in copies:
        body = body_of(recipient, size).replace("\n", "\r\n").encode()
        whole = hashlib.sha256(body).hexdigest()
        assert set(copies[recipient]) == {whole}, recipient
        assert sent[recipient] == 1, recipient
        assert len(copies[recipient]) <= 1 + unsure[recipient], recipient
    assert all(copies[recipient] for recipient in sent
               if recipient.partition("@")[2] in sinks.domains.values())
    return {recipient for recipient in copies if len(copies[recipient]) > 1}


def queue(postfix):
    return postfix.jail.run("postqueue", "-j").stdout


# Steady.

def test_steady(lab, pair, postfix):
    """One router: by its own addresses the LAN knows it, and the internet."""
    active, standby = pair
    assert active.is_active and not standby.is_active
    assert {"198.51.100.1", "2001:db8:100::1"} <= active.addresses("lan0")
    assert {"203.0.113.1", "2001:db8:203::1"} <= active.addresses("wan0")
    assert len(standby.addresses("lan0") | standby.addresses("wan0")) == 4
    sinks = Sinks(lab, "steady")
    for recipient in sinks.recipients():
        send(postfix, recipient)
    wait_sent(postfix, sinks.recipients())
    assert not judge(postfix, sinks)
    for domain in sinks.domains.values():
        assert active.postern.verdict(domain)["result"] == "proved"
        assert not standby.postern.log.matching(re.compile(domain))
    # From the client's own address, and the answers found their way.
    assert {server.messages[0].client for server in sinks.servers.values()} \
        == {"198.51.100.10", "2001:db8:100::10"}


# The machine dies.

class Held:
    """A hook that keeps a server from going on until release()."""

    def __init__(self):
        self.met = threading.Semaphore(0)
        self._go = threading.Event()

    def __call__(self, session, _line):
        self.met.release()
        self._go.wait(60)

    def wait_met(self, count):
        for _ in range(count):
            assert self.met.acquire(timeout=30)

    def release(self):
        self._go.set()


@pytest.mark.parametrize("die", [Machine.power_off, Machine.kill_programs],
                         ids=["machine", "programs"])
def test_dies_amid_deliveries(lab, pair, postfix, die):
    """At once amid a stream, while some servers read a message slowly and
    others have read all of one but not answered yet."""
    active, standby = pair
    reading, answering = Held(), Held()
    stream = Sinks(lab, "stream")
    partial = Sinks(lab, "partial", on={"data": reading})
    unanswered = Sinks(lab, "unanswered", on={"message": answering})
    everybody = [*stream.recipients(25), *partial.recipients(),
                 *unanswered.recipients()]
    large = 4_000_000  # more than what all buffers on its way hold
    try:
        for recipient in partial.recipients():
            send(postfix, recipient, large)
        for recipient in unanswered.recipients():
            send(postfix, recipient)
        reading.wait_met(2)
        answering.wait_met(2)
        mark = standby.mark()
        submitted = Stream(postfix, stream.recipients(25))
        stream.wait_copies(5)
        die(active)
        before = sum(map(len, stream.copies().values()))
        standby.wait_state("MASTER", mark)
    finally:
        reading.release()
        answering.release()
    submitted.join()
    wait_sent(postfix, everybody)
    assert 5 <= before < 50  # it was amid
    judge(postfix, stream)
    assert not judge(postfix, partial, large)
    # Their servers took the message, and could tell nobody.
    assert judge(postfix, unanswered) == set(unanswered.recipients())
    assert set(stream.copies()) == set(stream.recipients(25))
    assert not queue(postfix)


def test_killed_programs_start_again(pair):
    """keepalived takes off what it left behind."""
    active, standby = pair
    mark = standby.mark()
    active.kill_programs()
    standby.wait_state("MASTER", mark)
    held = active.addresses("lan0") | active.addresses("wan0")
    assert len(held) == 8
    active.start_programs()
    active.wait_state("BACKUP")
    assert len(active.addresses("lan0") | active.addresses("wan0")) == 4
    assert standby.is_active


# postern dies, and keepalived sees it.

def test_postern_dies_amid_deliveries(lab, pair, postfix):
    active, standby = pair
    sinks = Sinks(lab, "alone")
    marks = active.mark(), standby.mark()
    submitted = Stream(postfix, sinks.recipients(25))
    sinks.wait_copies(5)
    active.postern.process.stop()  # SIGKILL
    before = sum(map(len, sinks.copies().values()))
    active.wait_state("FAULT", marks[0])
    standby.wait_state("MASTER", marks[1])
    submitted.join()
    wait_sent(postfix, sinks.recipients(25))
    assert 5 <= before < 50
    judge(postfix, sinks)
    assert set(sinks.copies()) == set(sinks.recipients(25))
    assert not queue(postfix)
    assert len(active.addresses("lan0") | active.addresses("wan0")) == 4
    mark = active.mark()
    active.postern.start()
    active.wait_state("BACKUP", mark)


def test_one_cable_moves_both_sides(lab, pair, postfix):
    """Or answers would come back to the one that did not ask."""
    active, standby = pair
    sinks = Sinks(lab, "cable")
    for side in ("lan0", "wan0"):
        marks = active.mark(), standby.mark()
        lab.cables(active.ns, side, are_in=False)
        try:
            active.wait_state("FAULT", marks[0])
            standby.wait_state("MASTER", marks[1])
            recipients = [f"{side}@{domain}"
                          for domain in sinks.domains.values()]
            for recipient in recipients:
                send(postfix, recipient)
            wait_sent(postfix, recipients)
        finally:
            lab.cables(active.ns, side)
        active.wait_state("BACKUP", marks[0])
        active, standby = standby, active
    assert not judge(postfix, sinks)


# Sessions that are open while the role moves.

class Open:
    """A session that is amid its message, from a port that the kernel gives
    to nobody, so that its packets are told from postern's own."""

    def __init__(self, lab, sinks, family, port):
        self.server = sinks.servers[family]
        self.port = port
        self.recipient = f"open@{sinks.domains[family]}"
        self.client = lab.connect(self.server, ipv6=FAMILIES[family],
                                  source_port=port)
        assert self.client.reply().code == 220
        assert self.client.ehlo().code == 250
        for reply in self.client.envelope(SENDER, self.recipient):
            assert reply.code == 250, reply
        assert self.client.command("DATA").code == 354
        self.say(f"Subject: x\r\n\r\n{SECRET}\r\n")
        self.session = self.server.wait_session(lambda s: s.recipients)

    def say(self, text):
        self.client.send(text.encode())


@contextlib.contextmanager
def open_sessions(lab, sinks):
    with contextlib.ExitStack() as stack:
        sessions = []
        for port, family in enumerate(FAMILIES, 20025):
            sessions.append(Open(lab, sinks, family, port))
            stack.callback(sessions[-1].client.close)
        yield sessions


def test_open_sessions_are_cut(lab, pair, tap):
    """The new one knows nothing of them: no packet of theirs passes, from
    either side, and both ends are told."""
    active, standby = pair
    speaking = Held()
    sinks = Sinks(lab, "open", on={"data": speaking})
    mark = standby.mark()
    try:
        with open_sessions(lab, sinks) as sessions:
            active.power_off()
            standby.wait_state("MASTER", mark)
            for each in sessions:
                each.say(f"{SECRET}\r\n.\r\n")
            for each in sessions:
                with pytest.raises(Closed, match="reset"):
                    each.client.reply()
            # Now the servers speak to somebody who is gone, unless what
            # they said before has come too late and told them already.
            for each in sessions:
                with contextlib.suppress(smtp_server.Closed):
                    each.session.send(b"250 2.0.0 taken\r\n")
            speaking.release()
            for each in sessions:
                assert each.session.ended.wait(20)
    finally:
        speaking.release()
    assert not any(server.messages for server in sinks.servers.values())
    said = tap.connections()
    assert {server.addresses[0] for server in sinks.servers.values()} <= {
        target for _source, _sport, target, _port in said}
    assert not [flow for flow in said if flow[1] in (20025, 20026)]


def test_first_comes_back(lab, raised_pair, pair):
    """It waits until it is needed, and cuts nobody."""
    active, standby = pair
    mark = standby.mark()
    active.power_off()
    standby.wait_state("MASTER", mark)
    sinks = Sinks(lab, "back")
    mark = standby.mark()
    with open_sessions(lab, sinks) as sessions:
        assert raised_pair.whole() == [standby, active]
        for each in sessions:
            each.say(".\r\n")
            assert each.client.reply().code == 250
    assert not standby.states(mark)
    assert active.states()[-1][1] == "BACKUP"
    assert [len(server.messages) for server in sinks.servers.values()] \
        == [1, 1]


# Neither.

def test_both_are_dead(lab, pair, tap):
    """Nobody has the role, and nothing gets out; then one comes back."""
    sinks = Sinks(lab, "dead")
    for machine in pair:
        mark = machine.mark()
        machine.postern.process.stop()  # SIGKILL
        machine.wait_state("FAULT", mark)
    for machine in pair:
        assert len(machine.addresses("lan0") | machine.addresses("wan0")) == 4
    for family, server in sinks.servers.items():
        with pytest.raises(OSError):
            lab.connect(server, ipv6=FAMILIES[family], timeout=2)
    targets = {server.addresses[0] for server in sinks.servers.values()}
    assert not [flow for flow in tap.connections() if flow[2] in targets]
    for machine, state in zip(pair, ("MASTER", "BACKUP")):
        mark = machine.mark()
        machine.postern.start()
        machine.wait_state(state, mark)
    for family, server in sinks.servers.items():
        with lab.connect(server, ipv6=FAMILIES[family]) as client:
            assert client.deliver(SENDER, [f"b@{sinks.domains[family]}"],
                                  f"{SECRET}\r\n".encode()).code == 250
