# SPDX-License-Identifier: ISC
"""The internet's web server, a stock nginx, for MTA-STS policies; and Redis.

    sts = lab.sts("a.example", mx=["mx.a.example"])      # mode enforce
    sts.update(id="2", mode="none")      # files and TXT; published
    sts.requests()                       # how often the policy was asked for
    sts.stop(); sts.start()              # its ports are closed, or not

Every policy host has addresses, a certificate and a server block of its own,
so that one may be as wrong as need be.
"""

import contextlib
import itertools
import os
import re
import socket
import subprocess
import time

from lab.jail import Jail

POLICY_PATH = "/.well-known/mta-sts.txt"
POLICY_MAX = 65536
_MARKER = "127.0.0.9"
_NGINX = """
user root;
worker_processes 1;
error_log syslog:server=unix:/dev/log,nohostname info;
events {{ worker_connections 4096; }}
http {{
    log_format lab '$server_name "$request" $status';
    access_log syslog:server=unix:/dev/log,nohostname,tag=web lab;
    server_names_hash_bucket_size 256;
    keepalive_timeout 0;
    server {{
        listen {marker}:80;
        server_name marker;
        location / {{ return 200 "{generation}"; }}
    }}
    include /web/*.conf;
}}
"""


def policy_text(mode="enforce", mx=(), max_age=604800, end="\r\n", extra=()):
    """A policy file; extra lines go to its end."""
    return end.join(["version: STSv1", f"mode: {mode}",
                     *(f"mx: {each}" for each in mx),
                     f"max_age: {max_age}", *extra, ""])


def padded(text, size, end="\r\n"):
    """The policy with unknown fields behind it that fill it up to size."""
    left = size - len(text)
    while left > 0:
        piece = min(left, 1000)
        if 0 < left - piece < 10:  # what is left must be a field, too
            piece -= 10
        text += "pad: " + "x" * (piece - 5 - len(end)) + end
        left -= piece
    return text


class Sts:
    """A domain's MTA-STS, as it is published."""

    def __init__(self, lab, web, domain, **settings):
        self.domain = domain
        self.host = f"mta-sts.{domain}"
        self.addresses = lab.new_addresses()
        self.settings = {
            "mode": "enforce", "mx": [f"mx.{domain}"], "max_age": 604800,
            "end": "\r\n", "extra": (),
            "policy": None,  # in place of those five: str, or bytes
            "id": "1",
            "ttl": 60,  # of the TXT records
            "txt": None,  # in place of that: TXT strings, any number
            "target": None,  # the policy host is a CNAME of this name
            "certificate": None,
            "status": 200, "location": None,
            "content_type": "text/plain",  # "" for none at all
            "tls": "TLSv1.2 TLSv1.3",
            "rate": 0,  # bytes a second
            "chunked": False,
            "down": False,  # its ports are closed
            "silent": False,  # or nobody speaks behind them
        }
        self._lab = lab
        self._web = web
        self._listeners = []
        self._set(settings)
        if self.settings["certificate"] is None:
            self.settings["certificate"] = lab.issue(self.host)
        self._write()

    def _set(self, settings):
        unknown = set(settings) - set(self.settings)
        if unknown:
            raise AttributeError(", ".join(unknown))
        self.settings.update(settings)

    def update(self, *, publish=True, **settings):
        """Changes what lab.sts was given; seen when it returns."""
        served = [self.settings[key] for key in self._SERVED]
        self._set(settings)
        self._write(is_new=served != [self.settings[key]
                                      for key in self._SERVED])
        if publish:
            self._lab.publish()

    def stop(self):
        self.update(down=True)

    def start(self):
        self.update(down=False)

    # What takes a reload to be seen.
    _SERVED = ("certificate", "status", "location", "content_type", "tls",
               "rate", "chunked", "down", "silent")

    @property
    def policy(self):
        """What is served, as bytes."""
        made = self.settings
        text = made["policy"]
        if text is None:
            text = policy_text(made["mode"], made["mx"], made["max_age"],
                               made["end"], made["extra"])
        return text if isinstance(text, bytes) else text.encode()

    def _write(self, is_new=True):
        self._write_dns()
        self._web.put(f"{self.host}/files{POLICY_PATH}", self.policy)
        if is_new:
            self._listen(self.settings["silent"]
                         and not self.settings["down"])
            self._write_server()

    def _write_dns(self):
        made = self.settings
        texts = made["txt"]
        if texts is None:
            texts = [f"v=STSv1; id={made['id']};"]
        zone = self._lab.dns.zone_of(self.domain)
        wanted = [f'_{self.host}. {made["ttl"]} TXT "{text}"'
                  for text in texts]
        if made["target"]:
            wanted.append(f"{self.host}. CNAME {made['target']}.")
        else:
            wanted += [f"{self.host}. {'AAAA' if ':' in a else 'A'} {a}"
                       for a in self.addresses]
        owners = (f"_{self.host}.", f"{self.host}.")
        have = [r for r in zone.records if r.split()[0] in owners]
        if have != wanted:
            zone.records = [r for r in zone.records if r not in have]
            zone.add(*wanted)

    def _listen(self, is_silent):
        while self._listeners:
            self._listeners.pop().close()
        for address in self.addresses if is_silent else ():
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            listener = self._lab.internet.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, 443))
            listener.listen(64)
            self._listeners.append(listener)

    def _write_server(self):
        made = self.settings
        if made["down"] or made["silent"]:
            self._web.remove(f"{self.host}.conf")
            return
        self._web.put(f"{self.host}/chain.pem", made["certificate"].chain_pem)
        self._web.put(f"{self.host}/key.pem", made["certificate"].key_pem)
        listens = " ".join(
            f"listen {f'[{a}]' if ':' in a else a}:443 ssl;"
            for a in self.addresses)
        lines = [listens, f"server_name {self.host};",
                 f"ssl_certificate /web/{self.host}/chain.pem;",
                 f"ssl_certificate_key /web/{self.host}/key.pem;",
                 f"ssl_protocols {made['tls']};",
                 f"root /web/{self.host}/files;", "types { }",
                 f"default_type '{made['content_type']}';"]
        if "1.1" in made["tls"] or "TLSv1 " in made["tls"] + " ":
            lines.append("ssl_ciphers ALL:@SECLEVEL=0;")
        if made["location"]:
            lines.append(f"return {made['status']} {made['location']};")
        elif made["status"] != 200:
            lines.append(f"return {made['status']};")
        if made["rate"]:
            lines.append(f"limit_rate {made['rate']};")
        if made["chunked"]:
            # What may change on the way has no length.
            lines += ["sub_filter_types *;", "sub_filter zzzz zzzz;"]
        self._web.put(f"{self.host}.conf",
                      "server {\n" + "\n".join(lines) + "\n}\n")

    def requests(self):
        """How many came and were answered so far."""
        self._web.settle()
        return len(self._web.log.matching(
            re.compile(rf"web: {re.escape(self.host)} \"")))

    def close(self):
        self._listen(False)


