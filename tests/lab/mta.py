# SPDX-License-Identifier: ISC
"""Stock mail servers in jails: Debian's Postfix and Exim as they install
themselves, told their name and their resolver and nothing else.

    postfix.send("alice@lan.example", ["bob@a.example"], "\\nhi\\n")
    outcome = postfix.outcome("bob@a.example")    # waits for the log line
    outcome.status, outcome.text                  # "sent", "250 2.0.0 taken"
"""

import dataclasses
import re
import subprocess

from lab.jail import Jail
from lab.netns import Lines


@dataclasses.dataclass
class Outcome:
    """What an MTA logged about one recipient."""

    recipient: str
    status: str  # "sent", "deferred", "bounced"
    text: str  # what it was told


def _name_files(hostname, resolver):
    return {
        "/etc/resolv.conf": f"nameserver {resolver}\n",
        "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n"
                      f"127.0.1.1 {hostname}\n",
        "/etc/hostname": f"{hostname}\n",
        "/etc/mailname": f"{hostname}\n",
    }


class _Mta:
    """What both have in common."""

    jail: Jail
    log: Lines

    def send(self, sender, recipients, content, *options):
        """Submits a message by sendmail(8), as programs do."""
        if isinstance(content, str):
            content = content.encode()
        self.jail.run("/usr/sbin/sendmail", "-i", "-f", sender, *options,
                      *recipients, stdin=content)

    def close(self):
        self.jail.close()


class Postfix(_Mta):
    """A Postfix; `settings` go through postconf before the start."""

    def __init__(self, ns, directory, root, hostname, resolver, *,
                 settings=(), files=None):
        # What its package's postinst and systemd unit do.
        settings = [f"myhostname={hostname}", *settings]
        quoted = " ".join(f"'{setting}'" for setting in settings)
        self.jail = Jail(
            ns, directory, root, hostname,
            {**_name_files(hostname, resolver), **(files or {})},
            f"postconf -e {quoted}; newaliases;"
            " /usr/lib/postfix/configure-instance.sh -;"
            " postfix start-fg")
        self.log = self.jail.log

    def wait_ready(self):
        self.log.wait(re.compile("daemon started"))

    def outcome(self, recipient, timeout=60, since=0):
        """The first fate that it logs for the recipient."""
        found = self.log.wait(re.compile(
            rf" to=<{re.escape(recipient)}>,.* status=(\w+) \((.*)\)$"),
            timeout, since)
        return Outcome(recipient, found[1], found[2])

    def flush(self):
        """Tries the whole queue again now."""
        self.jail.run("postqueue", "-f")

    def empty(self):
        """Deletes everything queued."""
        self.jail.run("postsuper", "-d", "ALL", check=False)


class Exim(_Mta):
    """An Exim, light daemon, split or not as Debian has it."""

    _FATES = {"=>": "sent", "->": "sent", "==": "deferred", "**": "bounced"}

    def __init__(self, ns, directory, root, hostname, resolver):
        self.jail = Jail(
            ns, directory, root, hostname, _name_files(hostname, resolver),
            "sed -i \"s/^dc_other_hostnames=.*/dc_other_hostnames="
            f"'{hostname}'/\" /etc/exim4/update-exim4.conf.conf;"
            " update-exim4.conf; touch /var/log/exim4/mainlog;"
            " chown Debian-exim:adm /var/log/exim4/mainlog;"
            " echo unpacked; exim4 -bdf -q30m")
        self.log = Lines()
        self._tail = None

    def wait_ready(self):
        # The log is a file; tail sees by inotify that it grew.
        self.jail.wait_unpacked()
        self._tail = self.jail.start(
            "tail", "-n", "+1", "-F", "/var/log/exim4/mainlog",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.log.follow(self._tail.popen.stdout)
        self.log.wait(re.compile("daemon started"))

    def outcome(self, recipient, timeout=60, since=0):
        """The first fate that it logs for the recipient."""
        found = self.log.wait(re.compile(
            rf"(=>|->|==|\*\*) {re.escape(recipient)} (.*)"), timeout, since)
        # A delivery ends in C="reply", what else happens in the reason.
        reply = re.search(r'C="([^"]*)"', found[2])
        return Outcome(recipient, self._FATES[found[1]],
                       reply[1] if reply else found[2])

    def flush(self):
        """Tries the whole queue again now, retry times or not."""
        self.jail.run("exim4", "-qff")

    def empty(self):
        """Deletes everything queued, and what it holds against hosts."""
        self.jail.run("sh", "-c", "exiqgrep -i | xargs -r exim4 -Mrm;"
                      " rm -f /var/spool/exim4/db/*", check=False)

    def close(self):
        super().close()
        if self._tail is not None:
            self._tail.stop()
