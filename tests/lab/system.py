# SPDX-License-Identifier: ISC
"""A whole Debian system, booted by its own systemd out of an unpacked root.

    with System(ns, ROOTS + "/system") as system:
        system.run("systemctl", "is-system-running")

`files` ({"/path": bytes}) are copied into it, and the shell text `before` is
run there, in a chroot, before it boots.

As a jail has, it has an overlay whose upper layer is a tmpfs, and process ids,
mounts and a host name of its own; its control group too, below the machine's.
One SIGKILL ends all of it.  What is on disk, and the control group, goes when
it is closed; should a SIGKILL have left them, the next one removes them.
"""

import contextlib
import fcntl
import itertools
import os
import select
import shutil
import signal
import socket
import subprocess

from lab.jail import Inside
from lab.lab import STATE, sweep
from lab.netns import Lines

_SYSTEM = os.path.join(os.path.dirname(__file__), "system.sh")
_BOOT = 60  # seconds
_numbers = itertools.count()


class System(Inside):
    """See the module's own text; ready when systemd says that it is."""

    def __init__(self, ns, root, files=(), before=":"):
        self.ns = ns
        self.output = Lines()
        self._stack = contextlib.ExitStack()
        try:
            self._boot(root, dict(files), before)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()

    def _make_directory(self, name, files):
        os.makedirs(STATE, exist_ok=True)
        sweep()
        directory = f"{STATE}/{name}"
        os.makedirs(directory)
        self._stack.callback(self._remove_directory, directory)
        lock = self._stack.enter_context(
            open(f"{directory}/lock", "w", encoding="ascii"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        for place in ("mnt", "group", "files"):
            os.mkdir(f"{directory}/{place}")
        for path, content in files.items():
            path = f"{directory}/files{path}"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content)
        return directory

    @staticmethod
    def _remove_directory(directory):
        shutil.rmtree(directory)
        with contextlib.suppress(OSError):
            os.rmdir(STATE)

    def _outside(self, *arguments):
        return ("unshare", "--mount", "--propagation", "private", "--",
                _SYSTEM, *arguments)

    def _boot(self, root, files, before):
        name = f"{os.getpid()}.system.{next(_numbers)}"
        group = f"postern-lab-{name}"
        directory = self._make_directory(name, files)
        ready = self._stack.enter_context(
            self.ns.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        ready.bind(f"\0{group}")  # a network namespace has its own of these
        self.process = self.ns.start(
            *self._outside(directory, root, group, before),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "NOTIFY_SOCKET": f"@{group}"})
        self._stack.callback(
            self.ns.run, *self._outside(directory, "sweep", group))
        self._stack.callback(self._stop)
        self.output.follow(self.process.popen.stdout)
        self._wait_ready(ready)

    def _wait_ready(self, ready):
        poll = select.poll()
        poll.register(ready, select.POLLIN)
        ended = os.pidfd_open(self.process.pid)
        self._stack.callback(os.close, ended)
        poll.register(ended, select.POLLIN)
        while ready.fileno() in dict(found := poll.poll(_BOOT * 1000)):
            if b"READY=1" in ready.recv(4096).split(b"\n"):
                return
        raise RuntimeError(("ended" if found else "no boot") + ":\n"
                           + "\n".join(self.output.lines))

    def _stop(self):
        # Its first process takes all others along, and is waited for outside:
        # only then is the control group empty.
        with contextlib.suppress(IndexError, OSError):
            os.kill(self.inner_pid, signal.SIGKILL)
            self.process.popen.wait()
        self.process.stop()

    def write(self, path, text):
        """Sets a file of the system."""
        with open(self.root + path, "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, path):
        with open(self.root + path, encoding="utf-8") as file:
            return file.read()

    def close(self):
        self._stack.close()
