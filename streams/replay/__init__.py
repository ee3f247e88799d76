"""Replaying topics: what is chosen, how fast it goes, where it stands, and what it came to."""
