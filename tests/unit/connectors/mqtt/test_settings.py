import pytest
from pydantic import ValidationError

from connectors.mqtt.settings import MqttSettings


@pytest.mark.parametrize(
    ("url", "address", "tls"),
    [
        ("mqtt://broker", "mqtt://broker:1883", False),
        ("mqtts://broker", "mqtts://broker:8883", True),
        ("mqtts://broker:1", "mqtts://broker:1", True),
    ],
)
def test_addresses(url: str, address: str, tls: bool) -> None:  # noqa: FBT001  # a parameter of the test
    settings = MqttSettings(url=url)
    assert (settings.address, settings.tls) == (address, tls)


@pytest.mark.parametrize(
    "url", ["broker:1883", "http://broker", "mqtt://", "mqtt://broker:port", "mqtt://broker:99999"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValidationError, match="looks like"):
        MqttSettings(url=url)


def test_credentials_do_not_belong_into_the_address() -> None:
    with pytest.raises(ValidationError, match="USERNAME and PASSWORD"):
        MqttSettings(url="mqtt://user:secret@broker")
