"""Traces of what becomes of a reading: from the door through Kafka to its insight, by OpenTelemetry, if it is there.

A trace begins at our own doors alone (bridge, gateway), for a part of what comes in; nobody outside can have one begun.
It goes through Kafka in the header `traceparent` (W3C Trace Context, level 1): what has none is not traced, and costs
nothing. OpenTelemetry is an extra; without it, or without an address to send to, everything here does nothing.
"""

import importlib.metadata
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from connectors.errors import ConnectorError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

HEADER: Final = "traceparent"
SETTING: Final = "TIDEGATE_TRACING__ENDPOINT"
# One that is sampled: the others are not written.
_SAMPLED: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-01")
# A collector that is away holds up nobody's end for longer.
EXPORT_S: Final = 3.0
_FLUSH_MS: Final = 3_000

Attribute = str | bool | int | float


class Active:
    """What is being done, as a trace has it; does nothing where there is no trace."""

    def __init__(self, span: "Span | None" = None) -> None:
        self._span = span

    @property
    def header(self) -> bytes | None:
        """What a record bears that this is the cause of; None: it is not traced."""
        return None if self._span is None else _header(self._span)

    def headers(self) -> dict[str, bytes]:
        """Give the headers of such a record."""
        header = self.header
        return {} if header is None else {HEADER: header}

    def tell(self, **attributes: Attribute | None) -> None:
        """Say more of it."""
        if self._span is not None:
            self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})


_OFF: Final = Active()
_tracer: "Tracer | None" = None


def start(endpoint: str, *, sample: float, part: str, region: str) -> Callable[[], None]:
    """Send traces to a collector (OTLP over HTTP), of such a part of what comes in; give what sends the last of them.

    Without an address nothing is traced.

    Raises:
        ConnectorError: OpenTelemetry is not installed.

    """
    global _tracer  # noqa: PLW0603  # as logging has it: one a process
    if not endpoint:
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # the same
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415  # the same
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415  # the same
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415  # the same
    except ImportError:
        raise ConnectorError(
            f"{SETTING} is set, and OpenTelemetry is not installed: pip install 'tidegate[tracing]', or leave it out."
        ) from None
    version = importlib.metadata.version("tidegate")
    resource = Resource.create(
        {"service.name": f"tidegate-{part}", "service.version": version, "deployment.region": region}
    )
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(sample)), resource=resource)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    # That a collector is away is said when spans are lost, not with each attempt.
    logging.getLogger("opentelemetry").setLevel(logging.ERROR)
    _tracer = provider.get_tracer("tidegate", version)

    def end() -> None:
        global _tracer  # noqa: PLW0603  # the same
        _tracer = None
        provider.force_flush(_FLUSH_MS)
        provider.shutdown()

    return end


@contextmanager
def begin(name: str, **attributes: Attribute) -> Iterator[Active]:
    """Begin a trace, perhaps, with what is done in here."""
    with _entered(_tracer, name, attributes, None) as active:
        yield active


@contextmanager
def span(name: str, parent: bytes | None = None, **attributes: Attribute) -> Iterator[Active]:
    """Go on with a trace: that of a record (`parent` is its header), else that of what this is done in, if any is."""
    context = None if parent is None else context_of(parent)
    if _tracer is None or (context is None and not _is_traced()):
        yield _OFF
        return
    with _entered(_tracer, name, attributes, context) as active:
        yield active


def done(name: str, parent: bytes, *, began: float, ended: float, **attributes: Attribute) -> bytes | None:
    """Go on with a record's trace by what was done between two moments, in seconds since 1970; give its header."""
    context = context_of(parent)
    if _tracer is None or context is None:
        return None
    made = _tracer.start_span(name, context, attributes=attributes, start_time=int(began * 1e9))
    made.end(int(ended * 1e9))
    return _header(made)


def of_headers(headers: Mapping[str, str | bytes | None]) -> bytes | None:
    """Give a record's header, if it is one, and anybody here listens."""
    found = headers.get(HEADER)
    return found if _tracer is not None and isinstance(found, bytes) and _SAMPLED.fullmatch(found) else None


def context_of(header: bytes) -> "Context | None":
    """Read a record's header. Whoever may write records may write that, too: nothing depends on its being true."""
    found = _SAMPLED.fullmatch(header)
    if found is None or _tracer is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415  # an extra

    ids = trace.SpanContext(
        trace_id=int(found[1], 16), span_id=int(found[2], 16), is_remote=True, trace_flags=trace.TraceFlags(1)
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(ids)) if ids.is_valid else None


def current() -> str | None:
    """Give the id of the trace that this is done in, for the log."""
    if _tracer is None:
        return None
    from opentelemetry import trace  # noqa: PLC0415  # an extra

    ids = trace.get_current_span().get_span_context()
    return f"{ids.trace_id:032x}" if ids.is_valid and ids.trace_flags.sampled else None


def _is_traced() -> bool:
    return current() is not None


def _header(made: "Span") -> bytes | None:
    ids = made.get_span_context()
    return b"00-%032x-%016x-01" % (ids.trace_id, ids.span_id) if ids.trace_flags.sampled else None


@contextmanager
def _entered(
    tracer: "Tracer | None", name: str, attributes: Mapping[str, Attribute], context: "Context | None"
) -> Iterator[Active]:
    if tracer is None:
        yield _OFF
        return
    # That a span failed is told by its kind alone: messages of errors may hold what devices and models say.
    with tracer.start_as_current_span(
        name, context, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as made:
        try:
            yield Active(made)
        except BaseException as error:
            made.set_attribute("error.type", type(error).__name__)
            raise
