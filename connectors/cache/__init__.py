"""Answers kept: in memory, in Redis, on disk, and found again by their meaning."""
