"""A server of MongoDB's wire protocol for tests: documents in memory and in a journal, logins, errors by document, members of a replica set.

    server.py FOLDER

FOLDER has `server.json`, which is read when the server begins, and `now.json`, which is read before each command and may be missing. The documents are
in FOLDER/journal, so that a server that was killed has them again. Its messages and values are those of pymongo's `bson`, and the tests speak to it with
pymongo as well as with the connector.
"""

import asyncio
import json
import ssl
import struct
import sys
from pathlib import Path

import bson
from bson.codec_options import CodecOptions
from bson.int64 import Int64

from matching import lookup, matches, sort_key
from scram import Exchange

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
OPTIONS = CodecOptions(tz_aware=True)

# Commands that nobody needs a login for.
OPEN = {"hello", "ismaster", "saslstart", "saslcontinue", "ping", "buildinfo", "endsessions"}
WRITING = {"insert", "update", "delete", "drop"}


class Refused(Exception):
    """An error that a command is answered with."""

    def __init__(self, code, name, text, **more):
        super().__init__(text)
        self.reply = {"ok": 0.0, "errmsg": text, "code": code, "codeName": name, **more}


class Collection:
    """Documents by their identifiers, in the order in which they came."""

    def __init__(self):
        self.documents = {}

    @staticmethod
    def key(identifier):
        return bson.encode({"": identifier})


