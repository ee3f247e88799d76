"""`tidegate bridge`: carries what devices publish over MQTT to the topic `readings`."""

import signal
import threading
from types import FrameType

from connectors.kafka.producer import Producer
from connectors.mqtt.bridge import Bridge
from streams import measured, reachable, registered
from streams.cli.logs import log_to_stderr
from streams.cli.output import ReadyFile, mark_ready
from streams.settings import load

EXAMPLES = "Example: [bold]TIDEGATE_MQTT__URL=mqtts://broker:8883 tidegate bridge[/]"

POLL_S = 0.05


def command(ready_file: ReadyFile = None) -> None:
    """Run the bridge until it is told to stop: one subscriber, at QoS 1, in the order of arrival."""
    settings = load()
    log_to_stderr(settings)
    reachable.check(settings)
    registered.adopt(settings)
    measured.serve(settings, measured.Part.BRIDGE)
    producer = Producer(settings.kafka)
    bridge = Bridge(settings.mqtt, producer, region=settings.region)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        bridge.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)

    ended = threading.Event()

    def watch() -> None:
        while not bridge.connected and not ended.wait(POLL_S):
            pass
        if not ended.is_set():
            mark_ready(ready_file)

    threading.Thread(target=watch, name="ready", daemon=True).start()
    try:
        bridge.run()
    finally:
        ended.set()
        producer.close()
