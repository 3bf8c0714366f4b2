# SPDX-License-Identifier: ISC
"""What postern-gate costs, and what watching DNS is worth.

    gate.py [--rounds N] [--seconds N] [--deliveries N]

Verdicts a second: first packets as fast as they can be sent, and how many of
them the gate judged for a second of its own CPU; of what is intercepted, that
CPU has the kernel's own work in it, up to the answer.  Latency: 5,000 first packets
a second, each answered by the listener that they are led to, through the rules
with and without the gate, in turns.  First guesses: deliveries to tenants of
servers that know them by SNI alone, after the sender's lookups have crossed
the gateway; how many needed one connection only.  Figures of one run compare
with each other and with nothing else.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

import dns.message  # noqa: E402

from lab import Gateway, Lab  # noqa: E402
from lab.lab import LAN4  # noqa: E402
from lab.netns import is_ready  # noqa: E402

BUILD = os.path.abspath(os.environ.get("POSTERN_BUILD", "build"))
RATE = 5000
FAST = 200_000  # packets, as fast as they go
SETTINGS = ("limits.connection_rate = 0", "limits.sessions_per_client = 1000000")
TENANTS, SERVERS = 8, 4


def cpu(pid):
    """Seconds of CPU that a process has used."""
    return time.clock_gettime(~pid << 3 | 2)


def judged(ns):
    """Packets that were let into the queues, and out of them again."""
    with ns.entered(), open("/proc/thread-self/net/netfilter/nfnetlink_queue",
                            encoding="ascii") as file:
        rows = [line.split() for line in file]
    return sum(int(row[7]) - int(row[2]) - int(row[6]) for row in rows)


def syn(lab, address, rate, count):
    """From the first CPU, which it keeps busy; postern has the others."""
    done = lab.client.run("taskset", "-c", 0, f"{BUILD}/tests/bench/syn",
                          LAN4 + "20", address, 25, rate, count, timeout=120)
    return json.loads(done.stdout)


@contextlib.contextmanager
def gate(lab, *settings):
    with Gateway(lab, lab.gateway, lab.config(*SETTINGS, *settings)) as made:
        others = os.sched_getaffinity(0) - {0} or {0}
        for pid in made.children():
            os.sched_setaffinity(pid, others)
        yield made


def verdicts(lab, address, *settings):
    """(a second of the gate's CPU, a second by the clock)."""
    with gate(lab, *settings) as made:
        [pid] = made.children("postern-gate")
        before, spent, began = judged(lab.gateway), cpu(pid), time.monotonic()
        syn(lab, address, 0, FAST)
        count = judged(lab.gateway) - before
        return (count / (cpu(pid) - spent),
                count / (time.monotonic() - began))


def latency(lab, address, options, *settings):
    with gate(lab, *settings):
        syn(lab, address, RATE, RATE)  # neighbours and caches
        return syn(lab, address, RATE, RATE * options.seconds)


def look_up(lab, name, kind):
    with lab.client.socket() as _, lab.client.socket(
            2, 2) as s:  # AF_INET, SOCK_DGRAM
        s.connect((lab.dns.resolver[0], 53))
        s.send(dns.message.make_query(name, kind).to_wire())
        if not is_ready(s, 10):
            raise RuntimeError(f"no answer on {name}")
        s.recv(65535)


def make_tenants(lab):
    """[(domain, server)]; of each server's, in the end, all are found at the
    same addresses."""
    tenants = []
    for _ in range(SERVERS):
        domains = [lab.fresh("tenant") for _ in range(TENANTS)]
        server = lab.mx(f"mx.{domains[0]}", certificates=[
            lab.issue(lab.fresh("default")),
            *(lab.issue(f"mx.{domain}") for domain in domains)])
        for domain in domains:
            if domain != domains[0]:
                lab.name_host(f"mx.{domain}", server.addresses)
            lab.domain(domain, f"mx.{domain}", publish=False)
            tenants.append((domain, server))
    lab.publish()
    return tenants


def first_guesses(lab, tenants, options, *settings):
    """The share of deliveries that took one connection."""
    order = random.Random(7)
    right = 0
    with gate(lab, "workers = 1", *settings):
        for _ in range(options.deliveries):
            domain, server = order.choice(tenants)
            for kind, name in (("MX", domain), ("A", f"mx.{domain}")):
                look_up(lab, name, kind)
            before = len(server.sessions)
            with lab.connect(server) as client:
                reply = client.deliver(
                    "a@lan.example", [f"b@{domain}"], b"Subject: x\r\n\r\nx\r\n")
            if reply.code != 250:
                raise RuntimeError(f"{domain}: {reply}")
            right += len(server.sessions) - before == 1
    return right / options.deliveries


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--deliveries", type=int, default=200)
    options = parser.parse_args()
    with Lab(mtas=(), has_tap=False) as lab:
        address = lab.mx("mx.bench.example").addresses[0]
        reject = f'destination "x" {{ match = ["{address}"]; verdict = reject }}'
        fast = [[], []]
        slow = {"on": [], "off": []}
        for _ in range(options.rounds):
            for kind, settings in enumerate(((), (reject,))):
                fast[kind].append(verdicts(lab, address, *settings))
            for word, found in slow.items():
                found.append(latency(
                    lab, address, options, f"gate.admission = {word}"))
        tenants = make_tenants(lab)
        guesses = [first_guesses(lab, tenants, options, f"gate.watch_dns = {w}")
                   for w in ("true", "false")]
    print("verdicts                 a second of CPU   a second")
    for name, found in zip(("intercept", "reject"), fast):
        per_cpu, per_second = (statistics.median(x) for x in zip(*found))
        print(f"  {name:<22} {per_cpu:>15,.0f} {per_second:>10,.0f}")
    print(f"answer to a first packet, us, {RATE} a second    p50      p99")
    at = {word: {key: statistics.median(f[key] for f in found)
                 for key in ("p50", "p99")} for word, found in slow.items()}
    for word in ("off", "on"):
        print(f"  gate {word:<38} {at[word]['p50']:>8.1f}"
              f" {at[word]['p99']:>8.1f}")
    print(f"  added {'':<37} {at['on']['p50'] - at['off']['p50']:>8.1f}"
          f" {at['on']['p99'] - at['off']['p99']:>8.1f}")
    lost = {word: sum(f["sent"] - f["answered"] for f in found)
            for word, found in slow.items()}
    print(f"  unanswered: off {lost['off']}, on {lost['on']}")
    print("first guess at SNI right, tenants of shared servers")
    print(f"  with watched DNS {guesses[0]:.0%}, without {guesses[1]:.0%}")


if __name__ == "__main__":
    main()
