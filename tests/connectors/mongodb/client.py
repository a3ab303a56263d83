"""pymongo, a client of MongoDB that is not ours, beside the connector in tests.

    client.py URI find DATABASE COLLECTION [FILTER]    documents as canonical Extended JSON, one a line
    client.py URI count DATABASE COLLECTION            how many there are, and how many values their field `n` has
    client.py URI insert DATABASE COLLECTION DOCUMENT  stores a document of Extended JSON
    client.py URI asked                                how often each command was asked, of the server of these tests
    client.py URI check DATABASE                       speaks all of the protocol that the server of these tests has
"""

import sys

import pymongo
from bson import json_util
from pymongo.errors import BulkWriteError, OperationFailure

CANONICAL = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL, tz_aware=True)


def check(database):
    """What the server says to pymongo is what MongoDB says: results, errors by document, cursors."""
    numbers = database["numbers"]
    numbers.insert_many([{"_id": number, "n": number, "t": str(number % 3)} for number in range(700)])
    assert [one["n"] for one in numbers.find({"n": {"$gte": 690}, "t": "0"}).sort("n", -1).limit(2)] == [699, 696]
    assert len(list(numbers.find({}, batch_size=100))) == 700
    try:
        numbers.insert_many([{"_id": 1}, {"_id": 1000, "wrong": 1}, {"_id": 1001}], ordered=False)
        raise AssertionError("nothing was refused")
    except BulkWriteError as error:
        told = error.details
        assert [one["code"] for one in told["writeErrors"]] == [11000, 121] and told["nInserted"] == 1, told
    changed = numbers.update_many({"n": {"$lt": 10}}, {"$set": {"a.b": 1}})
    assert (changed.matched_count, changed.modified_count) == (10, 10)
    assert numbers.find_one({"a.b": 1, "n": 3}) == {"_id": 3, "n": 3, "t": "0", "a": {"b": 1}}
    assert numbers.delete_many({"a.b": 1}).deleted_count == 10
    try:
        database.command("nonsense")
        raise AssertionError("nothing was refused")
    except OperationFailure as error:
        assert error.code == 59, error
    numbers.drop()
    assert numbers.find_one() is None


def main(uri, verb, *rest):
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=20_000)
    if verb == "asked":
        print(json_util.dumps(client.admin.command("asked")))
        return
    database = client[rest[0]]
    if verb == "check":
        check(database)
        print("good")
    elif verb == "find":
        wanted = json_util.loads(rest[2]) if len(rest) > 2 else {}
        for document in database[rest[1]].find(wanted):
            print(json_util.dumps(document, json_options=CANONICAL))
    elif verb == "count":
        found = [document.get("n") for document in database[rest[1]].find()]
        print(len(found), len(set(found)))
    elif verb == "insert":
        database[rest[1]].insert_one(json_util.loads(rest[2]))


main(*sys.argv[1:])
