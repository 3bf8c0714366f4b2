# SPDX-License-Identifier: ISC
"""MTA-STS (RFC 8461): policies from a stock nginx, good and bad; what they
ask of a server, and how long they are believed."""

import re
import threading
import time

import pytest
from lab import Gateway, nameservers, pki, web

MESSAGE = b"Subject: test\r\n\r\nbody\r\n"
FETCH_TIMEOUT = 2  # of one policy, seconds
SETTINGS = ("workers = 1", "dns { timeout = 2 }",
            f"mta_sts {{ timeout = {FETCH_TIMEOUT} }}")
PAST = {"not_before": pki.days(-60), "not_after": pki.days(-2)}


@pytest.fixture(scope="module")
def state(lab):
    return lab.state_directory()


@pytest.fixture(scope="module")
def gate(lab, state):
    with Gateway(lab, lab.gateway,
                 lab.config(*SETTINGS, state_directory=state)) as gate:
        yield gate
    assert not [line for line in gate.log.lines
                if "Sanitizer" in line or "runtime error" in line]


@pytest.fixture
def ruled(lab, gate, state):
    """The gateway under more lines of configuration: ruled("...")."""
    def rule(*settings):
        gate.configure(lab.config(*SETTINGS, *settings,
                                  state_directory=state))
        gate.reload()
        return gate

    yield rule
    rule()


def again(gate):
    """Another life, which has what the last one kept and nothing else."""
    gate.stop()
    gate.start()


def send(lab, server, *recipients, **options):
    with lab.connect(server, **options) as client:
        return client.deliver("me@lan.example", recipients, MESSAGE)


class Sent:
    """One recipient's reply, and the verdict behind it."""

    def __init__(self, lab, gate, server, domain, **options):
        since = gate.log.mark()
        self.reply = send(lab, server, f"bob@{domain}", **options)
        self.verdict = gate.verdict(domain, since)

    def proved_by(self, evidence):
        assert self.reply.code == 250, str(self.reply)
        assert self.verdict["result"] == "proved", self.verdict
        assert self.verdict["evidence"] == evidence, self.verdict
        return self

    def refused(self, *parts, status="4.7.5"):
        """validation-failure: the host is not in the policy."""
        if parts == ("validation-failure",):
            status = "4.7.1"
        assert (self.reply.code, self.reply.text[:5]) == (451, status), \
            str(self.reply)
        assert self.verdict["result"] == "refused", self.verdict
        for part in parts:
            assert part in self.reply.text, (part, str(self.reply))
        return self


def nothing_sent(server):
    said = {verb for session in server.sessions for verb in session.verbs}
    assert said <= {"EHLO", "STARTTLS", "QUIT"}, said
    assert server.messages == []


def sts_domain(lab, word="sts", *, certificates=None, signed=True,
               **settings):
    """A domain, its one MX host, and its policy."""
    domain = lab.fresh(word)
    server = lab.mx(f"mx.{domain}", certificates=certificates)
    lab.domain(domain, server, signed=signed, publish=False)
    return domain, server, lab.sts(domain, **settings)


# What a policy host may be, and what makes it none.  The hosts' certificates
# are good, so that what a policy adds is seen by the evidence alone.

