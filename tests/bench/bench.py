# SPDX-License-Identifier: ISC
"""postern beside stunnel and a plain path, all to one STARTTLS sink.

    bench.py [--rounds N] [--messages N] [--large N] [--idle N]

The sender is Postfix's smtp-source in the lab's LAN; stunnel and postern run
in the gateway's namespace, side by side, and take turns: each round measures
every path once, and the table has the median of the rounds.  CPU is the
proxy's own, from the scheduler's clock of its processes, so that sender and
sink do not count.  Figures of one run compare with each other and with
nothing else.
"""

import argparse
import collections
import contextlib
import glob
import os
import re
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))

from lab import Gateway, Lab  # noqa: E402
from lab.lab import LAN4, ROOTS  # noqa: E402

ROOT = f"{ROOTS}/postfix"
BUILD = os.path.abspath(os.environ.get("POSTERN_BUILD", "build"))
SMALL, LARGE = 5120, 100_000_000


def unpacked(program):
    """A program of the unpacked root, with the root's own libraries."""
    loader = glob.glob(f"{ROOT}/lib64/ld-linux-*")[0]
    paths = (glob.glob(f"{ROOT}/usr/lib/*-linux-gnu")
             + [f"{ROOT}/usr/lib/postfix"])
    return [loader, "--library-path", ":".join(paths), f"{ROOT}{program}"]


def cpu(pids):
    """Seconds of CPU that these processes have used, their threads that have
    ended included."""
    # The clock's id, as clock_getcpuclockid(3) makes it.
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in pids)


