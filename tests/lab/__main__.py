# SPDX-License-Identifier: ISC
"""scripts/lab: the lab by itself."""

import signal
import sys

from lab import Lab, world

_PLACES = ("client", "gateway", "internet")


def up(lab):
    """Keeps it until end of input, and tells how to enter it."""
    world.build(lab)
    for place in _PLACES:
        print(f"{place}: nsenter --net={getattr(lab, place).path}")
    for name in ("postfix", "exim"):
        pid = getattr(lab, name).jail.inner_pid
        print(f"{name}: nsenter -t {pid} -a --root=/proc/{pid}/root")
    print(f"trust = {lab.trust}\nroot_hints = {lab.dns.root_hints}\n"
          f"trust_anchor = {lab.dns.trust_anchor}\nCtrl-D ends it.",
          flush=True)
    sys.stdin.read()
    return 0


def check(lab):
    """Mail straight to every domain: it must arrive, and the tap must see
    the envelopes that went in clear, and no other."""
    cases = world.build(lab)
    recipients = {domain: f"bob@{domain}" for domain in cases}
    for recipient in recipients.values():
        lab.postfix.send("alice@lan.example", [recipient], "\nhi\n")
    lab.exim.send("alice@lan.example", ["eve@good.example"], "\nhi\n")
    outcomes = [lab.postfix.outcome(r) for r in recipients.values()]
    outcomes.append(lab.exim.outcome("eve@good.example"))
    for outcome in outcomes:
        print(f"{outcome.recipient}: {outcome.status}: {outcome.text}")
    leaks = lab.tap.leaks()
    for leak in leaks:
        print(f"in clear: {leak.what} to {leak.flow[2]}")
    wanted = {address for domain in ("nostarttls.example", "stripped.example",
                                     "hidden.example", "backup.example")
              for address in cases[domain].host.addresses}
    sound = (all(outcome.status == "sent" for outcome in outcomes)
             and len(leaks) == 4
             and {leak.flow[2] for leak in leaks} <= wanted)
    print("the lab is sound" if sound else "the lab is NOT sound")
    return 0 if sound else 1


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    verbs = {"up": up, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in verbs:
        print("usage: lab up | check", file=sys.stderr)
        return 2
    with Lab() as lab:
        return verbs[sys.argv[1]](lab)


if __name__ == "__main__":
    sys.exit(main())
