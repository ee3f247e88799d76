"""The readings of a soak as a function of their number: what was sent needs not be kept to be known again.

The readings of a stream are numbered from 0. Its devices take turns, so number n is reading n // devices of device
n % devices; device, instant and value follow from the number, and the number from device and instant.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

METRIC: Final = "value"
COUNT: Final = "count"
MINUTE_US: Final = 60_000_000
# Clocks of devices: most are right, others are behind (one of them by days) or ahead, by less than is refused.
SKEWS_US: Final = (0, 0, 0, 0, -7 * MINUTE_US, -3 * 60 * MINUTE_US, -3 * 24 * 60 * MINUTE_US, 40 * MINUTE_US)
# Values look like noise to the detectors, in a band that is no news.
LEVEL: Final = 20.0
SPREAD: Final = 1000
STEP: Final = 7919
NO_NUMBER: Final = -1


@dataclass(frozen=True, slots=True)
class Stream:
    """What one way in carries: so many devices, each with a reading every `step_us` of its own clock."""

    name: str
    devices: int
    step_us: int
    start_us: int

    def device(self, number: int) -> str:
        """Name the device of a reading."""
        return f"{self.name}-{number % self.devices:05d}"

    def ts_us(self, number: int) -> int:
        """Give the instant of a reading, in microseconds since 1970."""
        seq, device = divmod(number, self.devices)
        return self.start_us + SKEWS_US[device % len(SKEWS_US)] + seq * self.step_us

    @staticmethod
    def value(number: int) -> float:
        """Give the value of a reading."""
        return LEVEL + number * STEP % SPREAD / SPREAD

    def numbers(self, devices: Integers, ts_us: Integers) -> Integers:
        """Find the numbers of readings; `NO_NUMBER` for an instant that no reading of the device has."""
        skews = np.array(SKEWS_US, dtype=np.int64)[devices % len(SKEWS_US)]
        since = ts_us - self.start_us - skews
        numbers = since // self.step_us * self.devices + devices
        none = (since < 0) | (since % self.step_us != 0) | (devices >= self.devices)
        return np.where(none, NO_NUMBER, numbers)


def values(numbers: Integers) -> Floats:
    """Give the values of many readings."""
    return np.asarray(LEVEL + numbers * STEP % SPREAD / SPREAD, dtype=np.float64)
