# SPDX-License-Identifier: ISC
"""What a first contact costs: verdicts a second on one core, and how long the
first recipient of a domain waits by each kind of evidence.

    contact.py [--domains N]

Each domain is new to postern and to its resolver, and so are its MX host, its
records and its policy; the kinds take turns, and a ratio is that of a kind's
median to the median of plain `mx` in the same run.  The name servers and the
web server are the lab's, without a delay on the wires: what is measured is
the work and the number of questions, not the distance.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from lab import Gateway, Lab  # noqa: E402

BUILD = os.path.abspath(os.environ.get("POSTERN_BUILD", "build"))
KINDS = ("mx", "mx+dnssec", "dane", "mta-sts")


def make(lab, kind, number):
    """A domain whose MX host is proved by that kind."""
    domain = f"{kind.replace('+', '-')}-{number}.example"
    server = lab.mx(f"mx.{domain}")
    lab.domain(domain, server, signed=kind != "mx", publish=False)
    if kind == "dane":
        lab.tlsa(f"mx.{domain}", "3 1 1", certificate=server.certificates[0])
    elif kind == "mta-sts":
        lab.sts(domain, "enforce", mx=[f"mx.{domain}"], publish=False)
    return domain, server


def first_recipient(lab, domain, server):
    """Milliseconds from RCPT to its reply, TLS being up already."""
    with lab.connect(server) as client:
        client.reply()
        client.ehlo()
        client.command("MAIL FROM:<a@lan.example>")
        began = time.monotonic()
        reply = client.command(f"RCPT TO:<b@{domain}>")
        took = time.monotonic() - began
    if reply.code != 250:
        raise RuntimeError(f"{domain}: {reply}")
    return took * 1000


def contacts(lab, options):
    worlds = {kind: [make(lab, kind, n) for n in range(options.domains)]
              for kind in KINDS}
    lab.publish()
    took = {kind: [] for kind in KINDS}
    with Gateway(lab, lab.gateway, lab.config("workers = 1")):
        # One before the others, for what is looked up once: the TLD, say.
        warm = make(lab, "mx+dnssec", "warm")
        lab.publish()
        first_recipient(lab, *warm)
        for number in range(options.domains):
            for kind in KINDS:
                took[kind].append(
                    first_recipient(lab, *worlds[kind][number]))
    return took


def verdicts(lab):
    certificate = lab.issue("mx.bench.example")
    chain, key = f"{lab.directory}/bench.pem", f"{lab.directory}/bench.key"
    certificate.write(chain, key)
    print(subprocess.run([f"{BUILD}/tests/bench/verdicts", chain, lab.trust,
                          "mx.bench.example"], check=True, text=True,
                         stdout=subprocess.PIPE).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domains", type=int, default=30)
    options = parser.parse_args()
    with Lab(mtas=(), has_tap=False) as lab:
        verdicts(lab)
        took = contacts(lab, options)
    print(f"first recipient of {options.domains} domains each, ms from RCPT "
          "to its reply")
    print(f"{'':12}{'median':>10}{'p90':>10}{'to mx':>10}")
    plain = statistics.median(took["mx"])
    for kind in KINDS:
        median = statistics.median(took[kind])
        p90 = statistics.quantiles(took[kind], n=10)[-1]
        print(f"{kind:12}{median:10.1f}{p90:10.1f}{median / plain:10.2f}")


if __name__ == "__main__":
    main()
