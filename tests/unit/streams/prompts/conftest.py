from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.models import AnalysisRequest

START = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def make() -> Callable[..., AnalysisRequest]:
    def make(**changes: object) -> AnalysisRequest:
        """A bearing that got hot: 60 → 91.5 °C within an hour."""
        values = [60.0, 61.0, 62.5, 70.0, 80.0, 91.5]
        fields: dict[str, Any] = {
            "id": "3b0c7d3e-5a53-5c0b-9a0e-7469646567a7",
            "region": "eu",
            "tenant": "acme",
            "device_id": "pump-7",
            "device_class": "pump",
            "metric": "bearing temperature",
            "unit": "°C",
            "kind": "level",
            "direction": "up",
            "severity": "warning",
            "score": 0.9,
            "value": 91.5,
            "baseline": 60.0,
            "spread": 2.0,
            "window_start": START,
            "window_end": START + timedelta(hours=1),
            "accepted": START + timedelta(hours=1, seconds=2),
            "samples": [
                {"ts": START + timedelta(minutes=10 * at), "value": value} for at, value in enumerate(values, 1)
            ],
            "topic": "readings",
            "partition": 3,
            "first_offset": 100,
            "last_offset": 105,
        }
        return AnalysisRequest.model_validate(fields | changes)

    return make
