# SPDX-License-Identifier: ISC
"""postern doctor: nothing fails where all is well; then each fault is made,
and exactly what it is about fails, with what to do."""

import contextlib
import json
import os
import signal
import socket
import types

import pytest

from lab import Gateway
from lab.nameservers import Server, servfail, unsigned

INTERFACES = ("-i", "lan0", "-i", "spare0")
GATEWAY = ["configuration", "processes", "descriptors", "listener", "rules",
           "bypass", "routing", "interfaces", "forwarding", "return-path",
           "conntrack", "trust", "state", "dns", "bogus", "tlsa", "mta-sts"]
LOCAL = [name for name in GATEWAY
         if name not in ("routing", "forwarding", "return-path")]
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


def repaired(gate):
    """By what the remedies say."""
    return undone(gate.ns, *gate._inside(
        ("rules", "apply", "-c", gate.config_path, *INTERFACES)))


# Where all is well.

def test_healthy_gateway(gate, names):
    told = fails(gate, {}, *INTERFACES, *names.options)
    assert sorted(told.of("pass")) == sorted(
        GATEWAY + ["clock"] * ("clock" in told.of("pass"))), told
    assert set(told.of("note")) <= {"clock"}, told
    assert "2 postern-relay" in told.of("pass")["processes"]
    assert "1 postern-policy" in told.of("pass")["processes"]


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
