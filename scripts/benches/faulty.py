"""A fleet with faults that are known: a daily rhythm and noise, and now and then one of several things goes wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Random = np.random.Generator

DAY_S = 86_400.0
LEVEL, SWING, NOISE = 20.0, 5.0, 0.3


@dataclass(frozen=True, slots=True)
class Fault:
    """Readings `first` to `end` (exclusive) of a device are not what they should be."""

    device: int
    first: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """Values by device and reading, the seconds between readings, and the faults, in the order of devices and time."""

    values: Floats
    interval_s: float
    faults: tuple[Fault, ...]


def _spike(values: Floats, random: Random) -> None:
    values[:] += 20 * NOISE * random.choice([-1.0, 1.0])


def _dropout(values: Floats, _random: Random) -> None:
    values[:] = 0.0


def _level(values: Floats, random: Random) -> None:
    values[:] += 12 * NOISE * random.choice([-1.0, 1.0])


def _variance(values: Floats, random: Random) -> None:
    values[:] += 5 * NOISE * random.standard_normal(len(values))


def _stuck(values: Floats, _random: Random) -> None:
    values[:] = values[0]


# What may happen, and for how many readings.
KINDS: Mapping[str, tuple[Callable[[Floats, Random], None], int]] = {
    "spike": (_spike, 1),
    "dropout": (_dropout, 3),
    "level": (_level, 60),
    "variance": (_variance, 60),
    "stuck": (_stuck, 120),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a fleet is, and when things go wrong: from reading `quiet` on, in each `apart` readings, by chance."""

    devices: int
    readings: int
    interval_s: float
    quiet: int
    apart: int
    share: float
    seed: int = 1


def fleet(plan: Plan) -> Fleet:
    """Make a fleet. A fault begins in the first half of its stretch, so that two do not run into each other."""
    random = np.random.default_rng(plan.seed)
    turn = 2.0 * np.pi * np.arange(plan.readings) * plan.interval_s / DAY_S
    phases = random.uniform(0.0, 2.0 * np.pi, (plan.devices, 1))
    values = LEVEL + SWING * np.sin(turn + phases) + NOISE * random.standard_normal((plan.devices, plan.readings))
    faults = []
    for device in range(plan.devices):
        for stretch in range(plan.quiet, plan.readings - plan.apart + 1, plan.apart):
            if random.random() < plan.share:
                kind = str(random.choice(list(KINDS)))
                change, length = KINDS[kind]
                first = stretch + int(random.integers(plan.apart // 2))
                change(values[device, first : first + length], random)
                faults.append(Fault(device, first, first + length, kind))
    return Fleet(np.round(values, 3), plan.interval_s, tuple(faults))


def judged(found: Mapping[int, list[int]], fleet: Fleet, *, grace: int) -> tuple[float, float]:
    """Give recall and precision of what was found: the readings, in order, by device.

    A fault is found by a finding between its first reading and `grace` after its end. Findings of a device that are no
    more than `grace` apart are one; one is right if any of it finds a fault.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    for fault in fleet.faults:
        spans.setdefault(fault.device, []).append((fault.first, fault.end + grace))
    caught = sum(
        any(first <= at < end for at in found.get(device, ())) for device, ones in spans.items() for first, end in ones
    )
    events = [(device, event) for device, ones in found.items() for event in _events(ones, grace)]
    right = sum(
        any(first <= at < end for at in event for first, end in spans.get(device, ())) for device, event in events
    )
    return caught / len(fleet.faults), right / len(events) if events else 0.0


def _meet(findings: list[int], spans: list[tuple[int, int]]) -> bool:
    return any(first <= at < end for at in findings for first, end in spans)


def _events(findings: list[int], apart: int) -> list[list[int]]:
    events: list[list[int]] = []
    for at in findings:
        if events and at - events[-1][-1] <= apart:
            events[-1].append(at)
        else:
            events.append([at])
    return events
