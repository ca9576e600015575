"""Every fault by its name."""

from __future__ import annotations

from tests.chaos.system import database_faults, fail_over, faults, move_faults, node_faults, upgrades
from tests.chaos.system.faults import Blow

FAULTS: dict[str, type[Blow]] = {
    fault.name: fault
    for fault in (
        faults.KillRoomActor,
        faults.StopRoomActor,
        faults.KillWriter,
        faults.StopWriter,
        faults.KillStateMachine,
        faults.StopStateMachine,
        faults.KillSupervisor,
        faults.StopSupervisor,
        faults.KillReplica,
        faults.StopReplica,
        faults.KillProxy,
        faults.StopProxy,
        faults.KillRedis,
        faults.StopRedis,
        faults.KillMariadb,
        faults.StopMariadb,
        faults.KillModel,
        faults.KillAll,
        faults.FillRedisDisk,
        faults.FillShardDisk,
        faults.EmptyRedis,
        database_faults.FlushScripts,
        database_faults.ForeignRedis,
        database_faults.KillConnections,
        database_faults.HoldLocks,
        database_faults.MakeDeadlocks,
        database_faults.LockSqlite,
        move_faults.MovePartition,
        move_faults.KillMove,
        fail_over.KillPrimary,
        upgrades.MakeUpgrade,
        node_faults.KillNode,
        node_faults.KillRaylet,
        node_faults.StopNode,
    )
}
LOSSLESS = [name for name, fault in FAULTS.items() if not fault.loses and not fault.needs_nodes]
"""What may cost time, and nothing else; on one node."""
