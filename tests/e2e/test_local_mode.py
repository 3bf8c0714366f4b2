# SPDX-License-Identifier: ISC
"""postern beside the program that sends: mode = local, end to end, in the
scripted client's own network namespace."""

import contextlib
import os
import re
import signal

import pytest
from lab import Gateway, pki
from lab.netns import is_ready
from lab.smtp_client import Client, Closed

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
FAMILIES = pytest.mark.parametrize("ipv6", [False, True],
                                   ids=["ipv4", "ipv6"])
_SANITIZER = re.compile("AddressSanitizer|LeakSanitizer|runtime error:")


@pytest.fixture(scope="module", params=["mark", "uid"])
def here(request, lab):
    """postern in mode local, by either way to know its own connections."""
    with Gateway(lab, lab.client, lab.config(
            f"own_connections = {request.param}", "workers = 2",
            "timeouts { drain = 1s }", mode="local")) as here:
        yield here
    assert not here.log.matching(_SANITIZER), "\n".join(here.log.lines)


def send(lab, server, recipient, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", [recipient], MESSAGE)


@FAMILIES
def test_delivery(lab, here, ipv6):
    domain, server = lab.good_domain()
    assert send(lab, server, f"bob@{domain}", ipv6=ipv6).code == 250
    message = server.wait_message()
    assert message.content == MESSAGE
    assert message.tls == "TLSv1.3"
    # It is this host's own address anyway.
    assert message.client == lab.client_address(ipv6)


@FAMILIES
def test_program_of_another_user(lab, here, ipv6):
    """swaks as nobody, who could not ask to be let past."""
    domain, server = lab.good_domain()
    lab.client.run("setpriv", "--reuid=nobody", "--regid=nogroup",
                   "--clear-groups", "swaks", "--server",
                   server.addresses[1 if ipv6 else 0], "--from",
                   "me@lan.example", "--to", f"bob@{domain}", "--helo",
                   "client.lan.example", "--body", "hello")
    message = server.wait_message()
    assert (message.tls, message.recipients) == ("TLSv1.3", [f"bob@{domain}"])


@FAMILIES
def test_47_ipv4_through_an_ipv6_socket(lab, here, ipv6):
    domain, server = lab.good_domain()
    address = server.addresses[1] if ipv6 else "::ffff:" + server.addresses[0]
    with Client(lab.client, address) as client:
        assert client.deliver("me@lan.example", [f"bob@{domain}"],
                              MESSAGE).code == 250
    assert server.wait_message().tls == "TLSv1.3"


@FAMILIES
def test_refusals(lab, here, ipv6):
    domain, server = lab.good_domain(certificates=[
        pki.self_signed(["mx.elsewhere.example"])])
    reply = send(lab, server, f"bob@{domain}", ipv6=ipv6)
    assert (reply.code, reply.text[:5]) == (451, "4.7.5"), str(reply)
    assert "certificate-not-trusted" in reply.text
    domain, plain = lab.good_domain(starttls=False)
    reply = send(lab, plain, f"bob@{domain}", ipv6=ipv6)
    assert (reply.code, reply.text[:5]) == (421, "4.7.4"), str(reply)
    assert "starttls-not-supported" in reply.text
    for each in (server, plain):
        assert each.messages == []
        for session in each.sessions:
            assert set(session.verbs) <= {"EHLO", "STARTTLS", "QUIT"}


@FAMILIES
def test_no_connection(lab, here, ipv6):
    address = lab.new_addresses()[1 if ipv6 else 0]
    with lab.connect(address) as client:
        reply = client.reply()
        assert (reply.code, reply.text[:5]) == (421, "4.4.1"), str(reply)
        assert address in reply.text
        assert client.at_end()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "198.51.100.20",
                                     "2001:db8:100::20", "127.9.9.9"])
def test_49_listener_dialled_by_hand(lab, here, address):
    """Nobody gets to talk to the listener itself, from inside or outside."""
    places = [lab.client]
    if address[:4] != "127." and address != "::1":
        places.append(lab.gateway)
    for place in places:
        with pytest.raises(ConnectionRefusedError):
            Client(place, address, 10025)


def test_49_its_own_port_is_not_intercepted(lab, here):
    """Where port 25 of this host itself is nobody's, it stays nobody's."""
    for address in ("127.0.0.1", "::1", lab.client_address()):
        with pytest.raises(ConnectionRefusedError):
            Client(lab.client, address, 25)


