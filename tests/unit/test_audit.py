"""The audit says what was found, what nobody could be asked about, and which licences there are."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.audit import (
    PROGRAMS,
    Unreachable,
    bundled,
    first_answer,
    known_to_osv,
    known_vulnerabilities,
    known_vulnerabilities_of_the_page,
    licences,
    needs_a_look,
)
from tests.sbom import ROOT, document

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


@contextmanager
def osv(answer: Callable[[Any], object]) -> Iterator[str]:
    """The URL of a server that answers as OSV does, from what it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = json.dumps(answer(asked)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("kind", "name"), [("pypi", "starlette"), ("npm", "marked")])
def test_osv_is_asked_about_every_package_by_its_purl(kind: str, name: str) -> None:
    def one_of_them(asked: Any) -> object:
        purls = [each["package"]["purl"] for each in asked["queries"]]
        assert len(purls) == len([each for each in document()["components"] if each["purl"].startswith(f"pkg:{kind}/")])
        return {"results": [{"vulns": [{"id": "X-1"}]} if f"/{name}@" in purl else {} for purl in purls]}

    with osv(one_of_them) as url:
        (line,) = known_to_osv(kind, url)
    assert line.startswith(f"{name} ")
    assert line.endswith(": X-1")


@pytest.mark.parametrize("answer", [{}, [], {"results": []}, {"results": [1]}, {"code": 3}])
def test_another_answer_than_osvs_has_found_nothing(answer: object) -> None:
    with osv(lambda _: answer) as url, pytest.raises(Unreachable):
        list(known_to_osv("npm", url))


def test_osv_that_is_not_there_has_found_nothing() -> None:
    with pytest.raises(Unreachable):
        list(known_to_osv("npm", "http://127.0.0.1:9/"))


def test_the_next_one_is_asked_when_one_does_not_answer() -> None:
    def away() -> Iterator[str]:
        raise Unreachable("it is away")

    assert first_answer(away, lambda: iter(["a 1.0: X-1"])) == ["a 1.0: X-1"]
    with pytest.raises(Unreachable, match="it is away; it is away"):
        first_answer(away, away)
