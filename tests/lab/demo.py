# SPDX-License-Identifier: ISC
"""The demonstration: real mail from stock MTAs through postern to a world of
good and bad mail servers; one table, and status 0 where all is as expected.
"""

import json
import re
import signal
import sys
import time

from lab import Gateway, Lab, world

SENDER = "alice@lan.example"
SECRET = "a word that no wire may carry in clear"
EXIM_ALSO = ("good.example", "beta.example", "wrongname.example")
BUDGET = 60  # seconds for one outcome


class Row:
    """One domain as one MTA met it."""

    def __init__(self, case, mta_name, mta):
        self.case = case
        self.mta_name = mta_name
        self._mta = mta
        self.recipient = f"{mta_name.lower()}@{case.domain}"
        self.told = self.evidence = self.tls = ""
        self.delivered = False
        self.problems = []

    def send(self):
        self._mta.send(SENDER, [self.recipient],
                       f"Subject: demonstration\n\n{SECRET}\n")

    def judge(self, gate):
        outcome = self._mta.outcome(self.recipient, BUDGET)
        self.told = outcome.text
        self.delivered = outcome.status == "sent"
        verdict = self._verdict(gate)
        self.evidence = verdict.get("evidence", "-")
        self.tls = verdict.get("tls", "-")
        self._expect(self.delivered == self.case.delivered, "delivered")
        if self.case.delivered:
            self._expect(self.evidence == self.case.evidence, "evidence")
            self._expect(self.tls in ("TLSv1.2", "TLSv1.3"), "TLS")
            self._expect(self._arrived(), "not at the far end")
        else:
            self._expect(outcome.status == "deferred", "not deferred")
            self._expect(self.case.code in self.told, "code")
            self._expect(self.case.word in self.told, "word")
            self._expect(not self._arrived(), "at the far end")
            if self.case.stage == "rcpt":
                self._expect(self.evidence == self.case.evidence, "evidence")

    def _verdict(self, gate):
        """The last verdict that postern logged for the domain, on the
        session that decided."""
        rows = [row for row in records(gate, "verdict")
                if row.get("to") == self.case.domain]
        want = "proved" if self.delivered else "refused"
        rows = [row for row in rows if row.get("result") == want]
        return rows[-1] if rows else {}

    def _arrived(self):
        if self.case.postfix is not None:
            # It keeps no record for us, and delivers after its 250.
            return self.case.postfix.outcome(self.recipient).status == "sent"
        return any(self.recipient in message.recipients
                   for message in self.case.messages())

    def _expect(self, holds, what):
        if not holds:
            self.problems.append(what)


def records(gate, kind):
    """postern's records of a kind, from its JSON log."""
    found = []
    for line in list(gate.log.lines):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.get("record") == kind:
            found.append(row)
    return found


def short(text, width):
    """What matters of a reply: from its code on."""
    found = re.search(r"([245]\d\d.[245]\.\d\.\d.*?)( \(in reply to .*)?$",
                      text)
    text = found[1] if found else text
    return text if len(text) <= width else text[:width - 1] + "…"


def print_table(rows):
    heads = ("domain", "its server", "from", "evidence", "TLS", "delivered",
             "what the MTA was told")
    table = [(row.case.domain, row.case.what, row.mta_name, row.evidence,
              row.tls, ("yes" if row.delivered else "no")
              + (f"  UNEXPECTED: {', '.join(row.problems)}"
                 if row.problems else ""),
              short(row.told, 120)) for row in rows]
    widths = [max(len(line[n]) for line in [heads, *table])
              for n in range(len(heads) - 1)]
    for line in (heads, tuple("-" * w for w in [*widths, 21]), *table):
        print("  ".join([*(text.ljust(width) for text, width
                           in zip(line, widths)), line[-1]]))


def show(lab):
    cases = world.build(lab)
    lab.tap.mark(SECRET, SENDER)
    # The MTAs retry after minutes; nothing here waits for that.
    with Gateway(lab, lab.gateway,
                 lab.config("log { format = json }")) as gate:
        rows = [Row(case, "Postfix", lab.postfix) for case in cases.values()]
        rows += [Row(cases[domain], "Exim", lab.exim) for domain in EXIM_ALSO]
        for row in rows:
            row.send()
        for row in rows:
            row.judge(gate)
        leaks = lab.tap.leaks()
    print_table(rows)
    print()
    for leak in leaks:
        print(f"LEAK: {leak}")
    if not leaks:
        print(f"The tap between gateway and internet saw "
              f"{len(lab.tap.clear())} connections and no envelope or message"
              " in clear.")
    return not leaks and not any(row.problems for row in rows)


def main():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    began = time.monotonic()
    print("Raising the lab: a LAN, a gateway, an internet.", flush=True)
    with Lab() as lab:
        as_expected = show(lab)
    print(f"{'All as expected' if as_expected else 'NOT as expected'}; "
          f"{time.monotonic() - began:.0f} s in the lab.")
    return 0 if as_expected else 1


if __name__ == "__main__":
    sys.exit(main())
