"""Publishes the readings of `raw/<sensor>`, which are in tenths, as degrees on `scaled/<sensor>`."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports.logging import Level, log
from wit_world.imports.messages import publish
from wit_world.imports.types import Qos, RunError


class ActionHandler(exports.ActionHandler):
    def on_message(self, message):
        sensor = message.topic.split("/")[-1]
        reading = message.payload.decode(errors="replace")
        try:
            degrees = float(reading) / 10
        except ValueError:
            raise Err(RunError("NOT_A_NUMBER", f"'{reading}' is not a number", 0, 0))
        log(Level.INFO, f"{sensor} has {degrees} degrees")
        publish(f"scaled/{sensor}", str(degrees).encode(), Qos.AT_MOST_ONCE, False)

    def on_event(self, event):
        pass

    def call(self, inputs, trigger):
        raise Err(RunError("NOT_CALLABLE", "this action cannot be called", 0, 0))
