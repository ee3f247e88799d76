"""HTTP: the gateway that devices, people and services talk to."""
