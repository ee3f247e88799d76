"""An answer without a model: what the numbers of the request say, and what such numbers usually mean.

It is labelled `rules`, and its confidence says that nobody has looked for a cause.
"""

from dataclasses import dataclass

from schemas.fields import Direction
from schemas.models import AnalysisRequest
from streams.prompts.answer import Answer
from streams.prompts.facts import DERIVED_DIGITS, deviation, quantise
from streams.prompts.placeholders import number

# A rule sees that something is unusual, not why.
CONFIDENCE_FLOOR, CONFIDENCE_CEILING = 0.1, 0.4


@dataclass(frozen=True, slots=True)
class Rule:
    """What is said about one kind of window. `{move}` stands for the direction, everything else is a placeholder."""

    what: str
    causes: tuple[str, ...]
    actions: tuple[str, ...]
    # The direction is that of the value, and is left out where the numbers deny it.
    of_value: bool = True
    # What is compared with the baseline.
    compared: str = "the value"


_COMPARE = "Compare {metric} of {device} with other devices of its kind and with its other metrics since {from}."
_SENSOR = "Check the sensor, its wiring and its supply."

UNKNOWN = Rule(
    what="{metric} of {device} moved{move} in an unusual way",
    causes=("A real change in what is measured, or a fault of the sensor: the numbers alone do not tell.",),
    actions=(_COMPARE, _SENSOR),
)

RULES: dict[str, Rule] = {
    "deviation": Rule(
        what="{metric} of {device} moved{move} away from its usual course",
        causes=("A change of load, of operation or of the surroundings.", "A fault of the device or of the sensor."),
        actions=(_COMPARE, _SENSOR),
    ),
    "spike": Rule(
        what="{metric} of {device} jumped{move} for a short time",
        causes=("A short disturbance of what is measured.", "Electrical noise or a loose contact at the sensor."),
        actions=("Look for events at {device} around {from}.", _SENSOR),
    ),
    "dropout": Rule(
        what="{metric} of {device} dropped out for a short time",
        causes=("A loose contact or a short loss of power at the sensor.", "A short stop of what is measured."),
        actions=(_SENSOR, "Look for events at {device} around {from}."),
    ),
    "level": Rule(
        what="{metric} of {device} moved{move} to another level",
        causes=("A change of load, of a set point or of the surroundings.", "Drift or new calibration of the sensor."),
        actions=("Find out what was changed at {device} around {from}.", _COMPARE),
    ),
    "variance": Rule(
        what="{metric} of {device} changed{move} in how much it varies",
        causes=("A change of operation, or wear that makes it uneven.", "Noise at the sensor."),
        actions=(_COMPARE, _SENSOR),
        of_value=False,
    ),
    "flat-line": Rule(
        what="{metric} of {device} hardly moved",
        causes=("A sensor that is stuck or repeats its last value.", "A device that stands still."),
        actions=("Find out whether {device} was running between {from} and {to}.", _SENSOR),
    ),
    "range": Rule(
        what="{metric} of {device} moved{move} out of the range that its class of devices allows",
        causes=("Operation beyond what the device is meant for.", "A limit that does not fit this device."),
        actions=("Bring {device} back into its range if it is not there by now.", "Check the limits of its class."),
    ),
    "season": Rule(
        what="{metric} of {device} moved{move} away from its usual daily course",
        causes=("Operation at an unusual time.", "A clock or a schedule that has shifted."),
        actions=("Compare the schedule of {device} with what ran between {from} and {to}.", _COMPARE),
    ),
    "pattern": Rule(
        what="{metric} of {device} moved{move} in a way that it had not moved before",
        causes=("A new way of operation or a change of the surroundings.", "A fault of the device or of the sensor."),
        actions=("Find out what was different at {device} between {from} and {to}.", _COMPARE),
    ),
    "missing": Rule(
        what="Readings of {metric} from {device} were missing",
        causes=("A loss of power or of the connection.", "A device that was turned off."),
        actions=("Check that {device} is powered and connected.", "Check the gateway and the network in between."),
    ),
}

SUMMARY = Rule(
    what="{metric} of {device}",
    causes=(),
    actions=(),
    compared="its mean",
)

_MOVES = {Direction.UP: " upwards", Direction.DOWN: " downwards", Direction.NONE: ""}


def explain(request: AnalysisRequest) -> Answer:
    """Answer any request from its own numbers."""
    if not request.topic and not request.samples:
        return _nothing(request)
    rule = RULES.get(request.kind.lower().replace("_", "-"), UNKNOWN) if request.topic else SUMMARY
    what = rule.what.replace("{move}", _move(rule, request))
    summary = f"{what} between {{from}} and {{to}}: {_comparison(rule, request)}."
    if request.question is not None:
        summary = f"Rules cannot answer questions; this is what the numbers say. {summary}"
    return Answer(
        summary=summary,
        probable_causes=rule.causes,
        recommended_actions=rule.actions,
        severity=request.severity,
        confidence=_confidence(request),
    )


def _nothing(request: AnalysisRequest) -> Answer:
    return Answer(
        summary="There are no readings of {metric} from {device} between {from} and {to}.",
        probable_causes=(),
        recommended_actions=("Check the names and the times.", "Check that {device} is powered and connected."),
        severity=request.severity,
        confidence=CONFIDENCE_FLOOR,
    )


def _move(rule: Rule, request: AnalysisRequest) -> str:
    denied = {Direction.UP: request.value < request.baseline, Direction.DOWN: request.value > request.baseline}
    if rule.of_value and denied.get(request.direction, False):
        return ""
    return _MOVES[request.direction]


def _comparison(rule: Rule, request: AnalysisRequest) -> str:
    """Compare by the numbers, whatever direction the detector named."""
    if request.value == request.baseline:
        return f"{rule.compared} {{value}} is its usual one"
    side = "above" if request.value > request.baseline else "below"
    distance = deviation(request)
    if distance is None:
        return f"{rule.compared} {{value}} is {side} the usual {{baseline}}"
    times = number(quantise(abs(distance), DERIVED_DIGITS))
    return f"{rule.compared} {{value}} is {side} the usual {{baseline}}, by {times} times the usual spread"


def _confidence(request: AnalysisRequest) -> float:
    if request.question is not None:
        return CONFIDENCE_FLOOR
    return CONFIDENCE_FLOOR + (CONFIDENCE_CEILING - CONFIDENCE_FLOOR) * request.score
