"""Traces begin at our doors, and go through headers that anybody may have written."""

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import tracing
from connectors.errors import ConnectorError
from tests.fakes.receiver import receiver

HEADER = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def listening() -> Iterator[Callable[[float], None]]:
    """Trace such a part of what comes in."""
    ends: list[Callable[[], None]] = []
    with receiver() as collector:
        base = collector.url.partition("/hook")[0]

        def listen(sample: float) -> None:
            ends.append(tracing.start(base, sample=sample, part="test", region="eu"))

        yield listen
        for end in ends:
            end()


def test_without_an_address_nothing_is_traced() -> None:
    tracing.start("", sample=1.0, part="test", region="")()
    with tracing.begin("a", device="pump-1") as it:
        it.tell(b=1)
        assert it.headers() == {}
        assert tracing.current() is None
    with tracing.span("b", HEADER) as it:
        assert it.header is None
    assert tracing.done("c", HEADER, began=1.0, ended=2.0) is None
    assert tracing.of_headers({"traceparent": HEADER}) is None


def test_what_is_not_sampled_bears_nothing(listening: Callable[[float], None]) -> None:
    listening(0.0)
    with tracing.begin("a") as it:
        assert it.headers() == {}
        with tracing.span("b") as inner:
            assert inner.header is None


def test_a_trace_goes_on_by_its_header_and_by_where_something_is_done(listening: Callable[[float], None]) -> None:
    listening(1.0)
    with tracing.begin("a", device="pump-1") as it:
        header = it.header
        assert header is not None
        trace = header.split(b"-")[1].decode()
        assert tracing.current() == trace
        with tracing.span("b") as inner:
            assert inner.header is not None
            assert inner.header.split(b"-")[1].decode() == trace
            assert inner.header != header
    assert tracing.current() is None
    # In no trace, none is begun.
    with tracing.span("c") as outside:
        assert outside.header is None
    with tracing.span("d", HEADER) as far:
        assert far.header is not None
        assert far.header.split(b"-")[1] == HEADER.split(b"-")[1]
    later = tracing.done("e", HEADER, began=1.0, ended=2.0, offset=7)
    assert later is not None
    assert later.split(b"-")[1] == HEADER.split(b"-")[1]
    assert tracing.of_headers({"traceparent": HEADER}) == HEADER


def test_what_fails_is_told_by_its_kind(listening: Callable[[float], None]) -> None:
    listening(1.0)
    with pytest.raises(ValueError, match="secret"), tracing.begin("a"):  # what is under test raises
        raise ValueError("secret")
    assert tracing.current() is None


@given(st.binary(max_size=80) | st.from_regex(rb"[0-9a-f-]{50,60}", fullmatch=True))
def test_nothing_that_is_no_header_is_taken_for_one(header: bytes) -> None:
    assert tracing.context_of(header) is None
    with tracing.span("a", header) as it:
        assert it.header is None


@pytest.mark.parametrize(
    "header",
    [
        b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    ],
)
def test_headers_that_name_no_sampled_trace(listening: Callable[[float], None], header: bytes) -> None:
    listening(1.0)
    assert tracing.context_of(header) is None
    assert tracing.done("a", header, began=1.0, ended=2.0) is None


def test_without_opentelemetry_it_is_said_what_to_install() -> None:
    script = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from connectors import tracing\n"
        "from connectors.errors import ConnectorError\n"
        "try: tracing.start('http://127.0.0.1:9', sample=1.0, part='a', region='')\n"
        "except ConnectorError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603  # our own
    assert "pip install 'tidegate[tracing]'" in done.stdout
    assert issubclass(ConnectorError, Exception)
