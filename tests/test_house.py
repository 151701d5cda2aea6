from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

REPO_ROOT = Path(__file__).resolve().parent.parent


def test_import_is_light_and_silent() -> None:
    code = "import sys, fiedler; print(sorted({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((REPO_ROOT / "pyproject.toml").read_text())["project"]
    wanted = sum(project["optional-dependencies"].values(), start=project["dependencies"])
    lines = (REPO_ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for requirement in map(Requirement, wanted):
        for python in ("3.10", "3.11", "3.12", "3.13"):
            if requirement.marker and not requirement.marker.evaluate({"python_version": python}):
                continue
            versions = [
                next(iter(pin.specifier)).version
                for pin in pins
                if canonicalize_name(pin.name) == canonicalize_name(requirement.name)
                and (pin.marker is None or pin.marker.evaluate({"python_version": python}))
            ]
            assert len(versions) == 1, (requirement.name, python, versions)
            assert requirement.specifier.contains(versions[0])


ROOMS = (
    "fiedler",
    "fiedler.data",
    "fiedler.evaluation",
    "fiedler.graph",
    "fiedler.networks",
    "fiedler.partition",
    "fiedler.persistence",
    "fiedler.report",
    "fiedler.report.plots",
    "fiedler.spectrum",
    "fiedler.training",
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_has_its_page(room: str) -> None:
    listed = re.findall(r"^   (\w+)$", (REPO_ROOT / "docs/api.rst").read_text(), re.MULTILINE)
    names = set(importlib.import_module(room).__all__) - {"__version__"}
    assert names - set(listed) == set()


def test_every_example_has_its_place_in_the_gallery() -> None:
    gallery = (REPO_ROOT / "docs/gallery.md").read_text()
    for example in (REPO_ROOT / "examples").glob("*.py"):
        assert f"../examples/{example.name}" in gallery
    for shown in re.findall(r"(?:\{image\}|literalinclude\}) (\S+)", gallery):
        assert (REPO_ROOT / "docs" / shown).is_file(), shown
