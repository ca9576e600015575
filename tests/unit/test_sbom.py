"""The bill of materials names what is installed."""

from __future__ import annotations

import pytest

from tests.sbom import ROOT, components, document

pytestmark = pytest.mark.unit


def test_every_locked_package_is_named_with_its_checksums() -> None:
    lock = (ROOT / "requirements/run.lock").read_text()
    pinned = {
        line.split("==")[0].split("[")[0].lower() for line in lock.splitlines() if "==" in line and line[0].isalpha()
    }
    python = [each for each in document()["components"] if each["purl"].startswith("pkg:pypi/")]
    assert {each["name"] for each in python} == pinned
    assert len(pinned) > 30
    assert [each["name"] for each in python if not each["hashes"]] == []


def test_what_the_page_brings_is_named() -> None:
    bundled = {each["name"] for each in document()["components"] if each["purl"].startswith("pkg:npm/")}
    assert bundled >= {"marked", "DOMPurify", "swagger-ui-dist"}


def test_markers_extras_and_case_are_read() -> None:
    digest = "a" * 64
    lock = f"Ray[serve]==2.60.0 ; python_version > '3' \\\n    --hash=sha256:{digest}\n    # via parlor\n"
    (found,) = components(lock, "")
    assert (found["purl"], found["hashes"]) == ("pkg:pypi/ray@2.60.0", [{"alg": "SHA-256", "content": digest}])
