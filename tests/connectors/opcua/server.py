"""An OPC UA server of asyncua for the tests of the route type OPCUA.

server.py PORT [--certificates FOLDER] [--users] [--slow SECONDS] [--no-subscriptions] [--token-lifetime MILLISECONDS]
server.py --store-nodes

The second form stores the nodes of the standard in the virtual environment, once for all servers. Without them a server makes them anew.

Namespace 2 has, below Objects, the object Plant with a variable for each type (`ns=2;s=<Type>`), lists of some, and what the tests write. Each write from outside is
a line `wrote <node> <value>` of standard output, each renewal of a channel's keys `renewed`; `ready` is said when it listens. With certificates it speaks the three policies of today, and nothing without
them; trusted clients are those of FOLDER/trusted. With users it lets in `operator` with password `s3cret`, and whoever shows FOLDER/user.der.
"""

import argparse
import asyncio
import logging
import sys
import uuid
from datetime import datetime, timezone
from pathlib import Path

from asyncua import Server, __version__, ua
from asyncua.common.callback import CallbackType
from asyncua.common.connection import SecureConnection
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession

NODES = Path(sys.prefix) / f"opcua-nodes-{__version__}"
# Written last.
NODES_ARE_WHOLE = NODES.with_name(f"{NODES.name}-whole")

POLICIES = [
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_Sign,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]

