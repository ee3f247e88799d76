"""Questions about a cluster that does not answer."""

from collections.abc import Callable

import pytest

from connectors.errors import UnreachableError
from connectors.kafka.admin import Admin
from connectors.kafka.settings import KafkaSettings

NOWHERE = KafkaSettings(bootstrap_servers="127.0.0.1:1", connect_timeout_s=1.0)
QUESTIONS: dict[str, Callable[[Admin], object]] = {
    "cluster_id": Admin.cluster_id,
    "topics": lambda admin: admin.topics(["readings"]),
    "bounds": lambda admin: admin.bounds([("readings", 0)]),
    "committed": lambda admin: admin.committed("group", [("readings", 0)]),
    "lag": lambda admin: admin.lag("group", "readings"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_error_names_the_address_and_the_setting(name: str) -> None:
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1.*TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"):
        QUESTIONS[name](Admin(NOWHERE))
