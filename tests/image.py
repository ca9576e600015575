"""The Dockerfile without Docker: what it says, and its steps as far as a plain machine can take them.

    python -m tests.image            builds the image's tree in a temporary directory, runs it, and stops it

``RUN`` and ``COPY`` of the build stage are executed with the image's absolute paths moved below a directory. What only
an image can do (``apt-get``, ``useradd``, ``tini``) is left out and named. The build by Docker itself is not run here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from parlor_cli import ports

ROOT = Path(__file__).parents[1]
MOVED = ("/opt/parlor", "/var/lib/parlor", "/etc/parlor", "/src")
"""The image's own directories."""
STEP_SECONDS = 900.0
START_SECONDS = 240.0
USER = 10001
"""Whom the image runs as; on a plain machine a process needs no entry in its user database for that."""


class Step(NamedTuple):
    word: str
    rest: str


Stage = list[Step]


def stages(path: Path = ROOT / "Dockerfile") -> list[Stage]:
    """The instructions of each stage, without comments, continued lines joined; ``FROM`` comes first."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found.append([])
        if word:
            found[-1].append(Step(word, rest.strip()))
    return found


def last(stage: Stage, word: str) -> str:
    """What the last such instruction says, which is the one that holds."""
    return next(step.rest for step in reversed(stage) if step.word == word)


def environment(stage: Stage) -> dict[str, str]:
    words = [word for step in stage if step.word == "ENV" for word in shlex.split(step.rest)]
    return dict(word.split("=", 1) for word in words)


def command(stage: Stage) -> list[str]:
    """What a container runs."""
    words: list[str] = [*json.loads(last(stage, "ENTRYPOINT")), *json.loads(last(stage, "CMD"))]
    return words


def health_command(stage: Stage) -> list[str]:
    words: list[str] = json.loads(last(stage, "HEALTHCHECK").partition("CMD ")[2])
    return words


class Image:
    """The final stage's tree below a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.build, self.final = stages()
        self.skipped: list[str] = []
        self._moved = re.compile(rf"(?<![\w/.])(?:{'|'.join(MOVED)})(?=[/\s:,]|$)")
        for directory in MOVED[1:3]:
            Path(self.move(directory)).mkdir(parents=True)

    def move(self, text: str) -> str:
        """With the image's directories below ``root``."""
        return self._moved.sub(lambda found: f"{self.root}{found[0]}", text)

    def make(self) -> None:
        """Executes the build stage."""
        python = self._interpreter()
        source = self.root / "src"
        source.mkdir()
        variables = {"PATH": os.environ["PATH"], "HOME": str(self.root), **environment(self.build)}
        for step in self.build:
            if step.word == "COPY":
                *names, target = step.rest.split()
                for name in names:
                    copy(ROOT / name, source / target / ("" if (ROOT / name).is_dir() else Path(name).name))
            elif step.word == "RUN":
                line = re.sub(r"^python ", f"{shlex.quote(python)} ", self.move(step.rest))
                subprocess.run(["sh", "-ec", line], cwd=source, env=variables, timeout=STEP_SECONDS, check=True)
        self.skipped += [step.rest for step in self.final if step.word == "RUN"]

    def borrow(self, site_packages: Path) -> None:
        """In place of ``make``: the same programs, with the packages that are installed already."""
        home = self.root / "opt/parlor"
        subprocess.run([self._interpreter(), "-m", "venv", "--without-pip", home], timeout=STEP_SECONDS, check=True)
        [own] = home.glob("lib/python3.*/site-packages")
        (own / "installed.pth").write_text(f"import site; site.addsitedir({str(site_packages)!r})\n", encoding="utf-8")
        program = home / "bin/parlor"
        program.write_text(f"#!{home}/bin/python\nfrom parlor_cli.main import main\nmain()\n", encoding="utf-8")
        program.chmod(0o755)

    def _interpreter(self) -> str:
        """This Python, copied where the image's user may not reach it: what the base image has."""
        found = Path(sys.executable).resolve()
        if os.geteuid() != 0 or open_to_all(found):
            return str(found)
        prefix, name = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
        home = self.root / "usr/local"
        left_out = shutil.ignore_patterns("__pycache__", "site-packages", "test", "idlelib")
        shutil.copytree(prefix / "lib" / name, home / "lib" / name, ignore=left_out)
        for library in (prefix / "lib").glob("libpython*.so*"):
            shutil.copy2(library, home / "lib")
        (home / "bin").mkdir()
        return str(shutil.copy2(found, home / "bin" / name))

    def variables(self, more: Mapping[str, str], port: int) -> dict[str, str]:
        """What a container's process finds in its environment."""
        found = {name: self.move(value) for name, value in environment(self.final).items()}
        if (libraries := self.root / "usr/local/lib").exists():
            found["LD_LIBRARY_PATH"] = str(libraries)
        own = {"PARLOR_API__PORT": str(port), "PARLOR_CONNECTIONS__HEALTH_PORT": str(ports.one())}
        return {**found, "HOME": str(self.root / "var/lib/parlor"), **own, **more}

    def start(self, variables: Mapping[str, str]) -> subprocess.Popen[str]:
        """The container's process: its command, environment, directory and user."""
        words = command(self.final)
        if shutil.which(words[0]) is None:
            self.skipped.append(shlex.join(words[: words.index("--") + 1]))
            words = words[words.index("--") + 1 :]
        if os.geteuid() == 0:
            os.chown(self.root / "var/lib/parlor", USER, USER)
        program = shutil.which(words[0], path=variables["PATH"]) or words[0]
        return subprocess.Popen(
            [program, *words[1:]],
            cwd=self.move(last(self.final, "WORKDIR")),
            env=dict(variables),
            user=USER if os.geteuid() == 0 else None,
            group=USER if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def is_healthy(self, variables: Mapping[str, str]) -> bool:
        """What the image's health check says."""
        program, *words = health_command(self.final)
        found = shutil.which(program, path=variables["PATH"]) or program
        done = subprocess.run([found, *words], env=dict(variables), capture_output=True, timeout=30, check=False)
        return done.returncode == 0


def copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copy2(source, target)


def open_to_all(path: Path) -> bool:
    return all(part.stat().st_mode & 0o005 == 0o005 for part in (path, *path.parents))


def read_until_ready(process: subprocess.Popen[str]) -> list[str]:
    """What was printed, up to the line that says it is ready. Raises ``RuntimeError`` when it ends before."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip().startswith("Ready at"):
            return lines
    raise RuntimeError(f"it ended before it was ready:\n{''.join(lines)}")


def stop(process: subprocess.Popen[str], number: int, seconds: float) -> int:
    """Sends the image's stop signal; returns the exit code. Kills it, and raises, after ``seconds``."""
    process.send_signal(number)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()


def main() -> int:
    """The program; returns its exit code."""
    with tempfile.TemporaryDirectory(prefix="img", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        image = Image(Path(directory))
        began = time.monotonic()
        image.make()
        print(f"built in {time.monotonic() - began:.0f} s")
        variables = image.variables({}, ports.one())
        process = image.start(variables)
        try:
            print("".join(read_until_ready(process)))
            healthy = image.is_healthy(variables)
        finally:
            code = stop(process, signal.Signals[last(image.final, "STOPSIGNAL")], START_SECONDS)
        for step in image.skipped:
            print(f"not run here: {step}")
        print(f"healthy: {healthy}, exit code after {last(image.final, 'STOPSIGNAL')}: {code}")
        return 0 if healthy and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
