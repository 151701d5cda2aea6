"""Downloads: verified by checksum, complete or absent, never half-written."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from fiedler.exceptions import InputError
from fiedler.progress import ProgressCallback, silent

_BLOCK = 1 << 18
_TIMEOUT = 60  # seconds without an answer


@dataclass(frozen=True)
class RemoteFile:
    """A file to download.

    Parameters
    ----------
    name : str
        Its name in the cache.
    urls : tuple of str
        Where it can be had, tried in order.
    checksum : str
        ``"md5:..."`` or ``"sha256:..."``, in hexadecimal.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str


def cache_folder() -> Path:
    """Return the folder of downloaded sets: ``FIEDLER_CACHE``, else the platform's own place."""
    chosen = os.environ.get("FIEDLER_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / "fiedler" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fiedler"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fiedler"


def fetch(file: RemoteFile, folder: Path, progress: ProgressCallback = silent) -> Path:
    """Return the path of a file in ``folder``, downloading it if it is not there.

    It is written under a temporary name, verified, and only then given its own; a file already
    there is verified too.

    Raises
    ------
    InputError
        It cannot be downloaded, or its checksum is wrong; nothing is left behind.
    """
    target = folder / file.name
    if target.exists():
        _verify(target, file, f"{target} (delete it to download it again)")
        return target
    folder.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in file.urls:
        handle, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=folder)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                _copy(url, out, file.name, progress)
            _verify(part, file, url)
            os.replace(part, target)
            return target
        except (OSError, InputError) as error:
            reasons.append(f"{url}: {error}")
        finally:
            part.unlink(missing_ok=True)
    raise InputError(
        f"{file.name} could not be downloaded ({'; '.join(reasons)}). Try again, or put the file "
        f"into {folder} yourself."
    )


def _copy(url: str, out: IO[bytes], name: str, progress: ProgressCallback) -> None:
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
        total = int(response.headers.get("Content-Length") or 0)
        done = 0
        while block := response.read(_BLOCK):
            out.write(block)
            done += len(block)
            progress(f"downloading {name}", done, max(total, done))


def _verify(path: Path, file: RemoteFile, where: str) -> None:
    algorithm, _, wanted = file.checksum.partition(":")
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != wanted:
        raise InputError(
            f"the {algorithm} checksum of {where} is {digest.hexdigest()}, not {wanted}: the file "
            "is damaged or is not the one expected"
        )
