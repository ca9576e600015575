"""What Redis keeps of a sign-in code opens with that code alone."""

from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidTag
from msgspec import structs

from api.sign_in_codes import new_code, seal, unseal
from parlor.clock import SystemEntropy
from parlor.model.ids import AccountId, Partition

pytestmark = pytest.mark.unit

ADA, TOKEN = AccountId("ada"), "eyJhbGciOi.eyJzdWIiOi.c2ln"


def test_a_session_opens_with_its_code_alone() -> None:
    code, other = (new_code(Partition(17), SystemEntropy()) for _ in range(2))
    session = seal(code, ADA, TOKEN)
    assert unseal(code, session) == TOKEN
    assert TOKEN not in session.sealed
    with pytest.raises(InvalidTag):
        unseal(other, session)


def test_a_session_is_of_the_account_that_it_was_sealed_for() -> None:
    code = new_code(Partition(17), SystemEntropy())
    with pytest.raises(InvalidTag):
        unseal(code, structs.replace(seal(code, ADA, TOKEN), account_id=AccountId("bob")))
