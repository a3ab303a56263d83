"""A route that writes each message as a line to a TCP connection, to the endpoint `line` of its configuration."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.route_handler import Abilities, Description, Failure_Reconnect, Failure_Reject, Receipt
from wit_world.imports import net

# The settings of a route that this guest knows, in JSON Schema: the section of the endpoint has none but the host's own, such as HOST and PORT.
SETTINGS = {"properties": {"sections": {"required": ["LINE_CONFIG"], "properties": {"LINE_CONFIG": {"additionalProperties": False}}}}}

# Longest wait for the other side, in milliseconds.
TIMEOUT_MS = 5_000

line = None


def send(text):
    """Writes all of it, however little the connection takes at once."""
    while text:
        try:
            text = text[line.write(text) :]
        except Err as error:
            if not isinstance(error.value, net.IoError_WouldBlock):
                raise
            if not net.wait([net.Interest_Writable(line)], TIMEOUT_MS):
                raise Err(Failure_Reconnect("the other side takes nothing"))


class RouteHandler(exports.RouteHandler):
    def describe(self):
        return Description(json.dumps(SETTINGS), Abilities.DELIVER)

    def open(self, configuration):
        global line
        line = net.Tcp.connect("line", TIMEOUT_MS)
        print("connected")

    def deliver(self, batch):
        for delivery in batch:
            send(delivery.message.payload + b"\n")
        return Receipt(len(batch), [])

    def run(self, until_ms):
        return until_ms

    def request(self, operation, body):
        raise Err(Failure_Reject(f"unknown operation '{operation}'"))

    def close(self):
        pass
