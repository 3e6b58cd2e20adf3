"""NamedTuple as typing makes it, at a twentieth of what a class costs there: the base of every record of ours.

To a type checker it is typing.NamedTuple, and its objects behave as such: compared, hashed, unpacked, matched, copied
and pickled as tuples, never changed. It is here because `check` defines some sixty of them before it answers.
typing's looks at each annotation and compiles a constructor: 0.38 ms for a class of five fields (CPython 3.11,
measured). Here annotations are never looked at (0.015 ms), and the constructor is compiled when the first object of a
class is made (0.04 ms). A file that uses it must postpone annotations (PEP 563), as all of ours do.
"""

from __future__ import annotations

__all__ = ["NamedTuple"]
TYPE_CHECKING = False  # as typing's, whose import costs as much as thirty of our modules
if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from _collections import _tuplegetter

    class _Meta(type):
        """Makes the annotated names of a class that names `NamedTuple` as its base into fields."""

        def __new__(meta, name, bases, namespace):
            if any(type(base) is _Meta and not base._fields for base in bases):
                fields = tuple(namespace.get("__annotations__", ()))
                namespace["_field_defaults"] = {field: namespace[field] for field in fields if field in namespace}
                namespace["_fields"] = namespace["__match_args__"] = fields
                namespace["__slots__"] = ()
                for index, field in enumerate(fields):
                    namespace[field] = _tuplegetter(index, f"Alias for field number {index}")
            return type.__new__(meta, name, bases, namespace)

    class NamedTuple(tuple, metaclass=_Meta):
        """The base; see above."""

        _fields = ()
        _field_defaults = {}  # noqa: RUF012 - as typing's
        __slots__ = ()

        def __new__(cls, *args, **named):
            """Compile the constructor of the class that holds the fields, put it there, and call it."""
            owner = next(kind for kind in cls.__mro__ if "_fields" in vars(kind))
            names = ", ".join(owner._fields)
            scope = {"__builtins__": {}, "__name__": owner.__module__, "_new": tuple.__new__}
            make = eval(f"lambda _cls, {names}: _new(_cls, ({names},))", scope)
            make.__name__, make.__qualname__ = "__new__", f"{owner.__qualname__}.__new__"
            make.__defaults__ = tuple(owner._field_defaults.values())
            owner.__new__ = staticmethod(make)
            return make(cls, *args, **named)

        @classmethod
        def _make(cls, values):
            """An object of exactly these values, in the order of the fields."""
            made = tuple.__new__(cls, values)
            if len(made) != len(cls._fields):
                raise TypeError(f"Expected {len(cls._fields)} arguments, got {len(made)}")
            return made

        def _replace(self, **named):
            """The same with other values for the named fields."""
            made = self._make(map(named.pop, self._fields, self))
            if named:
                raise ValueError(f"Got unexpected field names: {list(named)!r}")
            return made

        def _asdict(self):
            """A dict of the fields, in their order."""
            return dict(zip(self._fields, self, strict=True))

        def __repr__(self):
            parts = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
            return f"{type(self).__name__}({parts})"

        def __getnewargs__(self):
            """For copy and pickle: the values by themselves, not as one tuple."""
            return tuple(self)
