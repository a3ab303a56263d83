"""What the component of a guest in Python begins with, made by `lotmq guest build`: what it prints, and what it does not catch, is told in its log."""

import builtins
import datetime
import functools
import inspect
import io
import linecache
import os
import sys
import time
from dataclasses import is_dataclass
from enum import Enum

from componentize_py_types import Err
from wit_world.imports import ambient
from wit_world.imports.logging import Level, log

# There are no files, so tracebacks have no lines of the source.
linecache.checkcache = lambda filename=None: None
linecache.updatecache = lambda filename, module_globals=None: []

TEXT_MAX = 4_096

# Functions of `os` that look at files, or change them.
FILES = "access", "chdir", "listdir", "lstat", "mkdir", "open", "remove", "rename", "replace", "rmdir", "scandir", "stat", "unlink", "utime"

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


def clock(of_machine, of_broker):
    """A clock that is the broker's while the guest runs, and that of the machine while it is built."""
    return lambda: of_broker() if NotBuiltIn in sys.meta_path else of_machine()


def at_present(function, present, before=0):
    """A function of `time` whose input behind so many is the present where none is given."""

    def call(*inputs):
        is_given = len(inputs) > before and inputs[before] is not None
        return function(*(inputs if is_given else (*inputs[:before], present())))

    return call


class LikeItsBase(type):
    """What the base made is an instance as well: functions written in C make nothing else."""

    def __instancecheck__(cls, value):
        return isinstance(value, cls.__mro__[1])

    def __subclasscheck__(cls, other):
        return issubclass(other, cls.__mro__[1])


def begin_clocks():
    """Puts the clocks in place, before any module of the guest takes one by its name."""
    time.time = clock(time.time, lambda: ambient.now_ms() / 1_000)
    time.time_ns = clock(time.time_ns, lambda: ambient.now_ms() * 1_000_000)
    time.monotonic = time.perf_counter = clock(time.monotonic, lambda: ambient.monotonic_ms() / 1_000)
    time.monotonic_ns = time.perf_counter_ns = clock(time.monotonic_ns, lambda: ambient.monotonic_ms() * 1_000_000)
    time.sleep = absent("time.sleep", "a route waits by `net.wait`, or returns from `run` when it wants to be called again")
    for name in "gmtime", "localtime", "ctime":
        setattr(time, name, at_present(getattr(time, name), time.time))
    time.asctime = at_present(time.asctime, time.gmtime)
    time.strftime = at_present(time.strftime, time.gmtime, before=1)

    class Date(datetime.date, metaclass=LikeItsBase):
        @classmethod
        def today(cls):
            return cls.fromtimestamp(time.time())

    class DateTime(datetime.datetime, metaclass=LikeItsBase):
        @classmethod
        def now(cls, tz=None):
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def today(cls):
            return cls.now()

        @classmethod
        def utcnow(cls):
            return cls.now(datetime.timezone.utc).replace(tzinfo=None)

    for kind in Date, DateTime:
        kind.__module__, kind.__name__, kind.__qualname__ = "datetime", kind.__name__.lower(), kind.__name__.lower()
        setattr(datetime, kind.__name__, kind)


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
    files = "a route has `files` of the contract, and what the guest needs it imports or reads by `config`"
    builtins.open = io.open = absent("open", files)
    for name in FILES:
        setattr(os, name, absent(f"os.{name}", files))
    if socket := sys.modules.get("socket"):
        for name in "socket", "create_connection", "getaddrinfo":
            setattr(socket, name, absent(f"socket.{name}", "a route has `net` of the contract"))
    # Its loop waits for sockets.
    if asyncio := sys.modules.get("asyncio"):
        for name in "run", "new_event_loop", "get_event_loop", "Runner":
            setattr(asyncio, name, absent(f"asyncio.{name}", "a call of the contract waits itself, and a handler is no `async def`"))
    check_calls(guest)
    begin_chance()


begin_clocks()

# Behind the clocks, so that `from time import time` and `from datetime import datetime` give those.
import guest  # noqa: E402


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


