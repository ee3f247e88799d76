"""`tidegate doctor` tries each model endpoint."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.stand_in import StandIn

KEY = "sk-test-0123456789abcdef"


def doctor(*options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run it with nothing set but what is given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "OPENAI_"))}
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "streams.cli.main", "doctor", *options],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def findings(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, Any]]:
    """Give what it says of models, by what was looked at."""
    told = json.loads(done.stdout)["findings"]
    return {finding["what"]: finding for finding in told if finding["what"].lower().startswith("model")}


def endpoint(stand_in: StandIn, name: str = "first", model: str = "ok", **fields: object) -> Mapping[str, object]:
    return {"name": name, "base_url": stand_in.url, "api_key": KEY, "model": model, **fields}


def listed(*endpoints: Mapping[str, object]) -> dict[str, str]:
    return {"TIDEGATE_LLM__ENDPOINTS": json.dumps(endpoints)}


def test_all_endpoints_are_tried(stand_in: StandIn) -> None:
    endpoints = listed(endpoint(stand_in, input_usd=1, output_usd=2), endpoint(stand_in, "second", "401"))

    done = doctor("--json", **endpoints)
    found = findings(done)

    assert done.returncode == 1
    assert list(found) == [
        "Model first",
        "Model first structured answers",
        "Model first price",
        "Model second",
        "Model second price",
    ]
    assert [finding["what"] for finding in found.values() if not finding["fine"]] == ["Model second"]
    assert " answers in " in found["Model first"]["seen"]
    assert "Correct api_key" in found["Model second"]["cure"]
    assert len(stand_in.requests()) == 2


def test_without_calls_nothing_is_asked(stand_in: StandIn) -> None:
    stand_in.models("ok")

    done = doctor("--no-calls", **listed(endpoint(stand_in)))

    assert done.returncode == 0, done.stdout
    place = stand_in.url.removeprefix("http://").removesuffix("/v1")
    assert f"ok   Model first: ok at {place} is in the server's list\n" in done.stdout
    assert stand_in.requests() == []
    assert len(stand_in.requests("GET")) == 1


def test_it_says_what_a_call_costs() -> None:
    said = " ".join(doctor("--help", COLUMNS="200", TERM="dumb").stdout.replace("│", " ").split())

    assert "--no-calls" in said
    assert "a fraction of a cent" in said


@pytest.mark.parametrize(
    "budget",
    [
        {"TIDEGATE_LLM__BUDGET_USD_PER_DAY": "5"},
        {"TIDEGATE_LLM__TENANT_BUDGET_USD_PER_DAY": "5"},
        {"TIDEGATE_LLM__TENANT_BUDGETS_USD_PER_DAY": '{"acme": 5}'},
    ],
)
def test_under_a_budget_prices_have_to_be_known(stand_in: StandIn, budget: dict[str, str]) -> None:
    done = doctor("--json", "--no-calls", **listed(endpoint(stand_in)), **budget)

    assert done.returncode == 1
    assert not findings(done)["Model first price"]["fine"]


def test_the_list_may_be_a_file(stand_in: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps([endpoint(stand_in, "of-the-file")]))
    there = doctor("--json", TIDEGATE_LLM__ENDPOINTS_FILE=str(file), **listed(endpoint(stand_in)))
    file.write_text("[]")
    empty = doctor("--json", TIDEGATE_LLM__ENDPOINTS_FILE=str(file))

    assert there.returncode == 0, there.stdout
    assert "Model of-the-file" in findings(there)
    assert "Model first" not in findings(there)
    assert empty.returncode == 1
    assert "lists no endpoint" in findings(empty)["Models"]["seen"]


def test_an_endpoint_elsewhere_and_minutes_without_redis_are_remarked(stand_in: StandIn) -> None:
    here, there = endpoint(stand_in, region="eu"), endpoint(stand_in, "far", region="us", rpm=60)

    done = doctor("--json", "--no-calls", TIDEGATE_REGION="eu", **listed(here, there))
    found = findings(done)

    assert done.returncode == 0, done.stdout
    assert "Model first region" not in found
    assert found["Model far region"]["seen"] == "us, ours is eu"
    assert "far" in found["Models a minute"]["seen"]
    assert "tidegate up" in found["Models a minute"]["cure"]
    assert "TIDEGATE_REDIS__URL" in found["Models a minute"]["cure"]


def test_the_variables_of_openai_are_enough(stand_in: StandIn) -> None:
    stand_in.models("gpt-4o-mini")

    done = doctor("--json", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=stand_in.url)

    assert done.returncode == 0, done.stdout
    assert findings(done)["Model openai"]["seen"].startswith("gpt-4o-mini at 127.0.0.1:")
    (request,) = stand_in.requests()
    assert request["headers"]["authorization"] == f"Bearer {KEY}"


def test_no_model_is_no_fault() -> None:
    done = doctor("--json")

    assert done.returncode == 0
    assert findings(done)["Models"]["seen"] == "none: rules answer"
