"""Classes known by a short name: one registry a family, filled by the class statement itself."""

from __future__ import annotations

from typing import Any, ClassVar, Self


class Named:
    """Mixin that lets a family of classes be looked up by short names.

    A direct subclass opens a *family* and says which argument its names are given to; every further subclass that
    passes ``name=`` joins that family the moment its module is imported. A subclass without a name stays abstract and
    unlisted.

    Examples
    --------
    >>> class Shape(Named, argument="shape"):
    ...     pass
    >>> class Circle(Shape, name="circle"):
    ...     pass
    >>> Shape.named("circle") is Circle
    True
    >>> Shape.names()
    ['circle']
    """

    name: ClassVar[str]
    _argument: ClassVar[str]
    _known: ClassVar[dict[str, type]]

    def __init_subclass__(cls, *, name: str | None = None, argument: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if Named in cls.__bases__:
            cls._argument = argument or cls.__name__
            cls._known = {}
        if name is None:
            return
        holder = cls._known.get(name)
        # Running a notebook cell twice defines the same class again; only a *different* class may not take the name.
        if holder is not None and (holder.__module__, holder.__qualname__) != (cls.__module__, cls.__qualname__):
            msg = (
                f"the {cls._argument} name {name!r} already belongs to {holder.__module__}.{holder.__qualname__}; "
                f"choose another name for {cls.__module__}.{cls.__qualname__}."
            )
            raise ValueError(msg)
        cls.name = name
        cls._known[name] = cls

    @classmethod
    def names(cls) -> list[str]:
        """The known names of the family, in the order of their definition."""
        return list(cls._known)

    @classmethod
    def named(cls, name: str) -> type[Self]:
        """The class of the family that goes by ``name``.

        Raises
        ------
        ValueError
            If no class has that name; the message lists those that do.
        """
        if name not in cls._known:
            known = ", ".join(repr(known) for known in cls._known)
            msg = f"unknown {cls._argument} {name!r}; the known names are {known}."
            raise ValueError(msg)
        return cls._known[name]
