"""What one account or one address may use, so that it leaves enough for the others."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from parlor.settings.section import Section
from parlor.settings.values import Pause


def _switched_off(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in ("off", "none", "null") else value


PerSecond = Annotated[
    Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)] | None, BeforeValidator(_switched_off)
]
"""A rate; None: no limit."""
Cap = Annotated[Annotated[int, Field(ge=1, le=1_000_000_000)] | None, BeforeValidator(_switched_off)]
"""A number that is not exceeded; None: no limit."""
Bytes = Annotated[Annotated[int, Field(ge=1, le=2**60)] | None, BeforeValidator(_switched_off)]
"""A size that is not exceeded; None: no limit."""
Money = Annotated[
    Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None, BeforeValidator(_switched_off)
]
"""An amount in the currency of the personas' prices; None: no limit."""
Tokens = Annotated[Annotated[int, Field(ge=0, le=1_000_000_000_000)] | None, BeforeValidator(_switched_off)]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]


class LimitSettings(Section):
    """Shares of one account or address; the defaults suit one installation of a hundred people. `off` turns a limit
    off. Rates, and what is open at a time, are counted by each replica of the API."""

    requests_per_second: PerSecond = 200.0
    """Requests of one account, on average; more are refused as `rate-limited`."""
    requests_burst: Burst = 2000
    """Requests that an account may make at once after a pause."""
    sends_per_second: PerSecond = 50.0
    """Sends of one account, on average."""
    sends_burst: Burst = 1000
    """Sends that an account may make at once after a pause."""
    requests_at_once: Cap = 400
    """Requests of one account that are under way at a time, besides its streams."""
    streams: Cap = 1000
    """Event streams of one account that are open at a time."""
    rooms: Cap = 10_000
    """Rooms of one account; another one is refused as `limit-reached`."""
    waiting_turns: Cap = 200
    """Turns of one room whose replies wait while another reply is written; one more is refused as `limit-reached`."""
    versions: Cap = 200
    """Versions of one message: attempts of a reply, or texts of a person's message; one more is refused as
    `limit-reached`."""
    files: Cap = 10_000
    """Files of one account; another one is refused as `limit-reached`."""
    file_bytes: Bytes = 1024**3
    """Bytes of all files of one account; equal ones count once. What exceeds it is refused as `limit-reached`."""
    uploads_at_once: Cap = 4
    """Files of one account that are on their way at a time."""
    tokens_per_day: Tokens = 50_000_000
    """Tokens, of prompts and answers, that an account may use on one day (UTC); a reply that would exceed it is refused
    as `quota-exceeded`."""
    tokens_per_month: Tokens = 500_000_000
    """Tokens that an account may use in one month (UTC)."""
    cost_per_day: Money = 50.0
    """What an account's tokens may cost on one day, by the prices in `personas.toml`; personas without prices cost
    nothing."""
    cost_per_month: Money = 500.0
    """What an account's tokens may cost in one month."""
    answer_tokens: int = Field(default=16_384, ge=1, le=10_000_000)
    """Tokens that are reserved for an answer, and that it may have, if its persona has no `max_tokens`. Without any
    budget such an answer has no limit."""
    accounts: Cap = 100_000
    """Accounts of the installation, but for deleted ones: whoever would be one more is refused as `limit-reached`. An
    identity provider, or whoever signs tokens, makes an account with each new name."""
    address_requests_per_second: PerSecond = 500.0
    """Requests from one address, on average, with or without a token. Addresses of this machine have no limit: a
    proxy on it speaks for everybody."""
    address_requests_burst: Burst = 5000
    """Requests that an address may make at once after a pause."""
    refused_tokens_per_second: PerSecond = 50.0
    """Requests from one address, this machine included, whose token is not valid; more are refused as `rate-limited`
    before their token is looked at."""
    refused_tokens_burst: Burst = 1000
    """Requests with a token that is not valid that an address may make at once after a pause."""
    address_strangers_at_once: Cap = 100
    """Requests of one address, this machine included, that are under way at a time and wait for somebody to say who he
    is: sign-ins, and sockets without a token yet."""
    refusal_delay: Pause = timedelta(milliseconds=250)
    """How long a refusal as `rate-limited` is held back at least, so that a client that asks again at once costs
    little. Of one account or address 100 refusals a second are answered, bad tokens included; more wait, up to 5 s.
    0: none is held back."""
