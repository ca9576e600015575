"""The bill of materials of an installation, as CycloneDX 1.5: ``python -m tests.sbom > sbom.json``.

Made from requirements/run.lock, so it names what is installed and the checksums that pip requires, and from NOTICE for
what stands in the page.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
_PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_BUNDLED = re.compile(r"^([A-Za-z.-]+) (\d+\.\d+\.\d+) \((https://[^)]+)\)", re.MULTILINE)


def components(lock: str, notice: str) -> list[dict[str, Any]]:
    """Every package of the lock, and what NOTICE says is bundled; sorted by name."""
    found: list[dict[str, Any]] = []
    for line in lock.splitlines():
        if package := _PACKAGE.match(line):
            name, version = package[1].lower(), package[2]
            found.append(
                {
                    "type": "library",
                    "name": name,
                    "version": version,
                    "purl": f"pkg:pypi/{name}@{version}",
                    "hashes": [],
                }
            )
        for digest in _HASH.findall(line):
            found[-1]["hashes"].append({"alg": "SHA-256", "content": digest})
    for name, version, url in _BUNDLED.findall(notice):
        purl = f"pkg:npm/{name.lower()}@{version}"
        reference = [{"type": "website", "url": url}]
        found.append(
            {"type": "library", "name": name, "version": version, "purl": purl, "externalReferences": reference}
        )
    return sorted(found, key=lambda component: str(component["name"]).lower())


def document(root: Path = ROOT) -> dict[str, Any]:
    lock, notice = (root / "requirements/run.lock").read_text(), (root / "NOTICE").read_text()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "parlor"}},
        "components": components(lock, notice),
    }


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1)
