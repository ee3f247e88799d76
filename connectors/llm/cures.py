"""What the signs of an endpoint mean, and what to do about each: words only, nothing is sent."""

import re
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from urllib.parse import urlsplit

from connectors.errors import ConnectorError
from connectors.llm.errors import SETTING, BusyEndpointError, RefusedRequestError, WrongAnswerError
from connectors.llm.prices import MILLION, Price, Usage
from connectors.llm.settings import Endpoint, OutputLimit

# Names of models are a stranger's text: only those that look like one are shown, and of a long list a part is read.
_NAME = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,79}", re.ASCII)
_READ, _SHOWN = 10_000, 5
_LEAST_SHOWN = Decimal("0.000001")

# How servers turn down a request in which something is not as they want it.
NOT_TAKEN = frozenset({400, 422})
_NO_MONEY, _TOO_MANY, _NOT_THERE, _NO_KEY, _NOT_ALLOWED = 402, 429, 404, 401, 403

_SCHEMA = (
    "Insights need answers by a JSON schema (response_format json_schema): vLLM 0.6.4 or newer has them, Ollama 0.5 or "
    f"newer, and not each model of each provider. Choose another model in {SETTING}, or renew the server."
)
_ADDRESS = f"Correct base_url in {SETTING}: mostly it ends in /v1."


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that was seen; without a name it is about the endpoint as such."""

    aspect: str
    fine: bool
    seen: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an endpoint before it is asked anything; of its list, why there is none."""

    endpoint: Endpoint
    base_url: str
    listed: frozenset[str] | ConnectorError
    price: Price | None
    budgeted: bool

    @property
    def what(self) -> str:
        """Say which model it is, and where: never the whole address, which may carry a password."""
        return f"{self.endpoint.model} at {self.place}"

    @property
    def place(self) -> str:
        """Give the host, and the port if the address has one."""
        return urlsplit(self.base_url).netloc.rpartition("@")[2] or "an address that cannot be read"

    @property
    def names(self) -> frozenset[str] | None:
        """Give the names of the server's models, if it lists them."""
        return None if isinstance(self.listed, ConnectorError) else self.listed

    @property
    def lists_it(self) -> bool:
        """Say whether the model is in the server's list. Ollama lists what has no tag as the latest."""
        wanted = self.endpoint.model
        return self.names is not None and not self.names.isdisjoint({wanted, f"{wanted}:latest"})


def unusable(error: ConnectorError) -> Sign:
    """Say why an endpoint cannot be asked at all."""
    seen, _, cure = str(error).rpartition(". ")
    return Sign("", fine=False, seen=seen, cure=cure)


def by_list(known: Known) -> Sign:
    """Say what the list of models tells, where nothing else was asked."""
    match known.listed:
        case RefusedRequestError(status=status) if status not in {_NO_KEY, _NO_MONEY}:
            seen = f"{known.what}: the server answers, and lists no models (HTTP {status})"
            return Sign("", fine=True, seen=seen, cure="Only a call can tell whether key and model are right.")
        case ConnectorError() as error:
            return trouble(known, error)
    if known.lists_it:
        return Sign("", fine=True, seen=f"{known.what} is in the server's list")
    cure = _other_model(known)
    return Sign(
        "",
        fine=True,
        seen=f"{known.what} is not in the server's list",
        cure=f"It may have more than it lists. If calls fail: {cure[0].lower()}{cure[1:]}",
    )


def answered(known: Known, usage: Usage, seconds: float) -> Sign:
    """Say how long an answer took, and what it has cost."""
    return Sign("", fine=True, seen=f"{known.what} answers in {seconds:.2f} s {_cost(known.price, usage)}")


def structured(error: WrongAnswerError | None) -> Sign:
    """Say whether the answer was of the form that was asked for."""
    aspect = "structured answers"
    match error:
        case None:
            return Sign(aspect, fine=True, seen="as the schema says")
        case WrongAnswerError(reason="truncated"):
            cure = (
                "The model thinks before it answers, or does not come to an end: give it room with reasoning_tokens in "
                f"{SETTING} (2000, say), or choose another model."
            )
            return Sign(aspect, fine=False, seen="the answer was cut off at the output limit", cure=cure)
        case WrongAnswerError(reason="refusal" | "filtered" as reason):
            cure = (
                "The model, or a filter before it, withholds answers to harmless questions: look into the filter's "
                f"settings, or choose another model in {SETTING}."
            )
            return Sign(aspect, fine=False, seen=f"the answer was withheld ({reason})", cure=cure)
    return Sign(aspect, fine=False, seen=f"the answer is not as the schema says ({error.reason})", cure=_SCHEMA)


