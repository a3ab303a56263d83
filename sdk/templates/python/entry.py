"""What the component of a guest in Python begins with, made by `lotmq guest build`: what it prints, and what it does not catch, is told in its log."""

import linecache
import sys

import guest
from componentize_py_types import Err
from wit_world.imports.logging import Level, log

# There are no files, so tracebacks have no lines of the source.
linecache.checkcache = lambda filename=None: None
linecache.updatecache = lambda filename, module_globals=None: []

TEXT_MAX = 4_096


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
    what = error.value if isinstance(error, Err) else error
    text = f"{type(error).__name__}: {what}"[:TEXT_MAX]
    places, at = [], error.__traceback__
    while at:
        code = at.tb_frame.f_code
        places.append((code.co_filename.rsplit("/")[-1], at.tb_lineno, code.co_qualname))
        at = at.tb_next
    # The first one is of this file.
    places = places[1:] or places
    traced = "".join(f"\nat {file}:{line} in {where}" for file, line, where in reversed(places[-16:]))
    log(Level.ERROR, text + traced)
    file, line, where = places[-1]
    return f"{text} ({file}:{line} in {where})", line


def told(method, is_own, failed):
    """A method of the handler, which raises nothing but errors of its world: its own, or what `failed` makes of an exception."""

    def call(self, *inputs):
        sys.stdout, sys.stderr = OUTPUTS
        try:
            return method(self, *inputs)
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
