"""Packages that only some pictures need."""

from __future__ import annotations

import json

import pytest

from curvi.pl._optional import needed


def test_what_is_there_is_imported():
    assert needed("json", "a test", "plot") is json


def test_what_is_not_there_says_how_to_install_it():
    with pytest.raises(ImportError, match=r"a test needs the package 'no_such_package'; .* 'curvi\[plot\]'"):
        needed("no_such_package.part", "a test", "plot")
