"""What a process tells Prometheus about itself: every metric is declared here, and nowhere else."""

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest, start_http_server

from connectors.declaring import counter, gauge, histogram
from connectors.errors import PortTakenError

# -- reading from Kafka ------------------------------------------------------------------------------------------------

FETCHING_PAUSED = gauge(
    "tidegate_fetching_paused",
    "1 while nothing is fetched because nobody takes what was fetched: a database that is slow, full or away",
    ["group"],
)
FETCHING_PAUSES = counter("tidegate_fetching_pauses", "How often fetching was paused", ["group"])
UNREAD = gauge(
    "tidegate_unread_records", "Records of a partition that were not handed to the lane yet", ["topic", "partition"]
)

# -- storing -----------------------------------------------------------------------------------------------------------

RECORDS = counter(
    "tidegate_records",
    "What became of rows and records: stored, duplicate (the same value was there), conflict (another value was there),"
    " poison (it went to dead-letters)",
    ["outcome"],
)
BATCH_SECONDS = histogram(
    "tidegate_batch_store_seconds",
    "How long batches took from the first to the last step outside, waiting for the database included",
    unit="seconds",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300),
)
DATABASE_FAILURES = counter("tidegate_database_failures", "How often a step in the database failed and was tried again")

POISON = counter(
    "tidegate_poison", "Records that went to dead-letters, by the stage that refused them and why", ["stage", "reason"]
)
STORED_AFTER = histogram(
    "tidegate_stored_after_seconds",
    "How long it took from the acceptance by Kafka until the rows were committed: of the oldest record of each batch",
    unit="seconds",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600),
)
MIRRORED_AFTER = histogram(
    "tidegate_mirrored_after_seconds",
    "How long it took from the acceptance in another region until the rows were committed in this one: of the oldest"
    " record of each batch",
    ["home"],
    "seconds",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400),
)
MIRRORED_INSIGHTS = counter("tidegate_mirrored_insights", "Insights of other regions that came to this one", ["home"])
BATCHES_IN_HAND = gauge("tidegate_batches_in_hand", "Batches that were read and are not stored yet")

# -- asking models -----------------------------------------------------------------------------------------------------

ANSWERS = counter(
    "tidegate_answers",
    "Who answered requests: model, stand-in (a model of another tier than was wanted), cache, rules",
    ["by"],
)
MODEL_CALLS = counter(
    "tidegate_model_calls",
    "Calls to model endpoints, by how they ended: answered, wrong (an answer that cannot be used), too_many, failed,"
    " refused, given_up (nobody waited for it any more)",
    ["endpoint", "outcome"],
)
MODEL_SECONDS = histogram(
    "tidegate_model_call_seconds",
    "How long calls to model endpoints took that were answered",
    ["endpoint"],
    "seconds",
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120),
)
MODEL_TOKENS = counter(
    "tidegate_model_tokens", "Tokens as endpoints count them: prompt, completion", ["endpoint", "kind"], "tokens"
)
MODEL_USD = counter("tidegate_model_usd", "What answered calls have cost, in dollars", ["endpoint"], "dollars")
MODEL_HEDGES = counter(
    "tidegate_model_hedges", "Calls made a second time because the first took too long", ["endpoint"]
)
MODEL_IN_FLIGHT = gauge("tidegate_model_calls_in_flight", "Calls that are out", ["endpoint"])
MODEL_LIMIT = gauge(
    "tidegate_model_calls_limit", "How many calls may be out, as far as the endpoint keeps up", ["endpoint"]
)
MODEL_EJECTIONS = gauge(
    "tidegate_model_ejections",
    "How often an endpoint was left alone because it failed, since the worker began",
    ["endpoint"],
)
MODEL_LEFT_ALONE = gauge(
    "tidegate_model_left_alone", "1 while an endpoint is not called because it fails", ["endpoint"]
)
EXPLAINED_AFTER = histogram(
    "tidegate_explained_after_seconds",
    "How long it took from the acceptance of the last reading of a window until its insight stood: alarm, summary",
    ["kind"],
    "seconds",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 86400),
)
REQUESTS_IN_HAND = gauge("tidegate_requests_in_hand", "Requests for analysis that are worked on, or wait for a place")
POSTPONED = counter(
    "tidegate_postponed", "Requests that no model had time for, to be tried again: alarm, summary, question", ["kind"]
)

BATCHES = counter(
    "tidegate_batches",
    "Batches of summaries, by how they ended: completed, failed, expired, cancelled (as the endpoint says), refused (it"
    " takes none), freed (it never had it), lost (nobody will know)",
    ["endpoint", "outcome"],
)
BATCH_WINDOWS = counter(
    "tidegate_batch_windows", "Windows of batches that have ended: answered, unanswered", ["endpoint", "outcome"]
)

# -- keeping answers ---------------------------------------------------------------------------------------------------

