"""The protocol of SQL Server on the server's side, as [MS-TDS] has it: packets, TLS within them, the login, types of values, tokens of results."""

import datetime
import decimal
import select
import ssl
import struct
import uuid

BATCH, CALL, ANSWER, ATTENTION, LOGIN, PRELOGIN = 1, 3, 4, 6, 16, 18
COLLATION = bytes([0x09, 0x04, 0xD0, 0x00, 0x34])
EPOCH_1900, EPOCH_1 = datetime.date(1900, 1, 1), datetime.date(1, 1, 1)


class Gone(Exception):
    """The client has ended the connection."""


class Refused(Exception):
    """An error that the client is told."""

    def __init__(self, number, message, severity=16):
        super().__init__(message)
        self.number, self.message, self.severity = number, message, severity


class GivenUp(Exception):
    """The client has given a statement up."""


class Channel:
    """A connection: bytes, in TLS or not, and packets of them."""

    def __init__(self, sock):
        self.sock, self.tls, self.buffer = sock, None, b""
        self.packet_bytes = 4096

    def fill(self):
        """Takes what comes; plain text of it."""
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        if self.tls is None:
            self.buffer += data
            return
        self.incoming.write(data)
        self.decrypt()

    def decrypt(self):
        """Takes what has come in TLS."""
        while True:
            try:
                plain = self.tls.read(65536)
            except ssl.SSLWantReadError:
                return
            except ssl.SSLZeroReturnError:
                raise Gone from None
            if not plain:
                raise Gone
            self.buffer += plain

    def take(self, count):
        while len(self.buffer) < count:
            self.fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def write(self, data):
        if self.tls is not None:
            self.tls.write(data)
            data = self.outgoing.read()
        self.sock.sendall(data)

    def message(self):
        """The next message: its type and what is in it."""
        whole = b""
        while True:
            kind, status, length, _, _, _ = struct.unpack(">BBHHBB", self.take(8))
            whole += self.take(length - 8)
            if status & 1:
                return kind, whole

    def send(self, kind, message):
        room, packets = self.packet_bytes - 8, []
        for at in range(0, len(message), room) or [0]:
            part, is_last = message[at : at + room], at + room >= len(message)
            number = len(packets) + 1
            packets.append(struct.pack(">BBHHBB", kind, 1 if is_last else 0, len(part) + 8, 0, number % 256, 0) + part)
        self.write(b"".join(packets))

    def is_given_up(self):
        """Whether the client says that a statement is to be given up."""
        if not self.buffer and select.select([self.sock], [], [], 0)[0]:
            self.fill()
        return self.buffer[:1] == bytes([ATTENTION])

    def begin_tls(self, context, in_packets):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        early, self.buffer = self.buffer, b""
        if early and in_packets:
            raise Gone
        self.incoming.write(early)
        while True:
            try:
                tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                is_done = False
            records = self.outgoing.read()
            if records and in_packets:
                self.send(PRELOGIN, records)
            elif records:
                self.sock.sendall(records)
            if is_done:
                self.tls = tls
                # What comes behind the handshake may have come with its end.
                self.decrypt()
                return
            if in_packets:
                kind, records = self.message()
                if kind != PRELOGIN:
                    raise Gone
                self.incoming.write(records)
            else:
                data = self.sock.recv(65536)
                if not data:
                    raise Gone
                self.incoming.write(data)

    def end_tls(self):
        """What comes from now on is plain: TLS was of the login alone."""
        self.tls = None


def text(value):
    return value.encode("utf-16-le")


