# SPDX-License-Identifier: ISC
"""`postern probe`: what would happen to mail for a domain, by a user who is
nobody in particular, without a daemon."""

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import time

import pytest

from lab import nameservers
from lab.gateway import BUILD

USER = "65534"


class Probe:
    """The programs, where anybody may run them; and the configuration."""

    def __init__(self, lab):
        self.lab = lab
        self.directory = lab.directory_for("probe")
        for name in ("postern", "postern-policy"):
            shutil.copy(f"{BUILD}/{name}", self.directory)

    def run(self, *arguments, settings=(), user=USER):
        path = f"{self.directory}/postern.conf"
        with open(path, "w", encoding="utf-8") as file:
            file.write(self.lab.config(*settings))
        drop = () if user is None else (
            "setpriv", "--reuid", user, "--regid", user, "--clear-groups")
        return self.lab.gateway.run(
            *drop, f"{self.directory}/postern", "probe", "-c", path,
            *arguments, check=False)

    def text(self, *arguments, **options):
        done = self.run(*arguments, **options)
        assert done.stderr == "", done
        assert all(len(line) < 100 for line in done.stdout.splitlines())
        return done.returncode, done.stdout

    def json(self, *arguments, said="", **options):
        done = self.run("--json", *arguments, **options)
        assert said in done.stderr and (said or not done.stderr), done
        result = json.loads(done.stdout)
        assert done.returncode == (0 if result["proved"] else 1)
        return result


@pytest.fixture(scope="module")
def probe(lab):
    return Probe(lab)


def by_address(result):
    return {each["address"]: each for host in result["hosts"]
            for each in host["addresses"]}


@pytest.mark.parametrize("signed, evidence", [(True, "mx+dnssec"),
                                              (False, "mx")])
def test_proved(lab, probe, signed, evidence):
    domain = lab.fresh()
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, signed=signed)
    result = probe.json(domain)
    assert result["proved"]
    assert result["mx"]["dnssec"] == ("secure" if signed else "insecure")
    (host,) = result["hosts"]
    assert (host["name"], host["preference"]) == (server.name, 10)
    found = by_address(result)
    assert set(found) == set(server.addresses)
    for each in found.values():
        assert each["outcome"] == "proved"
        assert each["evidence"] == evidence
        assert each["name"] == server.name
        assert each["tls"]["version"] == "TLSv1.3"
        assert each["tls"]["sni"] == server.name
        leaf = each["tls"]["chain"][0]
        assert leaf["names"] == [server.name]
        assert leaf["spki_sha256"] == server.certificates[0].pin
    # Nobody was sent anything.
    assert all(set(s.verbs) <= {"EHLO", "STARTTLS", "QUIT"}
               for s in server.sessions)
    assert server.messages == []


def test_text(lab, probe):
    domain, server = lab.good_domain()
    code, text = probe.text(domain)
    assert code == 0
    lines = text.splitlines()
    assert lines[0] == f"{domain}: 1 MX host, signed (DNSSEC)"
    assert lines[-1] == f"{domain}: proved"
    for part in (f"  10 {server.name}", server.addresses[0],
                 server.addresses[1], "TLSv1.3", "proved by mx+dnssec: ",
                 server.certificates[0].pin):
        assert part in text


def test_dane(lab, probe):
    domain, server = lab.good_domain(
        certificates=[lab.unknown_ca.issue(["odd.example"], [])])
    lab.tlsa(server, "3 1 1")
    lab.publish()
    result = probe.json(domain)
    assert result["proved"], result
    (host,) = result["hosts"]
    assert host["tlsa"]["status"] == "found"
    assert host["tlsa"]["base"] == server.name
    assert host["tlsa"]["records"] == [{
        "usage": 3, "selector": 1, "matching": 1, "usable": True,
        "data": server.certificates[0].pin}]
    assert {e["evidence"] for e in host["addresses"]} == {"dane"}


def test_dane_mismatch(lab, probe):
    """The record decides, however good the certificate is."""
    domain, server = lab.good_domain()
    lab.tlsa(server, f"3 1 1 {'00' * 32}")
    lab.publish()
    code, text = probe.text(domain)
    assert code == 1
    assert "NOT PROVED by dane" in text
    assert "TLSA: signed" in text
    # What an operator would publish.
    assert server.certificates[0].pin in text


