"""The flow: from the topic `readings` to the hypertable, to what is unusual, and to insights."""
