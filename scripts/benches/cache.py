"""`scripts/bench cache`: what is served from the cache, what of it is wrong, how fast it is, and what it saves."""

import asyncio
import json
import os
import subprocess
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer

from connectors.cache.semantic.equivalence import Equivalences
from connectors.cache.semantic.proportion import upper_bound
from scripts.benches import askers, environments, grains, levels, machine, meanings, pairs, plot, servers, steady, week
from scripts.benches.askers import ASKERS, PROCESSES
from scripts.benches.command import Json, Runs, progress, publish, say
from scripts.benches.environments import PeerError
from scripts.benches.levels import Taken
from scripts.benches.meanings import DELTA, Learnt, Served
from scripts.benches.measure import MeasureError
from scripts.benches.pairs import Pair
from scripts.benches.report import Direction, Goal, Report, Result
from scripts.benches.steady import ASKED, CALLS
from streams.settings import load

SUMMARY = "What the cache serves and saves, what of it is wrong beside other semantic caches, and how fast it is."
EXAMPLES = (
    "Examples: [bold]scripts/bench cache[/] · [bold]scripts/bench cache --pairs my.jsonl --json[/] · "
    "[bold]scripts/bench cache --plot grain.png[/]"
)

PEER: Final = Path(__file__).with_name("peers") / "semantic_pairs.py"
ROOT: Final = Path(__file__).parents[2]
DEVICES: Final = 1_000
LONGEST_S: Final = 1_200.0
# Wrong answers of peers that are shown.
SHOWN: Final = 6


