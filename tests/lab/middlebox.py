# SPDX-License-Identifier: ISC
"""A box in the path that rewrites SMTP, such as one that strips STARTTLS.

It sits in the internet's namespace: an nft rule there leads what comes in for
the given addresses to it, and it dials the real server itself.
"""

import contextlib
import itertools
import socket
import threading

_numbers = itertools.count(1)


def strip_starttls(data):
    """What PIX and its like do, to the offer and to the command."""
    return data.replace(b"STARTTLS", b"XXXXXXXA")


def unchanged(data):
    return data


class Middlebox:
    """rewrite_replies is called with each piece of what the server says,
    rewrite_commands with each of the client's."""

    def __init__(self, ns, addresses, rewrite_replies=strip_starttls,
                 rewrite_commands=strip_starttls, port=2525):
        self.rewrite_replies = rewrite_replies
        self.rewrite_commands = rewrite_commands
        self._ns = ns
        self._table = f"middlebox{next(_numbers)}"
        self._listeners = []
        rules = []
        for address in addresses:
            family, kind, there = (
                (socket.AF_INET6, "ip6", f"[{address}]:{port}")
                if ":" in address
                else (socket.AF_INET, "ip", f"{address}:{port}"))
            listener = ns.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            listener.listen(64)
            self._listeners.append(listener)
            rules.append(f"{kind} daddr {address} tcp dport 25"
                         f" dnat {kind} to {there}")
            threading.Thread(target=self._accept,
                             args=(listener, (address, 25)),
                             daemon=True).start()
        # A locally made connection does not pass prerouting.
        ns.run("nft", "-f", "-", stdin=f"""
            table inet {self._table} {{
                chain divert {{
                    type nat hook prerouting priority dstnat;
                    {chr(10).join(rules)}
                }}
            }}""")

    def _accept(self, listener, target):
        while True:
            try:
                client, _peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client, target),
                             daemon=True).start()

    def _relay(self, client, target):
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        server = self._ns.socket(family, socket.SOCK_STREAM)
        with client, server, contextlib.suppress(OSError):
            server.connect(target)
            back = threading.Thread(
                target=_copy, args=(server, client, self.rewrite_replies))
            back.start()
            _copy(client, server, self.rewrite_commands)
            back.join()

    def close(self):
        self._ns.run("nft", "delete", "table", "inet", self._table)
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


def _copy(source, target, rewrite):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(rewrite(data))
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