CACHE_LOOKUPS = counter(
    "tidegate_cache_lookups",
    "What levels of the cache (l1, l2, l3, semantic) had of what was looked for: hit, stale (served, and asked about"
    " anew), refused (known to have no usable answer), miss, corrupt (removed), failed, skipped (it failed just now),"
    " explored (there was one, but nobody knows yet whether it means the same)",
    ["level", "outcome"],
)
CACHE_WRITES = counter(
    "tidegate_cache_writes",
    "Answers to be kept, by level: kept, failed, skipped, outrun (somebody else was faster), too_large",
    ["level", "outcome"],
)
CACHE_AWAY = gauge("tidegate_cache_away", "1 while a level of the cache cannot be used", ["level"])
CACHE_FLIGHTS = counter(
    "tidegate_cache_flights",
    "What was not kept anywhere: asked (a model was), joined (somebody in this process asked), followed (another"
    " process did), elected (asked after another process gave up), alone (Redis could not tell who asks)",
    ["how"],
)
SEMANTIC_WRONG = gauge(
    "tidegate_semantic_wrong_share",
    "The share of wrong answers among those that were served for similar questions: lower and upper bound with 95 %"
    " confidence, by what was checked in the last week",
    ["bound"],
)
SEMANTIC_CHECKED = gauge(
    "tidegate_semantic_checked",
    "Answers served for similar questions that were checked in the last week: right, wrong",
    ["verdict"],
)
SEMANTIC_STATE = gauge(
    "tidegate_semantic_state",
    "1 for what the semantic tier is: open, tightened (only the most similar questions, and all are checked), off",
    ["state"],
)
CACHE_SAVED_USD = counter(
    "tidegate_cache_saved_usd", "What the answers that were served had cost, in dollars", unit="dollars"
)

# -- MQTT --------------------------------------------------------------------------------------------------------------

MQTT_MESSAGES = counter(
    "tidegate_mqtt_messages",
    "Messages of MQTT: received, acknowledged (to the broker, after Kafka has them), dead_lettered (no readings)",
    ["outcome"],
)
MQTT_CONNECTED = gauge("tidegate_mqtt_connected", "1 while the subscription stands")
MQTT_CONNECTIONS = counter("tidegate_mqtt_connections", "How often the broker was connected to")
MQTT_IN_FLIGHT = gauge("tidegate_mqtt_in_flight", "Messages that Kafka has not confirmed yet")
MQTT_IN_FLIGHT_BYTES = gauge("tidegate_mqtt_in_flight_bytes", "What they take", unit="bytes")

# -- the gateway -------------------------------------------------------------------------------------------------------

HTTP_REQUESTS = counter(
    "tidegate_http_requests", "Requests that were answered, by route, method and status", ["route", "method", "status"]
)
HTTP_SECONDS = histogram(
    "tidegate_http_seconds",
    "How long it took until an answer began, by route",
    ["route"],
    "seconds",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
HTTP_READINGS = counter(
    "tidegate_http_readings",
    "Readings that came in: accepted (Kafka has them), refused (they cannot be used)",
    ["outcome"],
)
HTTP_FOLLOWING = gauge("tidegate_http_following", "Requests that wait for a task's end, or follow it")

# -- the flow as a gateway sees it, whoever of the workers runs: the same of each gateway ------------------------------

GROUP_LAG = gauge(
    "tidegate_group_lag_records",
    "Records of a partition that a group has not finished with",
    ["group", "topic", "partition"],
)
HEARTBEAT = gauge(
    "tidegate_region_heartbeat_timestamp_seconds",
    "When the last heartbeat of another region was made that has come here (Unix time; 0: there was none)",
    ["home"],
    "seconds",
)
TOPIC_RECORDS = gauge("tidegate_topic_records", "Records that were ever written to a topic", ["topic"])
TASKS_WAITING = gauge("tidegate_tasks_waiting", "Requests that wait for a model to have time")
DELIVERIES = gauge("tidegate_webhook_messages", "Messages for webhooks: waiting, delivered, dead", ["hook", "state"])
BUDGET_USD = gauge("tidegate_budget_usd", "What models may cost a day, in dollars; 0: no budget is set", unit="dollars")
GRANTED_USD = gauge(
    "tidegate_budget_granted_usd", "What of today's budget was granted to workers, in dollars", unit="dollars"
)
POISON_STOPS = gauge(
    "tidegate_poison_stops", "Partitions before which a worker has stopped for poison, and nobody has gone on since"
)
SEEN = gauge(
    "tidegate_flow_seen_timestamp_seconds", "When a gateway has last looked at all this, since 1970", unit="seconds"
)

# -- telling others ----------------------------------------------------------------------------------------------------

WEBHOOK_ATTEMPTS = counter(
    "tidegate_webhook_attempts",
    "Attempts to deliver messages to webhooks, by how they ended: delivered, failed (it is tried again), dead (it is"
    " not: it went to dead-letters)",
    ["hook", "outcome"],
)

# -- sharing the limits of models --------------------------------------------------------------------------------------

RATES_SHARED = gauge(
    "tidegate_rates_shared",
    "1 while the limits per minute are shared through Redis, 0 while Redis is away and this worker keeps to its share",
)


# -- this process ------------------------------------------------------------------------------------------------------

BUILD = gauge("tidegate_build_info", "1, for what runs here", ["version", "part", "region"])


_ALL = CollectorRegistry()
_ALL.register(REGISTRY)


def include(registry: CollectorRegistry) -> None:
    """Tell what others declare, too, as Faust does."""
    _ALL.register(registry)


def text() -> tuple[bytes, str]:
    """Give all of them as Prometheus reads them, and the type of that text."""
    return generate_latest(_ALL), CONTENT_TYPE_LATEST


def serve(host: str, port: int) -> None:
    """Answer `GET /metrics` on a thread of its own, until the process ends.

    Raises:
        PortTakenError: another program listens there.

    """
    try:
        start_http_server(port, host, registry=_ALL)
    except OSError:
        raise PortTakenError("The metrics", f"{host}:{port}", "TIDEGATE_METRICS__PORT") from None
