"""Kafka: everything of ours that produces, reads or administers topics goes through here."""