def short_text(value):
    return bytes([len(text(value)) // 2]) + text(value)


def long_text(value):
    return struct.pack("<H", len(text(value)) // 2) + text(value)


def prelogin_encryption(message):
    at = 0
    while message[at] != 0xFF:
        option, offset, length = struct.unpack(">BHH", message[at : at + 5])
        if option == 1 and length:
            return message[offset]
        at += 5
    return 2


def prelogin_answer(encryption):
    options = [(0, bytes([16, 0, 0x10, 0, 0, 0])), (1, bytes([encryption])), (2, b"\0"), (3, b""), (4, b"\0")]
    head, values, at = b"", b"", 5 * len(options) + 1
    for option, value in options:
        head += struct.pack(">BHH", option, at, len(value))
        values += value
        at += len(value)
    return head + b"\xff" + values


class Login:
    """A LOGIN7."""

    def __init__(self, message):
        self.version, self.packet_bytes = struct.unpack("<II", message[4:12])

        def field(place):
            at, length = struct.unpack("<HH", message[36 + 4 * place : 40 + 4 * place])
            return message[at : at + 2 * length]

        def swap(byte):
            byte ^= 0xA5
            return (byte >> 4 | byte << 4) & 0xFF

        self.user, self.database = field(1).decode("utf-16-le"), field(8).decode("utf-16-le")
        self.password = bytes(swap(byte) for byte in field(2)).decode("utf-16-le")
        self.application = field(3).decode("utf-16-le")


def change(kind, new, old=b"\0"):
    body = bytes([kind]) + new + old
    return b"\xe3" + struct.pack("<H", len(body)) + body


def login_taken(login, packet_bytes):
    version = struct.pack(">I", 0x08000000 if login.version == 0x08000000 else 0x74000004)
    name = b"\x01" + version + short_text("Test of lotmq") + bytes([16, 0, 0x10, 0])
    said = change(1, short_text(login.database), short_text("master"))
    said += info(5701, f"Changed database context to '{login.database}'.")
    said += change(7, bytes([5]) + COLLATION)
    said += b"\xad" + struct.pack("<H", len(name)) + name
    return said + change(4, short_text(str(packet_bytes)), short_text("4096"))


def told(token, number, message, severity):
    body = struct.pack("<iBB", number, 1, severity) + long_text(message)
    body += short_text("test") + b"\0" + struct.pack("<I", 1)
    return bytes([token]) + struct.pack("<H", len(body)) + body


def error(refused):
    return told(0xAA, refused.number, refused.message, refused.severity)


def info(number, message):
    return told(0xAB, number, message, 0)


def done(token=0xFD, status=0, command=0, count=0):
    return bytes([token]) + struct.pack("<HHQ", status, command, count)


# Types: a name as in a definition, with its length, precision and scale.

SIZES = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
TEXTS = {"varchar": 0xA7, "char": 0xAF, "nvarchar": 0xE7, "nchar": 0xEF}
BYTES = {"varbinary": 0xA5, "binary": 0xAD, "rowversion": 0xAD}
CLOCK_BYTES = [3, 3, 3, 4, 4, 5, 5, 5]
MAX = 0xFFFF


class Kind:
    """A type of a column or a parameter."""

    def __init__(self, name, length=None, precision=18, scale=0):
        self.name, self.length, self.precision, self.scale = name, length, precision, scale

    def __repr__(self):
        return f"{self.name}({self.length},{self.precision},{self.scale})"

    def info(self):
        name = self.name
        if name in SIZES:
            return bytes([0x26, SIZES[name]])
        if name == "bit":
            return bytes([0x68, 1])
        if name in ("float", "real"):
            return bytes([0x6D, 8 if name == "float" else 4])
        if name in ("money", "smallmoney"):
            return bytes([0x6E, 8 if name == "money" else 4])
        if name in ("decimal", "numeric"):
            return bytes([0x6A if name == "decimal" else 0x6C, 17, self.precision, self.scale])
        if name in ("datetime", "smalldatetime"):
            return bytes([0x6F, 8 if name == "datetime" else 4])
        if name == "date":
            return b"\x28"
        if name in ("time", "datetime2", "datetimeoffset"):
            return bytes([{"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}[name], self.scale])
        if name == "uniqueidentifier":
            return bytes([0x24, 16])
        if name in TEXTS:
            length = MAX if self.length is None else self.length * (2 if name[0] == "n" else 1)
            return bytes([TEXTS[name]]) + struct.pack("<H", length) + COLLATION
        if name in BYTES:
            return bytes([BYTES[name]]) + struct.pack("<H", MAX if self.length is None else self.length)
        if name == "xml":
            return b"\xf1\0"
        if name == "text":
            return b"\x23" + struct.pack("<I", 0x7FFFFFFF) + COLLATION + b"\1" + long_text("t")
        if name == "sql_variant":
            return b"\x62" + struct.pack("<I", 8009)
        raise Refused(2715, f"Cannot find data type {name}.")

    def is_in_pieces(self):
        return self.name == "xml" or (self.name in TEXTS or self.name in BYTES) and self.length is None

    def null(self):
        if self.is_in_pieces():
            return b"\xff" * 8
        if self.name in TEXTS or self.name in BYTES:
            return b"\xff\xff"
        return bytes(4) if self.name == "sql_variant" else b"\0"

    def encoded(self, value):
        if value is None:
            return self.null()
        data = self.raw(value)
        if self.is_in_pieces():
            # In several pieces, of which the length is not said.
            parts = (data[at : at + 5000] for at in range(0, len(data), 5000))
            pieces = (struct.pack("<I", len(part)) + part for part in parts)
            return struct.pack("<Q", 0xFFFFFFFFFFFFFFFE) + b"".join(pieces) + bytes(4)
        if self.name in TEXTS or self.name in BYTES:
            return struct.pack("<H", len(data)) + data
        if self.name == "text":
            return b"\x10" + b"p" * 16 + b"t" * 8 + struct.pack("<I", len(data)) + data
        if self.name == "sql_variant":
            whole = b"\xe7\x07" + COLLATION + struct.pack("<H", 8000) + text(str(value))
            return struct.pack("<I", len(whole)) + whole
        return bytes([len(data)]) + data

    def raw(self, value):
        name = self.name
        if name in SIZES:
            return int(value).to_bytes(SIZES[name], "little", signed=name != "tinyint")
        if name == "bit":
            return bytes([int(value)])
        if name in ("float", "real"):
            return struct.pack("<d" if name == "float" else "<f", float(value))
        if name in ("money", "smallmoney"):
            amount = int(decimal.Decimal(value) * 10000)
            if name == "smallmoney":
                return struct.pack("<i", amount)
            return struct.pack("<iI", amount >> 32, amount & 0xFFFFFFFF)
        if name in ("decimal", "numeric"):
            number = decimal.Decimal(value).scaleb(self.scale)
            return bytes([number >= 0]) + abs(int(number)).to_bytes(16, "little")
        if name == "datetime":
            at = datetime.datetime.fromisoformat(value)
            clock = at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1e6
            return struct.pack("<iI", (at.date() - EPOCH_1900).days, round(clock * 300))
        if name == "smalldatetime":
            at = datetime.datetime.fromisoformat(value)
            return struct.pack("<HH", (at.date() - EPOCH_1900).days, at.hour * 60 + at.minute)
        if name == "date":
            return self.day(datetime.date.fromisoformat(value))
        if name == "time":
            return self.clock(datetime.time.fromisoformat(value))
        if name == "datetime2":
            at = datetime.datetime.fromisoformat(value)
            return self.clock(at.time()) + self.day(at.date())
        if name == "datetimeoffset":
            at = datetime.datetime.fromisoformat(value)
            minutes = int(at.utcoffset().total_seconds() // 60)
            at = at.astimezone(datetime.timezone.utc)
            return self.clock(at.time()) + self.day(at.date()) + struct.pack("<h", minutes)
        if name == "uniqueidentifier":
            return uuid.UUID(value).bytes_le
        if name in BYTES:
            return bytes(value)
        return value.encode("cp1252") if name in ("varchar", "char", "text") else text(str(value))

    def day(self, day):
        return (day - EPOCH_1).days.to_bytes(3, "little")

    def clock(self, clock):
        micros = ((clock.hour * 60 + clock.minute) * 60 + clock.second) * 1_000_000 + clock.microsecond
        return (micros * 10 // 10 ** (7 - self.scale)).to_bytes(CLOCK_BYTES[self.scale], "little")


def columns(described):
    """The token that describes columns: pairs of a name and a kind."""
    out = b"\x81" + struct.pack("<H", len(described))
    for name, kind in described:
        out += struct.pack("<IH", 0, 9) + kind.info() + short_text(name)
    return out


def row(described, values):
    if any(value is None for value in values):
        bits = bytearray((len(values) + 7) // 8)
        for place, value in enumerate(values):
            bits[place // 8] |= (value is None) << (place % 8)
        parts = (kind.encoded(value) for (_, kind), value in zip(described, values) if value is not None)
        return b"\xd2" + bytes(bits) + b"".join(parts)
    return b"\xd1" + b"".join(kind.encoded(value) for (_, kind), value in zip(described, values))


class Reader:
    """What a client says in a call."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        if len(taken) < count:
            raise Refused(4002, "The incoming tabular data stream (TDS) protocol stream is incorrect.", 20)
        self.at += count
        return taken

    def number(self, form):
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def short_text(self):
        return self.take(2 * self.number("B")).decode("utf-16-le")

    def has_more(self):
        return self.at < len(self.data)

    def pieces(self):
        if self.number("Q") == 0xFFFFFFFFFFFFFFFF:
            return None
        whole = b""
        while length := self.number("I"):
            whole += self.take(length)
        return whole

    def parameter(self):
        """A parameter's name and its value, as Python has it."""
        name, _, token = self.short_text(), self.number("B"), self.number("B")
        if token in (0x26, 0x68, 0x6D, 0x24, 0x6E, 0x6F):
            self.take(1)
            data = self.take(self.number("B"))
            if not data:
                return name, None
            if token == 0x6D:
                return name, struct.unpack("<d" if len(data) == 8 else "<f", data)[0]
            if token == 0x24:
                return name, str(uuid.UUID(bytes_le=data)).upper()
            number = int.from_bytes(data, "little", signed=len(data) > 1)
            return name, bool(number) if token == 0x68 else number
        if token in (0x6A, 0x6C):
            _, _, scale = self.take(3)
            data = self.take(self.number("B"))
            if not data:
                return name, None
            number = decimal.Decimal(int.from_bytes(data[1:], "little")).scaleb(-scale, decimal.Context(prec=60))
            return name, number if data[0] else -number
        if token in (0xE7, 0xA7, 0xA5, 0xEF, 0xAF, 0xAD):
            length = self.number("H")
            if token not in (0xA5, 0xAD):
                self.take(5)
            if length == MAX:
                data = self.pieces()
            else:
                size = self.number("H")
                data = None if size == MAX else self.take(size)
            if data is None or token in (0xA5, 0xAD):
                return name, data
            return name, data.decode("utf-16-le" if token in (0xE7, 0xEF) else "cp1252")
        if token in (0x28, 0x29, 0x2A, 0x2B):
            scale = 0 if token == 0x28 else self.number("B")
            data = self.take(self.number("B"))
            if not data:
                return name, None
            return name, moment(token, scale, data)
        raise Refused(8009, f"a parameter of type {token:#x}")


def moment(token, scale, data):
    offset = 0
    if token == 0x2B:
        data, offset = data[:-2], struct.unpack("<h", data[-2:])[0]
    day = None
    if token != 0x29:
        data, day = data[:-3], EPOCH_1 + datetime.timedelta(int.from_bytes(data[-3:], "little"))
    if token == 0x28:
        return day.isoformat()
    micros = int.from_bytes(data, "little") * 10 ** (7 - scale) // 10
    clock = datetime.timedelta(microseconds=micros)
    if token == 0x29:
        return (datetime.datetime.min + clock).time().isoformat()
    whole = datetime.datetime.combine(day, datetime.time()) + clock
    if token == 0x2A:
        return whole.isoformat()
    zone = datetime.timezone(datetime.timedelta(minutes=offset))
    return whole.replace(tzinfo=datetime.timezone.utc).astimezone(zone).isoformat()
