# SPDX-License-Identifier: ISC
"""A real server out of an unpacked Debian root, shut in.

The root (scripts/deps makes them) is the lower layer of an overlay whose upper
one is a tmpfs; mounts, process ids and the host name are the jail's own.  One
SIGKILL ends all of it, daemons that forked away included, and nothing of it
was ever on the machine's disk or in its files.
"""

import contextlib
import glob
import os
import re
import socket
import subprocess
import threading

from lab.netns import Lines, Namespace, Process

_JAIL = os.path.join(os.path.dirname(__file__), "jail.sh")


class Inside:
    """What has a root and process ids of its own: `process` is outside of it,
    and the parent of its first one."""

    ns: Namespace
    process: Process

    @property
    def inner_pid(self):
        """The first process inside, as this process numbers it."""
        pid = self.process.pid
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    @property
    def root(self):
        """Its root folder, as seen from here."""
        return f"/proc/{self.inner_pid}/root"

    def _inside(self, arguments):
        pid = self.inner_pid
        return ("nsenter", "-t", pid, "-m", "-u", "-i", "-p",
                f"--root=/proc/{pid}/root", f"--wd=/proc/{pid}/root", "--",
                *arguments)

    def run(self, *arguments, **options):
        """Runs a program inside, as Namespace.run does."""
        return self.ns.run(*self._inside(arguments), **options)

    def start(self, *arguments, **options) -> Process:
        return self.ns.start(*self._inside(arguments), **options)


class Jail(Inside):
    """A running command; `log` has what it gave to syslog."""

    def __init__(self, ns, directory, root, hostname, files, command):
        """files: {"/etc/resolv.conf": "text"}; command: shell text."""
        self.ns = ns
        self.log = Lines()
        self.output = Lines()
        os.makedirs(f"{directory}/mnt")
        self._write_files(f"{directory}/files", files)
        self._syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._syslog.bind(f"{directory}/log")
        os.chmod(f"{directory}/log", 0o666)
        threading.Thread(target=self._read_syslog, daemon=True).start()
        self.process = ns.start(
            "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork",
            "--kill-child=KILL", "--propagation", "private", "--",
            # The shell stays: a daemon that changes its user would lose the
            # signal that it is to get on our death.
            _JAIL, directory, root, hostname, "/bin/sh", "-ec",
            f"{command}\nexit $?",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"})
        self.output.follow(self.process.popen.stdout)

    @staticmethod
    def _write_files(directory, files):
        os.makedirs(directory)
        for path, text in files.items():
            os.makedirs(os.path.dirname(directory + path), exist_ok=True)
            with open(directory + path, "w", encoding="utf-8") as file:
                file.write(text)

    def _read_syslog(self):
        while True:
            try:
                line = self._syslog.recv(65536)
            except OSError:
                return
            if not line:
                return
            self.log.add(line.decode("utf-8", "replace").rstrip("\n\0"))

    def wait_unpacked(self):
        """For a command that says `echo unpacked` when files are there."""
        self.output.wait(re.compile("^unpacked$"))

    def titles(self):
        """What each process inside calls itself."""
        found = []
        for path in glob.glob(f"{self.root}/proc/[0-9]*/cmdline"):
            with contextlib.suppress(OSError), open(path, "rb") as file:
                found.append(file.read().replace(b"\0", b" ").strip()
                             .decode("utf-8", "replace"))
        return found

    def close(self):
        self.process.stop()
        self._syslog.shutdown(socket.SHUT_RDWR)
        self._syslog.close()