def host_settings(lab, domain):
    """{name: (evidence, settings of lab.sts)}"""
    mx, host = f"mx.{domain}", f"mta-sts.{domain}"
    text = web.policy_text(mx=[mx])
    issue = lab.issue
    return {
        "enforce": ("mta-sts", {}),
        "lf": ("mta-sts", {"end": "\n"}),
        "wildcard": ("mta-sts", {"mx": [f"*.{domain}"]}),
        "second-line": ("mta-sts", {"mx": ["mx.else.example", mx]}),
        "unknown-fields": ("mta-sts", {"extra": ["x-field: y", "odd: a b"]}),
        "charset": ("mta-sts", {"content_type": "text/plain; charset=utf-8"}),
        "chunked": ("mta-sts", {"chunked": True}),
        "just-64k": ("mta-sts", {"policy": web.padded(text, 65536)}),
        "tls12": ("mta-sts", {"tls": "TLSv1.2"}),
        "other-txt": ("mta-sts", {"txt": ["v=spf1 -all",
                                          "v=STSv1; id=1;"]}),
        "split-txt": ("mta-sts", {"txt": ['v=STS" "v1; id=1;']}),
        "alias": ("mta-sts", {"target": f"policies.{domain}"}),
        "unsigned": ("mta-sts", {}),
        "testing": ("mx+dnssec", {"mode": "testing"}),
        "testing-other": ("mx+dnssec", {"mode": "testing",
                                        "mx": ["else.example"]}),
        "none": ("mx+dnssec", {"mode": "none", "mx": []}),
        "over-64k": ("mx+dnssec", {"policy": web.padded(text, 65538)}),
        "wrong-name": ("mx+dnssec", {"certificate": issue(mx)}),
        "no-san": ("mx+dnssec", {"certificate": lab.issuing_ca.issue(
            [], common_name=host)}),
        "expired": ("mx+dnssec", {"certificate": issue(host, **PAST)}),
        "unknown-ca": ("mx+dnssec", {
            "certificate": lab.unknown_ca.issue([host])}),
        "redirect": ("mx+dnssec", {
            "status": 301, "location": f"https://{host}/policy.txt"}),
        "not-found": ("mx+dnssec", {"status": 404}),
        "broken": ("mx+dnssec", {"status": 500}),
        "html": ("mx+dnssec", {"content_type": "text/html"}),
        "untyped": ("mx+dnssec", {"content_type": ""}),
        "slow": ("mx+dnssec", {"rate": 1}),
        "silent": ("mx+dnssec", {"silent": True}),
        "down": ("mx+dnssec", {"down": True}),
        "tls11": ("mx+dnssec", {"tls": "TLSv1.1"}),
        "two-txt": ("mx+dnssec", {"txt": ["v=STSv1; id=1;",
                                          "v=STSv1; id=2;"]}),
        "no-txt": ("mx+dnssec", {"txt": []}),
        "no-id": ("mx+dnssec", {"txt": ["v=STSv1;"]}),
        "bad-id": ("mx+dnssec", {"txt": ["v=STSv1; id=a-b;"]}),
        "long-id": ("mx+dnssec", {"txt": [f"v=STSv1; id={'1' * 33};"]}),
        "v2": ("mx+dnssec", {"txt": ["v=STSv2; id=1;"]}),
        "empty": ("mx+dnssec", {"policy": ""}),
        "not-a-policy": ("mx+dnssec", {"policy": "<html>hello</html>"}),
        "no-mx": ("mx+dnssec", {"mx": []}),
        "no-max-age": ("mx+dnssec", {
            "policy": f"version: STSv1\nmode: enforce\nmx: {mx}\n"}),
        "no-version": ("mx+dnssec", {
            "policy": f"mode: enforce\nmx: {mx}\nmax_age: 86400\n"}),
        "no-mode": ("mx+dnssec", {
            "policy": f"version: STSv1\nmx: {mx}\nmax_age: 86400\n"}),
        "nul": ("mx+dnssec", {
            "policy": text.replace("mode", "mo\0de").encode()}),
    }


HOSTS = ("enforce lf wildcard second-line unknown-fields charset chunked"
         " just-64k tls12 other-txt split-txt alias unsigned testing"
         " testing-other none over-64k wrong-name no-san expired unknown-ca"
         " redirect not-found broken html untyped slow silent down tls11"
         " two-txt no-txt no-id bad-id long-id v2 empty not-a-policy no-mx"
         " no-max-age no-version no-mode nul").split()


