"""The slow lane, put together."""

from dataclasses import replace

from connectors.clock import SystemClock
from connectors.kafka.producer import Producer
from connectors.redis.bell import Bell
from connectors.timescale.store import Store
from schemas.topics import ANALYSIS_REQUESTS
from streams.agents.analyze import Analyst, Outside
from streams.agents.analyze_lane import AnalyzeLane, Schedule
from streams.agents.batches import Batches
from streams.agents.judge import ModelJudge
from streams.agents.keeping import Keeping
from streams.agents.packing import Packer
from streams.agents.retries import Retries
from streams.agents.summaries import Every, Summaries
from streams.app import keeping, models, webhooks
from streams.app.lane import Lane
from streams.lane.app import LaneOptions
from streams.settings import LaneName, Settings

# Without a model an answer costs a few milliseconds.
RULES_IN_FLIGHT = 4
WAITING_REQUESTS = 1000
REQUESTS_A_BATCH = 100


def build(settings: Settings) -> Lane:
    """Put the lane together; nothing is connected yet."""
    producer = Producer(settings.kafka)
    store = Store(settings.database)
    asked = models.build(settings)
    packer, in_flight = None, RULES_IN_FLIGHT
    if asked is not None:
        windows = settings.llm.windows_per_call
        packer = Packer(asked.pool, windows=windows)
        # While all calls are out, the windows of the next ones gather. (It stays so while endpoints join and leave.)
        in_flight = 2 * asked.pool.calls * windows
    # Who waits for Kafka in a transaction has a store of its own.
    stores = [store, Store(settings.database)]
    schedules: list[Schedule] = [Retries(stores[-1], producer, SystemClock())]
    if asked is not None:
        schedules += asked.upkeep
        stores.append(Store(settings.database))
        members, windows = (lambda: asked.pool.members), settings.llm.windows_per_call
        schedules.append(Batches(stores[-1], members, asked.door, SystemClock(), windows=windows))
    if settings.analyze.summaries != "off":
        stores.append(Store(settings.database))
        every = Every(settings.analyze.summaries)
        schedules.append(Summaries(stores[-1], producer, SystemClock(), region=settings.region, every=every))
    outside = Outside(store, producer, SystemClock(), packer)
    kept = None if asked is None else keeping.build(settings, ModelJudge(asked.pool))
    if kept is not None:
        schedules += kept.upkeep
    if asked is not None and packer is not None and kept is not None:
        outside = replace(outside, model=Keeping(packer, kept.cache, asked.pool.models, kept.meaning))
    if asked is not None:
        outside = replace(outside, memory=asked.memory, takes_batches=asked.take_batches)
    hooks = webhooks.build(settings, producer)
    schedules += hooks.upkeep
    outside = replace(outside, announce=hooks.announce)
    bell = None
    if settings.redis.url.get_secret_value():
        bell = Bell(settings.redis)
        outside = replace(outside, ring=bell.ring)
    analyst = Analyst(outside, region=settings.region)
    lane = AnalyzeLane(analyst, in_flight=in_flight, waiting=max(WAITING_REQUESTS, 2 * in_flight), schedules=schedules)
    group = settings.kafka.group(LaneName.ANALYZE)
    options = LaneOptions(group, [ANALYSIS_REQUESTS.name], REQUESTS_A_BATCH, without_position="earliest")
    app = lane.app(settings.kafka, options)
    app.endings = [part.close for part in (hooks, kept, asked, bell) if part is not None]
    return Lane(app, producer, stores)
