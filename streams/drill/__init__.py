"""The drill of two regions: load, a disaster, and proof of what became of each reading. The soak shares its books."""