@pytest.fixture(scope="module")
def hosts(lab, gate):
    """All of them published at once, and mail sent to all at once, since
    some take their time: {name: (evidence, Sts, SmtpServer, Sent)}."""
    made = {}
    for name in HOSTS:
        domain = lab.fresh(name)
        evidence, settings = host_settings(lab, domain)[name]
        server = lab.mx(f"mx.{domain}")
        lab.domain(domain, server, signed=name != "unsigned", publish=False)
        sts = lab.sts(domain, publish=False, **settings)
        if settings.get("target"):
            lab.name_host(settings["target"], sts.addresses)
        made[name] = [evidence, sts, server, None]
    lab.publish()

    def ask(row):
        row[3] = Sent(lab, gate, row[2], row[1].domain)

    threads = [threading.Thread(target=ask, args=[row])
               for row in made.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return made


@pytest.mark.parametrize("name", HOSTS)
def test_policy_host(hosts, name):
    evidence, sts, server, sent = hosts[name]
    sent.proved_by(evidence)
    assert server.wait_message().tls
    if evidence == "mta-sts":
        assert sts.requests() == 1


def test_policy_host_is_not_redirected(hosts):
    """The policy is asked for once, and nothing else is."""
    _evidence, sts, _server, _sent = hosts["redirect"]
    assert sts.requests() == 1


# What a policy asks for.

def test_mx_that_is_not_in_the_policy(lab, gate):
    domain, server, _sts = sts_domain(lab, mx=["else.example"])
    sent = Sent(lab, gate, server, domain)
    assert sent.reply.code == 451, str(sent.reply)
    assert sent.verdict["evidence"] == "mta-sts", sent.verdict
    assert sent.verdict["word"] == "validation-failure", sent.verdict
    for part in (domain, f"mx.{domain}", "MTA-STS", "validation-failure"):
        assert part in sent.reply.text, (part, str(sent.reply))
    nothing_sent(server)


def test_patterns_stand_for_one_label(lab, gate):
    domain = lab.fresh("pattern")
    deep = lab.mx(f"mx.deep.{domain}")
    bare = lab.mx(domain)
    flat = lab.mx(f"mx.{domain}")
    lab.domain(domain, deep, bare, flat, publish=False)
    lab.sts(domain, mx=[f"*.{domain}"])
    for server, passes in ((deep, False), (bare, False), (flat, True)):
        sent = Sent(lab, gate, server, domain)
        assert sent.reply.code == (250 if passes else 451), str(sent.reply)
        assert sent.verdict["evidence"] == "mta-sts", sent.verdict
    nothing_sent(deep)
    nothing_sent(bare)


def test_hosts_of_the_policy_and_others(lab, gate):
    """Each MX host counts for itself."""
    domain = lab.fresh("hosts")
    listed, other = lab.mx(f"mx1.{domain}"), lab.mx(f"mx2.{domain}")
    lab.domain(domain, listed, other, publish=False)
    lab.sts(domain, mx=[f"mx1.{domain}"])
    Sent(lab, gate, listed, domain).proved_by("mta-sts")
    Sent(lab, gate, other, domain).refused("validation-failure")
    nothing_sent(other)


def test_certificate_is_for_the_mx_not_for_the_pattern(lab, gate):
    domain = lab.fresh("pattern")
    server = lab.mx(f"mx.{domain}",
                    certificates=[lab.issue(f"other.{domain}")])
    lab.domain(domain, server, publish=False)
    lab.sts(domain, mx=[f"*.{domain}"])
    Sent(lab, gate, server, domain).refused(
        "not proved by mta-sts", "certificate-host-mismatch")
    nothing_sent(server)


@pytest.mark.parametrize("fault, word", [
    ("expired", "certificate-expired"),
    ("unknown-ca", "certificate-not-trusted")])
def test_certificate_of_the_mx(lab, gate, fault, word):
    domain = lab.fresh(fault)
    mx = f"mx.{domain}"
    server = lab.mx(mx, certificates=[
        lab.issue(mx, **PAST) if fault == "expired"
        else lab.unknown_ca.issue([mx])])
    lab.domain(domain, server, publish=False)
    lab.sts(domain)
    Sent(lab, gate, server, domain).refused("not proved by mta-sts", word)
    nothing_sent(server)


def test_sni_is_the_mx(lab, gate):
    """7.1: the name in the MX record, whatever it is an alias of."""
    domain = lab.fresh("sni")
    server = lab.mx(f"real.{domain}", certificates=[
        lab.issue("default.example"), lab.issue(f"mx.{domain}")])
    lab.domain(domain, f"mx.{domain}", publish=False).add("mx CNAME real")
    lab.sts(domain)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    assert server.wait_message().sni == f"mx.{domain}"


def test_no_starttls(lab, gate):
    domain, server, _sts = sts_domain(lab)
    server.starttls = False
    reply = send(lab, server, f"bob@{domain}")
    assert (reply.code, reply.text[:5]) == (421, "4.7.4"), str(reply)
    nothing_sent(server)


def test_testing_reports_or_enforces(lab, ruled):
    domain, server, _sts = sts_domain(lab, mode="testing",
                                      mx=["else.example"])
    gate = ruled("mta_sts { testing = report }")
    Sent(lab, gate, server, domain).proved_by("mx+dnssec")
    gate = ruled("mta_sts { testing = enforce }")
    Sent(lab, gate, server, domain).refused("validation-failure")


# Whose policy it is.

def test_policy_of_the_parent_is_not_the_childs(lab, gate):
    domain, server, sts = sts_domain(lab, mx=["else.example"])
    lab.dns.zone_of(domain).add(f"sub MX 10 mx.{domain}.")
    lab.publish()
    Sent(lab, gate, server, f"sub.{domain}").proved_by("mx+dnssec")
    assert sts.requests() == 0
    # And the child's own is.
    lab.sts(f"sub.{domain}", mx=[f"mx.{domain}"])
    again(gate)
    Sent(lab, gate, server, f"sub.{domain}").proved_by("mta-sts")


def test_policy_of_an_alias_target_is_not_the_alias(lab, gate):
    target, server, sts = sts_domain(lab, "target", mx=["else.example"])
    domain = lab.fresh("alias")
    lab.domain(domain, publish=False).add(f"sub CNAME {target}.")
    lab.publish()
    Sent(lab, gate, server, f"sub.{domain}").proved_by("mx+dnssec")
    assert sts.requests() == 0


def test_txt_by_an_alias(lab, gate):
    """8.2: who hosts a policy may publish its record, too."""
    domain, server, _sts = sts_domain(lab, txt=[])
    keeper = lab.fresh("keeper")
    lab.domain(keeper, publish=False).add('_mta-sts TXT "v=STSv1; id=1;"')
    lab.dns.zone_of(domain).add(f"_mta-sts CNAME _mta-sts.{keeper}.")
    lab.publish()
    Sent(lab, gate, server, domain).proved_by("mta-sts")


# DNS that fails.

@pytest.mark.parametrize("act", [
    nameservers.servfail, nameservers.drop, nameservers.bogus],
    ids=["servfail", "timeout", "bogus"])
def test_record_that_cannot_be_looked_up_defers(lab, gate, act):
    domain = lab.fresh("txt")
    server = lab.mx(f"mx.{domain}")
    zone = lab.domain(domain, server, own_server=True, publish=False)
    sts = lab.sts(domain)
    zone.server.on[f"_mta-sts.{domain}", "TXT"] = act
    Sent(lab, gate, server, domain).refused(domain, "MTA-STS",
                                            status="4.4.3")
    assert sts.requests() == 0
    nothing_sent(server)


def test_record_that_is_gone_leaves_the_policy(lab, gate):
    """What is kept is believed until its time is up, whoever takes the
    record away, or the name server."""
    domain = lab.fresh("txt")
    server = lab.mx(f"mx.{domain}")
    zone = lab.domain(domain, server, own_server=True, publish=False)
    sts = lab.sts(domain)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    zone.server.on[f"_mta-sts.{domain}", "TXT"] = nameservers.servfail
    again(gate)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    zone.server.on.clear()
    sts.update(txt=[])
    again(gate)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    assert sts.requests() == 1


# What is kept.

def test_policy_survives(lab, gate):
    """Past postern's own life, and that of the web server."""
    domain, server, sts = sts_domain(lab)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    sts.stop()
    again(gate)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    server.certificates = [lab.issue("else.example")]
    Sent(lab, gate, server, domain).refused("not proved by mta-sts")
    assert sts.requests() == 1


def test_policy_survives_a_kill(lab, gate):
    domain, server, sts = sts_domain(lab)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    sts.stop()
    since = gate.log.mark()
    gate.kill("postern-policy")
    gate.log.wait(re.compile("killed by signal 9"), since=since)
    until = time.monotonic() + 20
    # By the other address: the relay, too, remembers.
    while (reply := send(lab, server, f"bob@{domain}",
                         ipv6=True)).code != 250:
        assert time.monotonic() < until, str(reply)
    assert gate.verdict(domain, since)["evidence"] == "mta-sts"
    assert sts.requests() == 1


def test_other_id_is_another_policy(lab, gate):
    domain, server, sts = sts_domain(lab)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    sts.update(id="2", mx=["else.example"])
    again(gate)
    Sent(lab, gate, server, domain).refused("validation-failure")
    assert sts.requests() == 2


def test_same_id_is_the_same_policy(lab, gate):
    domain, server, sts = sts_domain(lab)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    sts.update(mx=["else.example"])
    again(gate)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    assert sts.requests() == 1


@pytest.mark.parametrize("fault", [
    {"status": 500}, {"status": 404}, {"policy": "nonsense"},
    {"content_type": "text/html"}, {"down": True}],
    ids=["broken", "not-found", "nonsense", "html", "down"])
def test_failed_refresh_keeps_the_policy(lab, gate, fault):
    domain, server, sts = sts_domain(lab)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    sts.update(id="2", **fault)
    again(gate)
    Sent(lab, gate, server, domain).proved_by("mta-sts")
    server.certificates = [lab.issue("else.example")]
    Sent(lab, gate, server, domain).refused("not proved by mta-sts")


def test_mode_none_ends_a_policy(lab, gate):
    domain, server, sts = sts_domain(lab, mx=["else.example"])
    Sent(lab, gate, server, domain).refused("validation-failure")
    sts.update(id="2", mode="none", mx=[])
    again(gate)
    Sent(lab, gate, server, domain).proved_by("mx+dnssec")


# How often it is asked for.

def test_failed_fetch_is_not_repeated_at_once(lab, gate):
    """By none of the domain's hosts and addresses, each of which is another
    question."""
    domain = lab.fresh("backoff")
    servers = [lab.mx(f"mx{n}.{domain}") for n in range(3)]
    lab.domain(domain, *servers, publish=False)
    sts = lab.sts(domain, status=500)
    for server in servers:
        for ipv6 in (False, True):
            Sent(lab, gate, server, domain, ipv6=ipv6).proved_by("mx+dnssec")
    assert sts.requests() == 1


def test_many_sessions_are_one_fetch(lab, gate):
    domain = lab.fresh("many")
    servers = [lab.mx(f"mx{n}.{domain}") for n in range(8)]
    lab.domain(domain, *servers, publish=False)
    sts = lab.sts(domain, mx=[f"*.{domain}"], chunked=True)
    codes = []

    def one(number):
        codes.append(send(lab, servers[number % 8], f"bob@{domain}",
                          ipv6=number >= 8).code)

    threads = [threading.Thread(target=one, args=[n]) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [250] * 16
    assert sts.requests() == 1


def test_slow_fetch_holds_up_nobody(lab, gate):
    slow, slow_server, _sts = sts_domain(lab, "slow", silent=True)
    quick, server, _sts = sts_domain(lab, "quick")
    replies = []
    waiting = threading.Thread(target=lambda: replies.append(
        send(lab, slow_server, f"bob@{slow}")))
    began = time.monotonic()
    waiting.start()
    slow_server.wait_session()
    Sent(lab, gate, server, quick).proved_by("mta-sts")
    assert time.monotonic() - began < FETCH_TIMEOUT
    assert replies == []
    waiting.join()
    assert replies[0].code == 250, str(replies[0])


# A disk that is full.

def test_full_disk_costs_memory_only(lab, gate):
    gate.stop()
    state = lab.state_directory()
    user = f"uid={lab.user},gid={lab.user}"
    try:
        with Gateway(lab, lab.gateway,
                     lab.config(*SETTINGS, state_directory=state),
                     setup="mount -t tmpfs -o "
                           f"size=8k,mode=700,{user} lab {state}") as full:
            domain, server, sts = sts_domain(lab)
            for ipv6 in (False, True):
                Sent(lab, full, server, domain,
                     ipv6=ipv6).proved_by("mta-sts")
            assert sts.requests() == 1
            other, bad, _sts = sts_domain(lab, mx=["else.example"])
            Sent(lab, full, bad, other).refused("validation-failure")
            assert full.log.matching(re.compile("state"))
    finally:
        gate.start()
