# SPDX-License-Identifier: ISC
"""Rules that others take away or change, while postern runs."""

import re

import pytest
from lab import Gateway
from lab.wire import Wire

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
BACK = re.compile(r'a process "(.*)" took them away or changed them')


@pytest.fixture(scope="module")
def mail(lab):
    return lab.good_domain("watched")


@pytest.fixture(scope="module", params=["gateway", "local", "bridge"])
def place(request, lab):
    """(postern, its namespace, where clients are)"""
    if request.param == "bridge":
        with Wire(lab) as wire, Gateway(lab, wire.box,
                                        wire.config()) as gate:
            yield gate, wire.box, wire.host
        return
    ns = lab.gateway if request.param == "gateway" else lab.client
    with Gateway(lab, ns, lab.config(mode=request.param)) as gate:
        yield gate, ns, lab.client


def deliver(lab, mail, ns):
    domain, server = mail
    with lab.connect(server, ns=ns) as client:
        reply = client.deliver("me@lan.example", [f"b@{domain}"], MESSAGE)
    assert reply.code == 250
    return server.sessions[-1]


def tables(ns):
    return ns.run("nft", "list", "tables").stdout


def rules(ns):
    """What stands, but for what the bridge has learnt."""
    text = ns.run("nft", "list", "ruleset").stdout
    return re.sub(r"\n\s*elements = \{[^}]*\}", "", text)


CHANGES = {
    "flush ruleset": "flush ruleset",
    "delete table": "delete table inet postern",
    "flush table": "flush table inet postern",
    "a rule before ours": "insert rule inet postern {chain} accept",
    "a file as of nftables.service":
        "flush ruleset\ntable inet filter {\n\tchain x {\n\t}\n}",
}


@pytest.mark.parametrize("change", CHANGES)
def test_put_back(lab, tap, place, mail, change):
    gate, ns, client = place
    before, since = rules(ns), gate.log.mark()
    chain = "output" if ns is client else "forward"
    ns.run("nft", "-f", "-", stdin=CHANGES[change].replace(
        "{chain}", chain) + "\n")
    found = gate.log.wait(BACK, since=since)
    assert found[1] == "nft"
    # By their order: a reload comes behind what is under way.
    gate.reload()
    assert rules(ns).replace("table inet filter {\n\tchain x {\n\t}\n}\n",
                             "") == before
    assert deliver(lab, mail, client).tls
    ns.run("nft", "delete", "table", "inet", "filter", check=False)


def test_others_tables_are_theirs(lab, place):
    gate, ns, _client = place
    since = gate.log.mark()
    ns.run("nft", "-f", "-", stdin="table inet filter {\nchain x {\n}\n}\n"
           "table ip postern {\n}\nflush table inet filter\n"
           "delete table inet filter\ndelete table ip postern\n")
    gate.reload()
    assert not gate.log.matching(BACK, since)


def test_what_postern_itself_removes_stays_removed(place):
    """Who says `postern rules remove` means it."""
    gate, ns, _client = place
    since = gate.log.mark()
    gate.command("rules", "remove")
    assert "postern" not in tables(ns)
    gate.command("rules", "apply", "-c", gate.config_path)
    assert "inet postern" in tables(ns)
    gate.reload()
    assert not gate.log.matching(BACK, since)


def test_not_where_others_manage_them(lab, start_gateway):
    gate = start_gateway("manage_rules = false")
    gate.command("rules", "apply", "-c", gate.config_path)
    since = gate.log.mark()
    lab.gateway.run("nft", "flush", "ruleset")
    gate.reload()
    assert tables(lab.gateway) == ""
    assert not gate.log.matching(BACK, since)
