"""Webhooks: what is urgent, pushed to whoever is to act on it."""