def test_mta_sts(lab, probe):
    domain = lab.fresh()
    named = lab.mx(f"mx1.{domain}")
    other = lab.mx(f"mx2.{domain}")
    lab.domain(domain, named, other, signed=False)
    sts = lab.sts(domain, mx=[named.name])
    result = probe.json("-4", domain)
    found = result["mta_sts"]
    assert (found["status"], found["mode"], found["mx"]) == (
        "found", "enforce", [named.name])
    assert found["id"] == sts.settings["id"]
    assert [h["mta_sts_match"] for h in result["hosts"]] == [True, False]
    assert [h["proved"] for h in result["hosts"]] == [True, False]
    assert result["hosts"][0]["addresses"][0]["evidence"] == "mta-sts"
    code, text = probe.text("-4", domain)
    assert code == 1
    assert "MTA-STS: enforce, id 1, until " in text
    assert f"20 {other.name} (NOT named by the MTA-STS policy)" in text


def test_mta_sts_that_cannot_be_had(lab, probe):
    """RFC 8461 goes on as without it; that it is there is told."""
    domain, _server = lab.good_domain()
    lab.sts(domain, certificate=lab.issue("other.example"))
    result = probe.json("-4", domain, said="without policy")
    assert result["mta_sts"]["status"] == "none"
    assert result["mta_sts"]["result"] == "sts-webpki-invalid"
    assert result["proved"]


def test_wrong_name(lab, probe):
    domain, server = lab.good_domain(
        certificates=[lab.issue("other.example")])
    result = probe.json(domain)
    for each in by_address(result).values():
        assert each["outcome"] == "refused"
        assert each["result"] == "certificate-host-mismatch"
        assert (each["code"], each["status"]) == (451, "4.7.5")
        assert "other.example" in each["text"]
        # The SNI that the policy asks for, then none.
        assert each["sni_tried"] == [server.name, None]
    code, text = probe.text(domain)
    assert code == 1
    assert "NOT PROVED by mx+dnssec: certificate-host-mismatch" in text


def test_one_of_two_hosts(lab, probe):
    domain = lab.fresh()
    good, bad = lab.mx(f"mx1.{domain}"), lab.mx(f"mx2.{domain}",
                                                starttls=False)
    lab.domain(domain, good, bad)
    result = probe.json(domain)
    assert [(h["preference"], h["proved"]) for h in result["hosts"]] == [
        (10, True), (20, False)]
    assert {e["result"] for e in result["hosts"][1]["addresses"]} == {
        "starttls-not-supported"}
    assert {(e["code"], e["status"])
            for e in result["hosts"][1]["addresses"]} == {(421, "4.7.4")}
    assert not result["proved"]
    assert probe.json("--mx", good.name, domain)["proved"]
    assert not probe.json("--mx", bad.name, domain)["proved"]
    assert probe.json("--address", good.addresses[1], domain)["proved"]


def test_address_of_no_mx_host(lab, probe):
    """As a relay would judge it: any of the domain's hosts may be there."""
    domain, server = lab.good_domain()
    other = lab.mx(f"other.{domain}", certificates=server.certificates)
    wrong = lab.mx(f"wrong.{domain}")
    lab.publish()
    result = probe.json("--address", other.addresses[0], domain)
    assert (result["hosts"], result["proved"]) == ([], True)
    result = probe.json("--address", wrong.addresses[0], domain)
    assert result["other_addresses"][0]["result"] == (
        "certificate-host-mismatch")
    result = probe.json("--mx", wrong.name, domain)
    (host,) = result["hosts"]
    assert (host["is_mx"], host["proved"]) == (False, False)
    assert {e["result"] for e in host["addresses"]} == {
        "certificate-host-mismatch"}


def test_sni_candidates(lab, probe):
    """One server, two names, a certificate for each by SNI alone."""
    domain, addresses = lab.fresh(), lab.new_addresses()
    server = lab.mx(f"a.{domain}", addresses=addresses, certificates=[
        lab.issue("default.example"), lab.issue(f"b.{domain}")])
    lab.name_host(f"b.{domain}", addresses)
    lab.domain(domain, server, f"b.{domain}")
    result = probe.json("-4", domain)
    for host in result["hosts"]:
        (each,) = host["addresses"]
        assert each["outcome"] == "proved"
        assert each["sni_tried"] == [f"a.{domain}", f"b.{domain}"]
        assert each["tls"]["sni"] == f"b.{domain}"


def test_server_that_wants_no_sni(lab, probe):
    domain, server = lab.good_domain()

    def choose(_stream, sni, _context):
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if sni else None

    server._choose = choose
    (host,) = probe.json("-4", domain)["hosts"]
    assert host["addresses"][0]["tls"]["sni"] is None
    assert host["proved"]


def test_nobody_there(lab, probe):
    domain, server = lab.good_domain()
    server.close()
    result = probe.json("--timeout", "5", domain)
    for each in by_address(result).values():
        assert each["outcome"] == "no-server"
        assert (each["code"], each["status"]) == (421, "4.4.1")
        assert each["text"].startswith("no connection: ")
        assert each["tls"] is None
    assert not result["proved"]


