"""Devices that do not exist: a daily rhythm, noise, and now and then something that deserves an insight."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from schemas.models import Reading

METRICS = {"temperature": ("Cel", 20.0, 5.0, 0.3), "vibration": ("mm/s", 4.0, 0.5, 0.1)}
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Fleet:
    """Simulated devices; the same seed says the same things."""

    devices: int
    interval_s: float = 1.0
    seed: int = 1
    # How many faults a device has in a thousand readings, on average.
    faults_per_thousand: float = 0.5
    fault_readings: int = 30

    def names(self) -> list[str]:
        """Give the devices' ids."""
        return [f"sim-{number:04d}" for number in range(1, self.devices + 1)]

    def readings(self, start: datetime, count: int) -> Iterator[Reading]:
        """Give `count` readings of each device, in turns, the first at `start`."""
        random = np.random.default_rng(self.seed)
        phase = random.uniform(0.0, 2 * np.pi, self.devices)
        names = self.names()
        fault_left = np.zeros(self.devices, dtype=np.int64)
        fault_size = np.zeros(self.devices)
        for step in range(count):
            ts = start + timedelta(seconds=step * self.interval_s)
            turn = 2 * np.pi * (ts.timestamp() % DAY_S) / DAY_S
            begins = (fault_left == 0) & (random.random(self.devices) < self.faults_per_thousand / 1000)
            fault_left[begins] = self.fault_readings
            fault_size[begins] = random.choice([-1.0, 1.0], int(begins.sum())) * random.uniform(4, 8, int(begins.sum()))
            noise = random.normal(0.0, 1.0, (len(METRICS), self.devices))
            for number in range(self.devices):
                shift = fault_size[number] if fault_left[number] else 0.0
                yield Reading(
                    device_id=names[number],
                    ts=ts,
                    metrics={
                        metric: round(
                            float(
                                level + swing * np.sin(turn + phase[number]) + spread * (noise[row, number] + 3 * shift)
                            ),
                            4,
                        )
                        for row, (metric, (_, level, swing, spread)) in enumerate(METRICS.items())
                    },
                    units={metric: unit for metric, (unit, *_) in METRICS.items()},
                    tags={"class": "simulated"},
                    seq=step,
                )
            fault_left[fault_left > 0] -= 1
