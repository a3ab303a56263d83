"""What the component of a guest in Python begins with, made by `lotmq guest build`: what it prints, and what it does not catch, is told in its log."""

import builtins
import functools
import linecache
import os
import sys
import time
from enum import Enum

import guest
from componentize_py_types import Err
from wit_world.imports import ambient
from wit_world.imports.logging import Level, log

# There are no files, so tracebacks have no lines of the source.
linecache.checkcache = lambda filename=None: None
linecache.updatecache = lambda filename, module_globals=None: []

TEXT_MAX = 4_096

CALLS = "wit_world.imports"


def checked(function):
    """A function of the contract that raises a TypeError where a value has another type than it takes, which would end the guest without a word."""
    kinds = {name: kind for name, kind in function.__annotations__.items() if isinstance(kind, type)}
    names = function.__code__.co_varnames[: function.__code__.co_argcount]

    @functools.wraps(function)
    def call(*given, **named):
        for name, value in [*zip(names, given), *named.items()]:
            kind = kinds.get(name)
            if kind and not isinstance(value, (int, float) if kind is float else kind):
                raise TypeError(f"{function.__name__}: {name} is {type(value).__name__}, and has to be {kind.__name__}")
        return function(*given, **named)

    return call


def check_calls(space, seen=()):
    """Has what the guest imported of the contract checked: functions, those of modules, and methods."""
    for name, value in list(vars(space).items()):
        if isinstance(value, type(sys)) and value.__name__.startswith(CALLS) and value not in seen:
            check_calls(value, (*seen, value))
        elif isinstance(value, type(checked)) and str(value.__module__).startswith(CALLS) and value is not log:
            setattr(space, name, checked(value))
        elif isinstance(value, type) and str(value.__module__).startswith(CALLS) and not issubclass(value, Enum):
            for method, function in list(vars(value).items()):
                if isinstance(function, type(checked)) and not method.startswith("_") and not hasattr(function, "__wrapped__"):
                    setattr(value, method, checked(function))


def absent(what, instead):
    def call(*_, **__):
        raise OSError(f"{what} is not there in a guest: {instead}")

    return call


class NotBuiltIn:
    """What is imported while the guest runs, and was not when it was built, is not in the component."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        raise ModuleNotFoundError(f"{name} is not in the component: import it at the top of guest.py, where it is built in", name=name)


def begin():
    """Puts in place what a guest has of the library of Python: there are no files, no sockets and no clock but the broker's."""
    if NotBuiltIn in sys.meta_path:
        return
    sys.meta_path.insert(2, NotBuiltIn)
    builtins.open = absent("open", "a route has `files` of the contract, and what the guest needs it imports or reads by `config`")
    time.time = lambda: ambient.now_ms() / 1_000
    time.time_ns = lambda: ambient.now_ms() * 1_000_000
    time.monotonic = time.perf_counter = lambda: ambient.monotonic_ms() / 1_000
    time.sleep = absent("time.sleep", "a route waits by `net.wait`, or returns from `run` when it wants to be called again")
    check_calls(guest)
    begin_chance()


def begin_chance():
    """Has each instance random numbers of the broker: what was drawn when the component was made would be the same in all of them."""
    os.urandom = lambda count: b"".join(ambient.random().to_bytes(8, "little") for _ in range(-(-count // 8)))[:count]
    if random := sys.modules.get("random"):
        random._urandom = os.urandom
        random.seed(ambient.random())


def described(value):
    """An error of the contract, in its words."""
    if isinstance(value, Enum):
        return value.name.lower().replace("_", "-")
    _, _, case = type(value).__name__.partition("_")
    if not case:
        return str(value)
    name = "".join("-" + letter.lower() if letter.isupper() else letter for letter in case).lstrip("-")
    said = getattr(value, "value", None)
    text = "nothing listens there" if type(value).__name__ == "IoError_Refused" else name
    return f"{text}: {said}" if isinstance(said, str) else text


class Lines:
    """An output whose lines are those of the log."""

    def __init__(self, level):
        self.level, self.rest = level, ""

    def write(self, text):
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            log(self.level, line)
        if len(self.rest) > TEXT_MAX:
            self.flush()
        return len(text)

    def flush(self):
        if self.rest:
            log(self.level, self.rest)
        self.rest = ""


OUTPUTS = Lines(Level.INFO), Lines(Level.WARN)


def uncaught(error):
    """Text and line of an exception that has ended a call; its traceback goes to the log."""
    text = (described(error.value) if isinstance(error, Err) else f"{type(error).__name__}: {error}")[:TEXT_MAX]
    places, at = [], error.__traceback__
    while at:
        code = at.tb_frame.f_code
        file = code.co_filename.rsplit("/")[-1]
        # What is of the contract, or of this file, no author has written.
        if "wit_world" not in code.co_filename and file != "entry.py":
            places.append((file, at.tb_lineno, code.co_qualname))
        at = at.tb_next
    traced = "".join(f"\nat {file}:{line} in {where}" for file, line, where in reversed(places[-16:]))
    log(Level.ERROR, text + traced)
    if not places:
        return text, 0
    file, line, where = places[-1]
    return f"{text} ({file}:{line} in {where})", line


def told(method, is_own, failed, answers=object):
    """A method of the handler, which gives nothing but what it has to, and raises nothing but errors of its world: its own, or what `failed` makes of an exception."""

    def call(self, *inputs):
        sys.stdout, sys.stderr = OUTPUTS
        begin()
        try:
            answer = method(self, *inputs)
            if not isinstance(answer, answers):
                place = f"guest.py:{method.__code__.co_firstlineno}"
                raise TypeError(f"{method.__qualname__} ({place}) has returned {answer!r}, and has to return {answers.__name__}")
            return answer
        except MemoryError:
            raise
        except Exception as error:
            value = error.value if isinstance(error, Err) else None
            if is_own(value):
                raise
            raise Err(failed(*uncaught(error), value)) from None
        except BaseException as error:
            uncaught(error)
            raise
        finally:
            for output in OUTPUTS:
                output.flush()

    return call
