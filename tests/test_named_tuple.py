"""Ours against typing's: the same class written twice must behave the same."""

from __future__ import annotations

import copy
import pickle
import typing

import pytest

from probe_scout import named_tuple


class Theirs(typing.NamedTuple):
    name: str
    count: int = 3
    rest: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.count + sum(self.rest)


class Ours(named_tuple.NamedTuple):
    name: str
    count: int = 3
    rest: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        return self.count + sum(self.rest)


class Mixin:
    __slots__ = ()

    def shout(self) -> str:
        return f"{self!r}!"


class Below(Mixin, Ours):
    """As reports are made: a base with the fields, and methods beside it."""

    __slots__ = ()


@pytest.mark.parametrize("values", [("a",), ("a", 4), ("a", 4, (1, 2))])
def test_objects_are_the_same_tuples(values):
    ours, theirs = Ours(*values), Theirs(*values)
    assert ours == theirs == tuple(theirs)
    assert hash(ours) == hash(theirs)
    assert (ours.name, ours.count, ours.rest, ours.total) == (theirs.name, theirs.count, theirs.rest, theirs.total)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours._asdict() == theirs._asdict()
    assert ours._replace(count=9) == theirs._replace(count=9)
    assert type(ours._replace(count=9)) is Ours
    assert Ours._make(theirs) == theirs


def test_the_class_says_the_same():
    for name in ("_fields", "_field_defaults", "__match_args__", "__slots__"):
        assert getattr(Ours, name) == getattr(Theirs, name)
    assert Ours.__annotations__.keys() == Theirs.__annotations__.keys()
    assert issubclass(Ours, tuple)


@pytest.mark.parametrize("call", [(), ("a", 1, (), 4)])
@pytest.mark.parametrize("again", [False, True])
def test_a_wrong_call_is_refused_in_the_same_words(call, again):
    class Fresh(named_tuple.NamedTuple):
        name: str
        count: int = 3
        rest: tuple[int, ...] = ()

    if again:  # with the compiled constructor in place
        Fresh("a")
    with pytest.raises(TypeError) as theirs:
        Theirs(*call)
    with pytest.raises(TypeError) as ours:
        Fresh(*call)
    assert str(ours.value).split(".__new__")[1] == str(theirs.value).split("__new__")[1]


@pytest.mark.parametrize("wrong", [lambda kind: kind("a", nothing=1), lambda kind: kind("a")._make([1])])
def test_a_wrong_name_and_a_wrong_count_are_refused(wrong):
    for kind in (Theirs, Ours):
        with pytest.raises(TypeError):
            wrong(kind)
    with pytest.raises(ValueError, match="nothing"):
        Ours("a")._replace(nothing=1)


def test_nothing_can_be_changed():
    one = Ours("a")
    with pytest.raises(AttributeError):
        one.name = "b"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        one.other = "b"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Ours, Below])
def test_copied_and_pickled_as_what_it_is(kind):
    one = kind("a", 2, (5,))
    for other in (copy.copy(one), copy.deepcopy(one), *(pickle.loads(pickle.dumps(one, n)) for n in range(2, 6))):
        assert other == one
        assert type(other) is kind


def test_a_class_below_has_the_fields_and_its_own_methods():
    below = Below("a")
    assert below.shout() == "Below(name='a', count=3, rest=())!"
    assert type(below._replace(name="b")) is Below
    assert Below._fields == Ours._fields
    assert type(Ours("a")) is Ours  # the constructor made by the one serves the other


def test_matched_by_position():
    match Ours("a", 7):
        case Ours(name, count):
            assert (name, count) == ("a", 7)


def test_annotations_are_not_looked_at():
    class Later(named_tuple.NamedTuple):
        value: NotThereAtAll  # type: ignore[name-defined]  # noqa: F821

    assert Later(1).value == 1
