"""The drill of two regions: load, a disaster, and the proof of what became of each reading. The soak shares its books."""