class Store:
    """All collections, and the journal by which they come again."""

    def __init__(self, path):
        self.collections = {}
        if path.exists():
            whole = path.read_bytes()
            at = 0
            # What was being written when the server was killed is not there.
            while at + 4 <= len(whole):
                length = struct.unpack_from("<i", whole, at)[0]
                if at + length > len(whole):
                    break
                self.apply(bson.decode(whole[at : at + length], OPTIONS))
                at += length
            whole = whole[:at]
            path.write_bytes(whole)
        self.journal = path.open("ab", buffering=0)

    def of(self, database, name):
        return self.collections.setdefault(f"{database}.{name}", Collection()).documents

    def apply(self, entry):
        documents = self.collections.setdefault(entry["c"], Collection()).documents
        if entry["o"] == "put":
            documents[Collection.key(entry["d"]["_id"])] = entry["d"]
        elif entry["o"] == "remove":
            documents.pop(Collection.key(entry["d"]), None)

    def note(self, entries):
        """Makes changes, all of which are in the journal before anybody is told of one."""
        self.journal.write(b"".join(bson.encode(entry) for entry in entries))
        for entry in entries:
            self.apply(entry)


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.settings = json.loads((folder / "server.json").read_text())
        self.store = Store(folder / "journal")
        self.cursors = {}
        self.next_cursor = 1
        self.asked = {}

    def now(self):
        try:
            return json.loads((self.folder / "now.json").read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}

    def bound(self, name, without):
        return self.settings.get(name, without)

    def hello(self, command, now):
        role = now.get("role", self.settings.get("role", "standalone"))
        reply = {
            "helloOk": True,
            "isWritablePrimary": role != "secondary",
            "ismaster": role != "secondary",
            "maxBsonObjectSize": self.bound("document_bytes", 16 * 1024 * 1024),
            "maxMessageSizeBytes": self.bound("message_bytes", 48_000_000),
            "maxWriteBatchSize": self.bound("batch", 100_000),
            "minWireVersion": 0,
            "maxWireVersion": self.bound("wire_version", 21),
            "readOnly": False,
            "ok": 1.0,
        }
        if "set" in self.settings:
            reply |= {
                "setName": self.settings["set"],
                "setVersion": 1,
                "secondary": role == "secondary",
                "hosts": self.settings["hosts"],
                "me": self.settings["me"],
            }
            primary = now.get("primary", self.settings["me"] if role != "secondary" else None)
            if primary:
                reply["primary"] = primary
        wanted = command.get("saslSupportedMechs")
        if wanted:
            user = self.settings.get("users", {}).get(wanted.split(".", 1)[1], {})
            reply["saslSupportedMechs"] = user.get("mechanisms", [])
        return reply

    def run(self, command, database, login):
        name = next(iter(command)).lower()
        now = self.now()
        self.asked[name] = self.asked.get(name, 0) + 1
        if name in ("hello", "ismaster"):
            if name == "hello" and self.settings.get("old"):
                raise Refused(59, "CommandNotFound", "no such command: 'hello'")
            return self.hello(command, now)
        if name in ("saslstart", "saslcontinue"):
            return self.log_in(name, command, login)
        if "users" in self.settings and name not in OPEN:
            user = self.settings["users"].get(login.get("user"))
            if user is None:
                raise Refused(13, "Unauthorized", f"Command {name} requires authentication")
            if name in WRITING and user.get("reads_only"):
                raise Refused(13, "Unauthorized", f"not authorized on {database} to execute command {name}")
        if name in WRITING and now.get("role") == "secondary":
            raise Refused(10107, "NotWritablePrimary", "not primary")
        if name in now.get("refuse", {}):
            code, code_name, text = now["refuse"][name]
            raise Refused(code, code_name, text)
        work = getattr(self, f"do_{name}", None)
        if work is None:
            raise Refused(59, "CommandNotFound", f"no such command: '{name}'")
        return work(command, database, now)

    def log_in(self, name, command, login):
        try:
            if name == "saslstart":
                login["exchange"] = Exchange(self.settings.get("users", {}), command["mechanism"])
                answer = login["exchange"].first(command["payload"])
                return {"conversationId": 1, "done": False, "payload": answer, "ok": 1.0}
            answer = login["exchange"].last(command["payload"])
        except (KeyError, ValueError) as error:
            raise Refused(18, "AuthenticationFailed", "Authentication failed.") from error
        login["user"] = login["exchange"].user
        return {"conversationId": 1, "done": True, "payload": answer, "ok": 1.0}

    # Commands.

    def do_ping(self, command, database, now):
        return {"ok": 1.0}

    do_endsessions = do_ping

    def do_buildinfo(self, command, database, now):
        return {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "ok": 1.0}

    def do_asked(self, command, database, now):
        """How often each command was asked; of the tests alone."""
        return {"asked": self.asked, "cursors": len(self.cursors), "ok": 1.0}

    def do_insert(self, command, database, now):
        documents = self.store.of(database, command["insert"])
        given = command["documents"]
        if len(given) > self.bound("batch", 100_000):
            raise Refused(16, "InvalidLength", "Write batch sizes must be between 1 and the limit")
        errors, entries, new = [], [], {}
        unique = self.settings.get("unique", {}).get(command["insert"])
        for index, document in enumerate(given):
            document = {"_id": document.get("_id", bson.ObjectId())} | document
            error = self.refused(document, (documents, new), unique, now)
            if error:
                errors.append({"index": index, **error})
                if command.get("ordered", True):
                    break
                continue
            new[Collection.key(document["_id"])] = document
            entries.append({"c": f"{database}.{command['insert']}", "o": "put", "d": document})
        self.store.note(entries)
        return self.written(command, now, len(entries), errors)

    def refused(self, document, documents, unique, now):
        if len(bson.encode(document)) > self.bound("document_bytes", 16 * 1024 * 1024):
            return {"code": 10334, "errmsg": "object to insert too large"}
        if "wrong" in document:
            return {"code": 121, "errmsg": "Document failed validation"}
        if document.get("busy") and not now.get("idle"):
            return {"code": 112, "codeName": "WriteConflict", "errmsg": "later"}
        if any(Collection.key(document["_id"]) in known for known in documents):
            text = f"E11000 duplicate key error collection: c index: _id_ dup key: {{ _id: {document['_id']!r} }}"
            if self.settings.get("old"):
                return {"code": 11000, "errmsg": text}
            return {"code": 11000, "errmsg": text, "keyPattern": {"_id": 1}, "keyValue": {"_id": document["_id"]}}
        stored = [one for known in documents for one in known.values()] if unique else []
        if any(one.get(unique) == document.get(unique) for one in stored):
            text = f"E11000 duplicate key error collection: c index: {unique}_1 dup key: {{ {unique}: 1 }}"
            return {"code": 11000, "errmsg": text, "keyPattern": {unique: 1}}
        return None

    def written(self, command, now, count, errors, **more):
        reply = {"n": count, **more, "ok": 1.0}
        if errors:
            reply["writeErrors"] = errors
        concern = command.get("writeConcern", {})
        if concern.get("w") == "nobody":
            reply["writeConcernError"] = {"code": 79, "codeName": "UnknownReplWriteConcern", "errmsg": "no mode 'nobody'"}
        if now.get("alone") and concern.get("w") == "majority":
            reply["writeConcernError"] = {
                "code": 64,
                "codeName": "WriteConcernFailed",
                "errmsg": f"waiting for replication timed out after {concern.get('wtimeout')} ms",
            }
        return reply

    def do_update(self, command, database, now):
        documents = self.store.of(database, command["update"])
        count, changed, errors = 0, 0, []
        for index, one in enumerate(command["updates"]):
            if list(one["u"]) != ["$set"]:
                raise Refused(9, "FailedToParse", "only $set is known here")
            if "wrong" in one["u"]["$set"]:
                errors.append({"index": index, "code": 121, "errmsg": "Document failed validation"})
                break
            entries = []
            for document in [known for known in documents.values() if matches(known, one["q"])]:
                document = dict(document)
                for path, value in one["u"]["$set"].items():
                    place = document
                    *parents, last = path.split(".")
                    for parent in parents:
                        place[parent] = dict(place.get(parent, {}))
                        place = place[parent]
                    place[last] = value
                entries.append({"c": f"{database}.{command['update']}", "o": "put", "d": document})
                if not one.get("multi"):
                    break
            self.store.note(entries)
            count, changed = count + len(entries), changed + len(entries)
        return self.written(command, now, count, errors, nModified=changed)

    def do_delete(self, command, database, now):
        documents = self.store.of(database, command["delete"])
        count = 0
        for one in command["deletes"]:
            gone = [known for known in documents.values() if matches(known, one["q"])]
            gone = gone[: one["limit"] or len(gone)]
            where = f"{database}.{command['delete']}"
            self.store.note([{"c": where, "o": "remove", "d": document["_id"]} for document in gone])
            count += len(gone)
        return self.written(command, now, count, [])

    def do_drop(self, command, database, now):
        documents = self.store.of(database, command["drop"])
        where = f"{database}.{command['drop']}"
        self.store.note([{"c": where, "o": "remove", "d": known["_id"]} for known in list(documents.values())])
        return {"ok": 1.0}

    def do_find(self, command, database, now):
        try:
            found = [
                known
                for known in self.store.of(database, command["find"]).values()
                if matches(known, command.get("filter", {}))
            ]
        except ValueError as error:
            raise Refused(2, "BadValue", str(error)) from error
        for field, direction in reversed(list(command.get("sort", {}).items())):
            found.sort(key=lambda known: sort_key(lookup(known, field)), reverse=direction < 0)
        found = found[: command.get("limit") or len(found)]
        if command.get("projection") == {"_id": 0}:
            found = [{key: value for key, value in known.items() if key != "_id"} for known in found]
        return self.page(f"{database}.{command['find']}", found, command.get("batchSize", 101), "firstBatch")

    def page(self, where, found, size, name):
        # A server of its own mind gives fewer than it is asked for.
        size = min(size, self.settings.get("page", size))
        cursor = 0
        if len(found) > size:
            cursor = self.next_cursor
            self.next_cursor += 1
            self.cursors[cursor] = found[size:]
        return {"cursor": {"id": Int64(cursor), "ns": where, name: found[:size]}, "ok": 1.0}

    def do_getmore(self, command, database, now):
        if now.get("forgetful"):
            self.cursors.clear()
        found = self.cursors.pop(command["getMore"], None)
        if found is None:
            raise Refused(43, "CursorNotFound", f"cursor id {command['getMore']} not found")
        where = f"{database}.{command['collection']}"
        # Only the first page is short where nobody says how long.
        return self.page(where, found, command.get("batchSize", 10_000), "nextBatch")

    def do_killcursors(self, command, database, now):
        for cursor in command["cursors"]:
            self.cursors.pop(cursor, None)
        return {"cursorsKilled": command["cursors"], "ok": 1.0}

    # Messages.

    def answer(self, command, database, login):
        try:
            return self.run(command, database, login)
        except Refused as refused:
            return refused.reply

    async def serve(self, reader, writer):
        login = {}
        try:
            while True:
                header = await reader.readexactly(16)
                length, number, _, kind = struct.unpack("<iiii", header)
                if not 16 < length <= self.bound("message_bytes", 48_000_000):
                    break
                body = await reader.readexactly(length - 16)
                if kind == OP_QUERY:
                    database, command = read_query(body)
                    reply = bson.encode(self.answer(command, database, login))
                    writer.write(struct.pack("<iiii", len(reply) + 36, 1, number, OP_REPLY))
                    writer.write(struct.pack("<iqii", 0, 0, 0, 1) + reply)
                elif kind == OP_MSG:
                    command = read_message(body)
                    name = next(iter(command))
                    now = self.now()
                    if name in now.get("slow", {}):
                        await asyncio.sleep(now["slow"][name])
                    reply = bson.encode(self.answer(command, command.get("$db"), login))
                    writer.write(spoiled(now.get("spoil", {}).get(name), number, reply))
                    if now.get("spoil", {}).get(name) == "end":
                        break
                else:
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def read_query(body):
    end = body.index(b"\0", 4)
    database = body[4:end].decode().split(".")[0]
    return database, bson.decode(body[end + 9 :], OPTIONS)


