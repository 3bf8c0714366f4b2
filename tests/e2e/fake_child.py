#!/usr/bin/python3 -I
# SPDX-License-Identifier: ISC
"""Stands in for postern-relay, -policy or -gate, whichever it is named.

It speaks the control protocol (proxy/process_message.h) from its description,
says on stderr what it was told, and misbehaves as the file `<its path>.does`
says.  A fake relay answers each connection with its process id.
"""

import contextlib
import os
import resource
import select
import signal
import socket
import struct
import sys

(CONFIG, LISTENER, POLICY, RELAY, READY, PING, PONG, DRAIN, DRAINED,
 STATUS, GATE) = range(1, 12)
HEADER = struct.Struct("!HHI")  # type, length of the whole, id

path = sys.argv[0]
name = os.path.basename(path).removeprefix("postern-")
control = socket.socket(fileno=3)
listeners = []
channels = []
was_told = set()
is_ready = False


def say(text):
    os.write(2, f"fake {name} {os.getpid()}: {text}\n".encode())


def send(kind, number=0, fields=b""):
    control.send(HEADER.pack(kind, HEADER.size + len(fields), number) + fields)


def behaviour():
    try:
        with open(f"{path}.does", encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return "well"


does = behaviour()


def after_config():
    if does == "exit":
        os._exit(3)  # as C ends: the channel closes with the process
    if does == "sigsys":
        os.kill(os.getpid(), signal.SIGSYS)
    if does == "lie":
        send(99)
    if does == "nothing":
        say("never ready")


def drain():
    if does == "stay":
        return
    send(DRAINED)
    os._exit(0)


def take(kind, number, fields, fds):
    if kind == CONFIG:
        (generation,) = struct.unpack("!I", fields)
        say(f"CONFIG {generation}")
        if generation == 1:
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            say(f"files {limit}")
        after_config()
    elif kind == LISTENER:
        listener = socket.socket(fileno=fds[0])
        say(f"LISTENER {listener.family.name}")
        listeners.append(listener)
    elif kind in (POLICY, RELAY, GATE):
        channel = socket.socket(fileno=fds[0])
        if kind == POLICY:
            say("POLICY")
            channels[:] = []  # the one before closes
            with contextlib.suppress(BrokenPipeError):
                channel.send(f"relay {os.getpid()}".encode())
        channels.append(channel)
    elif kind == PING:
        send(PONG, number)
    elif kind == DRAIN:
        say("DRAIN")
        drain()
    was_told.add(kind)


def speak_up():
    """READY as soon as it has all that its kind needs."""
    global is_ready
    needs = ({CONFIG, LISTENER, POLICY} if name == "relay" else {CONFIG})
    if not is_ready and needs <= was_told and does != "nothing":
        is_ready = True
        send(READY)
        if name == "relay":
            send(STATUS, fields=struct.pack("!I", 3))


def serve(ready):
    if ready in listeners:
        connection, _ = ready.accept()
        with connection:
            connection.send(str(os.getpid()).encode())
        return
    data = b""
    with contextlib.suppress(ConnectionResetError):
        data = ready.recv(64)
    if data:
        say(f"channel to {data.decode()}")
    else:
        channels.remove(ready)


while True:
    readable, _, _ = select.select([control, *listeners, *channels], [], [])
    for ready in readable:
        if ready is not control:
            if ready in listeners or ready in channels:
                serve(ready)
            continue
        packet, fds, _, _ = socket.recv_fds(control, 65536, 4)
        if not packet:
            say("the parent has gone")
            os._exit(1)
        kind, length, number = HEADER.unpack_from(packet)
        assert length == len(packet)
        take(kind, number, packet[HEADER.size:], fds)
        speak_up()
