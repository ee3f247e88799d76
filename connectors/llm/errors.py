"""How asking a model can end without an answer."""

from decimal import Decimal

from connectors.errors import ConnectorError, SlowDownError
from connectors.llm.prices import Usage

SETTING = "TIDEGATE_LLM__ENDPOINTS"


class BusyEndpointError(SlowDownError):
    """The endpoint is overloaded, too slow, failing or away: the same question can be answered later."""

    def __init__(
        self,
        endpoint: str,
        detail: str,
        retry_after_s: float | None = None,
        *,
        status: int | None = None,
        was_sent: bool = True,
    ) -> None:
        """`retry_after_s` is how long the endpoint asks to be left alone; `status` is HTTP's. None: it did not say.

        What never was sent, or ended with a status, costs nothing; of the rest nobody knows.
        """
        self.endpoint = endpoint
        self.status = status
        self.is_free = status is not None or not was_sent
        self.retry_after_s = retry_after_s
        super().__init__(f"Model endpoint {endpoint!r}: {detail}.")


class RefusedRequestError(ConnectorError):
    """The endpoint does not take such a request, now or later: a wrong key, model or address, most often."""

    def __init__(self, endpoint: str, status: int, detail: str = "") -> None:
        """`status` is HTTP's."""
        self.endpoint = endpoint
        self.status = status
        because = f" ({detail})" if detail else ""
        super().__init__(
            f"Model endpoint {endpoint!r} refused the request: HTTP {status}{because}. "
            f"Check its api_key, model and base_url in {SETTING}."
        )


class WrongAnswerError(ConnectorError):
    """The endpoint answered, but not with what was asked for. The tokens are spent all the same."""

    def __init__(self, endpoint: str, reason: str, detail: str = "", usage: Usage | None = None) -> None:
        """`reason` is a short stable word: `refusal`, `truncated`, `filtered`, `empty`, `schema` or `protocol`."""
        self.endpoint = endpoint
        self.reason = reason
        self.usage = usage or Usage()
        because = f": {detail}" if detail else ""
        super().__init__(f"Model endpoint {endpoint!r} gave no usable answer: {reason}{because}.")


class BudgetSpentError(ConnectorError):
    """A call may cost more than what is left of the day's budget."""

    def __init__(self, tenant: str, most: Decimal) -> None:
        """`most` is what the call may cost, in dollars."""
        self.tenant = tenant
        of = f" of tenant {tenant!r}" if tenant else ""
        super().__init__(
            f"The model budget of today{of} has no room for a call of up to ${most:.4f}. It begins anew at midnight "
            "UTC. TIDEGATE_LLM__BUDGET_USD_PER_DAY and TIDEGATE_LLM__TENANT_BUDGET_USD_PER_DAY set it."
        )
