"""The server's side of SCRAM (RFC 5802, RFC 7677), with MongoDB's digest of the password for SHA-1."""

import base64
import hashlib
import hmac
import os


class Exchange:
    def __init__(self, users, mechanism):
        self.users = users
        self.mechanism = mechanism
        self.hash = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256"}[mechanism]
        self.user = None

    def mac(self, key, text):
        return hmac.new(key, text, self.hash).digest()

    def first(self, payload):
        header, cbind, bare = bytes(payload).split(b",", 2)
        if header != b"n" or cbind != b"":
            raise ValueError("no channel is bound here")
        members = dict(member.split(b"=", 1) for member in bare.split(b","))
        name = members[b"n"].decode().replace("=2C", ",").replace("=3D", "=")
        found = self.users[name]
        if self.mechanism not in found["mechanisms"]:
            raise ValueError("the user has another mechanism")
        password = found["password"]
        if self.hash == "sha1":
            password = hashlib.md5(f"{name}:mongo:{password}".encode()).hexdigest()
        salt = hashlib.sha256(name.encode()).digest()[:16]
        rounds = found.get("rounds", 10_000)
        self.salted = hashlib.pbkdf2_hmac(self.hash, password.encode(), salt, rounds)
        self.name = name
        self.nonce = members[b"r"] + base64.b64encode(os.urandom(18))
        answer = b"r=%s,s=%s,i=%d" % (self.nonce, base64.b64encode(salt), rounds)
        self.said = bare + b"," + answer
        return answer

    def last(self, payload):
        without_proof, proof = bytes(payload).rsplit(b",p=", 1)
        if without_proof != b"c=biws,r=" + self.nonce:
            raise ValueError("another nonce")
        said = self.said + b"," + without_proof
        client_key = self.mac(self.salted, b"Client Key")
        signature = self.mac(hashlib.new(self.hash, client_key).digest(), said)
        expected = bytes(one ^ other for one, other in zip(client_key, signature))
        if not hmac.compare_digest(expected, base64.b64decode(proof)):
            raise ValueError("another password")
        self.user = self.name
        return b"v=" + base64.b64encode(self.mac(self.mac(self.salted, b"Server Key"), said))
