"""What is sent is signed as Standard Webhooks has it: the reference library takes it, and nothing that was changed."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook as Reference
from standardwebhooks import WebhookVerificationError

from connectors.webhooks.message import headers, of_insight, of_test
from connectors.webhooks.settings import key_of
from schemas.models import Insight
from tests.integration.timescale.test_insights import insight

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
KEY = key_of(SecretStr(SECRET))


def test_the_reference_library_takes_what_is_signed() -> None:
    body = of_insight(insight())
    signed = headers("m-1", body, KEY, datetime.now(UTC))
    told = Reference(SECRET).verify(body, signed)
    assert told == json.loads(body)
    assert told["type"] == "insight.created"
    assert Insight.model_validate(told["data"]) == insight()
    test = of_test(datetime.now(UTC))
    assert Reference(SECRET).verify(test, headers("m-2", test, KEY, datetime.now(UTC))) == json.loads(test)


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp", "secret"])
def test_it_takes_nothing_that_was_changed(changed: str) -> None:
    body, now = of_insight(insight()), datetime.now(UTC)
    signed = headers("m-1", body, KEY, now)
    secret = SECRET
    if changed == "body":
        body = body.replace("pump-7", "pump-8")
    elif changed == "secret":
        secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    else:
        signed[changed] = str(int(now.timestamp()) - 1)
    with pytest.raises(WebhookVerificationError):
        Reference(secret).verify(body, signed)


def test_an_old_message_cannot_be_sent_again_by_others() -> None:
    body = of_insight(insight())
    with pytest.raises(WebhookVerificationError):
        Reference(SECRET).verify(body, headers("m-1", body, KEY, datetime.now(UTC) - timedelta(hours=1)))
