"""What a call needs beside an endpoint with room: money, and a part of the endpoint's minute."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from connectors.clock import Clock
from connectors.errors import ConnectorError, SlowDownError
from connectors.llm.accounts import Accounts, Books
from connectors.llm.budget import Budget, Budgets, Grants, Reservation
from connectors.llm.errors import SETTING
from connectors.llm.prices import FREE, Price, Usage, price_of
from connectors.llm.settings import Endpoint, OutputLimit
from connectors.money import Held, Spent

# For what the provider counts against a minute, a token is about four bytes; the money is reserved for the most.
BYTES_PER_TOKEN = 4


class TooSoonError(SlowDownError):
    """The endpoint's minute is used up."""

    def __init__(self, wait_s: float) -> None:
        """Say when there is room again, in seconds; infinity if nobody knows."""
        self.wait_s = wait_s
        super().__init__(f"the endpoint's minute is used up for {wait_s:.1f} s")


class Rates(Protocol):
    """Who counts the requests and tokens of all workers (`connectors.redis.rates.Rates`)."""

    async def take(self, name: str, *, rpm: int | None, tpm: int | None, tokens: int) -> float:
        """Take a request and so many tokens of a minute: 0.0 if granted, else in how many seconds it may be."""

    async def correct(self, name: str, *, tpm: int | None, tokens: int) -> None:
        """Take so many tokens more than was thought, or give back where it is negative."""


class Treasury(Grants, Books, Protocol):
    """Who keeps the budgets and the books (`connectors.timescale.treasury.Treasury`)."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a call is, and for whom."""

    tenant: str
    prompt_bytes: int
    output_tokens: int

    def tokens(self, endpoint: Endpoint) -> int:
        """Guess its tokens, as most providers do before a call: the prompt, and all that may be answered."""
        return self.prompt_bytes // BYTES_PER_TOKEN + self.most_output(endpoint)

    def most_output(self, endpoint: Endpoint) -> int:
        """Give the most tokens that are answered."""
        return self.output_tokens + endpoint.reasoning_tokens


@dataclass(frozen=True, slots=True)
class Pass:
    """A call that may be made, and has to be ended with one of the words of `Door`."""

    endpoint: Endpoint
    price: Price
    tenant: str
    reservation: Reservation
    tokens: int


class Door:
    """Lets calls through, and settles what they cost; for one event loop."""

    def __init__(
        self, *, rates: Rates | None = None, budget: Budget | None = None, accounts: Accounts | None = None
    ) -> None:
        """Each of them may be missing: then nothing is limited, or written down."""
        self._rates = rates
        self._budget = budget
        self._accounts = accounts

    @classmethod
    def of(cls, budgets: Budgets, treasury: Treasury, rates: Rates, clock: Clock) -> "Door":
        """Make one with all of them."""
        return cls(rates=rates, budget=Budget(budgets, treasury, clock), accounts=Accounts(treasury))

    def price(self, endpoint: Endpoint, base_url: str) -> Price:
        """Look up what an endpoint's calls cost; nothing where nobody knows.

        Raises:
            ConnectorError: there is a budget, and nobody knows how much of it a call would take.

        """
        price = price_of(endpoint, base_url)
        if self._budget is not None and self._budget.is_limited():
            if price is None:
                raise ConnectorError(
                    f"What the model {endpoint.model!r} of endpoint {endpoint.name!r} costs is not known, and there is "
                    f"a budget. Give input_usd and output_usd (dollars for a million tokens, 0 for a server of your "
                    f"own) in {SETTING}."
                )
            if endpoint.output_limit is OutputLimit.NONE and price.completion:
                raise ConnectorError(
                    f"Endpoint {endpoint.name!r} has output_limit none, and there is a budget: nobody could say what a "
                    f"call costs at the most. Choose another output_limit in {SETTING}."
                )
        return price or FREE

    async def enter(self, endpoint: Endpoint, price: Price, size: Size) -> Pass:
        """Reserve money and a part of the minute.

        Raises:
            BudgetSpentError, BudgetAwayError: there is no money for it (`connectors.llm.budget.Budget.reserve`).
            TooSoonError: the minute is used up.

        """
        usd = price.most(size.prompt_bytes, size.most_output(endpoint))
        reservation = Reservation(usd)
        if self._budget is not None:
            reservation = await self._budget.reserve(size.tenant, usd)
        tokens = size.tokens(endpoint)
        if self._rates is not None:
            wait_s = await self._wait_s(self._rates, endpoint, tokens, reservation)
            if wait_s > 0:
                self._settle(reservation, Decimal(0))
                raise TooSoonError(wait_s)
        return Pass(endpoint, price, size.tenant, reservation, tokens)

    async def hold(self, tenant: str, usd: Decimal) -> Held:
        """Set money aside for what is settled by whoever learns what it has cost (`connectors.timescale.batches`).

        Raises:
            BudgetSpentError, BudgetAwayError: there is no money for it (`connectors.llm.budget.Budget.reserve`).

        """
        return Held(tenant, usd) if self._budget is None else await self._budget.hold(tenant, usd)

    async def answered(self, one: Pass, usage: Usage) -> Usage:
        """End a call that was answered; give what it used with what it cost."""
        # Where a server does not say what it used, only the most is known.
        says = usage.prompt_tokens + usage.completion_tokens > 0
        usd = one.price.of(usage) if says else one.reservation.usd
        self._settle(one.reservation, usd)
        used = Usage(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usd)
        self._note(one, used)
        if says:
            await self._correct(one, usage.prompt_tokens + usage.completion_tokens - one.tokens)
        return used

    async def cost_nothing(self, one: Pass) -> None:
        """End a call that was turned away."""
        self._settle(one.reservation, Decimal(0))
        self._note(one, Usage())
        await self._correct(one, -one.tokens)

    def lost(self, one: Pass) -> None:
        """End a call of which nobody will know what became: what was reserved for it is spent."""
        self._note(one, Usage(), unsettled_usd=one.reservation.usd)

    async def write(self) -> None:
        """Write down what was spent.

        Raises:
            ConnectorError: it cannot be; it is kept for the next time.

        """
        if self._accounts is not None:
            await self._accounts.write()

    async def close(self) -> None:
        """Give back what was leased, and write down what was spent.

        Raises:
            ConnectorError: it cannot be written down.

        """
        if self._budget is not None:
            await self._budget.close()
        await self.write()

    async def _wait_s(self, rates: Rates, endpoint: Endpoint, tokens: int, reservation: Reservation) -> float:
        try:
            return await rates.take(endpoint.name, rpm=endpoint.rpm, tpm=endpoint.tpm, tokens=tokens)
        except BaseException:  # nobody waits any more
            self._settle(reservation, Decimal(0))
            raise

    async def _correct(self, one: Pass, tokens: int) -> None:
        if self._rates is not None and one.endpoint.tpm is not None and tokens:
            await self._rates.correct(one.endpoint.name, tpm=one.endpoint.tpm, tokens=tokens)

    def _settle(self, reservation: Reservation, usd: Decimal) -> None:
        if self._budget is not None:
            self._budget.settle(reservation, usd)

    def _note(self, one: Pass, usage: Usage, *, unsettled_usd: Decimal = Decimal(0)) -> None:
        if self._accounts is not None:
            self._accounts.note(
                Spent(
                    one.tenant,
                    one.endpoint.name,
                    one.endpoint.model,
                    1,
                    usage.prompt_tokens,
                    usage.cached_tokens,
                    usage.completion_tokens,
                    usage.usd,
                    unsettled_usd,
                )
            )