class Web:
    """nginx in its jail; made by Lab at the first need."""

    def __init__(self, ns, directory, root):
        self._ns = ns
        self._numbers = itertools.count(1)
        self._is_dirty = False
        self._started = False
        self._jail = Jail(ns, directory, root, "web",
                          {"/web/.keep": ""}, "echo unpacked; sleep infinity")
        self.log = self._jail.log
        self._jail.wait_unpacked()

    # Files below /web.

    def put(self, path, data):
        path = f"{self._jail.root}/web/{path}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        os.rename(path + ".new", path)
        # Policies are read when they are asked for, the rest at a reload.
        self._is_dirty |= not path.endswith(POLICY_PATH)

    def remove(self, path):
        with contextlib.suppress(FileNotFoundError):
            os.remove(f"{self._jail.root}/web/{path}")
        self._is_dirty = True

    def publish(self):
        """Has nginx serve what is new, and returns once it does."""
        if not self._is_dirty:
            return
        self._is_dirty = False
        generation = f"generation-{next(self._numbers)}"
        with open(f"{self._jail.root}/etc/nginx/nginx.conf", "w",
                  encoding="ascii") as file:
            file.write(_NGINX.format(marker=_MARKER, generation=generation))
        self._jail.run("nginx", "-t")
        if self._started:
            self._jail.run("nginx", "-s", "reload")
        else:
            # It keeps its standard error for good.
            self._jail.run("sh", "-c", "nginx 2>/dev/null")
            self._started = True
        until = time.monotonic() + 20
        while self._ask() != generation or self._serving() > 1:
            if time.monotonic() > until:
                raise TimeoutError("nginx does not reload:\n"
                                   + "\n".join(self.log.lines[-20:]))
            # Its old workers go when they please.
            time.sleep(0.005)

    def _serving(self):
        """Workers that still take connections."""
        return self._jail.titles().count("nginx: worker process")

    def _ask(self, path="/"):
        with contextlib.suppress(OSError), \
                self._ns.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect((_MARKER, 80))
            sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = b""
            while piece := sock.recv(4096):
                answer += piece
            return answer.decode().rpartition("\r\n\r\n")[2]
        return None

    def settle(self):
        """Returns when all requests that were answered are in the log: its
        one worker logs them in their order."""
        path = f"/settle-{next(self._numbers)}"
        self._ask(path)
        self.log.wait(re.compile(re.escape(path) + " "))

    # Redis lives here too.

    def run(self, *arguments, **options):
        return self._jail.run(*arguments, **options)

    def start(self, *arguments, **options):
        return self._jail.start(*arguments, **options)

    def close(self):
        self._jail.close()


class Redis:
    """A redis-server; running when made."""

    def __init__(self, web, addresses, password=None):
        self.addresses = addresses
        self.password = password
        self._web = web
        self._pidfile = f"/run/redis-{addresses[0]}.pid"
        self.start()

    def _url(self, host):
        user = f":{self.password}@" if self.password else ""
        return f"redis://{user}{host}:6379"

    @property
    def url(self):
        return self._url(self.addresses[0])

    @property
    def url6(self):
        return self._url(f"[{self.addresses[1]}]")

    def start(self):
        options = ["--requirepass", self.password] if self.password else []
        self._web.run("redis-server", "--daemonize", "yes", "--bind",
                      *self.addresses, "--port", 6379, "--save", "",
                      "--appendonly", "no", "--protected-mode", "no",
                      "--pidfile", self._pidfile, *options)
        until = time.monotonic() + 20
        while self.cli("ping", check=False).strip() != "PONG":
            if time.monotonic() > until:
                raise TimeoutError("redis-server does not answer")
            time.sleep(0.005)

    def cli(self, *command, check=True):
        """What it answers to a command."""
        secret = ["--no-auth-warning", "-a", self.password] \
            if self.password else []
        return self._web.run("redis-cli", "-h", self.addresses[0], *secret,
                             *command, check=check).stdout

    def _signal(self, name):
        self._web.run("sh", "-c", f"kill -{name} $(cat {self._pidfile})")

    def kill(self):
        """It is gone, and so is all that it knew."""
        self._signal("KILL")
        until = time.monotonic() + 20
        while self.cli("ping", check=False).strip() == "PONG":
            if time.monotonic() > until:
                raise TimeoutError("redis-server does not die")

    def freeze(self):
        """It takes connections, and says nothing."""
        self._signal("STOP")

    def thaw(self):
        self._signal("CONT")

    def close(self):
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            self._signal("KILL")
