"""What an access list forbids is said of the topics that were to be read, whichever of the errors comes first."""

import pytest
from confluent_kafka import KafkaError

from connectors.kafka.consumer import ForbiddenError, _check


@pytest.mark.parametrize("topic", ["readings", "None"])
@pytest.mark.parametrize("code", [KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_it_is_said_of_the_topics(topic: str, code: int) -> None:
    with pytest.raises(ForbiddenError, match=r"does not let us read readings: .*doctor --acls"):
        _check(KafkaError(code), (topic, 0), ["readings"])
