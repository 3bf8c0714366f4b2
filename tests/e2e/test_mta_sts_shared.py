# SPDX-License-Identifier: ISC
"""MTA-STS policies that two gateways share through a stock Redis, which may
go away at any time."""

import time

import pytest
from lab import Gateway

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
SECRET = "word-of-the-lab"


@pytest.fixture(scope="module")
def redis(lab):
    return lab.redis(password=SECRET)


@pytest.fixture(scope="module")
def pair(lab, redis):
    """Two machines on the LAN, each its own gateway: (Gateway, Namespace)."""
    places = [lab.client, lab.lan_host("other", 21)]
    started = []
    try:
        for place, url in zip(places, (redis.url, redis.url6)):
            started.append(Gateway(lab, place, lab.config(
                "workers = 1", f'state = "{url}"',
                "mta_sts { timeout = 2 }", mode="local")))
        yield list(zip(started, places))
    finally:
        for gate in started:
            gate.close()
    for gate in started:
        assert not [line for line in gate.log.lines
                    if "Sanitizer" in line or "runtime error" in line
                    or SECRET in line]


def evidence(lab, side, server, domain):
    """How a message by this gateway was proved, or the reply."""
    gate, place = side
    since = gate.log.mark()
    with lab.connect(server, ns=place) as client:
        reply = client.deliver("me@lan.example", [f"b@{domain}"], MESSAGE)
    said = gate.verdict(domain, since)
    return said["evidence"] if reply.code == 250 else str(reply)


def sts_domain(lab, **settings):
    domain = lab.fresh("shared")
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, publish=False)
    return domain, server, lab.sts(domain, **settings)


def test_what_one_has_fetched_the_other_has(lab, redis, pair):
    one, other = pair
    domain, server, sts = sts_domain(lab)
    assert evidence(lab, one, server, domain) == "mta-sts"
    until = time.monotonic() + 10
    while not redis.cli("keys", f"*{domain}*").strip():
        assert time.monotonic() < until
        time.sleep(0.01)
    sts.stop()
    assert evidence(lab, other, server, domain) == "mta-sts"
    assert sts.requests() == 1


def test_what_it_says_is_not_believed_unread(lab, redis, pair):
    """Whoever writes there cannot make a policy out of nonsense."""
    one, other = pair
    domain, server, sts = sts_domain(lab)
    assert evidence(lab, one, server, domain) == "mta-sts"
    until = time.monotonic() + 10
    while not (keys := redis.cli("keys", f"*{domain}*").split()):
        assert time.monotonic() < until
        time.sleep(0.01)
    for key in keys:
        redis.cli("del", key)
        redis.cli("set", key, "nonsense\r\n\x01")
    assert evidence(lab, other, server, domain) == "mta-sts"
    assert sts.requests() == 2


def test_what_it_says_is_confirmed(lab, redis, pair):
    """Whoever writes there cannot turn off what a domain enforces: it is
    fetched, for a policy that holds and for one that would not."""
    one, other = pair
    domain, server, sts = sts_domain(lab)
    assert evidence(lab, one, server, domain) == "mta-sts"
    until = time.monotonic() + 10
    while not (keys := redis.cli("keys", f"*{domain}*").split()):
        assert time.monotonic() < until
        time.sleep(0.01)
    good = redis.cli("get", keys[0])
    assert "mode: enforce" in good
    redis.cli("set", keys[0], good.replace("mode: enforce", "mode: none"))
    assert evidence(lab, other, server, domain) == "mta-sts"
    assert sts.requests() == 2


@pytest.mark.parametrize("how", ["freeze", "kill"])
def test_without_it_each_is_alone(lab, redis, pair, how):
    """Nobody waits long, nothing is refused, and what is known is known."""
    known, known_server, known_sts = sts_domain(lab)
    assert evidence(lab, pair[0], known_server, known) == "mta-sts"
    domains = [sts_domain(lab) for _ in range(2)]
    getattr(redis, how)()
    try:
        for side in pair:
            for domain, server, _sts in domains:
                began = time.monotonic()
                assert evidence(lab, side, server, domain) == "mta-sts"
                assert time.monotonic() - began < 5
        assert evidence(lab, pair[0], known_server, known) == "mta-sts"
        assert known_sts.requests() == 1
        assert [sts.requests() for _d, _s, sts in domains] == [2, 2]
    finally:
        redis.thaw() if how == "freeze" else redis.start()


def test_it_comes_back(lab, redis, pair):
    """Found again without a restart, by both."""
    one, other = pair
    until = time.monotonic() + 60
    while True:
        domain, server, sts = sts_domain(lab)
        assert evidence(lab, one, server, domain) == "mta-sts"
        sts.stop()
        if evidence(lab, other, server, domain) == "mta-sts":
            return
        assert time.monotonic() < until
