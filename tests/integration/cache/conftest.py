"""These tests ask for answers, or for vectors."""

from tests.fakes.stand_in import stand_in, stand_in_process

__all__ = ["stand_in", "stand_in_process"]
