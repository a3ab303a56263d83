"""A Modbus server of a test: units 1 and 2; every other one is silent. Tells each request as `unit function address count`.

Usage: server.py PORT, or server.py DEVICE for a serial line, at which it says `listening`. Holding registers 0 to 999 and 8 coils, discrete inputs and input registers.
"""

import asyncio
import sys

from pymodbus.server import StartAsyncSerialServer, StartAsyncTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

HOLDING = [215, 0xFFFE, 0x41AC, 0, 0, 0x41AC, 0b1000, 0x7075, 0x6D70, 0, 0, 0, 1, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0x4035, 0x8000]


def block(values, kind):
    return [SimData(0, values=values, datatype=kind)]


def device(unit):
    bits = [bit == 1 for bit in (1, 0, 1, 1, 0, 0, 0, 0)]
    return SimDevice(
        id=unit,
        simdata=(
            block(bits, DataType.BITS),
            block(bits, DataType.BITS),
            block(HOLDING + [0] * (1000 - len(HOLDING)), DataType.REGISTERS),
            block([7, 8, 9, 10, 11, 12, 13, 14], DataType.REGISTERS),
        ),
    )


def trace(is_sent, pdu):
    if not is_sent:
        print(pdu.dev_id, pdu.function_code, pdu.address, pdu.count, flush=True)
    return pdu


async def main():
    place, devices = sys.argv[1], [device(1), device(2)]
    options = {"ignore_missing_devices": True, "trace_pdu": trace}
    if place.isdigit():
        await StartAsyncTcpServer(devices, address=("127.0.0.1", int(place)), **options)
    else:
        told = lambda is_connected: print("listening", flush=True) if is_connected else None
        await StartAsyncSerialServer(devices, port=place, baudrate=115200, trace_connect=told, **options)


asyncio.run(main())
