"""`scripts/bench cost`: what it costs to have a million readings explained, three ways, and what is found of faults.

- *a call a reading*: the naive server, which asks about each reading in the handler that took it, one after the other;
- *a call a window*: a call for each hour of each device, with all its readings;
- *tidegate*: statistics decide what is unusual, and only that is asked about.

Calls and tokens are counted, with the prompts that would be sent, on a clock of its own. A sample of calls is made for
real, through the `openai` client, to a stand-in endpoint with a long tail of latencies: it gives the mean latency, from
which the hours are extrapolated, and shows that tokens are counted as the endpoint counts them.

No model judges here. What stands for one is a careful reader that finds whatever can be seen in what it is shown: of a
single reading, that no healthy device of the fleet ever had such a value; of an hour, what stands out of its own course
or stands still. Tidegate is judged by what it asks about.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from pydantic import SecretStr

from connectors.llm.client import Model
from connectors.llm.completion import Reply
from connectors.llm.settings import Endpoint
from connectors.timescale.devices import DeviceKnown
from schemas.fields import Severity
from scripts.benches import machine, standin
from scripts.benches.command import Json, Step, progress, publish
from scripts.benches.faulty import LEVEL, NOISE, SWING, Fleet, Floats, Plan, fleet, judged
from scripts.benches.report import Goal, Report, Result, ratio
from streams.agents.requests import request_for
from streams.columns.batch import ROW_SCHEMA
from streams.detect.detector import Detector
from streams.detect.state import SeriesTable
from streams.prompts.answer import Answer
from streams.prompts.facts import Facts
from streams.prompts.pack import Answers, Numbered
from streams.prompts.prompt import Prompt

SUMMARY = "Calls, tokens, dollars and hours for a million readings, and what is found of faults; needs no servers."
EXAMPLES = "Example: [bold]scripts/bench cost --json[/]"

PLAN = Plan(devices=250, readings=4000, interval_s=60.0, quiet=1000, apart=300, share=0.2)
WINDOW = 60
# Readings within which a finding still belongs to a fault that is over.
GRACE = 60
PARTITIONS = 8
FULL_BYTES = 16 * 1024 * 1024
# In spreads of an hour's own: what this reader does best with.
STANDS_OUT, STANDS_STILL = 5.0, 20
# Beyond the swing: five deviations of the noise, which a million healthy readings hardly reach.
HEALTHY = SWING + 5 * NOISE

A_READING, A_WINDOW, TIDEGATE, TIDEGATE_AT_ONCE = "a call a reading", "a call a window", "tidegate", "tidegate, at once"
PACK = 16
CALLS = 64
SAMPLE = 500
MEDIAN_S, TAIL_S = 2.0, 30.0
BYTES_PER_TOKEN = 4
# Dollars for a million tokens of gpt-4o-mini, which the naive server asks: its list prices.
PROMPT_USD, COMPLETION_USD = 0.15, 0.60

WINDOW_SYSTEM = (
    "You are given an hour of readings of one metric of one device. Say whether anything in it is unusual; explain it "
    "with probable causes and recommended actions, and say how severe it is and how sure you are."
)
ANSWER = Answer(
    summary="{metric} of {device} left its usual course and reached {value}, where {baseline} is usual.",
    probable_causes=("A change of load or of the surroundings.", "A fault of the sensor or of its wiring."),
    recommended_actions=("Compare {metric} with other devices of the same kind since {from}.", "Check the sensor."),
    severity=Severity.WARNING,
    confidence=0.6,
)
START_US = 1_767_225_600_000_000  # 2026-01-01

Found = Mapping[int, list[int]]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to have readings explained. `found` are readings by device."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    at_once: int
    found: Found

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def dollars(self) -> float:
        """What they cost."""
        return (self.prompt_tokens * PROMPT_USD + self.completion_tokens * COMPLETION_USD) / 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """What real calls showed: their mean latency, and their tokens as the endpoint and as this bench counts them."""

    latency_s: float
    tokens: int
    counted: int


def command(*, as_json: Json = False) -> None:
    """Count all ways on the same readings, and make 500 calls for real: half a minute."""
    with progress(5) as step:
        step("a fleet with faults")
        made = fleet(PLAN)
        ways = _ways(made, step)
        step(f"{SAMPLE} real calls")
        sample = asyncio.run(_sample(_window_prompts(made, SAMPLE)))
    publish(report(made, ways, sample, machine.versions()), as_json=as_json)


def report(made: Fleet, ways: Mapping[str, Way], sample: Sample, versions: Mapping[str, str]) -> Report:
    """Compose what is said of the ways."""
    results, quality = [], {}
    for name, way in ways.items():
        quality[name] = judged(way.found, made, grace=GRACE)
        hours = way.calls * sample.latency_s / way.at_once / 3600
        figures = {"calls": way.calls, "tokens": way.tokens, "dollars": way.dollars, "hours, extrapolated": hours}
        figures |= dict(zip(("recall", "precision"), quality[name], strict=True))
        results += [Result(name, what, "", (float(value),)) for what, value in figures.items()]
    results.append(Result("endpoint", f"mean latency of {SAMPLE} real calls", "s", (sample.latency_s,)))
    results.append(Result("endpoint", "tokens it counted / counted here", "", (sample.tokens / sample.counted,)))
    own, window, reading = ways[TIDEGATE], ways[A_WINDOW], ways[A_READING]
    fewer_tokens, fewer_calls = ratio(window.tokens, own.tokens), ratio(reading.calls, own.calls)
    goals = [
        Goal("times fewer tokens than a call a window", fewer_tokens, 12.0),
        Goal("times fewer calls than a call a reading", fewer_calls, 1000.0),
    ]
    for place, what in enumerate(("recall", "precision")):
        goals += [
            Goal(f"{what}, where {name} has as much", quality[TIDEGATE][place], quality[name][place])
            for name in (A_WINDOW, A_READING)
        ]
    ratios = {
        "tokens, a call a window / tidegate": fewer_tokens,
        "tokens, a call a reading / tidegate": ratio(reading.tokens, own.tokens),
        "calls, a call a reading / tidegate": fewer_calls,
        "calls, a call a window / tidegate": ratio(window.calls, own.calls),
        "tokens, tidegate / tidegate, at once": ratio(own.tokens, ways[TIDEGATE_AT_ONCE].tokens),
    }
    remarks = {"faults": f"{len(made.faults)} in {made.values.size:,} readings"}
    return Report("cost", machine.machine(), {**versions, **remarks}, results, ratios, goals)


def _ways(made: Fleet, step: Step) -> dict[str, Way]:
    step(A_READING)
    ways = {A_READING: _a_call_a_reading(made)}
    step(A_WINDOW)
    ways[A_WINDOW] = _a_call_a_window(made)
    step(TIDEGATE)
    facts, found = _watched(made)
    # As alarms come, calls are free and each goes alone; at once, as after a pause, those that wait go together.
    ways[TIDEGATE] = _asked(facts, 1, found)
    ways[TIDEGATE_AT_ONCE] = _asked(facts, PACK, found)
    return ways


def _a_call_a_reading(made: Fleet) -> Way:
    """Ask as the naive server does: `Analyze this data: {...}`."""
    prompt = 0
    for device, values in enumerate(made.values.tolist()):
        for value in values:
            prompt += tokens(f"Analyze this data: {{'device_id': 'bench-{device}', 'temperature': {value}}}")
    outside = np.abs(made.values - LEVEL) > HEALTHY
    found = {device: np.flatnonzero(row).tolist() for device, row in enumerate(outside) if row.any()}
    return Way(made.values.size, prompt, made.values.size * tokens(" ".join(ANSWER.texts())), 1, found)


def _a_call_a_window(made: Fleet) -> Way:
    prompts = _window_prompts(made, None)
    found = defaultdict(list)
    for device, values in enumerate(made.values):
        for first in range(0, len(values) - WINDOW + 1, WINDOW):
            seen = reads(values[first : first + WINDOW])
            if seen is not None:
                found[device].append(first + seen)
    prompt = sum(tokens(each.system) + tokens(each.user) for each in prompts)
    return Way(len(prompts), prompt, len(prompts) * tokens(ANSWER.model_dump_json()), CALLS, found)


def reads(window: Floats) -> int | None:
    """Find the first reading of an hour that stands out of its course, or that ends a long stretch of one value."""
    third = len(window) // 3
    slope = (np.median(window[-third:]) - np.median(window[:third])) / (len(window) - third)
    flat = window - slope * np.arange(len(window))
    off = np.abs(flat - np.median(flat))
    spread = 1.4826 * np.median(off)
    if spread > 0 and (off > STANDS_OUT * spread).any():
        return int(np.argmax(off > STANDS_OUT * spread))
    run = 0
    for place, same in enumerate(np.diff(window) == 0, start=1):
        run = run + 1 if same else 0
        if run >= STANDS_STILL:
            return place
    return None


def _window_prompts(made: Fleet, count: int | None) -> list[Prompt]:
    """Make the prompts of the first `count` hours, or of all."""
    prompts: list[Prompt] = []
    for device, values in enumerate(made.values.tolist()):
        for first in range(0, len(values) - WINDOW + 1, WINDOW):
            if len(prompts) == count:
                return prompts
            readings = [[_when(made, at).isoformat(), values[at]] for at in range(first, first + WINDOW)]
            body = {"device_id": f"bench-{device}", "metric": "temperature", "unit": "Cel", "readings": readings}
            prompts.append(Prompt(WINDOW_SYSTEM, json.dumps(body, separators=(",", ":"))))
    return prompts


def _watched(made: Fleet) -> tuple[list[Facts], Found]:
    """Let the detectors see the fleet, as it would come through partitions, and ask about what they find."""
    facts = []
    found = defaultdict(list)
    for partition in range(PARTITIONS):
        devices = np.arange(partition, len(made.values), PARTITIONS)
        names = pa.array([f"bench-{device}" for device in devices], pa.string())
        metrics = pa.array(["temperature"] * len(devices), pa.string())
        detector = Detector(SeriesTable(FULL_BYTES))
        for at in range(made.values.shape[1]):
            ts = pa.array([_when(made, at)] * len(devices), pa.timestamp("us", "UTC"))
            columns = [ts, names, metrics, pa.array(made.values[devices, at]), ts]
            rows = pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA)
            for alarm in detector.take(rows, np.full(len(devices), at, dtype=np.int64)):
                found[int(alarm.device_id.removeprefix("bench-"))].append(alarm.offset)
                known = DeviceKnown(device_class="sensor", units={"temperature": "Cel"})
                when = _when(made, at)
                request = request_for(alarm, known, region="", topic="readings", partition=partition, accepted=when)
                facts.append(Facts.of(request))
    return facts, found


def _asked(facts: Sequence[Facts], most: int, found: Found) -> Way:
    packs = [facts[first : first + most] for first in range(0, len(facts), most)]
    prompt = completion = 0
    for pack in packs:
        asked = Prompt.of(pack)
        prompt += tokens(asked.system) + tokens(asked.user)
        said = Answers(answers=tuple(Numbered(**ANSWER.model_dump(), n=n) for n in range(1, len(pack) + 1)))
        completion += tokens(said.model_dump_json())
    return Way(len(packs), prompt, completion, CALLS, found)


def tokens(text: str) -> int:
    """Count as the stand-in endpoint does: four bytes are a token."""
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def _when(made: Fleet, at: int) -> datetime:
    return datetime.fromtimestamp(START_US / 1e6 + at * made.interval_s, UTC)


async def _sample(prompts: Sequence[Prompt]) -> Sample:
    """Make the calls, so many at once; the endpoint answers with the answer that is counted everywhere."""
    slots = asyncio.Semaphore(CALLS)
    with standin.running() as (url, control):
        standin.call(control, "PUT", "default", {"behaviour": f"lognormal:{MEDIAN_S}:{TAIL_S}"})
        standin.call(control, "PUT", "content", {"content": ANSWER.model_dump_json()})
        endpoint = Endpoint(name="stand-in", base_url=url, api_key=SecretStr("none"), model="m")
        async with Model(endpoint, timeout_s=600.0) as model:

            async def ask(prompt: Prompt) -> tuple[float, Reply[Answer]]:
                async with slots:
                    began = time.monotonic()
                    reply = await model.ask(prompt.system, prompt.user, Answer)
                    return time.monotonic() - began, reply

            replies = await asyncio.gather(*map(ask, prompts))
    used = [reply.usage.prompt_tokens + reply.usage.completion_tokens for _, reply in replies]
    counted = sum(tokens(prompt.system + prompt.user) + tokens(ANSWER.model_dump_json()) for prompt in prompts)
    return Sample(sum(seconds for seconds, _ in replies) / len(replies), sum(used), counted)