def read_message(body):
    flags, at = struct.unpack_from("<I", body)[0], 4
    end = len(body) - (4 if flags & 1 else 0)
    command = {}
    while at < end:
        kind, at = body[at], at + 1
        length = struct.unpack_from("<i", body, at)[0]
        section = body[at : at + length]
        at += length
        if kind == 0:
            command = bson.decode(section, OPTIONS) | command
            continue
        name_end = section.index(b"\0", 4)
        command[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :], OPTIONS)
    return command


def message(number, reply):
    return struct.pack("<iiiiI", len(reply) + 21, 1, number, OP_MSG, 0) + b"\0" + reply


def spoiled(how, number, reply):
    """A reply, or what a broken server sends in its place."""
    good = message(number, reply)
    return {
        None: lambda: good,
        "text": lambda: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "length": lambda: struct.pack("<i", 0x7FFFFFFF) + good[4:],
        "negative": lambda: struct.pack("<i", -5) + good[4:],
        "other": lambda: message(number + 1, reply),
        "flags": lambda: good[:16] + struct.pack("<I", 2) + good[20:],
        "section": lambda: good[:20] + b"\x07" + good[21:],
        "document": lambda: good[:21] + struct.pack("<i", 5) + good[25:],
        "end": lambda: good[: len(good) // 2],
        "empty": lambda: message(number, bson.encode({"ok": 1.0})),
        "few": lambda: message(number, bson.encode({"ok": 1.0, "n": 0})),
        "stranger": lambda: message(number, bson.encode({"ok": 1.0, "n": 0, "writeErrors": [{"index": 4711}]})),
    }[how]()


async def main():
    server = Server(Path(sys.argv[1]))
    secure = None
    if "certificate" in server.settings:
        secure = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secure.load_cert_chain(server.settings["certificate"], server.settings["key"])
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", server.settings["port"], ssl=secure, limit=2**26
    )
    async with listening:
        await listening.serve_forever()


asyncio.run(main())
