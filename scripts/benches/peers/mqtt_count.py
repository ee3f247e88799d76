"""A plain paho subscriber at QoS 1 that only counts: what the MQTT half of any bridge in Python can reach.

It prints the time and the count of messages every so often, which is what is measured.
"""

import os
import time
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

EVERY = 250
NEVER_EXPIRES = 0xFFFFFFFF


def main() -> None:
    """Subscribe and count; until killed."""
    expected = int(os.environ["BENCH_MESSAGES"])
    broker = urlsplit(os.environ["BENCH_MQTT"])
    client = Client(
        CallbackAPIVersion.VERSION2, client_id=os.environ["BENCH_CLIENT_ID"], protocol=MQTTProtocolVersion.MQTTv5
    )
    count = 0

    def count_it(_client: Client, _data: object, _message: MQTTMessage) -> None:
        nonlocal count
        count += 1
        if count % EVERY == 0 or count == expected:
            print(f"{time.time():.6f} {count}", flush=True)

    client.on_message = count_it
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho types it not at all
    properties.SessionExpiryInterval = NEVER_EXPIRES
    client.connect(broker.hostname or "", broker.port or 1883, clean_start=False, properties=properties)
    client.loop_forever()


if __name__ == "__main__":
    main()
