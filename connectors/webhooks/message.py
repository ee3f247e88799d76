"""What is sent, and how it is signed: Standard Webhooks, https://www.standardwebhooks.com. Pure."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Final

from schemas.models import Insight

INSIGHT_CREATED: Final = "insight.created"
TEST: Final = "test"


def of_insight(insight: Insight) -> str:
    """Give the body of a message that tells of an insight."""
    return _body(INSIGHT_CREATED, insight.created, insight.model_dump(mode="json"))


def of_test(now: datetime) -> str:
    """Give the body of a message that tells of nothing."""
    return _body(TEST, now, {})


def _body(kind: str, at: datetime, data: dict[str, object]) -> str:
    return json.dumps({"type": kind, "timestamp": at.isoformat(), "data": data}, separators=(",", ":"))


def headers(message_id: str, body: str, key: bytes, now: datetime) -> dict[str, str]:
    """Give the headers of one attempt at a message: its id, which stays the same, the time of now, and a signature."""
    seconds = int(now.timestamp())
    signed = f"{message_id}.{seconds}.{body}".encode()
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "content-type": "application/json",
        "user-agent": "tidegate",
        "webhook-id": message_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
    }
