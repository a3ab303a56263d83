#!/usr/bin/env python3
"""What a message and an idle connection cost a broker over TCP, TLS, WebSocket and secure WebSocket.

    transports.py PID AUTHORITY.pem (tcp|tls|ws|wss|quic)=PORT

A new broker for each: what one leaves in the heap the next one finds. A QUIC listener is measured through the example `quic_tunnel`, whose port is given. Only the broker's processor time counts.
"""

import os
import resource
import socket
import ssl
import sys
import time

PAIRS = 50
BATCH = 32  # messages in one write
PAYLOAD = b"x" * 256
SECONDS = 3
IDLE = 1000


def packet(first, body):
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([first]) + digits + body


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


def frame(payload):
    """A masked binary frame; a mask of zeros changes nothing."""
    size = len(payload)
    head = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"\x82" + head + b"\0\0\0\0" + payload


class Connection:
    def __init__(self, kind, port, context):
        self.stream = socket.create_connection(("127.0.0.1", port))
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if kind in ("tls", "wss"):
            self.stream = context.wrap_socket(self.stream, server_hostname="localhost")
        self.is_websocket = kind in ("ws", "wss")
        self.rest = b""
        if self.is_websocket:
            self.stream.sendall(
                b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
            )
            while b"\r\n\r\n" not in self.rest:
                self.rest += self.stream.recv(4096)
            self.rest = self.rest.split(b"\r\n\r\n", 1)[1]

    def wrap(self, payload):
        return frame(payload) if self.is_websocket else payload

    def send(self, payload):
        self.stream.sendall(self.wrap(payload))

    def receive(self, count):
        """Reads this many bytes of MQTT."""
        while count > 0:
            if not self.is_websocket:
                count -= len(self.stream.recv(1 << 16))
                continue
            size, at = (self.rest[1], 2) if len(self.rest) >= 2 else (None, 0)
            if size == 126 and len(self.rest) >= 4:
                size, at = int.from_bytes(self.rest[2:4], "big"), 4
            elif size == 127 and len(self.rest) >= 10:
                size, at = int.from_bytes(self.rest[2:10], "big"), 10
            elif size is not None and size > 125:
                size = None
            if size is None or len(self.rest) < at + size:
                self.rest += self.stream.recv(1 << 16)
                continue
            self.rest = self.rest[at + size :]
            count -= size


def connect(kind, port, context, name):
    connection = Connection(kind, port, context)
    connection.send(packet(0x10, text("MQTT") + b"\x04\x02\0\0" + text(name)))
    connection.receive(4)
    return connection


def cpu(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private_bytes(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024


def throughput(kind, port, context, pid):
    publishers, subscribers = [], []
    for number in range(PAIRS):
        subscriber = connect(kind, port, context, f"s{kind}{number}")
        subscriber.send(packet(0x82, b"\0\1" + text(f"bench/{number}") + b"\0"))
        subscriber.receive(5)
        subscribers.append(subscriber)
        publishers.append(connect(kind, port, context, f"p{kind}{number}"))
    batches = [packet(0x30, text(f"bench/{number}") + PAYLOAD) * BATCH for number in range(PAIRS)]
    wrapped = [publisher.wrap(batch) for publisher, batch in zip(publishers, batches)]
    count, before, end = 0, cpu(pid), time.monotonic() + SECONDS
    while time.monotonic() < end:
        for publisher, batch in zip(publishers, wrapped):
            publisher.stream.sendall(batch)
        for subscriber, batch in zip(subscribers, batches):
            subscriber.receive(len(batch))
        count += PAIRS * BATCH
    return count / (cpu(pid) - before)


def idle(kind, port, context, pid):
    before = private_bytes(pid)
    held = [connect(kind, port, context, f"i{kind}{number}") for number in range(IDLE)]
    time.sleep(1)
    grown = private_bytes(pid) - before
    return grown / len(held)


def main():
    pid, authority = int(sys.argv[1]), sys.argv[2]
    context = ssl.create_default_context(cafile=authority)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 4 * IDLE), limit))
    for argument in sys.argv[3:]:
        kind, port = argument.split("=")
        memory = idle(kind, int(port), context, pid)
        rounds = sorted(throughput(kind, int(port), context, pid) for _ in range(3))
        print(f"{kind:5} {rounds[1] / 1000:8.0f} k messages a CPU-second ({rounds[0] / 1000:.0f} to {rounds[2] / 1000:.0f}), {memory:8.0f} B a connection", flush=True)


main()
