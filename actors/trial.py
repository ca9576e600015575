"""Whether new code starts at all, before anything that runs is replaced by it."""

from __future__ import annotations

import msgspec
import ray
from ray.exceptions import RayError

from actors.contracts import ActorsFailed
from actors.handles import Handle
from actors.room_actor import RoomActor
from actors.shard_writer import ShardWriter
from actors.state_machine import StateMachine
from actors.status import constructor_failure, task_failure
from parlor.model.ids import ShardId
from parlor.model.release import COMPATIBILITY, program_version
from parlor.settings import Settings

TRIAL_SECONDS = 90.0
"""For a process that imports everything, on a busy machine."""
_NAME = "trial"


class Tried(msgspec.Struct, frozen=True):
    """What a new process runs."""

    version: str
    compatibility: int


class Trial:
    """One of each actor, in one process, without a room, a partition, or a name that anybody knows."""

    def __init__(self, settings_json: str) -> None:
        Settings.model_validate_json(settings_json)
        self._actors = (
            StateMachine(settings_json, _NAME),
            ShardWriter(settings_json, _NAME, ShardId(1), []),
            RoomActor(settings_json, _NAME),
        )

    async def run(self) -> Tried:
        """Raises what an actor raises that does not start."""
        for actor in self._actors:
            await actor.start()
        return Tried(program_version(), COMPATIBILITY)


def try_out(settings_json: str) -> Tried:
    """Runs a trial in a new process of the cluster. Raises ``ActorsFailed``."""
    trial: Handle = ray.remote(Trial).options(num_cpus=0, max_restarts=0).remote(settings_json)
    try:
        found: Tried = ray.get(trial.run.remote(), timeout=TRIAL_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise ActorsFailed(f"a process of the new version did not start within {TRIAL_SECONDS:g} s") from error
    except ray.exceptions.RayTaskError as error:
        raise ActorsFailed(f"the new version does not start: {task_failure(error)}") from error
    except ray.exceptions.RayActorError as error:
        raise ActorsFailed(f"the new version does not start: {constructor_failure(error)}") from error
    except RayError as error:
        raise ActorsFailed(f"the new version could not be tried: {error}") from error
    finally:
        ray.kill(trial)
    return found
