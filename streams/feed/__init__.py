"""Readings for trying things: from a CSV file or from simulated devices, sent as a device would send them."""
