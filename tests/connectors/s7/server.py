"""A PLC of a test, played by snap7. Usage: server.py PORT. It has 100 bytes of data block 1, of flags, of inputs and of outputs."""

import struct
import sys
import time

from snap7.server import Server
from snap7.type import SrvArea

block = bytearray(100)
struct.pack_into(">hfdqB", block, 0, 215, 21.5, -2.5, -3, 0b1000)
struct.pack_into("BB4s", block, 30, 10, 4, b"pump")
flags, inputs, outputs = bytearray(100), bytearray(100), bytearray(100)
flags[10], inputs[1], outputs[0] = 0b10, 7, 1
server = Server()
server.register_area(SrvArea.DB, 1, block)
server.register_area(SrvArea.MK, 0, flags)
server.register_area(SrvArea.PE, 0, inputs)
server.register_area(SrvArea.PA, 0, outputs)
server.start(tcp_port=int(sys.argv[1]))
while True:
    time.sleep(60)
