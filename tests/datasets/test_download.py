"""Downloads from a server on the loopback: what happens when it works, and when it does not."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

import numpy as np
import pooch
import pytest

from curvi.datasets._download import RemoteFile, cache_folder, fetch, packed_arrays

CONTENT = np.random.default_rng(0).bytes(100_000)
CHECKSUM = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def nowhere():
    """The address of a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _file(*urls: str) -> RemoteFile:
    return RemoteFile("set/file.bin", urls, CHECKSUM)


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_success_and_no_second_download(site, tmp_path):
    site.files["/file.bin"] = CONTENT
    path = fetch(_file(f"{site.url}/file.bin"))
    assert path == tmp_path / "cache" / "set" / "file.bin"
    assert path.read_bytes() == CONTENT
    assert fetch(_file(f"{site.url}/file.bin")) == path
    assert site.asked == ["/file.bin"]
    assert _left(tmp_path) == ["file.bin"]


def test_wrong_content_is_not_kept(site, tmp_path):
    site.files["/file.bin"] = CONTENT[::-1]
    with pytest.raises(
        OSError, match=r"set/file.bin could not be downloaded; tried .* \(a file with another checksum\)"
    ):
        fetch(_file(f"{site.url}/file.bin"))
    assert _left(tmp_path) == []


def test_a_transfer_that_is_cut_off_is_taken_up_again(site, tmp_path):
    site.files["/file.bin"] = CONTENT
    site.cut_off.add("/file.bin")
    with pytest.raises(OSError, match=r"could not be downloaded; tried http://127.0.0.1:\d+/file.bin \("):
        fetch(_file(f"{site.url}/file.bin"))
    assert _left(tmp_path) == ["file.bin.part"]
    assert site.n_sent == len(CONTENT) // 2
    site.cut_off.clear()
    assert fetch(_file(f"{site.url}/file.bin")).read_bytes() == CONTENT
    # Only the last, broken block is sent again.
    assert 0 <= site.n_sent - len(CONTENT) < 1024
    assert _left(tmp_path) == ["file.bin"]


def test_another_mirror_takes_up_what_the_first_left(site):
    site.files |= {"/cut.bin": CONTENT, "/whole.bin": CONTENT}
    site.cut_off.add("/cut.bin")
    assert fetch(_file(f"{site.url}/cut.bin", f"{site.url}/whole.bin")).read_bytes() == CONTENT
    assert 0 <= site.n_sent - len(CONTENT) < 1024


@pytest.mark.parametrize("left", [CONTENT[:1000], CONTENT, CONTENT + b"more", b"of another file"])
@pytest.mark.parametrize("knows_ranges", [True, False])
def test_what_is_left_of_whatever(site, tmp_path, left, knows_ranges):
    site.files["/file.bin"] = CONTENT
    site.knows_ranges = knows_ranges
    part = tmp_path / "cache" / "set" / "file.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(left)
    assert fetch(_file(f"{site.url}/file.bin")).read_bytes() == CONTENT
    assert _left(tmp_path) == ["file.bin"]


@pytest.mark.parametrize("bad", ["dead", "missing", "wrong", "cut off"])
def test_the_next_mirror_is_tried(site, nowhere, bad):
    site.files |= {"/good.bin": CONTENT, "/wrong.bin": b"wrong", "/cut.bin": CONTENT}
    site.cut_off.add("/cut.bin")
    first = {
        "dead": f"{nowhere}/file.bin",
        "missing": f"{site.url}/none.bin",
        "wrong": f"{site.url}/wrong.bin",
        "cut off": f"{site.url}/cut.bin",
    }[bad]
    assert fetch(_file(first, f"{site.url}/good.bin")).read_bytes() == CONTENT
    assert site.asked[-1] == "/good.bin"


def test_offline_says_what_to_do(site, nowhere, tmp_path):
    place = tmp_path / "cache" / "set" / "file.bin"
    with pytest.raises(OSError, match="could not be downloaded") as raised:
        fetch(_file(f"{nowhere}/a.bin", f"{nowhere}/b.bin"))
    message = str(raised.value)
    for part in (f"{nowhere}/a.bin (ConnectionError)", f"{nowhere}/b.bin", CHECKSUM, str(place), "CURVI_CACHE_DIR"):
        assert part in message
    # Doing so helps.
    place.write_bytes(CONTENT)
    assert fetch(_file(f"{nowhere}/a.bin")) == place


def test_a_damaged_file_in_the_cache_is_downloaded_again(site, tmp_path):
    site.files["/file.bin"] = CONTENT
    place = tmp_path / "cache" / "set" / "file.bin"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"damaged")
    assert fetch(_file(f"{site.url}/file.bin")).read_bytes() == CONTENT


def test_the_data_folder_comes_first(site, tmp_path, monkeypatch):
    monkeypatch.setenv("CURVI_DATA_DIR", str(tmp_path / "data"))
    site.files["/file.bin"] = CONTENT
    place = tmp_path / "data" / "set" / "file.bin"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert fetch(_file(f"{site.url}/file.bin")) == place
    assert site.asked == []
    place.write_bytes(b"another file of that name")
    assert fetch(_file(f"{site.url}/file.bin")) == tmp_path / "cache" / "set" / "file.bin"


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("CURVI_CACHE_DIR", str(tmp_path / "variable"))
    assert cache_folder(tmp_path / "argument") == tmp_path / "argument"
    assert cache_folder() == tmp_path / "variable"
    monkeypatch.delenv("CURVI_CACHE_DIR")
    assert cache_folder() == Path(pooch.os_cache("curvi"))


def test_packed_arrays(monkeypatch, tmp_path):
    np.savez(tmp_path / "set.npz", images=np.ones(3), labels=np.zeros(3))
    monkeypatch.delenv("CURVI_DATA_DIR", raising=False)
    assert packed_arrays("set.npz", ("images",)) is None
    monkeypatch.setenv("CURVI_DATA_DIR", str(tmp_path))
    np.testing.assert_array_equal(packed_arrays("set.npz", ("images",))["images"], np.ones(3))
    # Another set of that name.
    assert packed_arrays("set.npz", ("images", "is_test")) is None
    assert packed_arrays("none.npz", ("images",)) is None
