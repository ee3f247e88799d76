"""A webhook of the settings says what is wrong with it, and nothing that may be a secret."""

import base64

import pytest
from pydantic import ValidationError

from connectors.webhooks.settings import Webhook
from schemas.fields import Severity
from streams import settings
from tests.integration.timescale.test_insights import insight

SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()
GOOD = {"name": "on-call", "url": "https://user:hush@example.org/a?token=hush", "secret": SECRET}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"url": "ftp://hush.example.org"}, "https://"),
        ({"url": "hush"}, "https://"),
        ({"url": "http:///hush"}, "https://"),
        ({"secret": "hush"}, "tidegate webhooks secret"),
        ({"secret": "whsec_" + base64.b64encode(bytes(23)).decode()}, "24 to 64 bytes"),
        ({"secret": "whsec_" + base64.b64encode(bytes(65)).decode()}, "24 to 64 bytes"),
        ({"name": "On call"}, "pattern"),
        ({"attempts": 10}, "9"),
        ({"severity": "grave"}, "critical"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Webhook.model_validate(GOOD)
    with pytest.raises(ValidationError):
        Webhook.model_validate(GOOD | changes)
    hooks = str([GOOD | changes]).replace("'", '"')
    monkeypatch.setenv("TIDEGATE_WEBHOOKS", hooks)
    with pytest.raises(settings.SettingsError) as refused:
        settings.load()
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


def test_two_of_a_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_WEBHOOKS", str([GOOD, GOOD]).replace("'", '"'))
    with pytest.raises(settings.SettingsError, match="the same name"):
        settings.load()


def test_it_wants_what_is_grave_enough_of_its_tenant() -> None:
    info, warning, critical = (insight(severity=severity, tenant="acme") for severity in Severity)
    hook = Webhook.model_validate(GOOD)
    assert [hook.wants(one) for one in (info, warning, critical)] == [False, False, True]
    hook = Webhook.model_validate(GOOD | {"severity": "warning", "tenant": "acme"})
    assert [hook.wants(one) for one in (info, warning, critical)] == [False, True, True]
    assert not hook.wants(insight(tenant="other"))
    assert not Webhook.model_validate(GOOD | {"tenant": ""}).wants(critical)


def test_it_is_shown_without_its_secrets() -> None:
    assert "hush" not in repr(Webhook.model_validate(GOOD))
    assert SECRET not in repr(Webhook.model_validate(GOOD))
