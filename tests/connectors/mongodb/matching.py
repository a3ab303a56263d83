"""Filters of MongoDB over documents in memory: what a value equals and what it is before, by its type."""

import datetime
import re

import bson

MISSING = object()


def rank(value):
    """Types are ordered, and values of one type compare with each other alone."""
    if value is MISSING or value is None:
        return 0
    if isinstance(value, bool):
        return 5
    if isinstance(value, (int, float)):
        return 1
    if isinstance(value, str):
        return 2
    if isinstance(value, dict):
        return 3
    if isinstance(value, bson.ObjectId):
        return 4
    if isinstance(value, datetime.datetime):
        return 6
    return 7


def sort_key(value):
    known = rank(value)
    return (known, value if known in (1, 2, 4, 5, 6) else 0)


def lookup(document, path):
    for step in path.split("."):
        if isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            return MISSING
    return document


def equals(value, wanted):
    if wanted is None:
        return value is None or value is MISSING
    if isinstance(value, list) and not isinstance(wanted, list):
        return any(equals(element, wanted) for element in value)
    return rank(value) == rank(wanted) and value == wanted


def compares(value, wanted, test):
    if rank(value) != rank(wanted) or rank(value) not in (1, 2, 4, 6):
        return False
    return test(value, wanted)


OPERATORS = {
    "$eq": equals,
    "$ne": lambda value, wanted: not equals(value, wanted),
    "$gt": lambda value, wanted: compares(value, wanted, lambda one, other: one > other),
    "$gte": lambda value, wanted: compares(value, wanted, lambda one, other: one >= other),
    "$lt": lambda value, wanted: compares(value, wanted, lambda one, other: one < other),
    "$lte": lambda value, wanted: compares(value, wanted, lambda one, other: one <= other),
    "$in": lambda value, wanted: any(equals(value, one) for one in wanted),
    "$nin": lambda value, wanted: not any(equals(value, one) for one in wanted),
    "$regex": lambda value, wanted: isinstance(value, str) and re.search(wanted, value) is not None,
    "$exists": lambda value, wanted: (value is not MISSING) == bool(wanted),
}


def is_operators(wanted):
    return isinstance(wanted, dict) and next(iter(wanted), "").startswith("$")


def holds(value, operators):
    for name, wanted in operators.items():
        if name == "$not":
            if holds(value, wanted):
                return False
        elif name not in OPERATORS:
            raise ValueError(f"unknown operator: {name}")
        elif not OPERATORS[name](value, wanted):
            return False
    return True


def matches(document, wanted):
    for key, member in wanted.items():
        if key == "$and":
            found = all(matches(document, one) for one in member)
        elif key == "$or":
            found = any(matches(document, one) for one in member)
        elif key == "$nor":
            found = not any(matches(document, one) for one in member)
        elif key.startswith("$"):
            raise ValueError(f"unknown top level operator: {key}")
        elif is_operators(member):
            found = holds(lookup(document, key), member)
        else:
            found = equals(lookup(document, key), member)
        if not found:
            return False
    return True
