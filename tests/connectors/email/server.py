"""A mail server of a test: tells each mail as a line of JSON.

Usage: server.py PORT MODE [CERTIFICATE KEY], where MODE is plain, starttls or tls. User `bot` has the password `in`. Who is `refused@…` is refused, who is `busy@…`
is busy once for each sender's mail, who is `always-busy@…` is so each time, which is told, and a mail whose subject has `spam` in it is refused as a whole.
"""

import asyncio
import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

seen = set()


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused@"):
            return "550 5.1.1 no such user"
        if address.startswith("always-busy@"):
            print(f"busy for {address}", flush=True)
            return "450 4.2.1 mailbox is busy"
        if address.startswith("busy@") and address not in seen:
            seen.add(address)
            return "450 4.2.1 mailbox is busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode()
        if "spam" in text:
            return "554 5.7.1 this is spam"
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text, "user": session.authenticated}
        mail["tls"] = session.ssl is not None
        print(json.dumps(mail), flush=True)
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    is_known = isinstance(data, LoginPassword) and (data.login, data.password) == (b"bot", b"in")
    return AuthResult(success=is_known, handled=False)


def main():
    port, mode = int(sys.argv[1]), sys.argv[2]
    options = {"authenticator": authenticate, "auth_require_tls": mode == "starttls"}
    if mode != "plain":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
        if mode == "tls":
            options["ssl_context"] = context
            options["auth_require_tls"] = False
        else:
            options["tls_context"] = context
            options["require_starttls"] = True
    controller = Controller(Handler(), hostname="127.0.0.1", port=port, **options)
    controller.start()
    print("ready", flush=True)
    asyncio.new_event_loop().run_forever()


main()
