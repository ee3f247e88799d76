"""MQTT: what devices send, on its way to the topic `readings`."""