def output_limit(known: Known, works: OutputLimit) -> Sign | None:
    """Say what is wrong with the name of the output limit, if anything is; `works` is the one that was accepted."""
    own, has_to_pay = known.endpoint.output_limit, known.price is not None and known.price.completion > 0
    keeps_no_limit = "With a budget a model that is not free needs a limit: nobody could say what a call costs at most."
    if works is not own:
        cure = f'Set "output_limit": "{works}" for it in {SETTING}.'
        if works is OutputLimit.NONE and known.budgeted and has_to_pay:
            cure = f"{cure} {keeps_no_limit}"
        return Sign(
            "output limit", fine=False, seen=f"the server refuses calls with {own}, not those with {works}", cure=cure
        )
    if own is OutputLimit.NONE and known.budgeted and has_to_pay:
        cure = f"{keeps_no_limit} Choose another output_limit in {SETTING}."
        return Sign("output limit", fine=False, seen="none, and there is a budget", cure=cure)
    return None


def price(known: Known) -> Sign:
    """Say what a million tokens cost, and who says so."""
    if known.price is None:
        cure = f"Give input_usd and output_usd (dollars for a million tokens, 0 for a server of your own) in {SETTING}."
        seen = (
            "not known, and there is a budget: workers refuse to start" if known.budgeted else "not known: counted as 0"
        )
        return Sign("price", fine=not known.budgeted, seen=seen, cure=cure)
    whence = "from the list of prices" if known.endpoint.input_usd is None else "as the settings say"
    prompt, completion = (_dollars(each * MILLION) for each in (known.price.prompt, known.price.completion))
    return Sign("price", fine=True, seen=f"{prompt} in and {completion} out for a million tokens, {whence}")


def trouble(known: Known, error: ConnectorError) -> Sign:
    """Say why there was no answer at all."""
    said = str(error).removeprefix(f"Model endpoint {known.endpoint.name!r}").partition(". ")[0].removesuffix(".")
    match error:
        case BusyEndpointError(status=None, is_free=True):
            said = " cannot be reached"
            cure = f"Is the server up? Else correct base_url in {SETTING}. In a container, 127.0.0.1 is the container."
        case BusyEndpointError(status=None):
            cure = (
                "Try again: a model that is loaded first takes its time. If it is always so slow, raise "
                "TIDEGATE_LLM__TIMEOUT_S; if it breaks off, the server's log says why."
            )
        case BusyEndpointError(status=status) if status != _TOO_MANY:
            cure = "The server fails or is overloaded: its log, or its provider's page about outages, says why."
        case BusyEndpointError() | RefusedRequestError(status=402):
            cure = "The key's quota, or that of the minute, is used up: look into the account, and set rpm and tpm."
        case RefusedRequestError():
            cure = _refused(known, error.status)
        case _:
            said, cure = " answers, but not as a model server does", _ADDRESS
    return Sign("", fine=False, seen=f"{known.what}{said}", cure=cure)


def _refused(known: Known, status: int) -> str:
    if status in {_NO_KEY, _NOT_ALLOWED}:
        # Without an address the library takes OPENAI_API_KEY.
        if not known.endpoint.api_key.get_secret_value() and known.endpoint.base_url:
            return f"It wants a key: set api_key in {SETTING}."
        what = "is not accepted" if status == _NO_KEY else "is not accepted, or may not use this model"
        return f"Correct api_key in {SETTING} (or OPENAI_API_KEY): the one that is set {what}."
    if status == _NOT_THERE or (status in NOT_TAKEN and known.names is not None and not known.lists_it):
        return _other_model(known)
    return _SCHEMA if status in NOT_TAKEN else _ADDRESS


def _other_model(known: Known) -> str:
    if known.names is None:
        return f"Correct model or base_url in {SETTING}: no such model, or not its address (mostly it ends in /v1)."
    if known.lists_it:
        return f"The server lists it, so it is there, but it is no model for chats. Choose another in {SETTING}."
    if known.place.endswith(".azure.com"):
        return f"Correct model in {SETTING}: at Azure it is the name of a deployment."
    if not known.names:
        return "The server has no model. Load one there (Ollama: ollama pull NAME)."
    alike = _alike(known.endpoint, known.names)
    return f"Correct model in {SETTING}: the server has {', '.join(alike) or 'none whose name can be shown'}."


def _alike(endpoint: Endpoint, names: frozenset[str]) -> list[str]:
    """Find the names that are most like the wanted one."""
    shown = sorted(filter(_NAME.fullmatch, names))
    return get_close_matches(endpoint.model, shown[:_READ], n=_SHOWN, cutoff=0.0)


def _cost(price: Price | None, usage: Usage) -> str:
    if price is None:
        return "at a price that is not known"
    if not max(price.prompt, price.cached, price.completion):
        return "for $0"
    if not usage.prompt_tokens + usage.completion_tokens:
        return "and does not say how many tokens it took"
    usd = price.of(usage)
    return f"for {_dollars(usd.quantize(_LEAST_SHOWN))}" if usd >= _LEAST_SHOWN else f"for less than ${_LEAST_SHOWN}"


def _dollars(usd: Decimal) -> str:
    return f"${usd.normalize():f}"
