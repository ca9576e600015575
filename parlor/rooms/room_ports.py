"""What a room works with."""

from __future__ import annotations

import msgspec

from parlor.cache.reads import CacheReader
from parlor.cache.revisions import RevisionCache
from parlor.cache.rooms import RoomCache
from parlor.cache.summaries import SummaryCache
from parlor.model.ids import NO_CLUSTER, ClusterId, IdMint
from parlor.reading.internal import InternalHistory
from parlor.reading.loading import Loader
from parlor.rooms.reply_job import ReplyPorts
from parlor.settings.account_limits import AccountLimits
from parlor.state_machine import ChatStateMachine


class RoomPorts(msgspec.Struct, frozen=True):
    """The parts of its process; all rooms of a host share them."""

    reply: ReplyPorts
    cache: RoomCache
    revisions: RevisionCache
    reader: CacheReader
    loader: Loader
    history: InternalHistory
    states: ChatStateMachine
    summaries: SummaryCache
    mint: IdMint
    limits: AccountLimits
    cluster: ClusterId = NO_CLUSTER
    """Where this process is: its claims say so."""
