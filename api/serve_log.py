"""Serve's own log of a replica, without a record for each request.

Serve makes a record of each request and only then looks whether anybody wants it (``enable_access_log``; Ray 2.60,
``serve/_private/replica.py``). Its informational messages go with it; warnings and errors stay.
"""

from __future__ import annotations

import logging

from ray.serve._private import replica

_LOGGER = "logger"


def install() -> None:
    """Call it in the deployment's constructor."""
    serves: logging.Logger = vars(replica)[_LOGGER]
    quiet = serves.getChild("replica")
    quiet.setLevel(logging.WARNING)
    vars(replica)[_LOGGER] = quiet
