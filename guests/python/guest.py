"""The Python guest: one script in a sandbox of its own (LoT reference §12).

`cargo xtask guests` makes a component of this file and of CPython. Everything below the imports runs while that component is built; what
it leaves behind is the memory that every instance begins with, so modules that scripts may use are imported here, once.

Invariants: a script sees the modules of `ALLOWED` only; each instance draws its own seed for `random`; what a script prints is bounded.
The seed of hashing is that of the build: it is baked into every string that the imports below have made. Not here: limits of time and
memory, which the host keeps.
"""

import abc
import array
import base64
import binascii
import bisect
import builtins
import calendar
import cmath
import collections
import collections.abc
import contextlib
import copy
import csv
import dataclasses
import datetime
import decimal
import difflib
import encodings.idna
import enum
import fractions
import functools
import hashlib
import heapq
import hmac
import html
import io
import itertools
import json
import math
import numbers
import operator
import pprint
import random
import re
import secrets
import statistics
import string
import struct
import sys
import textwrap
import time
import traceback
import types
import typing
import unicodedata
import uuid
import warnings
import zlib

import _strptime  # what `strptime` imports at its first call

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.exports import script

# What a script may import: what the reference names, and what does no more than compute.
ALLOWED = frozenset(
    """
    abc array base64 binascii bisect calendar cmath collections contextlib copy csv dataclasses datetime decimal difflib enum fractions
    functools hashlib heapq hmac html io itertools json math numbers operator pprint random re secrets statistics string struct textwrap
    time types typing unicodedata uuid warnings zlib __future__
    """.split()
)

# Name under which the compiler knows the script, to find its lines in a traceback.
FILE = "<script>"

OUTPUT_MAX = 16 * 1024

# Python calls may nest so deep; the guest's stack bears more.
RECURSION_MAX = 400


def guarded_import(name, globals=None, locals=None, fromlist=(), level=0):
    """`import` as scripts see it. Modules that the library itself brings along when it is called are not theirs to name."""
    if level or not (name.startswith("_") or name.partition(".")[0] in ALLOWED):
        raise ImportError(f"module '{name}' is not available to scripts", name=name)
    return builtins.__import__(name, globals, locals, fromlist, level)


def guarded_open(*_, **__):
    """`open` as scripts see it."""
    raise PermissionError("scripts have no files")


def guarded_input(*_):
    """`input` as scripts see it."""
    raise EOFError("scripts have no input")


SCRIPT_BUILTINS = {
    **vars(builtins),
    "__import__": guarded_import,
    "open": guarded_open,
    "input": guarded_input,
    "breakpoint": None,
}


class Output(io.TextIOBase):
    """Takes what a script prints, up to a bound."""

    def __init__(self):
        self.parts = []
        self.room = OUTPUT_MAX

    def writable(self):
        return True

    def write(self, text):
        if self.room > 0:
            part = text[: self.room]
            self.parts.append(part)
            self.room -= len(part)
        return len(text)


def plain(value):
    """A result as JSON has it: whole floats without fraction, numbers that JSON has no word for as null."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def as_text(value):
    """A result as the caller gets it."""
    if isinstance(value, str):
        text = value
    else:
        text = json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Half of a surrogate pair is no text elsewhere.
    return text.encode("utf-8", "replace").decode("utf-8")


def as_value(argument):
    """An argument as Python has it."""
    if isinstance(argument, script.Argument_None_):
        return None
    if isinstance(argument, script.Argument_Json):
        return json.loads(argument.value)
    return argument.value


def failure(error):
    """What to tell of an exception: its words, and the innermost line of the script that was under way."""
    line = 0
    if isinstance(error, SyntaxError) and error.filename == FILE:
        line = error.lineno or 0
        message = f"{type(error).__name__}: {error.msg}"
    else:
        for frame, number in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename == FILE:
                line = number
        message = "".join(traceback.format_exception_only(error)).strip()
    message = message.encode("utf-8", "replace").decode("utf-8")
    return script.Failure(message[:2000], line)


def contained(run):
    """Runs something of the script; nothing that it does goes further than this."""
    output = Output()
    sys.stdout = sys.stderr = output
    try:
        result = Ok(run())
    except BaseException as error:  # SystemExit and KeyboardInterrupt of a script are its own matter, too
        result = Err(failure(error))
    text = "".join(output.parts).encode("utf-8", "replace").decode("utf-8")
    return script.Outcome(result, text)


class Script(exports.Script):
    """The exports of the component."""

    names = {}

    def load(self, source):
        def run():
            random.seed()
            sys.setrecursionlimit(RECURSION_MAX)
            Script.names = {"__name__": "script", "__builtins__": SCRIPT_BUILTINS}
            exec(compile(source, FILE, "exec"), Script.names)
            functions = [
                name
                for name, value in Script.names.items()
                if isinstance(value, types.FunctionType) and value.__code__.co_filename == FILE
            ]
            return json.dumps(functions, separators=(",", ":"), ensure_ascii=False)

        return contained(run)

    def call(self, function, arguments):
        def run():
            found = Script.names.get(function)
            if not callable(found):
                raise NameError(f"the script has no function '{function}'")
            return as_text(found(*map(as_value, arguments)))

        return contained(run)


class Warm:
    """Runs through the usual paths once, so that no instance has to import what they need."""

    hashlib.sha256(b"").hexdigest()
    datetime.datetime.strptime("2026-01-01", "%Y-%m-%d").isoformat()
    str(decimal.Decimal("1.5")), str(fractions.Fraction(1, 3)), str(uuid.UUID(int=0))
    statistics.stdev([1, 2, 3]), json.loads('{"a":[1.5,null]}'), re.compile(r"(\d+)").sub("", "a1")
    list(csv.DictReader(io.StringIO("a,b\n1,2\n"))), base64.b64encode(b"a")
