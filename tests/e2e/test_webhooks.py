"""What is critical is pushed to who is on call, and what cannot be is there to be tried again."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook as Reference

from schemas.fields import Severity, deterministic_id
from schemas.models import DeadLetter
from schemas.topics import DEAD_LETTERS
from tests.e2e.conftest import Flow, eventually
from tests.e2e.test_analysis import consumed
from tests.fakes.receiver import receiver
from tests.integration.agents.test_analyze import request

pytestmark = [pytest.mark.kafka, pytest.mark.database, pytest.mark.timeout(300)]


def test_who_is_on_call_is_told_and_a_dead_message_is_tried_again(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = json.loads(flow.run("webhooks", "secret", "--json").stdout)["secret"]
    with receiver() as well, receiver() as gone:
        gone.answers = [410, 204, 500]
        hooks = [
            {"name": "well", "url": well.url, "secret": secret},
            {"name": "gone", "url": gone.url, "secret": secret},
        ]
        monkeypatch.setenv("TIDEGATE_WEBHOOKS", json.dumps(hooks))
        worker = flow.start("worker", "--lane", "analyze")
        end = datetime.now(UTC)
        for severity in Severity:
            of_it = {"id": deterministic_id("request", severity), "window_end": end, "accepted": end}
            flow.request(request(**of_it, window_start=end - timedelta(minutes=5), severity=severity))
        eventually(lambda: flow.fetch("select count(*) from insights") == [(3,)], "all are explained")
        eventually(lambda: bool(well.told and gone.told), "both were told")

        told = Reference(secret).verify(well.told[0].body, well.told[0].headers)
        assert (told["type"], told["data"]["severity"]) == ("insight.created", "critical")
        (letter,) = consumed(flow, DEAD_LETTERS, DeadLetter, 1)
        assert (letter.stage, letter.detail) == ("webhook", "gone: it answered 410")
        assert letter.value == gone.told[0].body

        def listed() -> dict[str, dict[str, object]]:
            found: dict[str, dict[str, object]] = json.loads(flow.run("webhooks", "list", "--json").stdout)
            return found

        eventually(lambda: listed()["gone"]["dead"] == 1, "it is shown as dead")
        assert listed()["well"]["delivered"] == 1
        assert "it answered 410" in flow.run("webhooks", "list").stdout
        assert json.loads(flow.run("webhooks", "retry", "gone", "--json").stdout) == {"tried again": 1}
        eventually(lambda: listed()["gone"]["delivered"] == 1, "it was delivered after all")

        assert json.loads(flow.run("webhooks", "test", "well", "--json").stdout)["delivered"]
        failed = flow.run("webhooks", "test", "gone")
        assert (failed.returncode, "it answered 500" in failed.stdout) == (1, True)
        unknown = flow.run("webhooks", "test", "nobody")
        assert (unknown.returncode, "it has well, gone" in unknown.stderr) == (2, True)
        assert len(well.told) == 2  # the insight and the test: nothing twice
        log = worker.log.read_text(errors="replace")
    assert secret not in log
    assert "token=hush" not in log
