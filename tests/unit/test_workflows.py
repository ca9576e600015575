"""Workflows, hooks and templates name only targets, versions and files that exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from packaging.specifiers import SpecifierSet

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
CHECK_RELEASE = ROOT / ".ci/check_release.py"
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(?:\.\d+)+")
"""An action by its commit, with its version for a reader (and for the bot that renews it)."""
WRITES = {"release.yaml": {("pypi", "id-token"), ("image", "packages")}}
"""The only permissions to write: by workflow, the job and what it may write."""

workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


class Job(NamedTuple):
    workflow: str
    name: str
    body: dict[str, Any]


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def jobs(path: Path) -> list[Job]:
    return [Job(path.name, name, body) for name, body in load(path)["jobs"].items()]


def commands(job: Job) -> str:
    return "\n".join(step["run"] for step in job.body.get("steps", ()) if "run" in step)


def make_targets(text: str) -> set[str]:
    """The targets that a script calls, without its variables: ``make test CI=``."""
    return set(re.findall(r"^\s*(?:exec )?make ([a-z-]+)", text, re.MULTILINE))


def known_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def supported() -> set[str]:
    """The versions of Python that `requires-python` allows."""
    allowed = SpecifierSet(project()["requires-python"])
    return {f"3.{minor}" for minor in range(40) if f"3.{minor}" in allowed}


def pythons(node: object) -> Iterator[set[str]]:
    """Every matrix of Python versions in a workflow."""
    if isinstance(node, dict):
        if isinstance(found := node.get("python"), list):
            yield set(found)
        for below in node.values():
            yield from pythons(below)


def test_there_is_a_workflow_for_each_occasion() -> None:
    assert {path.name for path in WORKFLOWS} == {"checks.yaml", "faults.yaml", "release.yaml"}


@workflows
def test_every_action_is_pinned(path: Path) -> None:
    used = re.findall(r"uses: (.+)", path.read_text(encoding="utf-8"))
    assert used
    assert [name for name in used if not name.startswith("./") and not PINNED.fullmatch(name)] == []
    assert [name for name in used if name.startswith("./") and not (ROOT / name).is_file()] == []


def test_an_action_by_its_tag_would_be_noticed() -> None:
    assert PINNED.fullmatch("actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2")
    assert not PINNED.fullmatch("actions/checkout@v4")


@workflows
def test_permissions_are_the_least_and_every_job_ends(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "group" in workflow["concurrency"]
    for job in jobs(path):
        granted = {(job.name, name) for name, level in job.body.get("permissions", {}).items() if level == "write"}
        assert granted <= WRITES.get(path.name, set()), job.name
        if "uses" not in job.body:
            assert job.body["timeout-minutes"] <= 360, f"{job.name}: a runner's limit is six hours"


@workflows
def test_every_target_and_file_that_a_job_runs_exists(path: Path) -> None:
    for job in jobs(path):
        text = commands(job)
        assert make_targets(text) <= known_targets(), job.name
        assert [file for file in re.findall(r"\.ci/\w+(?:\.py)?", text) if not (ROOT / file).is_file()] == []


def test_the_checks_are_what_a_person_runs() -> None:
    found = {job.name: make_targets(commands(job)) for job in jobs(ROOT / ".github/workflows/checks.yaml")}
    assert {"lint", "types", "unit"} <= found["check"], found
    assert "test" in found["test-embedded"]
    assert make_targets((ROOT / ".ci/run").read_text(encoding="utf-8")) == {"test"}
    [private] = [job for job in jobs(ROOT / ".github/workflows/checks.yaml") if job.name == "test-private"]
    assert ".ci/run" in commands(private)
    assert private.body["container"]["image"] == "python:${{ matrix.python }}-slim-bookworm"


def test_every_supported_python_is_checked_on_both_kinds_of_servers() -> None:
    workflow = load(ROOT / ".github/workflows/checks.yaml")
    found = list(pythons(workflow))
    assert len(found) == 3
    assert all(versions == supported() for versions in found)
    classifiers = {name.rpartition(" ")[2] for name in project()["classifiers"] if re.search(r":: 3\.\d+$", name)}
    assert classifiers == supported()


def test_a_pull_request_is_compared_with_its_base_by_ratios() -> None:
    [job] = [job for job in jobs(ROOT / ".github/workflows/checks.yaml") if job.name == "bench"]
    assert "bench-check" in make_targets(commands(job))
    options = set(re.findall(r"--[a-z-]+", commands(job).partition("BENCH_CHECK=")[2]))
    assert options == {"--seconds", "--rounds", "--at-least"}
    assert "fetch-depth" in str(job.body["steps"]), "the base has to be there"


def test_faults_are_made_every_night() -> None:
    text = (ROOT / ".github/workflows/faults.yaml").read_text(encoding="utf-8")
    assert re.search(r"^on:\n  schedule:\n    - cron: \"\d+ \d+ \* \* \*\"$", text, re.MULTILINE)
    [job] = jobs(ROOT / ".github/workflows/faults.yaml")
    given = set(re.findall(r"\b(CHAOS_[A-Z]+)=", commands(job)))
    known = set(re.findall(r"^(CHAOS_[A-Z]+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert "chaos" in make_targets(commands(job))
    assert given
    assert given <= known


def test_a_release_waits_for_the_checks() -> None:
    found = {job.name: job.body for job in jobs(ROOT / ".github/workflows/release.yaml")}
    assert found["checks"]["uses"] == "./.github/workflows/checks.yaml"
    published = [body for body in found.values() if "permissions" in body]
    assert published
    assert all({"checks", "package"} <= set(body["needs"]) for body in published)


@pytest.mark.parametrize(
    ("tag", "version", "heading", "wrong"),
    [
        ("v1.2.3", "1.2.3", "## [1.2.3] - 2026-01-31", None),
        ("v1.2.3rc1", "1.2.3rc1", "## [1.2.3rc1] - 2026-01-31", None),
        ("v1.2.4", "1.2.3", "## [1.2.3] - 2026-01-31", "the tag is v1.2.4, but pyproject.toml has version 1.2.3"),
        ("v1.2.3", "1.2.3", "## [1.2.3] - Unreleased", "CHANGELOG.md gives 1.2.3 no date"),
        ("v1.2.3", "1.2.3", "## [1.2.2] - 2026-01-31", "CHANGELOG.md has no section [1.2.3]"),
        ("latest", "1.2.3", "## [1.2.3] - 2026-01-31", "latest is not a release's tag"),
    ],
)
def test_a_release_needs_a_tag_a_version_and_a_date(
    tmp_path: Path, tag: str, version: str, heading: str, wrong: str | None
) -> None:
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci/check_release.py"
    script.write_bytes(CHECK_RELEASE.read_bytes())
    (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n', encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", script, tag], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == (1 if wrong else 0), done.stderr
    assert (wrong or "") in done.stderr


def test_hooks_are_the_projects_own_tools() -> None:
    config = load(ROOT / ".pre-commit-config.yaml")
    assert [repo["repo"] for repo in config["repos"]] == ["local"], "other versions would disagree with the lock's"
    hooks = {hook["id"]: hook for hook in config["repos"][0]["hooks"]}
    assert hooks.keys() == {"ruff-check", "ruff-format", "mypy", "house-rules", "structure", "documents"}
    for hook in hooks.values():
        assert hook["language"] == "system"
        program, *arguments = hook["entry"].split()
        if program == "make":
            assert set(arguments) <= known_targets()
        else:
            assert Path(program).parent == Path(".venv/bin")
            assert Path(sys.executable).with_name(Path(program).name).exists(), program
        assert [word for word in arguments if word.endswith(".py") and not (ROOT / word).is_file()] == []


@pytest.mark.parametrize("name", ["bug.yml", "feature.yml"])
def test_an_issue_form_is_one_that_github_takes(name: str) -> None:
    form = load(ROOT / ".github/ISSUE_TEMPLATE" / name)
    assert form.keys() >= {"name", "description", "body"}
    kinds = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert {part["type"] for part in form["body"]} <= kinds
    ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(ids) == len(set(ids))
    assert all(part["attributes"]["label"] for part in form["body"] if part["type"] != "markdown")
    assert any(part.get("validations", {}).get("required") for part in form["body"])


def test_templates_and_the_security_policy_name_files_that_exist() -> None:
    texts = [*(ROOT / ".github").rglob("*.yml"), *(ROOT / ".github").glob("*.md"), ROOT / "SECURITY.md"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in texts)
    named = set(re.findall(r"\b(?:docs/)?[A-Z]{4,}\.md\b", text))
    assert named >= {"CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "docs/GUARANTEES.md"}
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_editors_keep_to_ruffs_width() -> None:
    text = (ROOT / ".editorconfig").read_text(encoding="utf-8")
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]
    assert f"\n[*.py]\nindent_size = 4\nmax_line_length = {ruff['line-length']}\n" in text
    assert "\n[Makefile]\nindent_style = tab\n" in text
