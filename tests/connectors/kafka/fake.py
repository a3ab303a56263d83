"""A Kafka broker of a test that heeds what a mock cluster does not: logins, and the sequence numbers of producers as Kafka heeds them.

Usage: fake.py '{"port": …, "users": {name: password}, "mechanism": …, "certificate": [chain, key], "lose": n}'.
It has a topic "t" of two partitions. With "lose" it appends each n-th batch and ends the connection instead of answering. Says its port, and a line
"PARTITION VALUE" for each record that it appends.
"""

import base64
import hashlib
import hmac
import json
import os
import socket
import ssl
import struct
import sys
import threading

said = json.loads(sys.argv[1])
lock = threading.Lock()
state = {"batches": 0, "producers": 6, "next": {}, "last": {}, "offsets": [0, 0]}


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return values[0]

    def bytes(self, form="i"):
        length = self.take(form)
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length:self.at]

    def number(self):
        shift = value = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return (value >> 1) ^ -(value & 1)


def versions(_, session):
    keys = [(0, 3, 3), (3, 4, 4), (17, 1, 1), (18, 0, 0), (22, 0, 0), (36, 0, 0)]
    return struct.pack(">hi", 0, len(keys)) + b"".join(struct.pack(">hhh", *key) for key in keys)


def metadata(asked, session):
    topics = [asked.bytes("h").decode() for _ in range(asked.take("i"))]
    broker = struct.pack(">i", 0) + struct.pack(">i", 1) + struct.pack(">i", 1) + text("127.0.0.1") + struct.pack(">i", session["port"]) + struct.pack(">h", -1)
    found = b""
    for topic in topics:
        known = topic == "t"
        found += struct.pack(">h", 0 if known else 3) + text(topic) + b"\0" + struct.pack(">i", 2 if known else 0)
        for partition in range(2 if known else 0):
            found += struct.pack(">hiiiiii", 0, partition, 1, 1, 1, 1, 1)
    return broker + struct.pack(">h", -1) + struct.pack(">i", 1) + struct.pack(">i", len(topics)) + found


def handshake(asked, session):
    mechanism = asked.bytes("h").decode()
    session["mechanism"] = mechanism
    known = [said.get("mechanism", "PLAIN")]
    return struct.pack(">hi", 0 if mechanism in known else 33, len(known)) + b"".join(map(text, known))


def authenticate(asked, session):
    proof = asked.bytes()
    answer = plain(proof) if session["mechanism"] == "PLAIN" else scram(proof, session)
    if answer is None:
        return struct.pack(">h", 58) + text("Authentication failed") + struct.pack(">i", 0)
    session["known"] = True
    return struct.pack(">hh", 0, -1) + struct.pack(">i", len(answer)) + answer


def plain(proof):
    _, name, password = proof.decode().split("\0")
    return b"" if said["users"].get(name) == password else None


def scram(proof, session):
    """RFC 5802, with the hash of the mechanism."""
    name = session["mechanism"].removeprefix("SCRAM-").replace("-", "").lower()
    mac = lambda key, data: hmac.new(key, data, name).digest()
    proof = proof.decode()
    if proof.startswith("n,,"):
        session["bare"] = proof[3:]
        fields = dict(field.split("=", 1) for field in session["bare"].split(","))
        session["user"], salt = fields["n"], os.urandom(12)
        session["salted"] = hashlib.pbkdf2_hmac(name, said["users"].get(session["user"], "").encode(), salt, 4096)
        session["first"] = f"r={fields['r']}{os.urandom(6).hex()},s={base64.b64encode(salt).decode()},i=4096"
        return session["first"].encode()
    without, shown = proof.rsplit(",p=", 1)
    whole = ",".join([session["bare"], session["first"], without]).encode()
    client_key = mac(session["salted"], b"Client Key")
    signature = mac(hashlib.new(name, client_key).digest(), whole)
    if bytes(a ^ b for a, b in zip(client_key, signature)) != base64.b64decode(shown):
        return None
    return b"v=" + base64.b64encode(mac(mac(session["salted"], b"Server Key"), whole))


def producer_id(_, session):
    with lock:
        state["producers"] += 1
        return struct.pack(">ihqh", 0, 0, state["producers"], 0)


def produce(asked, session):
    asked.bytes("h")
    assert asked.take("h") == -1, "acks of all replicas"
    asked.take("i")
    answer, count = b"", asked.take("i")
    lost = False
    for _ in range(count):
        topic, partitions, of_topic = asked.bytes("h").decode(), asked.take("i"), b""
        for _ in range(partitions):
            partition, batch = asked.take("i"), asked.bytes()
            code, offset, lose = append(partition, batch)
            lost |= lose
            of_topic += struct.pack(">ihqq", partition, code, offset, -1)
        answer += text(topic) + struct.pack(">i", partitions) + of_topic
    return None if lost else struct.pack(">i", count) + answer + struct.pack(">i", 0)


def append(partition, batch):
    """Heeds sequence numbers as Kafka does: a batch that is known is not appended, one with a gap is refused."""
    producer, epoch, base, count = struct.unpack_from(">qhii", batch, 43)
    place = (producer, partition)
    with lock:
        if (base, count) == state["last"].get(place):
            return 46, -1, False
        if producer < 0 or base != state["next"].get(place, 0):
            return 45, -1, False
        state["next"][place], state["last"][place] = base + count, (base, count)
        records = Reader(batch[61:])
        for _ in range(count):
            records.number()
            records.at += 1
            records.number(), records.number()
            for _ in range(2):
                length = records.number()
                value = records.data[records.at:records.at + max(length, 0)]
                records.at += max(length, 0)
            print(partition, value.decode(), flush=True)
            for _ in range(records.number() * 2):
                length = records.number()
                records.at += max(length, 0)
        state["batches"] += 1
        offset = state["offsets"][partition]
        state["offsets"][partition] += count
        return 0, offset, bool(said.get("lose")) and state["batches"] % said["lose"] == 0


FUNCTIONS = {0: produce, 3: metadata, 17: handshake, 18: versions, 22: producer_id, 36: authenticate}


def serve(connection, port):
    session = {"port": port, "known": "users" not in said}
    try:
        if "certificate" in said:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*said["certificate"])
            connection = context.wrap_socket(connection, server_side=True)
        stream = connection.makefile("rb")
        while len(length := stream.read(4)) == 4:
            asked = Reader(stream.read(struct.unpack(">i", length)[0]))
            key, _, number, _ = asked.take("h"), asked.take("h"), asked.take("i"), asked.bytes("h")
            if not session["known"] and key not in (17, 18, 36):
                break
            answer = FUNCTIONS[key](asked, session)
            if answer is None:
                break
            answer = struct.pack(">i", number) + answer
            connection.sendall(struct.pack(">i", len(answer)) + answer)
    except (OSError, ssl.SSLError):
        pass
    finally:
        connection.close()


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", said.get("port", 0)))
listener.listen()
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    threading.Thread(target=serve, args=(client, listener.getsockname()[1]), daemon=True).start()
