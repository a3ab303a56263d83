"""A server for the tests of routes of type SQLSERVER: TDS 7.4 and 8.0 over SQLite.

server.py serve PORT FILE [CERTIFICATE KEY [required]]   serves a database, with TLS where there is a certificate
server.py sql FILE STATEMENTS                            runs statements without a server, and shows their rows
server.py ask PORT HOW AUTHORITY                         asks a server with the client `python-tds`, of other people
"""

import itertools
import socket
import ssl
import struct
import sys
import threading
import time

import tds
from engine import Engine
from tds import Channel, Gone, GivenUp, Login, Reader, Refused

USER, PASSWORD, DATABASE = "app", "correct-password", "plant"
OFF, ON, NOT_SUPPORTED, REQUIRED = 0, 1, 2, 3
HAS_MORE, IS_ERROR, HAS_COUNT, IS_GIVEN_UP = 1, 2, 16, 32
DESCRIPTORS = itertools.count(1)


class Connection:
    def __init__(self, sock, settings):
        self.channel, self.settings = Channel(sock), settings
        self.engine, self.descriptor = None, 0

    def serve(self):
        try:
            self.log_in()
            while True:
                kind, message = self.channel.message()
                self.message(kind, message)
        except (Gone, OSError, ssl.SSLError):
            pass
        finally:
            if self.engine:
                self.engine.close()
            self.channel.sock.close()

    def log_in(self):
        channel, settings = self.channel, self.settings
        channel.fill()
        is_strict = channel.buffer[:1] == b"\x16"
        if is_strict:
            if not settings.certificate:
                raise Gone
            channel.begin_tls(settings.context(ssl.TLSVersion.TLSv1_3, ["tds/8.0"]), False)
            if channel.tls.selected_alpn_protocol() != "tds/8.0":
                raise Gone
        kind, message = channel.message()
        if kind != tds.PRELOGIN:
            raise Gone
        asked = tds.prelogin_encryption(message)
        answer = NOT_SUPPORTED
        if settings.certificate and not is_strict:
            answer = {OFF: REQUIRED if settings.is_required else OFF, ON: ON, REQUIRED: ON}.get(asked, REQUIRED if settings.is_required else NOT_SUPPORTED)
        channel.send(tds.ANSWER, tds.prelogin_answer(answer))
        if answer in (OFF, ON, REQUIRED) and asked != NOT_SUPPORTED:
            channel.begin_tls(settings.context(ssl.TLSVersion.TLSv1_2, None), True)
        kind, message = channel.message()
        if kind != tds.LOGIN:
            raise Gone
        if answer == OFF:
            channel.end_tls()
        login = Login(message)
        if login.user != USER or login.password != PASSWORD:
            self.refuse([Refused(18456, f"Login failed for user '{login.user}'.", 14)])
        if login.database.lower() not in ("", DATABASE):
            self.refuse([Refused(4060, f'Cannot open database "{login.database}" requested by the login. The login failed.', 11), Refused(18456, f"Login failed for user '{login.user}'.", 14)])
        login.database = DATABASE
        packet_bytes = min(max(login.packet_bytes, 512), 8000) or 4096
        self.engine = Engine(settings.file)
        self.engine.wait = self.wait
        self.engine.is_encrypted = channel.tls is not None
        channel.send(tds.ANSWER, tds.login_taken(login, packet_bytes) + tds.done())
        channel.packet_bytes = packet_bytes

    def refuse(self, errors):
        self.channel.send(tds.ANSWER, b"".join(map(tds.error, errors)) + tds.done(status=IS_ERROR))
        raise Gone

    def wait(self, seconds):
        """Waits, as long as the client does not give the statement up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.channel.is_given_up():
                raise GivenUp
            time.sleep(0.02)

    def message(self, kind, message):
        if kind == tds.ATTENTION:
            self.channel.send(tds.ANSWER, tds.done(status=IS_GIVEN_UP))
            return
        try:
            said = self.batch(message) if kind == tds.BATCH else self.call(message)
        except GivenUp:
            self.channel.message()
            self.abort()
            said = self.changed() + tds.done(status=IS_GIVEN_UP)
        self.channel.send(tds.ANSWER, said)

    def abort(self):
        if self.engine.transactions:
            self.engine.rollback()

    def headers(self, message):
        """What is behind the headers, whose transaction must be the one that is open."""
        total, _, kind, descriptor, _ = struct.unpack("<IIHQI", message[:22])
        if total != 22 or kind != 2 or descriptor != self.descriptor:
            raise Refused(3971, f"The server failed to resume the transaction. Desc:{descriptor}.", 16)
        return message[22:]

    def batch(self, message):
        try:
            sql = self.headers(message).decode("utf-16-le")
        except Refused as refused:
            return tds.error(refused) + tds.done(status=IS_ERROR)
        return self.results(sql, {}, 0xFD)

    def call(self, message):
        try:
            reader = Reader(self.headers(message))
            length = reader.number("H")
            name = reader.number("H") if length == 0xFFFF else reader.take(2 * length).decode("utf-16-le")
            reader.number("H")
            given = []
            while reader.has_more():
                given.append(reader.parameter())
            if name not in (10, "sp_executesql"):
                raise Refused(2812, f"Could not find stored procedure '{name}'.")
            if len(given) > 2100:
                raise Refused(8003, "The incoming request has too many parameters. The server supports a maximum of 2100 parameters.")
            (_, sql), *rest = given
            declared = rest[0][1].split(",") if rest else []
            names = [part.split()[0].lstrip("@") for part in rest[0][1].split("@")[1:]] if declared else []
            values = [value for _, value in rest[1:]]
            if len(names) != len(values) or any(name and name.lstrip("@") != declared for (name, _), declared in zip(rest[1:], names)):
                raise Refused(8178, "The parameterized query expects parameters which were not supplied.")
        except Refused as refused:
            return tds.error(refused) + tds.done(0xFE, IS_ERROR)
        return self.results(sql, dict(zip(names, values)), 0xFF) + b"\x79" + struct.pack("<i", 0) + tds.done(0xFE)

    def results(self, sql, parameters, token):
        more = HAS_MORE if token == 0xFD else HAS_MORE
        said = []
        try:
            for described, rows, count, is_select in self.engine.run(sql, parameters):
                if described is not None:
                    said.append(tds.columns(described))
                    said.extend(tds.row(described, row) for row in rows)
                command = 0xC1 if is_select else 0xC3
                said.append(tds.done(token, HAS_COUNT | more, command, count))
        except Refused as refused:
            # Of XACT_ABORT.
            self.abort()
            said.append(tds.error(refused))
            said.append(tds.done(token, IS_ERROR | more))
        said.append(self.changed())
        if token == 0xFD:
            said.append(tds.done())
        return b"".join(said)

    def changed(self):
        """What the client must know of its transaction."""
        if self.engine.transactions and not self.descriptor:
            self.descriptor = 0x3300000000 + next(DESCRIPTORS)
            return tds.change(8, b"\x08" + struct.pack("<Q", self.descriptor))
        if not self.engine.transactions and self.descriptor:
            old, self.descriptor = struct.pack("<Q", self.descriptor), 0
            return tds.change(10, b"\0", b"\x08" + old)
        return b""


class Settings:
    def __init__(self, file, certificate=None, key=None, is_required=None):
        self.file, self.certificate, self.key, self.is_required = file, certificate, key, is_required

    def context(self, version, protocols):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        # Version 7 of TDS knows 1.2 at most.
        context.maximum_version = version
        if protocols:
            context.set_alpn_protocols(protocols)
        return context


def serve(port, *settings):
    listener = socket.create_server(("127.0.0.1", int(port)), backlog=64)
    settings = Settings(*settings)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(sock, settings).serve, daemon=True).start()


def shown(value):
    if value is None:
        return "NULL"
    return value.hex().upper() if isinstance(value, bytes) else str(value)


def sql(file, statements):
    for _, rows, _, _ in Engine(file).run(statements):
        for row in rows:
            print("|".join(map(shown, row)))


def ask(port, how, authority):
    """The protocol in the words of others: their client logs in, writes and reads what a route does."""
    import datetime
    import decimal
    import uuid

    import pytds

    secure = {"plain": {}, "login": {"cafile": authority, "enc_login_only": True}, "tls": {"cafile": authority}}[how]
    with pytds.connect("localhost", DATABASE, USER, PASSWORD, port=int(port), validate_host=False, autocommit=True, **secure) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT encrypt_option FROM sys.dm_exec_connections WHERE session_id = @@SPID")
        print(cursor.fetchall()[0][0])
        cursor.execute("CREATE TABLE others (id int PRIMARY KEY, t nvarchar(40), n decimal(20,10), b varbinary(max), at datetime2(3), u uniqueidentifier, f float)")
        at = datetime.datetime(2026, 1, 5, 10, 0, 0, 125000)
        row = (1, "o'hara ü 😀", decimal.Decimal("-12.5000000001"), pytds.Binary(b"\0\xff"), at, uuid.UUID(int=7), 1e-7)
        cursor.execute("INSERT INTO others VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
        cursor.execute("SELECT id, t, n, b, at, u, f FROM others")
        assert cursor.fetchall() == [row]
        cursor.execute("INSERT INTO others (id) VALUES (2)")
        cursor.execute("SELECT t, n, b FROM others WHERE id = %s", (2,))
        assert cursor.fetchall() == [(None, None, None)]
        kinds = "CAST('2026-01-05' AS date), CAST('10:00:00.5' AS time(1)), CAST('2026-01-05T10:00:00' AS datetime), CAST('-1.25' AS money), CAST('x' AS varchar(max)), CAST('<a/>' AS xml), CAST(NULL AS int), CAST(7 AS sql_variant)"
        cursor.execute(f"SELECT {kinds}")
        expected = (at.date(), datetime.time(10, 0, 0, 500000), at.replace(microsecond=0), decimal.Decimal("-1.25"), "x", "<a/>", None, "7")
        assert cursor.fetchall() == [expected]
        try:
            cursor.execute("INSERT INTO others (id) VALUES (1)")
        except pytds.IntegrityError as error:
            print(error.number)
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("UPDATE others SET t = N'y'")
        assert cursor.rowcount == 2
        cursor.execute("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION")
        cursor.execute("SELECT t FROM others WHERE id = 2")
        assert cursor.fetchall() == [(None,)]
        cursor.execute("SELECT REPLICATE('x', 100000)")
        print(len(cursor.fetchall()[0][0]))
    try:
        pytds.connect("localhost", DATABASE, USER, "wrong", port=int(port), validate_host=False, **secure)
    except pytds.Error as error:
        print(error)


if __name__ == "__main__":
    {"serve": serve, "sql": sql, "ask": ask}[sys.argv[1]](*sys.argv[2:])
