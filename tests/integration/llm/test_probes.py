"""Who died is known before a call finds out, and who is back is used again at once."""

import pytest
from prometheus_client import REGISTRY

from connectors.llm import pool as module
from connectors.llm.breaker import FAILURES
from connectors.llm.errors import BusyEndpointError
from connectors.llm.probes import probe
from tests.fakes.stand_in import StandIn
from tests.integration.llm.test_pool import AWAY, ask, endpoint, pool


async def test_no_call_finds_out_that_an_endpoint_died(stand_in: StandIn) -> None:
    async with pool(endpoint(stand_in, "ok", name="dead", url=AWAY, weight=1000.0), endpoint(stand_in, "ok")) as one:
        for _ in range(FAILURES):
            await probe(one)
        dead = one.balancer.states["dead"]
        assert dead.breaker.open_until is not None
        assert REGISTRY.get_sample_value("tidegate_model_left_alone", {"endpoint": "dead"}) == 1
        assert REGISTRY.get_sample_value("tidegate_model_ejections", {"endpoint": "dead"}) == 1
        assert await ask(one) == "ok"
        assert dead.breaker.failures == 0


async def test_one_that_is_back_is_used_at_once(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.1)
    stand_in.models(status=503)
    stand_in.queue(*["500"] * FAILURES)
    async with pool(endpoint(stand_in, "test-1")) as one:
        for _ in range(FAILURES):
            with pytest.raises(BusyEndpointError):
                await ask(one)
        await probe(one)
        with pytest.raises(BusyEndpointError, match="away"):
            await ask(one)
        stand_in.models("test-1")
        await probe(one)
        assert await ask(one) == "test-1"


@pytest.mark.parametrize("status", [401, 404])
async def test_a_server_without_a_list_of_models_is_alive(stand_in: StandIn, status: int) -> None:
    stand_in.models(status=status)
    async with pool(endpoint(stand_in, "ok")) as one:
        for _ in range(2 * FAILURES):
            await probe(one)
        assert await ask(one) == "ok"
