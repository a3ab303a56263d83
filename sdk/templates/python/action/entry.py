

from wit_world.imports.types import RunError


def runs(method, answers=object):
    return told(method, lambda value: isinstance(value, RunError), lambda text, line, _: RunError("EXCEPTION", text, line, 0), answers)


class ActionHandler(guest.ActionHandler):
    on_message = runs(guest.ActionHandler.on_message)
    on_event = runs(guest.ActionHandler.on_event)
    call = runs(guest.ActionHandler.call, list)
