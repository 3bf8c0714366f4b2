# SPDX-License-Identifier: ISC
"""Two gateways that are one router by VRRP, each with a postern and a stock
keepalived, configured by the example that is installed for administrators.

    with Lab(is_for_pair=True) as lab, Pair(lab) as pair:
        active, standby = pair.whole()
        mark = standby.mark()
        active.power_off()                  # or active.postern, .keepalived
        standby.wait_state("MASTER", mark)
        active.boot()                       # an empty kernel, its own disk
"""

import os
import re

from lab.gateway import Gateway
from lab.jail import Jail
from lab.lab import ROOTS

EXAMPLE = os.path.abspath(
    f"{os.path.dirname(__file__)}/../../scripts/keepalived/keepalived.conf")
CABLES = ("lan0", "wan0")
_STATE = re.compile(r"\((lan|wan)\) Entering (\w+) STATE")


def _configuration(priority):
    """The example; its interfaces and addresses are the lab's own."""
    with open(EXAMPLE, encoding="utf-8") as file:
        text = file.read()
    changed = re.sub(r"(?m)^(\s+priority) 100\b", rf"\1 {priority}", text)
    if changed.count(f"priority {priority}") != 2:
        raise ValueError(f"{EXAMPLE}: no two lines with priority 100")
    return changed


class Machine:
    """One gateway of the two: a namespace that ends when it is switched off,
    and a disk that lasts."""

    def __init__(self, lab, name, number, priority):
        self.name = name
        self.ns = self.postern = self.keepalived = None
        self.said = []  # all that its posterns logged, by Lines
        self._lab = lab
        self._number = number
        self._priority = priority
        self._disk = lab.state_directory()

    def __repr__(self):
        return f"<{self.name}>"

    @property
    def is_well(self):
        """Whether it is switched on, and both programs run."""
        return self.ns is not None and all(
            each.process.popen.poll() is None
            for each in (self.postern, self.keepalived))

    def boot(self):
        self.ns = self._lab.pair_gateway(self.name, self._number)
        self.postern = Gateway(self._lab, self.ns, self._lab.config(
            state_directory=self._disk))
        self.said.append(self.postern.log)
        self._start_keepalived()

    def kill_programs(self):
        """By SIGKILL; the kernel lives, and goes on holding addresses."""
        self.keepalived.process.stop()
        self.postern.process.stop()

    def start_programs(self):
        self.keepalived.close()
        self.postern.start()
        self._start_keepalived()

    def _start_keepalived(self):
        self.keepalived = Jail(
            self.ns, self._lab.directory_for("keepalived") + "/jail",
            f"{ROOTS}/keepalived", self.name,
            {"/etc/keepalived/keepalived.conf":
             _configuration(self._priority)},
            "keepalived --vrrp --dont-fork --log-console --log-detail")

    def power_off(self):
        """At once: nothing that a dying program or kernel would still send
        gets out."""
        if self.ns is None:
            return
        self._lab.cables(self.ns, *CABLES, are_in=False)
        if self.keepalived is not None:
            self.keepalived.close()
        if self.postern is not None:
            self.postern.process.stop()  # SIGKILL
            self.postern.close()
        self.ns.close()
        self.ns = self.postern = self.keepalived = None

    def mark(self):
        return self.keepalived.output.mark()

    def states(self, since=0):
        """What keepalived said of its two sides: [("lan", "MASTER"), ...]."""
        return [match.groups() for match
                in self.keepalived.output.matching(_STATE, since)]

    def wait_state(self, state, since=0):
        """Waits until both sides have come to a state."""
        for side in ("lan", "wan"):
            self.keepalived.output.wait(
                re.compile(rf"\({side}\) Entering {state} STATE"),
                since=since)

    @property
    def is_active(self):
        return self.is_well and dict(self.states()) == {
            "lan": "MASTER", "wan": "MASTER"}

    def addresses(self, interface):
        """What it holds on one side, of either family."""
        said = self.ns.run("ip", "-o", "address", "show", "dev", interface,
                           "scope", "global")
        return {line.split()[3].split("/")[0]
                for line in said.stdout.splitlines()}


class Pair:
    """Both, the first of them active."""

    def __init__(self, lab):
        self.machines = [Machine(lab, "first", 2, 100),
                         Machine(lab, "second", 3, 90)]
        try:
            first, second = self.machines
            first.boot()
            first.wait_state("MASTER")
            second.boot()
            second.wait_state("BACKUP")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def whole(self):
        """Switches on what is off, and anew what is not well; (active,
        standby)."""
        for machine in self.machines:
            if not machine.is_well:
                machine.power_off()
                machine.boot()
                machine.wait_state("BACKUP")
        if not any(machine.is_active for machine in self.machines):
            self.machines[0].wait_state("MASTER")
        return sorted(self.machines, key=lambda m: not m.is_active)

    def close(self):
        for machine in self.machines:
            machine.power_off()
