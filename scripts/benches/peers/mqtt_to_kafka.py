"""From MQTT to Kafka as it is usually written: paho hands each message to a producer, and acknowledges it at once.

It does less than a bridge should: it looks at no payload, and what Kafka has not confirmed when the process dies is
lost, because paho acknowledges when the callback returns.
"""

import os
from urllib.parse import urlsplit

from confluent_kafka import Producer
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

NEVER_EXPIRES = 0xFFFFFFFF


def main() -> None:
    """Subscribe and forward; until killed."""
    broker = urlsplit(os.environ["BENCH_MQTT"])
    producer = Producer({"bootstrap.servers": os.environ["BENCH_KAFKA"], "acks": "all", "enable.idempotence": True})
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=os.environ["BENCH_CLIENT_ID"], protocol=MQTTProtocolVersion.MQTTv5
    )

    def forward(_client: Client, _data: object, message: MQTTMessage) -> None:
        device_id = message.topic.split("/")[1]
        producer.produce("readings", bytes(message.payload), device_id)
        producer.poll(0)

    client.on_message = forward
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types it not at all
    properties.SessionExpiryInterval = NEVER_EXPIRES
    client.connect(broker.hostname or "", broker.port or 1883, clean_start=False, properties=properties)
    client.loop_forever()


if __name__ == "__main__":
    main()
