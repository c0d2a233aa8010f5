"""Files of public data sets: from a folder at hand, from the cache, or from the first mirror that works."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pooch

# Seconds that a mirror may stay silent.
_TIMEOUT = 20


@dataclass(frozen=True)
class RemoteFile:
    """A file that others serve.

    Attributes
    ----------
    name
        Where it is kept within the cache, such as ``"mnist/labels.gz"``.
    urls
        Its mirrors, in the order in which they are tried.
    checksum
        Algorithm and sum, such as ``"md5:d53e..."``.
    """

    name: str
    urls: tuple[str, ...]
    checksum: str


def cache_folder(cache_dir: str | Path | None = None) -> Path:
    """Where downloads are kept: ``cache_dir``, or what ``CURVI_CACHE_DIR`` names, or the user's cache folder."""
    return Path(cache_dir or os.environ.get("CURVI_CACHE_DIR") or pooch.os_cache("curvi")).expanduser()


def fetch(file: RemoteFile, cache_dir: str | Path | None = None) -> Path:
    """The path of a file with the right checksum; downloaded if neither ``CURVI_DATA_DIR`` nor the cache has it.

    Parameters
    ----------
    file
        Its name, mirrors and checksum.
    cache_dir
        As for :func:`cache_folder`.

    Raises
    ------
    OSError
        If no mirror gives a file with that checksum; the message says where to put one by hand. What a transfer that
        broke off has left is kept beside that place, and the next attempt begins there.
    """
    at_hand = _data_file(file.name)
    algorithm, digest = file.checksum.split(":")
    if at_hand is not None and pooch.file_hash(str(at_hand), alg=algorithm) == digest:
        return at_hand
    path = cache_folder(cache_dir) / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for url in file.urls:
        try:
            _download(url, file.checksum, path)
        except OSError as error:  # What `requests` raises is one.
            failures.append(f"{url} ({type(error).__name__})")
        except ValueError:
            failures.append(f"{url} (a file with another checksum)")
        else:
            return path
    raise OSError(
        f"{file.name} could not be downloaded; tried {', '.join(failures)}. Without a connection, put the file with "
        f"{file.checksum} at {path}, or set the environment variable CURVI_CACHE_DIR to a folder that has it."
    )


def _download(url: str, checksum: str, path: Path) -> None:
    """Have the file with that checksum at ``path``; what an earlier attempt left of it is not asked for again."""
    part = path.with_name(f"{path.name}.part")

    def resume(url: str, output_file: str, caller: Any) -> None:
        headers = {"Accept-Encoding": "identity"}
        with part.open("ab") as file:
            if file.tell():
                headers["Range"] = f"bytes={file.tell()}-"
            pooch.HTTPDownloader(timeout=_TIMEOUT, headers=headers)(url, file, caller)
        shutil.move(part, output_file)

    resumed = part.exists()
    try:
        pooch.retrieve(url, checksum, path.name, path.parent, downloader=resume)
    except (OSError, ValueError) as error:
        # The rest of another file, all of it from a server that knows no ranges, or nothing because none was left.
        does_not_fit = (
            isinstance(error, ValueError) or getattr(getattr(error, "response", None), "status_code", None) == 416
        )
        if not (resumed and does_not_fit):
            raise
        part.unlink(missing_ok=True)
        pooch.retrieve(url, checksum, path.name, path.parent, downloader=resume)
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()


def packed_arrays(name: str, keys: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Arrays of the ``.npz`` file of that name in the folder that ``CURVI_DATA_DIR`` names.

    Returns
    -------
    The arrays named by ``keys``, or None if there is no such file or it is another set, which lacks one of them.
    """
    path = _data_file(name)
    if path is None:
        return None
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in keys} if set(keys) <= set(file.files) else None


def _data_file(name: str) -> Path | None:
    """A file of the folder that ``CURVI_DATA_DIR`` names, or None."""
    folder = os.environ.get("CURVI_DATA_DIR")
    path = Path(folder) / name if folder else None
    return path if path is not None and path.is_file() else None
