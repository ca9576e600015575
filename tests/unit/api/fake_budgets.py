"""Budgets of an account that may have everything."""

from __future__ import annotations

from parlor.model.budgets import Ask, Budget, Payer, Reservation
from parlor.model.ids import MessageId
from parlor.model.messages import Usage

CALL = MessageId("01a206a0-a173-8028-ab2a-76eccdced587")


class FakeBudgets:
    """Everything may be had."""

    def __init__(self) -> None:
        self.settled: list[tuple[Reservation, Usage]] = []

    async def reserve(self, payer: Payer, ask: Ask) -> Reservation:
        return Reservation(payer, CALL, ask.answer, ask.input_price, ask.output_price)

    async def renew(self, reservation: Reservation, usage: Usage) -> None:
        """Nobody looks."""

    async def settle(self, reservation: Reservation, usage: Usage) -> None:
        self.settled.append((reservation, usage))


STANDINGS = [
    Budget("tokens_per_day", 1000, 100, 50, 1_795_478_400_000),
    Budget("tokens_per_month", None, 100, 50, 1_796_083_200_000),
    Budget("cost_per_day", 2_500_000_000, 500_000_000, 0, 1_795_478_400_000),
    Budget("cost_per_month", None, 500_000_000, 0, 1_796_083_200_000),
]