def misfit_of(value):
    """What of an error of the contract has another type than it takes, which would end the guest without a word."""
    for name, kind in type(value).__annotations__.items():
        given = getattr(value, name, None)
        if isinstance(kind, type) and not isinstance(given, (int, float) if kind is float else kind):
            return f"{type(value).__name__}: {name} is {type(given).__name__}, and has to be {kind.__name__}"
    return None


U32_MAX = 2**32 - 1
S64_MAX = 2**63 - 1


def misfit_in(answer):
    """What in an answer is none of the contract's, has another type than it takes, or is out of range, which would end the guest without a word."""
    if isinstance(answer, list):
        parts = [misfit_in(part) if is_dataclass(part) else f"{part!r} is nothing of the contract" for part in answer]
        return next(filter(None, parts), None)
    if type(answer) is int:
        return None if 0 <= answer <= U32_MAX else f"it has to be from 0 to {U32_MAX}"
    if not is_dataclass(answer):
        return None
    name = type(answer).__name__
    # Those of a value are signed, all others of an answer are u32.
    least, most = (-S64_MAX - 1, S64_MAX) if name.startswith("Value_") else (0, U32_MAX)
    for member, value in vars(answer).items():
        if type(value) is int and not least <= value <= most:
            return f"{name}: {member} is {value}, and has to be from {least} to {most}"
        if isinstance(value, list) and (misfit := misfit_in(value)):
            return misfit
    return misfit_of(answer)


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


def is_of_guest(path):
    """Whether a file is one of the guest's folder, and not of a library."""
    return path.startswith(guest.__file__.rpartition("/")[0] + "/") and "/site-packages/" not in path


def uncaught(error):
    """Text and line of an exception that has ended a call; its traceback goes to the log. What was raised in a library is told with the line of the guest, too."""
    text = (described(error.value) if isinstance(error, Err) else f"{type(error).__name__}: {error}")[:TEXT_MAX]
    places, own, at = [], None, error.__traceback__
    while at:
        code = at.tb_frame.f_code
        file = code.co_filename.rsplit("/")[-1]
        # What is of the contract, or of this file, no author has written.
        if "wit_world" not in code.co_filename and file != "entry.py":
            places.append(f"{file}:{at.tb_lineno} in {code.co_qualname}")
            own = (places[-1], at.tb_lineno) if is_of_guest(code.co_filename) else own
        at = at.tb_next
    log(Level.ERROR, text + "".join(f"\nat {place}" for place in reversed(places[-16:])))
    if not places:
        return text, 0
    place, line = own or (places[-1], 0)
    of_library = f"{places[-1]}, called from " if place != places[-1] else ""
    return f"{text} ({of_library}{place})", line


def told(method, is_own, failed, answers=object):
    """A method of the handler, which gives nothing but what it has to, and raises nothing but errors of its world: its own, or what `failed` makes of an exception."""

    def call(self, *inputs):
        sys.stdout, sys.stderr = OUTPUTS
        begin()
        try:
            answer = method(self, *inputs)
            place = f"{method.__qualname__} (guest.py:{method.__code__.co_firstlineno})"
            if inspect.isawaitable(answer):
                if inspect.iscoroutine(answer):
                    answer.close()
                raise TypeError(f"{place} is async, or has returned something to await, which nobody awaits: write it without async")
            if not isinstance(answer, answers):
                raise TypeError(f"{place} has returned {answer!r}, and has to return {answers.__name__}")
            if misfit := misfit_in(answer):
                raise TypeError(f"{place} has returned {answer!r}: {misfit}")
            return answer
        except MemoryError:
            raise
        except Exception as error:
            value = error.value if isinstance(error, Err) else None
            if is_own(value):
                if not (misfit := misfit_of(value)):
                    raise
                error, value = TypeError(misfit).with_traceback(error.__traceback__), None
            raise Err(failed(*uncaught(error), value)) from None
        except BaseException as error:
            uncaught(error)
            raise
        finally:
            for output in OUTPUTS:
                output.flush()

    return call