def command(
    *,
    file: Annotated[
        Path | None, typer.Option("--pairs", help="Pairs of questions, a JSON object with a, b and same a line.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw how coarsely alarms are told, hits against harm.")
    ] = None,
    peers: Annotated[bool, typer.Option(help="Measure other semantic caches on the same pairs.")] = True,
    runs: Runs = 5,
    as_json: Json = False,
) -> None:
    """Measure everything in one run."""
    given = pairs.generate() if file is None else pairs.read(file)
    with progress(8 + 5 + len(steady.CASES)) as step:
        asked = week.requests(DEVICES, step)
        step("how coarsely alarms are told")
        if picture is not None:
            plot.draw(grains.picture(grains.sweep(asked)), picture, _folder("plot"), say)
        step("pairs of questions")
        cold = meanings.serve(given, Equivalences())
        learnt = meanings.learn()
        warm = [meanings.serve(given, learnt.known, part) for part in ("all", "tuning", "held-out")]
        step("other semantic caches (some minutes)")
        seen = _peers(given) if peers else [{"system": "others", "not_run": "not asked for"}]
        with servers.running(("database", "redis"), say=say) as running, running.new_database() as settings:
            weeks = {}
            for case in steady.CASES:
                step(f"a week: {case.name}")
                weeks[case.name] = asyncio.run(steady.simulate(case, asked, steady.keys(asked), settings.redis))
            step("lookups in each level")
            taken = [_levels(settings, given) for _ in range(runs)]
            step(f"{ASKERS} askers of {PROCESSES} processes")
            calls = [askers.calls_made(settings, f"bench-{uuid.uuid4().hex[:8]}") for _ in range(runs)]
    found = Found(grains.exact(asked), len(asked), cold, learnt, warm, seen, weeks, taken, calls)
    if not as_json:
        _show_wrong(seen)
    publish(report(found), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Found:
    """What was seen."""

    exact: float
    alarms: int
    cold: Served
    learnt: Learnt
    # Of all pairs, and of each part.
    warm: Sequence[Served]
    peers: Sequence[Mapping[str, Any]]
    weeks: Mapping[str, Counter[str]]
    taken: Sequence[Mapping[str, Taken]]
    calls: Sequence[int]


def report(found: Found) -> Report:
    """Compose what is said of it."""
    results = _of_pairs("tidegate, nothing learnt", found.cold)
    for warm in found.warm:
        results += _of_pairs(f"tidegate, learnt ({warm.part} pairs)", warm)
    learning = "tidegate, while it learns"
    results += [
        Result(learning, "questions that a model was asked", "", (float(found.learnt.asked),)),
        Result(learning, "questions that were judged", "", (float(found.learnt.judged),)),
        Result(learning, "served", "", (float(found.learnt.served),)),
        Result(learning, "of these wrong", "", (float(found.learnt.wrong),)),
        Result(learning, "wrong among served, upper bound", "", (_upper(found.learnt),)),
    ]
    for peer in found.peers:
        if "not_run" not in peer:
            name = f"{peer['system']} from {peer['threshold']:g} on" + (" (its default)" if peer.get("default") else "")
            results += [
                Result(name, "paraphrases served", "", (peer["recall"],)),
                Result(name, "wrong hits", "", (peer["wrong_hits"],)),
                Result(name, "lookup, p50", "ms", (peer["p50_ms"],)),
                Result(name, "lookup, p99", "ms", (peer["p99_ms"],)),
            ]
    for name, week_of in found.weeks.items():
        results += [
            Result("tidegate", f"a week, {name}: hits", "", (1.0 - week_of[ASKED] / found.alarms,)),
            Result("tidegate", f"a week, {name}: calls saved", "", (1.0 - week_of[CALLS] / found.alarms,)),
        ]
    results.append(Result("every digit told", "a week: hits", "", (found.exact,)))
    names = list(found.taken[0])
    for name in names:
        for part in ("p50", "p99"):
            values = tuple(getattr(run[name], part) for run in found.taken)
            results.append(Result(f"tidegate, {name}", f"lookup, {part}", "ms", values))
    made = f"{ASKERS} askers of {PROCESSES} processes: calls"
    results.append(Result("tidegate", made, "", tuple(map(float, found.calls))))
    limits = {"L1": 0.1, "L2": 2.0, "L3": 5.0, "semantic, in the database": 30.0}
    p99 = {result.system: result.median for result in results if result.metric == "lookup, p99"}
    goals = [
        Goal("wrong hits on pairs", found.cold.wrong + found.warm[0].wrong, 0.0, Direction.AT_MOST),
        *(
            Goal(f"paraphrases served once learnt, {warm.part}", warm.hits / max(1, warm.same), 0.6, Direction.AT_LEAST)
            for warm in found.warm
            if warm.same
        ),
        *(
            Goal(f"{name}: lookup, p99, ms", p99[f"tidegate, {name}"], most, Direction.AT_MOST)
            for name, most in limits.items()
        ),
        Goal(f"{made}, most", float(max(found.calls)), 1.0, Direction.AT_MOST),
        Goal("wrong among served, upper bound with 95 % confidence", _upper(found.learnt), DELTA, Direction.AT_MOST),
    ]
    return Report(
        bench="cache",
        machine=machine.machine(),
        versions=machine.versions(("tidegate", "redis", "diskcache", "wordllama")) | _not_run(found.peers),
        results=results,
        ratios={},
        goals=goals,
    )


def _upper(learnt: Learnt) -> float:
    return upper_bound(learnt.wrong, learnt.served)


def _of_pairs(name: str, served: Served) -> list[Result]:
    return [
        Result(name, "paraphrases served", "", (served.hits / max(1, served.same),)),
        Result(name, "wrong hits", "", (served.wrong,)),
        Result(name, "near misses", "", (float(served.different),)),
    ]


def _levels(settings: Any, given: Sequence[Pair]) -> dict[str, Taken]:  # noqa: ANN401  # Settings
    with TemporaryDirectory() as folder:
        taken = asyncio.run(levels.measure(settings, Path(folder)))
    return taken | meanings.measure_latencies(settings, given)


def _folder(name: str) -> Path:
    return load().data_dir.resolve() / "bench" / "peers" / name


def _peers(given: Sequence[Pair]) -> list[dict[str, Any]]:
    try:
        python = environments.made("other semantic caches", PEER.with_suffix(".txt"), _folder(PEER.stem), say)
    except PeerError as error:
        return [{"system": "others", "not_run": str(error)}]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.jsonl"
        pairs.write(file, given)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "BENCH_PAIRS": str(file)}
        done = subprocess.run(  # noqa: S603  # our own file
            [str(python), str(PEER)], env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False
        )
    if done.returncode:
        raise MeasureError(f"the peers failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _not_run(seen: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {str(peer["system"]): f"not measured: {peer['not_run']}" for peer in seen if "not_run" in peer}


def _show_wrong(seen: Sequence[Mapping[str, Any]]) -> None:
    for peer in seen:
        for worst in peer.get("worst", ())[:SHOWN]:
            say(f"{peer['system']}: {worst['a']!r} answers {worst['b']!r} ({worst['similarity']:.3f})")
