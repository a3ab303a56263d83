"""permessage-deflate with every parameter, by the library `websockets`: a client gets back what it publishes. Argument: port."""

import asyncio
import json
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

PARAMETERS = [
    {},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_max_window_bits": 9},
    {"server_max_window_bits": 12, "client_max_window_bits": 10},
    {"client_max_window_bits": 9},
]


def publish(payload):
    """A PUBLISH of QoS 0 to the topic `t`."""
    length, encoded = 3 + len(payload), b""
    while True:
        length, digit = divmod(length, 128)
        encoded += bytes([digit | (128 if length else 0)])
        if not length:
            return b"\x30" + encoded + b"\0\1t" + payload


async def exchange(uri, parameters):
    deflate = ClientPerMessageDeflateFactory(**parameters)
    async with websockets.connect(uri, subprotocols=["mqtt"], compression=None, extensions=[deflate]) as socket:
        assert socket.protocol.extensions, "not agreed on"
        received = b""

        async def expect(packet):
            nonlocal received
            while len(received) < len(packet):
                received += await asyncio.wait_for(socket.recv(), 20)
            assert received.startswith(packet), (parameters, packet)
            received = received[len(packet):]

        await socket.send(b"\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab")
        await expect(b"\x20\x02\0\0")
        await socket.send(b"\x82\x06\0\1\0\1t\0")
        await expect(b"\x90\x03\0\1\0")
        for number in range(150):
            reading = {"device": f"press-{number % 7:02}", "temperature": 20.5 + number % 30, "number": number}
            packet = publish(json.dumps(reading).encode() * (1 + number % 3 * 20))
            await socket.send(packet)
            await expect(packet)


for parameters in PARAMETERS:
    asyncio.run(exchange(f"ws://127.0.0.1:{sys.argv[1]}/mqtt", parameters))
print("done")
