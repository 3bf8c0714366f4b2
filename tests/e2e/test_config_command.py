# SPDX-License-Identifier: ISC
"""`postern check`, and the manual page of the configuration held against it:
what the page gives as an example is valid, what it calls a default is one, and
no setting is missing from it."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lab import pki

BUILD = os.path.abspath(os.environ.get("POSTERN_BUILD", "build"))
SOURCE = pathlib.Path(__file__).resolve().parents[2]
PAGE = (SOURCE / "proxy/postern.conf.5").read_text(encoding="utf-8")
TABLE = (SOURCE / "proxy/config_settings.c").read_text(encoding="utf-8")


def check(*arguments, program=f"{BUILD}/postern", **options):
    """Runs `postern check`: its exit code, what it says, what it complains."""
    done = subprocess.run(
        [program, "check", *map(str, arguments)], timeout=30,
        capture_output=True, encoding="utf-8", check=False, **options)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration and returns its path."""
    path = tmp_path / "postern.conf"

    def write(text):
        path.write_text(text, encoding="utf-8")
        return path
    return write


@pytest.fixture
def ca_file(tmp_path):
    path = tmp_path / "ca.pem"
    pki.write_trust(path, pki.Authority("a CA"))
    return path


def test_summary(conf, ca_file):
    path = conf(f"""
        interfaces = [lo, postern-none0]; inbound = [postern-none1]
        ports = [25, 2525]
        trust = "{ca_file}"
        dns {{ forward = ["192.0.2.53", "[2001:db8::53]:5353"] }}
        server "smarthost" {{ match = [192.0.2.1]; auth = true }}
        domain "a.example" {{ level = none }}
        domain "*.b.example" {{ level = encrypt; until = 2090-01-31 }}
        domain "c.example" {{ level = none; until = 2020-01-31T12:00:00Z }}
    """)
    code, out, err = check("-c", path)
    assert code == 0
    # By whichever of its queues this machine's kernel has.
    out = re.sub(r"^gate: (nft's queue|the xtables target NFQUEUE), ",
                 "gate: ..., ", out, flags=re.MULTILINE)
    assert out.splitlines() == [
        "mode: gateway, behind lo postern-none0",
        "ports: 25 2525, led to port 10025",
        "inbound: postern-none1, forwarded as it is",
        "interface postern-none0: not there now",
        "interface postern-none1: not there now",
        "gate: ..., queues 925-928",
        "dns: from the resolvers 192.0.2.53:53 [2001:db8::53]:5353,"
        " DNSSEC by /usr/share/dns/root.key",
        f"trust: {ca_file}: 1 anchors",
        "blocks: 1 server, 3 domain, 0 client, 0 destination",
        'exception: domain "a.example": none, without an end',
        'exception: domain "*.b.example": encrypt until 2090-02-01T00:00:00Z',
        'exception: domain "c.example": none, ended 2020-01-31T12:00:00Z',
        f"{path}: ok",
    ]
    assert f"{path}:9: the exception of domain 'c.example' has ended" in err


def test_without_a_gate(conf):
    """What is then missing is told."""
    path = conf("interfaces = [lo]; gate.admission = off")
    _code, out, _err = check("-c", path)
    assert "\ngate: none: gate.admission = off\nwithout it: no client" in out


def test_tells_who_is_exempt(conf):
    path = conf("""interfaces = [lo]
        client "mta" { match = ["192.0.2.1"]; verdict = exempt }
        client "desk" { match = ["192.0.2.2"]; verdict = reject }
        destination "x" { match = ["192.0.2.3"]; verdict = reject }""")
    _code, out, _err = check("-c", path)
    assert "blocks: 0 server, 0 domain, 2 client, 1 destination\n" in out
    assert out.count(": exempt, ") == 1
    assert 'exception: client "mta": exempt, forwarded untouched\n' in out


def test_needs_no_privilege(conf, ca_file, tmp_path):
    # Nobody may not be let into the build folder.
    program = shutil.copy(f"{BUILD}/postern", tmp_path)
    for path in (ca_file, *ca_file.parents[:-2]):
        os.chmod(path, 0o755)
    path = conf(f'interfaces = [lan0]; trust = "{ca_file}"')
    code, _, err = check("-c", path, program=program, user="nobody",
                         group="nogroup", extra_groups=[])
    assert (code, err) == (0, "")


@pytest.mark.parametrize("text, complaint", [
    ("interfacs = [lan0]",
     "{}:1: unknown setting 'interfacs' (did you mean 'interfaces'?)"),
    ("\n\ndns {\n timeout = 10\n timeout = 20\n}",
     "{}:5: dns.timeout is set already ({}:4)"),
    ('server "a" {\n  match = [\n    "192.0.2.0/24",\n    "192.0.2.999"\n]}',
     "{}:4: match: '192.0.2.999' is not a valid address"),
    ("", "{}: a gateway wants the interfaces that its clients are behind:"
         " give interfaces, or -i IFACE"),
])
def test_error_is_told_with_its_line(conf, text, complaint):
    path = conf(text)
    assert check("-c", path) == (
        2, "", "postern: " + complaint.format(path, path) + "\n")