# Rules of somebody who forgot that postern itself is a program, too.
LOOP = """table inet loop {
    chain output { type nat hook output priority -100;
        tcp dport 25 fib daddr type != local redirect to :10025; }
}"""


@pytest.fixture(scope="module")
def alone(lab):
    """A host where no other postern listens."""
    return lab.lan_host("alone", 29)


@pytest.mark.parametrize("workers", [1, 2])
@FAMILIES
def test_49_loop(lab, start_gateway, alone, workers, ipv6):
    """Its own connections come back to it: a few times, and no more."""
    _domain, server = lab.good_domain()
    gate = start_gateway(f"workers = {workers}", "manage_rules = false",
                         mode="local", ns=alone)
    alone.run("nft", "-f", "-", stdin=LOOP)
    try:
        with lab.connect(server, ipv6=ipv6, ns=alone) as client:
            reply = client.reply()
            assert (reply.code, reply.text[:5]) == (421, "4.4.6"), str(reply)
            assert client.at_end()
    finally:
        alone.run("nft", "delete", "table", "inet", "loop")
    found = re.compile("turned away: routing loop")
    gate.log.wait(found)
    assert len(gate.log.matching(found)) == 1
    assert server.sessions == []


def test_reload(lab, here):
    domain, server = lab.good_domain()
    with lab.connect(server) as client:
        client.reply()
        client.ehlo()
        client.envelope("me@lan.example", f"bob@{domain}")
        here.reload()
        assert client.message(MESSAGE).code == 250
    assert send(lab, server, f"bob@{domain}").code == 250


def nobody_speaks(lab, server, ipv6):
    """False where there is not even a listener."""
    try:
        with lab.connect(server, ipv6=ipv6) as client:
            assert client.at_end()
            return True
    except ConnectionRefusedError:
        return False


def refused(lab, server):
    """A process that looks for leaks at the end of another holds the other's
    listener for a moment longer; then nobody listens."""
    for ipv6 in (False, True):
        while nobody_speaks(lab, server, ipv6):
            pass


@contextlib.contextmanager
def until_gone(here):
    """Afterwards, none of the processes of before runs."""
    with contextlib.ExitStack() as held:
        fds = [os.pidfd_open(pid) for pid in (*here.children(), here.pid)]
        for fd in fds:
            held.callback(os.close, fd)
        yield
        for fd in fds:
            assert is_ready(fd, 20)


def kill_all(here):
    for pid in (*here.children(), here.pid):
        os.kill(pid, signal.SIGKILL)


def kill_parent(here):
    os.kill(here.pid, signal.SIGKILL)


def stop(here):
    os.kill(here.pid, signal.SIGTERM)


@pytest.mark.parametrize("die", [kill_all, kill_parent, stop],
                         ids=lambda die: die.__name__)
def test_45_gone_is_closed(lab, here, die):
    """Every connection is reset while postern is gone, those that it had
    included."""
    domain, server = lab.good_domain()
    with until_gone(here), lab.connect(server) as client:
        client.reply()
        client.ehlo()
        client.envelope("me@lan.example", f"bob@{domain}")
        die(here)
        with contextlib.suppress(Closed, OSError):
            assert client.reply().code == 421
            assert client.at_end()
    here.process.popen.wait()
    refused(lab, server)
    assert [s.tls for s in server.sessions] == ["TLSv1.3"]
    here.start()
    assert send(lab, server, f"bob@{domain}").code == 250


def test_45_killed_relays_come_back(lab, here):
    domain, server = lab.good_domain()
    since = here.log.mark()
    assert len(here.kill("postern-relay")) == 2
    here.log.wait(re.compile(r"relay \d\[\d+\]: killed"), since=since, count=2)
    refused(lab, server)
    here.log.wait(re.compile(r"relay \d: serving"), since=since, count=2)
    assert send(lab, server, f"bob@{domain}").code == 250
    assert len(server.sessions) == 1


def test_46_older_connection_is_cut(lab, here):
    """One from before the rules, by a program that goes on in clear."""
    _domain, server = lab.good_domain()
    assert here.stop() == 0
    here.command("rules", "remove", "-c", here.config_path)
    with lab.connect(server) as client:
        assert client.reply().code == 220
        here.start()
        with pytest.raises((Closed, ConnectionError)):
            client.command("MAIL FROM:<me@lan.example>")
    assert server.sessions[0].verbs == []
