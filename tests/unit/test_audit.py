"""The audit says what was found, what nobody could be asked about, and which licences there are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.audit import (
    PROGRAMS,
    Unreachable,
    bundled,
    known_vulnerabilities,
    known_vulnerabilities_of_the_page,
    licences,
    needs_a_look,
)
from tests.sbom import ROOT

pytestmark = pytest.mark.unit


def answering(stdout: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 1, stdout, "it is away")

    return run


def test_every_installed_package_has_a_licence_that_parlor_can_live_with() -> None:
    found = licences()
    assert len(found) > 30
    assert {name: licence for name, licence in found.items() if needs_a_look(name, licence)} == {}


@pytest.mark.parametrize("licence", ["GPLv3", "not said", "AGPL-3.0-only", "Proprietary"])
def test_another_licence_needs_a_look(licence: str) -> None:
    assert needs_a_look("something", licence)


def test_notice_names_the_program_that_is_copyleft_and_what_the_page_brings() -> None:
    notice = (ROOT / "NOTICE").read_text()
    assert all(name in notice for name in PROGRAMS)
    assert bundled().keys() == {"dompurify", "highlight.js", "katex", "marked", "swagger-ui-dist"}


def test_what_is_known_is_told() -> None:
    known = {"id": "GHSA-1", "fix_versions": ["2.0"]}
    answer = {"dependencies": [{"name": "a", "version": "1.0", "vulns": [known]}, {"name": "b", "version": "1.0"}]}
    assert list(known_vulnerabilities(answering(json.dumps(answer)))) == ["a 1.0: GHSA-1, mended in 2.0"]
    page = {"vulnerabilities": {"marked": {"severity": "high"}}}
    found = list(known_vulnerabilities_of_the_page(answering(json.dumps(page))))
    assert found == [f"marked {bundled()['marked']}: high"]


@pytest.mark.parametrize("answer", ["", "No module named pip_audit", "{}"])
@pytest.mark.parametrize("ask", [known_vulnerabilities, known_vulnerabilities_of_the_page])
def test_who_could_not_be_asked_has_found_nothing(ask: Callable[..., Any], answer: str) -> None:
    with pytest.raises(Unreachable):
        list(ask(answering(answer)))
