"""Families of classes known by short names."""

from __future__ import annotations

import pytest

from curvi._named import Named


@pytest.fixture
def family() -> type[Named]:
    class Shape(Named, argument="shape"):
        pass

    return Shape


def test_a_class_joins_its_family_by_being_defined(family):
    circle = type("Circle", (family,), {}, name="circle")
    type("Abstract", (family,), {})
    assert family.names() == ["circle"]
    assert family.named("circle") is circle


def test_families_do_not_share_names(family):
    other = type("Colour", (Named,), {}, argument="colour")
    type("Circle", (family,), {}, name="circle")
    assert other.names() == []


def test_an_unknown_name_lists_the_known_ones(family):
    type("Circle", (family,), {}, name="circle")
    type("Square", (family,), {}, name="square")
    with pytest.raises(ValueError, match="unknown shape 'triangle'; the known names are 'circle', 'square'"):
        family.named("triangle")


def test_a_name_belongs_to_one_class_but_may_be_defined_again(family):
    first = type("Circle", (family,), {"__module__": "a"}, name="circle")
    again = type("Circle", (family,), {"__module__": "a"}, name="circle")
    assert family.named("circle") is again is not first
    with pytest.raises(ValueError, match="'circle' already belongs to a.Circle"):
        type("Circle", (family,), {"__module__": "b"}, name="circle")
