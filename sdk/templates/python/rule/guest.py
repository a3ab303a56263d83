"""Allows what has a small payload, while the plant is not locked. A Rule asks it: `IF MODULE "my-guest" THEN`."""

from wit_world import exports
from wit_world.exports.rule_handler import Verdict
from wit_world.imports import topic_store

# Longest payload that it allows, in bytes.
BYTES_MAX = 64


class RuleHandler(exports.RuleHandler):
    def check(self, request):
        is_locked = topic_store.get("plant/locked") == b"true"
        if is_locked or len(request.payload or b"") > BYTES_MAX:
            print(f"{request.client_id} was denied {request.topic or ''}")
            return Verdict.DENY
        return Verdict.ALLOW