@pytest.mark.parametrize("reply", [b"554 go away\r\n", b"\x1b[2J\r\n"])
def test_greeting(lab, probe, reply):
    """What a server says is no command to a terminal."""
    domain, server = lab.good_domain()
    server.on["connect"] = reply
    code, text = probe.text("-4", "--timeout", "5", domain)
    assert code == 1
    assert "NOT PROVED: " in text
    assert "\x1b" not in text


def test_silence(lab, probe):
    """Many that say nothing are waited for together."""
    domain = lab.fresh()
    servers = [lab.mx(f"mx{i}.{domain}") for i in range(4)]
    for server in servers:
        server.on["connect"] = b""
    lab.domain(domain, *servers)
    result = probe.json("--timeout", "2", domain)
    assert len(by_address(result)) == 8
    assert {e["text"] for e in by_address(result).values()} == {
        "timed out while waiting for the greeting"}


def test_limit(lab, probe):
    """However many are slow, and whatever each step may take."""
    domain = lab.fresh()
    good = lab.mx(f"mx0.{domain}")
    slow = [lab.mx(f"mx{i}.{domain}") for i in range(1, 10)]
    for server in slow:
        server.on["connect"] = b""
    lab.domain(domain, good, *slow)
    begun = time.monotonic()
    result = probe.json("--timeout", "600", "--limit", "5", domain)
    assert time.monotonic() - begun < 30
    assert [h["proved"] for h in result["hosts"]] == [True] + 9 * [False]
    found = by_address(result)
    assert len(found) == 20
    for server in slow:
        for address in server.addresses:
            assert found[address]["outcome"] == "unfinished"
            assert found[address]["code"] is None
            assert "--limit" in found[address]["text"]
    # Some had no turn.
    assert sum(e["sni_tried"] == [] for e in found.values()) == 2


def test_limit_of_the_dns(lab, probe):
    domain = lab.fresh()
    zone = lab.domain(domain, own_server=True)
    zone.server.on[domain, "MX"] = nameservers.drop
    done = probe.run("--limit", "2", domain)
    assert (done.returncode, done.stdout) == (1, "")
    assert "did not answer in time (see --limit)" in done.stderr


def test_more_addresses_than_are_tried(lab, probe):
    domain = lab.fresh()
    addresses = [lab.new_addresses()[0] for _ in range(20)]
    server = lab.mx(f"mx.{domain}", addresses=addresses)
    lab.domain(domain, server)
    result = probe.json(domain)
    (host,) = result["hosts"]
    found = by_address(result)
    assert len(found) == 16
    assert {e["outcome"] for e in found.values()} == {"proved"}
    assert (result["not_tried"], host["ipv4"]["left_out"]) == (4, 4)
    assert (host["proved"], result["proved"]) == (False, False)
    code, text = probe.text(domain)
    assert code == 1
    assert text.endswith(
        "4 more addresses were not tried\n"
        f"{domain}: 0 of 1 hosts proved; the rest is not known\n")
    for address in addresses:
        assert probe.json("--address", address, domain)["proved"]


def test_more_hosts_than_are_kept(lab, probe):
    domain, server = lab.good_domain()
    lab.dns.zone_of(domain).add(
        *(f"@ MX 100 gone{i}.{domain}." for i in range(39)))
    lab.publish()
    result = probe.json(domain)
    assert len(result["hosts"]) == 32
    assert result["hosts"][0]["proved"]
    assert (result["hosts_not_tried"], result["proved"]) == (8, False)
    code, text = probe.text(domain)
    assert code == 1
    assert text.startswith(f"{domain}: 40 MX hosts, ")
    assert "8 more MX hosts were not looked at\n" in text
    # Who asks for one is not told of the others.
    assert probe.json("--mx", server.name, domain)["proved"]


@pytest.mark.parametrize("act, state", [(nameservers.servfail, "failed"),
                                        (nameservers.bogus, "bogus")])
def test_addresses_of_one_family(lab, probe, act, state):
    """What cannot be looked up is not proved by the other family."""
    domain = lab.fresh("broken")
    server = lab.mx(f"mx.{domain}")
    zone = lab.domain(domain, server, own_server=True)
    zone.server.on[server.name, "AAAA"] = act
    settings = ["dns.timeout = 3"]
    result = probe.json(domain, settings=settings)
    (host,) = result["hosts"]
    assert (host["ipv6"]["status"], host["ipv6"]["dnssec"]) == (
        "unknown", state)
    (each,) = host["addresses"]
    assert each["outcome"] == "proved"
    assert (host["proved"], result["proved"]) == (False, False)
    code, text = probe.text(domain, settings=settings)
    assert code == 1
    assert "     IPv6 addresses: " in text
    assert text.endswith(
        f"{domain}: 0 of 1 hosts proved; the rest is not known\n")
    assert probe.json("-4", domain, settings=settings)["proved"]