def test_file_that_was_asked_for_must_be_there(tmp_path):
    code, out, err = check("-c", tmp_path / "none")
    assert (code, out) == (2, "")
    assert err == f"postern: {tmp_path}/none: No such file or directory\n"


def test_trust_file_must_hold_certificates(conf, tmp_path):
    pem = tmp_path / "bad.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n"
                   "-----END CERTIFICATE-----\n", encoding="ascii")
    path = conf(f'interfaces = [lan0]\ntrust = "{pem}"')
    code, out, err = check("-c", path)
    assert code == 2 and "ok" not in out
    assert err.startswith(f"postern: trust: '{pem}': ")


def test_command_line_comes_first(conf, ca_file):
    path = conf(f'interfaces = [lan0]; listen_port = 1; trust = "{ca_file}"')
    code, out, _ = check("-c", path, "-i", "lan1", "--interface", "lan2",
                         "-o", "listen_port = 10027",
                         "--option", "ports = [26]")
    assert code == 0
    assert "behind lan1 lan2\n" in out
    assert "ports: 26, led to port 10027\n" in out
    code, out, _ = check("-c", conf(f'trust = "{ca_file}"'), "--mode", "local")
    assert code == 0 and out.startswith("mode: local\n")


@pytest.mark.parametrize("arguments, complaint", [
    (["-i", 'lan0"]; mode = local; x = ["'], "is not an interface name"),
    (["-i", "lan0", "-i", "lan0"], "command line: interfaces: 'lan0' is given"
                                   " twice"),
    (["--mode", "local; keep_rules = false"],
     "must be gateway, local or bridge"),
    (["-o", "workrs = 1"], "command line: unknown setting 'workrs'"),
    (["-o", "dns {"], "command line: what opens here lacks its '}'"),
    (["-x"], "invalid option"),
    (["more"], "usage: postern check"),
])
def test_command_line_is_judged(conf, arguments, complaint):
    code, out, err = check("-c", conf(""), *arguments)
    assert (code, out) == (2, "")
    assert complaint in err


def test_help():
    code, out, err = check("--help")
    assert (code, err) == (0, "") and out.startswith("usage: postern check")


# The manual page.

def _settings():
    """Every setting that the tables know, with its section's name."""
    table, blocks = TABLE.split("#define RULE_SETTINGS")
    names = re.findall(r'\.path = "([a-z_.]+)",', table)
    names += [f"timeouts.{name}" for name in
              re.findall(r"^\tTIMEOUT\((\w+)\),", table, re.MULTILINE)]
    assert len(names) > 30
    return names + re.findall(r'\.path = "([a-z_]+)"', blocks)


@pytest.mark.parametrize("name", _settings())
def test_every_setting_has_its_entry(name):
    entries = re.findall(r"^\.It Ic ([a-z_ ,]+?)(?: Ns| Ta|$)", PAGE,
                         re.MULTILINE)
    words = {word for entry in entries for word in re.split("[ ,]+", entry)}
    assert name.split(".")[-1] in words


def _examples():
    """The page's literal blocks, each with the section that it stands in."""
    section = None
    for part in re.split(r"^(?=\.S[hs] )", PAGE, flags=re.MULTILINE):
        found = re.search(r"^\.Ic (\w+) No {", part, re.MULTILINE)
        section = found.group(1) if found else None
        for text in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", part,
                               re.DOTALL | re.MULTILINE):
            if "..." in text:
                continue  # a form, not an example
            if section and not text.startswith(section):
                text = f"{section} {{\n{text}}}\n"
            yield text


def _mended(text, ca_file):
    """The files that an example names need not be on this machine."""
    return re.sub(r'"/[^"]*\.(pem|hints)"', f'"{ca_file}"', text)


@pytest.mark.parametrize("text", _examples())
def test_examples_of_the_page_are_valid(conf, ca_file, text):
    path = conf(_mended(text, ca_file))
    arguments = [] if "interfaces" in text else ["-i", "lan0"]
    if text.startswith("bridge"):
        arguments += ["--mode", "bridge"]
    code, _, err = check("-c", path, *arguments)
    assert (code, err) == (0, "")


def _bytes(path):
    """What a child would be handed for this configuration."""
    return subprocess.run([f"{BUILD}/tests/e2e/config_bytes", path],
                          stdout=subprocess.PIPE, check=True).stdout


def test_defaults_of_the_page_are_the_defaults(conf):
    nothing = _bytes(conf("interfaces = [lan0]\n"))
    defaults = [text for text in _examples() if "# the default" in text]
    rows = re.findall(r"^\.It Ic (\w+) Ta (\w+) Ta ", PAGE, re.MULTILINE)
    assert len(defaults) > 20 and len(rows) == 10
    defaults += [f"timeouts.{name} = {time}\n" for name, time in rows]
    assert _bytes(conf("interfaces = [lan0]\n" + "".join(defaults))) == nothing
    assert _bytes(conf("interfaces = [lan1]\n")) != nothing
