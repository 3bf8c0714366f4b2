# SPDX-License-Identifier: ISC
"""postern itself, running in a namespace of the lab.

    with Gateway(lab, lab.gateway, lab.config("on_refusal = bounce")) as gate:
        ...
        gate.log.wait(re.compile("refused"))
        gate.reload(); gate.kill("postern-relay"); gate.stop()

It sees a user `postern` that the machine itself need not have.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

from lab.netns import Lines

BUILD = os.path.abspath(os.path.join(
    os.path.dirname(__file__), "../..",
    os.environ.get("POSTERN_BUILD", "build")))
# Its children run as postern, who may not be let into the build folder.
_ENTER = """
mount --bind "$1/passwd" /etc/passwd
mount --bind "$1/group" /etc/group
mount -t tmpfs -o mode=755 lab "$1/bin"
cp "$2/postern" "$2"/postern-* "$1/bin"
run=$1/bin/postern
become=$3
eval "$4"
shift 4
exec $become "$run" "$@"
"""

_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')


class Gateway:
    """A running `postern run`; ready when made."""

    def __init__(self, lab, ns, config, *, build=None, wait=True,
                 arguments=(), env=(), setup=""):
        """setup: shell text, run as root where only it sees what is
        mounted."""
        self.lab = lab
        self.ns = ns
        self.build = build or BUILD
        self.directory = lab.directory_for("gateway")
        self.config_path = f"{self.directory}/postern.conf"
        self.log = Lines()
        self.process = None
        self._arguments = arguments
        self._env = dict(env)
        self._setup = setup
        os.mkdir(f"{self.directory}/bin")
        self._add_user()
        self.configure(config)
        self._notified = Lines()
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(f"{self.directory}/notify")
        threading.Thread(target=self._read_notify, daemon=True).start()
        self.start(wait)

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def _add_user(self):
        for name, row in (("passwd", "postern:x:{0}:{0}::/nonexistent:"
                           "/usr/sbin/nologin"), ("group", "postern:x:{0}:")):
            with open(f"/etc/{name}", encoding="utf-8") as file:
                rows = [r for r in file.read().splitlines()
                        if not r.startswith("postern:")]
            with open(f"{self.directory}/{name}", "w",
                      encoding="utf-8") as file:
                file.write("\n".join([*rows, row.format(self.lab.user)])
                           + "\n")

    def _read_notify(self):
        while True:
            try:
                data = self._notify.recv(65536)
            except OSError:
                return
            if not data:
                return
            for line in data.decode("utf-8", "replace").splitlines():
                self._notified.add(line)

    def command(self, *arguments, **options):
        """Runs another `postern ...` in the same place, to its end."""
        return self.ns.run(*self._inside(arguments), **options)

    def as_user(self, *arguments, **options):
        """Runs a `postern ...` that needs no privilege, without any, as the
        user that the children run as; to its end, however it ends."""
        become = (f"setpriv --reuid={self.lab.user} --regid={self.lab.user}"
                  " --clear-groups --no-new-privs --inh-caps=-all --")
        options.setdefault("check", False)
        return self.ns.run(*self._inside(arguments, become), **options)

    def _inside(self, arguments, become=""):
        return ("unshare", "--mount", "--propagation", "private", "--",
                "/bin/sh", "-ec", _ENTER, "sh", self.directory,
                self.build, become, self._setup, *arguments)

    def configure(self, text):
        """Writes the configuration; reload makes it seen."""
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self, wait=True):
        """Starts it, anew where it was stopped, and waits until it is
        ready."""
        mark, told = self.log.mark(), self._notified.mark()
        self.process = self.ns.start(
            *self._inside(("run", "-f", "-c", self.config_path,
                           *self._arguments)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, **self._env,
                 "NOTIFY_SOCKET": f"{self.directory}/notify"})
        self.log.follow(self.process.popen.stdout)
        if wait:
            self._wait_told("READY=1", told, mark)

    def _wait_told(self, what, since, mark):
        until = time.monotonic() + 20
        pattern = re.compile(re.escape(what))
        while True:
            with contextlib.suppress(TimeoutError):
                self._notified.wait(pattern, 0.5, since)
                return
            if (self.process.popen.poll() is not None
                    or time.monotonic() > until):
                said = "\n".join(self.log.lines[mark:])
                raise RuntimeError(f"postern did not say {what}:\n{said}")

    @property
    def pid(self):
        return self.process.pid

    def children(self, name=None):
        """Process ids of the programs it runs, all or those of one name."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children",
                  encoding="ascii") as file:
            pids = [int(pid) for pid in file.read().split()]
        return [pid for pid in pids if name is None
                or os.path.basename(_program(pid)) == name]

    def kill(self, name, number=signal.SIGKILL):
        """Sends a signal to each child of that name; which they were."""
        pids = self.children(name)
        for pid in pids:
            os.kill(pid, number)
        return pids

    def verdict(self, domain, since=0):
        """The last verdict that it logged on a recipient's domain since a
        mark, as {key: value}; waits for one."""
        pattern = re.compile(rf"verdict .* to={re.escape(domain)} .*")
        self.log.wait(pattern, since=since)
        line = self.log.matching(pattern, since)[-1][0]
        return {key: value.strip('"')
                for key, value in _PAIR.findall(line)}

    def reload(self):
        """SIGHUP; returns once the new configuration is in use."""
        mark, told = self.log.mark(), self._notified.mark()
        os.kill(self.pid, signal.SIGHUP)
        self._wait_told("READY=1", told, mark)

    def stop(self, number=signal.SIGTERM, timeout=60):
        """Ends it and returns its status."""
        return self.process.stop(number, timeout)

    def close(self):
        """Ends it, and opens the road again."""
        try:
            if self.process.popen.poll() is None:
                self.stop(signal.SIGTERM, 10)
        finally:
            self.process.stop()
            self.command("rules", "remove", "-c", self.config_path,
                         check=False)
            self._notify.shutdown(socket.SHUT_RDWR)
            self._notify.close()


def _program(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""