def resident(pids):
    """KiB that these processes hold for themselves and each other."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M)[1])
    return total


class Path:
    """One way from sender to sink."""

    def __init__(self, lab, name, host, port, domain, pids):
        self.lab, self.name = lab, name
        self.host, self.port = host, port
        self.domain, self.pids = domain, pids

    def send(self, count, size, reuse=False, parallel=20):
        """smtp-source once; (seconds, CPU seconds of the proxy)."""
        before, began = cpu(self.pids()), time.monotonic()
        self.lab.client.run(
            *unpacked("/usr/sbin/smtp-source"), *(["-d"] if reuse else []),
            "-4", "-s", str(parallel), "-m", str(count), "-l", str(size),
            "-f", "a@lan.example", "-t", f"b@{self.domain}",
            f"{self.host}:{self.port}", timeout=600)
        return time.monotonic() - began, cpu(self.pids()) - before

    def hold(self, count, inside, before):
        """KiB a session for count sessions at rest: after EHLO, or inside
        a message; before is what was resident without any."""
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                client = stack.enter_context(self.lab.connect(
                    self.host, port=self.port, timeout=120))
                client.reply()
                client.ehlo()
                if inside:
                    client.envelope("a@lan.example", f"b@{self.domain}")
                    client.command("DATA")
                    client.send(b"x" * 70 + b"\r\n")
            return (resident(self.pids()) - before) / count


@contextlib.contextmanager
def sink(lab, certificate, address):
    chain, key = f"{lab.directory}/sink.pem", f"{lab.directory}/sink.key"
    certificate.write(chain, key)
    process = lab.internet.start(f"{BUILD}/tests/bench/sink", address, "25",
                                 chain, key, stdout=subprocess.PIPE)
    try:
        yield process.popen.stdout.readline().decode().strip()
    finally:
        process.stop()


@contextlib.contextmanager
def stunnel(lab, address, name):
    config = f"{lab.directory}/stunnel.conf"
    with open(config, "w", encoding="ascii") as file:
        file.write(f"foreground = yes\ndebug = 3\npid =\n[bench]\n"
                   f"client = yes\nprotocol = smtp\nverifyChain = yes\n"
                   f"CAfile = {lab.trust}\ncheckHost = {name}\n"
                   f"sni = {name}\naccept = {LAN4}1:2525\n"
                   f"connect = {address}:25\n")
    process = lab.gateway.start(*unpacked("/usr/bin/stunnel4"), config)
    try:
        until = time.monotonic() + 10
        while True:
            try:
                with lab.connect(f"{LAN4}1", port=2525) as client:
                    client.reply()
                    break
            except OSError:
                if time.monotonic() > until:
                    raise
        yield lambda: [process.pid]
    finally:
        process.stop()


def speed(path, options, figures):
    """One round: a message a connection, connections reused, bulk."""
    for key, reuse in (("new", False), ("reused", True)):
        seconds, used = path.send(options.messages, SMALL, reuse)
        figures[f"{key}/s"].append(options.messages / seconds)
        figures[f"{key} cpu"].append(used / options.messages * 1e6)
    seconds, used = path.send(options.large, LARGE, parallel=1)
    figures["GB/s"].append(options.large * LARGE / seconds / 1e9)
    figures["bulk cpu"].append(used / options.large * 1e3)


def measure(paths, options):
    """What each path came to: lists of a figure a round."""
    results = {path.name: collections.defaultdict(list) for path in paths}
    for path in paths:
        path.send(200, SMALL)  # warm: caches, resumable sessions
    for number in range(options.rounds):
        for path in paths:
            print(f"  round {number + 1}: {path.name} ...", flush=True)
            speed(path, options, results[path.name])
    for path in paths:
        if path.pids():
            print(f"  sessions held: {path.name} ...", flush=True)
            before = resident(path.pids())
            for key, inside in (("idle", False), ("active", True)):
                results[path.name][key] = [
                    path.hold(options.idle, inside, before)]
    return results


COLUMNS = (
    ("new/s", "messages/s, a connection each", "{:.0f}"),
    ("new cpu", "CPU a message, us", "{:.0f}"),
    ("reused/s", "messages/s, connections reused", "{:.0f}"),
    ("reused cpu", "CPU a message, us", "{:.0f}"),
    ("GB/s", "GB/s, 100 MB messages", "{:.2f}"),
    ("bulk cpu", "CPU for 100 MB, ms", "{:.0f}"),
    ("idle", "KiB a session at rest in TLS", "{:.1f}"),
    ("active", "KiB a session inside a message", "{:.1f}"),
)


def ratio(ours, theirs):
    """Their median, and how far the rounds lie apart."""
    rounds = [a / b for a, b in zip(ours, theirs) if b]
    if not rounds:
        return "-"
    spread = ("" if len(rounds) == 1
              else f" ({min(rounds):.2f}-{max(rounds):.2f})")
    return f"{statistics.median(rounds):.2f}{spread}"


def report(results, about, options):
    print(f"\n5 KB messages, 20 at once, {options.messages} of them; "
          f"{options.large} of 100 MB, one at a time; the median of "
          f"{options.rounds} rounds.  {options.idle} sessions held.\n"
          f"{about}\n")
    names = list(results)
    print(f"{'':32}" + "".join(f"{n:>10}" for n in names)
          + f"{'postern/stunnel':>21}")
    for key, what, form in COLUMNS:
        cells = [form.format(statistics.median(results[n][key]))
                 if results[n][key] and any(results[n][key]) else "-"
                 for n in names]
        print(f"{what:32}" + "".join(f"{c:>10}" for c in cells)
              + f"{ratio(results['postern'][key], results['stunnel'][key]):>21}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--large", type=int, default=4)
    parser.add_argument("--idle", type=int, default=1000)
    options = parser.parse_args()
    with Lab(mtas=(), has_tap=False) as lab:
        domain, name = "bench.example", "mx.bench.example"
        address, address6 = lab.new_addresses()
        lab.name_host(name, [address, address6])
        lab.domain(domain, name)
        with sink(lab, lab.issue(name), address) as about:
            print("Measuring:", flush=True)
            direct = Path(lab, "direct", address, 25, domain, list)
            results = measure([direct], options)
            with stunnel(lab, address, name) as pids, Gateway(
                    lab, lab.gateway, lab.config(
                        "limits { sessions_per_client = 4096 }")) as gate:
                results |= measure([
                    Path(lab, "stunnel", f"{LAN4}1", 2525, domain, pids),
                    Path(lab, "postern", address, 25, domain,
                         lambda: [gate.pid, *gate.children()])], options)
    report(results, about.removeprefix("ready, "), options)


if __name__ == "__main__":
    main()
