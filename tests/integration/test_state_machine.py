"""The StateMachine actor of a running installation serves callers that own no room (the specification's
ChatStateMachine)."""

from __future__ import annotations

import pytest

from tests.installation import Installation
from tests.integration.state_machine_calls import ask_state_machine
from tests.integration.user import User, of, succeeded

pytestmark = pytest.mark.integration


async def test_legal_steps_are_made_and_logged_and_illegal_ones_refused(user: User, installation: Installation) -> None:
    room = await user.create_room()
    # Stored, so that the states are final: ACTIVE and SENT.
    message = (await user.note(room, "hello", persisted=True))["message_id"]
    missing = message[:-4] + ("0000" if message[-4:] != "0000" else "1111")

    found = await ask_state_machine(
        installation,
        [
            ("get_room_state", [room], {}),
            ("transition_room", [room, "CREATED"], {"by": "test"}),
            ("transition_room", [room, "DELETING"], {"expected": "DELETED", "by": "test"}),
            ("transition_message", [room, message, "COMPOSING"], {"by": "test"}),
            ("get_message_state", [room, missing], {}),
            ("transition_message", [room, missing, "SENT"], {"by": "test"}),
            ("transition_message", [room, message, "DELETING"], {"by": "test"}),
            ("get_message_state", [room, message], {}),
        ],
    )

    assert found[0][1]["state"] == "ACTIVE"
    assert [(answer[0], answer[1], answer[2]) for answer in found[1:4]] == [
        ("error", "illegal-transition", {"from": "ACTIVE", "to": "CREATED"}),
        ("error", "illegal-transition", {"from": "ACTIVE", "to": "DELETING"}),
        ("error", "illegal-transition", {"from": "SENT", "to": "COMPOSING"}),
    ]
    assert [answer[:2] for answer in found[4:6]] == [["error", "message-not-found"]] * 2
    assert found[6] == ["answer", "DELETING"]
    assert (found[7][1]["state"], found[7][1]["log"][-1]["by"]) == ("DELETING", "test")
    # A bare step queues nothing for the shard; with its room the message is deleted there too.
    succeeded(await user.http.delete(of(room)), 202)
