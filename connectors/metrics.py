"""What a process tells Prometheus about itself: every metric is declared here, and nowhere else."""

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest, start_http_server

from connectors.errors import PortTakenError

# -- reading from Kafka ------------------------------------------------------------------------------------------------

FETCHING_PAUSED = Gauge(
    "tidegate_fetching_paused",
    "1 while nothing is fetched because nobody takes what was fetched: a database that is slow, full or away",
    ["group"],
)
FETCHING_PAUSES = Counter("tidegate_fetching_pauses", "How often fetching was paused", ["group"])
UNREAD = Gauge(
    "tidegate_unread_records", "Records of a partition that were not handed to the lane yet", ["topic", "partition"]
)

# -- storing -----------------------------------------------------------------------------------------------------------

RECORDS = Counter(
    "tidegate_records",
    "What became of rows and records: stored, duplicate (the same value was there), conflict (another value was there),"
    " poison (it went to dead-letters)",
    ["outcome"],
)
BATCH_SECONDS = Histogram(
    "tidegate_batch_store_seconds",
    "How long batches took from the first to the last step outside, waiting for the database included",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 300),
)
DATABASE_FAILURES = Counter("tidegate_database_failures", "How often a step in the database failed and was tried again")

# -- asking models -----------------------------------------------------------------------------------------------------

ANSWERS = Counter(
    "tidegate_answers",
    "Who answered requests: model, stand-in (a model of another tier than was wanted), cache, rules",
    ["by"],
)
MODEL_CALLS = Counter(
    "tidegate_model_calls",
    "Calls to model endpoints, by how they ended: answered, wrong (an answer that cannot be used), too_many, failed,"
    " refused, given_up (nobody waited for it any more)",
    ["endpoint", "outcome"],
)
MODEL_SECONDS = Histogram(
    "tidegate_model_call_seconds",
    "How long calls to model endpoints took that were answered",
    ["endpoint"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120),
)
MODEL_TOKENS = Counter(
    "tidegate_model_tokens", "Tokens as endpoints count them: prompt, completion", ["endpoint", "kind"]
)
MODEL_USD = Counter("tidegate_model_usd", "What answered calls have cost, in dollars", ["endpoint"])
MODEL_HEDGES = Counter(
    "tidegate_model_hedges", "Calls made a second time because the first took too long", ["endpoint"]
)
MODEL_IN_FLIGHT = Gauge("tidegate_model_calls_in_flight", "Calls that are out", ["endpoint"])
MODEL_LIMIT = Gauge(
    "tidegate_model_calls_limit", "How many calls may be out, as far as the endpoint keeps up", ["endpoint"]
)
MODEL_EJECTIONS = Gauge(
    "tidegate_model_ejections",
    "How often an endpoint was left alone because it failed, since the worker began",
    ["endpoint"],
)
MODEL_LEFT_ALONE = Gauge(
    "tidegate_model_left_alone", "1 while an endpoint is not called because it fails", ["endpoint"]
)
POSTPONED = Counter(
    "tidegate_postponed", "Requests that no model had time for, to be tried again: alarm, summary, question", ["kind"]
)

BATCHES = Counter(
    "tidegate_batches",
    "Batches of summaries, by how they ended: completed, failed, expired, cancelled (as the endpoint says), refused (it"
    " takes none), freed (it never had it), lost (nobody will know)",
    ["endpoint", "outcome"],
)
BATCH_WINDOWS = Counter(
    "tidegate_batch_windows", "Windows of batches that have ended: answered, unanswered", ["endpoint", "outcome"]
)

# -- keeping answers ---------------------------------------------------------------------------------------------------

CACHE_LOOKUPS = Counter(
    "tidegate_cache_lookups",
    "What levels of the cache (l1, l2, l3, semantic) had of what was looked for: hit, stale (served, and asked about"
    " anew), refused (known to have no usable answer), miss, corrupt (removed), failed, skipped (it failed just now),"
    " explored (there was one, but nobody knows yet whether it means the same)",
    ["level", "outcome"],
)
CACHE_WRITES = Counter(
    "tidegate_cache_writes",
    "Answers to be kept, by level: kept, failed, skipped, outrun (somebody else was faster), too_large",
    ["level", "outcome"],
)
CACHE_AWAY = Gauge("tidegate_cache_away", "1 while a level of the cache cannot be used", ["level"])
CACHE_FLIGHTS = Counter(
    "tidegate_cache_flights",
    "What was not kept anywhere: asked (a model was), joined (somebody in this process asked), followed (another"
    " process did), elected (asked after another process gave up), alone (Redis could not tell who asks)",
    ["how"],
)
SEMANTIC_WRONG = Gauge(
    "tidegate_semantic_wrong_share",
    "The share of wrong answers among those that were served for similar questions: lower and upper bound with 95 %"
    " confidence, by what was checked in the last week",
    ["bound"],
)
SEMANTIC_CHECKED = Gauge(
    "tidegate_semantic_checked",
    "Answers served for similar questions that were checked in the last week: right, wrong",
    ["verdict"],
)
SEMANTIC_STATE = Gauge(
    "tidegate_semantic_state",
    "1 for what the semantic tier is: open, tightened (only the most similar questions, and all are checked), off",
    ["state"],
)
CACHE_SAVED_USD = Counter("tidegate_cache_saved_usd", "What the answers that were served had cost, in dollars")

# -- the gateway -------------------------------------------------------------------------------------------------------

HTTP_REQUESTS = Counter(
    "tidegate_http_requests", "Requests that were answered, by route, method and status", ["route", "method", "status"]
)
HTTP_SECONDS = Histogram(
    "tidegate_http_seconds",
    "How long it took until an answer began, by route",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
HTTP_READINGS = Counter(
    "tidegate_http_readings",
    "Readings that came in: accepted (Kafka has them), refused (they cannot be used)",
    ["outcome"],
)
HTTP_FOLLOWING = Gauge("tidegate_http_following", "Requests that wait for a task's end, or follow it")

# -- telling others ----------------------------------------------------------------------------------------------------

WEBHOOK_ATTEMPTS = Counter(
    "tidegate_webhook_attempts",
    "Attempts to deliver messages to webhooks, by how they ended: delivered, failed (it is tried again), dead (it is"
    " not: it went to dead-letters)",
    ["hook", "outcome"],
)

# -- sharing the limits of models --------------------------------------------------------------------------------------

RATES_SHARED = Gauge(
    "tidegate_rates_shared",
    "1 while the limits per minute are shared through Redis, 0 while Redis is away and this worker keeps to its share",
)


def text() -> tuple[bytes, str]:
    """Give all of them as Prometheus reads them, and the type of that text."""
    return generate_latest(), CONTENT_TYPE_LATEST


def serve(host: str, port: int) -> None:
    """Answer `GET /metrics` on a thread of its own, until the process ends.

    Raises:
        PortTakenError: another program listens there.

    """
    try:
        start_http_server(port, host)
    except OSError:
        raise PortTakenError("The metrics", f"{host}:{port}", "TIDEGATE_METRICS__PORT") from None
