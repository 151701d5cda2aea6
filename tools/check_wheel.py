"""Install the built wheel alone into a clean environment and try it there.

The environment is given the libraries that the wheel declares, and theirs, and no others: they
are linked from the environment that runs this script. An import of a library that is installed
for development only therefore fails here, as it would for a user.

Usage: python tools/check_wheel.py DIST_FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME = "fiedler"
IMPORT_ALL = f"""
import importlib, pkgutil, sys, {NAME}
assert {NAME}.__file__.startswith(sys.prefix), {NAME}.__file__
assert not {{"torch", "sklearn"}} & set(sys.modules), "import {NAME} is no longer light"
for module in pkgutil.walk_packages({NAME}.__path__, "{NAME}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for name in {NAME}.__all__:
    getattr({NAME}, name)
"""


def top_level_names(wheel: Path) -> set[str]:
    """Names that the wheel puts at the top of site-packages, its own metadata left out."""
    with zipfile.ZipFile(wheel) as archive:
        roots = {name.split("/")[0] for name in archive.namelist()}
    return {root for root in roots if not root.endswith(".dist-info")}


def declared(requirements: list[str], extras: set[str]) -> list[tuple[str, set[str]]]:
    """Name and extras of each requirement that applies on this machine."""
    kept = []
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            kept.append((canonicalize_name(requirement.name), set(requirement.extras)))
    return kept


def closure(requirements: list[str]) -> dict[str, Distribution]:
    """Every installed distribution that the requirements reach."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = declared(requirements, set())
    while queue:
        name, extras = queue.pop()
        if (name, frozenset(extras)) in seen:
            continue
        seen.add((name, frozenset(extras)))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError as error:
            raise SystemExit(f"{name} is required, but not installed here") from error
        queue += declared(found[name].requires or [], extras)
    return found


def link(dists: dict[str, Distribution], site: Path) -> None:
    """Link the files of each distribution into the folder ``site``."""
    for dist in dists.values():
        for root in {file.parts[0] for file in dist.files or []} - {"..", "__pycache__"}:
            target = site / root
            if not target.exists():
                target.symlink_to(Path(str(dist.locate_file(root))).resolve())


def main(folder: Path) -> None:
    """Check the one wheel in ``folder``; the one source archive must lie beside it."""
    (wheel,) = folder.glob("*.whl")
    (_,) = folder.glob("*.tar.gz")
    names = top_level_names(wheel)
    if names != {NAME}:
        raise SystemExit(f"the wheel holds the top-level names {sorted(names)}, not {NAME} alone")
    with tempfile.TemporaryDirectory() as scratch:
        clean = Path(scratch) / "clean"
        venv.create(clean, with_pip=True)
        python = clean / "bin" / "python"
        install = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([python, *install, wheel], check=True)
        query = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(subprocess.check_output([python, "-c", query], text=True).strip())
        (metadata,) = site.glob(f"{NAME}-*.dist-info")
        link(closure(Distribution.at(metadata).requires or []), site)
        subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "check"], check=True)
        subprocess.run([python, "-c", IMPORT_ALL], check=True, cwd=scratch)
        subprocess.run([clean / "bin" / NAME, "--version"], check=True, cwd=scratch)
    print(f"{wheel.name}: one top-level name, installs and imports with what it declares")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
