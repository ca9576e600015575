"""Whether this installation's packages are the ones that Python would import.

`api` and `actors` are names that other programs use too. A package of that name earlier on the path (``PYTHONPATH``, a
file in ``site-packages``) would be imported in place of ours, by the command or by one of Ray's workers, which get the
same path. So every command looks before it imports them, and names what it found.
"""

from __future__ import annotations

import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path

import parlor
from parlor_cli.refusal import Refusal

PACKAGES = ("actors", "api", "demo_model", "parlor_bench", "parlor_cli")


def check_packages(path: Sequence[str] | None = None) -> None:
    """Raises ``Refusal`` that names the first package which is not ours or is missing. Imports none of them.

    ``path``: where Python looks, ``sys.path`` by default.
    """
    home = Path(parlor.__file__).resolve().parents[1]
    for name in PACKAGES:
        found = importlib.machinery.PathFinder.find_spec(name, list(sys.path if path is None else path))
        if found is None:
            raise Refusal(f"Parlor's package {name} is missing beside {home / 'parlor'}: install Parlor again")
        where = found.origin or next(iter(found.submodule_search_locations or ()), "?")
        if Path(where).resolve().parent != home / name:
            raise Refusal(
                f"another package is called {name}: {where} comes before Parlor's own {home / name} on Python's path;"
                " remove it from PYTHONPATH or from this environment, or install Parlor into one of its own"
            )