V = ua.VariantType
VALUES = {
    "Boolean": (True, V.Boolean),
    "SByte": (-128, V.SByte),
    "Byte": (255, V.Byte),
    "Int16": (-32768, V.Int16),
    "UInt16": (65535, V.UInt16),
    "Int32": (-2147483648, V.Int32),
    "UInt32": (4294967295, V.UInt32),
    "Int64": (-9223372036854775808, V.Int64),
    "UInt64": (18446744073709551615, V.UInt64),
    "Float": (21.5, V.Float),
    "Double": (0.1, V.Double),
    "String": ("grün", V.String),
    "DateTime": (datetime(2026, 11, 25, 1, 2, 3, 500000, tzinfo=timezone.utc), V.DateTime),
    "Guid": (uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63"), V.Guid),
    "ByteString": (b"\x01\x02\xff", V.ByteString),
    "XmlElement": (ua.XmlElement("<a>1</a>"), V.XmlElement),
    "NodeId": (ua.NodeId("A", 2), V.NodeId),
    "ExpandedNodeId": (ua.ExpandedNodeId(5, 2), V.ExpandedNodeId),
    "StatusCode": (ua.StatusCode(ua.StatusCodes.BadNotWritable), V.StatusCode),
    "QualifiedName": (ua.QualifiedName("Speed", 2), V.QualifiedName),
    "LocalizedText": (ua.LocalizedText("auf", "de"), V.LocalizedText),
    "Int16List": ([1, -2, 3], V.Int16),
    "DoubleList": ([0.5, 1.5], V.Double),
    "StringList": (["a", 'b"c'], V.String),
    "BooleanList": ([True, False], V.Boolean),
    "Matrix": ([[1, 2, 3], [4, 5, 6]], V.Int32),
    "Counter": (0, V.UInt32),
}


class Users:
    """Who is let in."""

    def __init__(self, folder):
        self.certificate = (folder / "user.der").read_bytes() if folder else None

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username == "operator" and password == "s3cret":
            return User(role=UserRole.User, name=username)
        if username is None and certificate is not None and certificate == self.certificate:
            return User(role=UserRole.User, name="certified")
        return None


async def fill(server):
    objects = server.nodes.objects
    plant = await objects.add_object(ua.NodeId("Plant", 2), ua.QualifiedName("Plant", 2))
    for name, (value, kind) in VALUES.items():
        node = await plant.add_variable(ua.NodeId(name, 2), ua.QualifiedName(name, 2), value, kind)
        await node.set_writable()
    fixed = await plant.add_variable(ua.NodeId("Fixed", 2), ua.QualifiedName("Fixed", 2), 1, V.Int32)
    await fixed.set_read_only()
    await plant.add_variable(ua.NodeId(7, 2), ua.QualifiedName("Seven", 2), 7, V.Int32)
    line = await plant.add_object(ua.NodeId("Line/1", 2), ua.QualifiedName("Line/1", 2))
    await line.add_variable(ua.NodeId("Deep", 2), ua.QualifiedName("Deep", 2), 42, V.Int32)
    enumeration = await server.nodes.enum_data_type.add_data_type(ua.NodeId("Mode", 2), ua.QualifiedName("Mode", 2))
    mode = await plant.add_variable(
        ua.NodeId("ModeNow", 2), ua.QualifiedName("ModeNow", 2), 1, V.Int32, datatype=enumeration.nodeid
    )
    await mode.set_writable()


def refuse_subscriptions():
    async def refused(self, params, callback, *arguments, **named):
        raise ua.UaStatusCodeError(ua.StatusCodes.BadServiceUnsupported)

    InternalSession.create_subscription = refused


def slow_down(seconds):
    read = InternalSession.read

    async def slow(self, params):
        await asyncio.sleep(seconds)
        return await read(self, params)

    InternalSession.read = slow


def shorten_tokens(milliseconds):
    opened = SecureConnection.open

    def shortened(self, params, server):
        params.RequestedLifetime = milliseconds
        if params.RequestType == ua.SecurityTokenRequestType.Renew:
            print("renewed", flush=True)
        return opened(self, params, server)

    SecureConnection.open = shortened


async def store_nodes():
    server = Server()
    await server.init()
    server.iserver.aspace.make_aspace_shelf(NODES)
    # asyncua looks for this name, also if the database adds an ending to it.
    NODES.touch()
    NODES_ARE_WHOLE.touch()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--certificates", type=Path)
    parser.add_argument("--users", action="store_true")
    parser.add_argument("--slow", type=float)
    parser.add_argument("--no-subscriptions", action="store_true")
    parser.add_argument("--token-lifetime", type=int)
    options = parser.parse_args()
    if options.token_lifetime:
        shorten_tokens(options.token_lifetime)
    if options.slow:
        slow_down(options.slow)
    if options.no_subscriptions:
        refuse_subscriptions()
    users = Users(options.certificates) if options.users else None
    server = Server(user_manager=users)
    # Making the nodes takes 4 s of processor time.
    await server.init(NODES if NODES_ARE_WHOLE.exists() else None)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{options.port}/test/")
    await server.register_namespace("urn:test")
    if options.certificates:
        await server.set_application_uri("urn:test:server")
        server.set_security_policy(POLICIES)
        await server.load_certificate(options.certificates / "server.der")
        await server.load_private_key(options.certificates / "server.pem")
        trusted = options.certificates / "trusted"

        async def check(certificate, description):
            from cryptography.hazmat.primitives.serialization import Encoding

            der = certificate.public_bytes(Encoding.DER)
            if all(der != file.read_bytes() for file in trusted.iterdir()):
                raise ua.uaerrors.BadCertificateUntrusted()

        server.set_certificate_validator(check)
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await fill(server)

    def wrote(event, dispatcher):
        if event.is_external:
            for write in event.request_params.NodesToWrite:
                print("wrote", write.NodeId.Identifier, write.Value.Value.Value, flush=True)

    server.subscribe_server_callback(CallbackType.PostWrite, wrote)
    async with server:
        counter = server.get_node(ua.NodeId("Counter", 2))
        print("ready", flush=True)
        for count in range(1, sys.maxsize):
            await asyncio.sleep(0.05)
            await counter.write_value(count % 2**32, V.UInt32)


logging.disable(logging.CRITICAL)
asyncio.run(store_nodes() if sys.argv[1:] == ["--store-nodes"] else main())