@pytest.mark.parametrize("records, status, null", [
    (("@ MX 0 .",), "found", True), ((), "none", False)])
def test_no_mail_host(lab, probe, records, status, null):
    domain = lab.fresh()
    lab.domain(domain).add(*records)
    lab.publish()
    result = probe.json(domain)
    assert (result["mx"]["status"], result["mx"]["null"]) == (status, null)
    assert not result["proved"]


@pytest.mark.parametrize("act, state", [(nameservers.servfail, "failed"),
                                        (nameservers.bogus, "bogus")])
def test_dns_failure(lab, probe, act, state):
    domain, _server = lab.fresh("broken"), lab.good_domain()
    zone = lab.domain(domain, own_server=True)
    zone.server.on[domain, "MX"] = act
    result = probe.json(domain, settings=["dns.timeout = 3"])
    assert result["mx"]["dnssec"] == state
    assert result["mx"]["why"]
    code, text = probe.text(domain, settings=["dns.timeout = 3"])
    assert code == 1
    assert text.endswith("NOT PROVED; mail is deferred\n")


def test_operators_rules(lab, probe):
    domain, server = lab.good_domain(
        certificates=[lab.unknown_ca.issue(["odd.example"], [])])
    pin = server.certificates[0].pin
    for settings, outcome, evidence in (
            ([f'domain "{domain}" {{ pins = ["sha256:{pin}"] }}'],
             "proved", "operator"),
            ([f'domain "{domain}" {{ level = encrypt }}'],
             "exception", "operator"),
            ([], "refused", "mx+dnssec")):
        result = probe.json(domain, settings=settings)
        for each in by_address(result).values():
            assert (each["outcome"], each["evidence"]) == (outcome, evidence)
        assert result["proved"] == (outcome == "proved")
    result = probe.json(domain, settings=["enforce = false"],
                        said="enforce = false: ")
    for each in by_address(result).values():
        assert (each["outcome"], each["observed"]) == ("refused", True)


def test_trust(lab, probe):
    domain, _server = lab.good_domain()
    path = f"{probe.directory}/other.pem"
    with open(path, "wb") as file:
        file.write(lab.unknown_ca.pem)
    result = probe.json("--trust", path, domain)
    assert {e["result"] for e in by_address(result).values()} == {
        "certificate-not-trusted"}


def test_without_a_file(lab, probe):
    """A gateway's interfaces are not needed to look at a domain."""
    if os.path.exists("/etc/postern/postern.conf"):
        pytest.skip("this machine has a configuration")
    domain, _server = lab.good_domain()
    done = lab.gateway.run(
        "setpriv", "--reuid", USER, "--regid", USER, "--clear-groups",
        f"{probe.directory}/postern", "probe", "--trust", lab.trust,
        "-o", f'dns.root_hints = "{lab.dns.root_hints}"',
        "-o", f'dns.trust_anchor = "{lab.dns.trust_anchor}"', domain)
    assert done.stdout.endswith(f"{domain}: proved\n")


def test_root_gives_it_up(lab, probe):
    domain, _server = lab.good_domain()
    assert probe.json(domain, user=None)["proved"]


def test_nothing_is_kept(lab, probe):
    """Not where the daemon keeps what it learns, either."""
    domain, _server = lab.good_domain()
    state = lab.directory_for("state")
    os.chmod(state, 0o777)
    with contextlib.suppress(AssertionError):
        probe.json(domain, settings=[f'state_directory = "{state}"'])
    assert os.listdir(state) == []


@pytest.mark.parametrize("arguments", [
    (), ("a.example", "b.example"), ("a b",), ("192.0.2.1",),
    ("--mx", "*", "a.example"), ("--address", "mx", "a.example"),
    ("-4", "-6", "a.example"), ("-4", "--address", "::1", "a.example"),
    ("--timeout", "0", "a.example"), ("--limit", "14401", "a.example"),
    ("--trust", 'a"; x = "b', "a.example"),
    ("--trust", "/nonexistent", "a.example"), ("--frob", "a.example")])
def test_usage(probe, arguments):
    done = probe.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr != ""


def test_without_the_other_program(lab, probe):
    directory = lab.directory_for("alone")
    shutil.copy(f"{BUILD}/postern", directory)
    done = subprocess.run(
        [f"{directory}/postern", "probe", "-c", "/dev/null", "--mode",
         "local", "-o", f'trust = "{lab.trust}"', "a.example"],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "postern-policy is neither in " in done.stderr
