"""How coarsely an alarm's numbers are told to a model, so that windows that deserve the same answer ask for the same.

A model is told where the value went in spreads, not what it was to the last digit: an answer has placeholders where the
window's own numbers belong. What lies within two spreads of the baseline is noise, and told as the baseline; further
away each step is half as far again, so nothing that is told is off by more than about a fifth. Levels are those of the
E6 series (IEC 60063). The steps are chosen by measurement: `scripts/bench cache` plots hits against what is misstated.
"""

import math
from dataclasses import dataclass

_MANTISSAS = (1.0, 1.5, 2.2, 3.3, 4.7, 6.8, 10.0)


@dataclass(frozen=True, slots=True)
class Grain:
    """From how many spreads on a distance counts, and the ratio of one step to the next."""

    usual: float = 2.0
    ratio: float = 1.5

    def distance(self, spreads: float) -> float:
        """Give the step for a distance from the baseline in spreads; 0.0 for what is usual."""
        size = abs(spreads)
        if size < self.usual or math.isinf(size):
            return spreads if math.isinf(size) else 0.0
        steps = round(math.log(size / self.usual) / math.log(self.ratio))
        return math.copysign(self.usual * self.ratio**steps, spreads)

    @staticmethod
    def level(value: float) -> float:
        """Give the nearest value of the E6 series, by ratio; 0.0 for what is too small to have one."""
        size = abs(value)
        if size == 0.0 or not math.isfinite(1.0 / size):
            return 0.0
        power = 10.0 ** math.floor(math.log10(size))
        mantissa = min(_MANTISSAS, key=lambda one: abs(math.log(one * power / size)))
        return math.copysign(mantissa * power, value)


GRAIN = Grain()
