"""Shapes and C text of prototypes, each case one thing kernel/bpf/btf.c decides on."""

from __future__ import annotations

import pytest

from probe_scout.errors import Malformed
from probe_scout.formats.btf.reader import Btf
from probe_scout.model.prototype import Arg, Shape
from tests.builders.btf_writer import KIND, BtfWriter


class Types(BtfWriter):
    """A writer that already holds the types of the cases below."""

    def __init__(self) -> None:
        super().__init__()
        self.i = self.int("int", 4, signed=True)
        self.u8, self.u64, self.u128 = self.int("u8", 1), self.int("u64", 8), self.int("unsigned __int128", 16)
        self.bool = self.int("_Bool", 1, encoding=4)
        self.char = self.int("char", 1)
        self.pointer = self.ptr(0)
        self.colour, self.wide = self.enum("colour", {"RED": 1}), self.enum64("wide", {"W": 1 << 40})
        self.s0, self.s9, self.s16 = self.struct("s0", 0), self.struct("s9", 9), self.struct("s16", 16)
        self.s17, self.u16 = self.struct("s17", 17), self.union("u16", 16)
        self.double = self.float("double")
        self.row = self.array(self.i, 4)
        self.ahead = self.fwd("ahead")
        self.bare_const = self.const(0)
        self.alias = self.typedef("alias", self.const(self.volatile(self.typedef("inner", self.u64))))


def shape(returns: str, *params: str) -> Shape:
    """The shape of a prototype made of the names in Types; "..." ends a variadic one and "void" is id 0."""
    w = Types()
    ids = {"...": 0, "void": 0, **vars(w)}
    func = w.function("f", ids[returns], [("" if p == "..." else f"a{i}", ids[p]) for i, p in enumerate(params)])
    btf = Btf(w.bytes())
    (found,) = btf.find_functions("f")
    assert btf.function_shapes() == {func: btf.shape(found.proto_id)}
    return btf.shape(found.proto_id)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ((), Shape()),
        (("i", "u64", "pointer", "colour", "wide", "alias"), Shape(nargs=6, slots=6)),
        (("u128",), Shape(nargs=1, slots=2)),
        (("s9", "i"), Shape(nargs=2, slots=3, struct_args=1)),
        (("s16", "u16"), Shape(nargs=2, slots=4, struct_args=2, union_args=1)),
        (("s17",), Shape(nargs=1, slots=3, struct_args=1, big_struct_arg=True)),
        (("s0",), Shape(nargs=1, struct_args=1, zero_arg=True)),
        (("void", "i"), Shape(nargs=2, slots=1, zero_arg=True)),
        (("i", "..."), Shape(nargs=1, slots=1, variadic=True)),
        (("...",), Shape(variadic=True)),
        (("double",), Shape(nargs=1, bad_arg=True)),
        (("row",), Shape(nargs=1, bad_arg=True)),
        (("i", "ahead"), Shape(nargs=2, slots=1, bad_arg=True)),
        # A const void at the end is no variadic marker: its type id is not 0.
        (("i", "bare_const"), Shape(nargs=2, slots=1, bad_arg=True)),
    ],
    ids=str,
)
def test_arguments_are_counted_as_the_kernel_counts_them(params, expected):
    assert shape("void", *params) == expected


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ("void", Shape()),
        ("i", Shape(ret_bytes=4, ret_int_like=True)),
        ("bool", Shape(ret_bytes=1, ret_int_like=True)),
        ("alias", Shape(ret_bytes=8, ret_int_like=True)),
        ("u128", Shape(ret_bytes=16)),
        ("colour", Shape(ret_bytes=4)),
        ("pointer", Shape(ret_bytes=8)),
        ("s9", Shape(ret_bytes=9, ret_struct=True)),
        ("u16", Shape(ret_bytes=16, ret_struct=True)),
        ("double", Shape(ret_bad=True)),
        ("bare_const", Shape(ret_bad=True)),
    ],
)
def test_return_values_are_measured_as_the_kernel_measures_them(returns, expected):
    assert shape(returns) == expected


def test_an_iterator_is_known_by_its_first_argument():
    w = Types()
    meta, other = w.struct("bpf_iter_meta", 16), w.struct("bpf_iter_metadata", 16)
    first = {}
    for name, pointee in (("plain", meta), ("const", w.const(meta)), ("other", other), ("fwd", w.fwd("bpf_iter_meta"))):
        first[name] = w.function(name, w.i, [("meta", w.ptr(pointee)), ("task", w.pointer)])
    first["second"] = w.function("second", w.i, [("task", w.pointer), ("meta", w.ptr(meta))])
    shapes = Btf(w.bytes()).function_shapes()
    assert {name for name, f in first.items() if shapes[f].first_arg_struct == "bpf_iter_meta"} == {"plain", "const"}
    assert {shapes[f].first_arg_struct for name, f in first.items() if name not in ("plain", "const")} == {""}


def test_shapes_of_a_module_whose_functions_share_prototypes_of_vmlinux():
    w = Types()
    shared = w.func_proto(w.i, [("p", w.pointer)])
    module = BtfWriter(base=w)
    one = module.func("one", shared)
    two = module.function("two", w.s9, [("mine", module.struct("mine", 12)), ("", 0)])
    shapes = Btf(module.bytes(), Btf(w.bytes())).function_shapes()
    assert shapes == {
        one: Shape(nargs=1, slots=1, ret_bytes=4, ret_int_like=True),
        two: Shape(nargs=1, slots=2, struct_args=1, variadic=True, ret_bytes=9, ret_struct=True),
    }


@pytest.mark.parametrize("kind", ["typedef", "const", "type_tag"])
def test_a_chain_that_never_ends_is_malformed(kind):
    w = BtfWriter()
    w.raw(KIND[kind], "round", size=2)
    w.raw(KIND[kind], "about", size=1)
    w.function("f", 0, [("a", 1)])
    btf = Btf(w.bytes())
    with pytest.raises(Malformed, match="a chain of at most 64 typedefs"):
        btf.function_shapes()


def text(build) -> str:
    w = Types()
    returns, params = build(w)
    w.function("f", returns, params)
    btf = Btf(w.bytes())
    return btf.prototype(btf.find_functions("f")[0]).text


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda w: (0, []), "void f(void)"),
        (lambda w: (w.i, [("fmt", w.ptr(w.const(w.char))), ("", 0)]), "int f(const char *fmt, ...)"),
        (lambda w: (w.ptr(w.s9), [("", w.alias)]), "struct s9 *f(alias)"),
        (lambda w: (0, [("pp", w.ptr(w.const(w.ptr(w.ptr(w.char)))))]), "void f(char **const *pp)"),
        (lambda w: (0, [("p", w.restrict(w.ptr(w.char)))]), "void f(char *restrict p)"),
        (lambda w: (0, [("buf", w.ptr(w.type_tag("user", w.char)))]), "void f(char __user *buf)"),
        (lambda w: (0, [("p", w.ptr(w.type_tag("rcu", w.ptr(w.s9))))]), "void f(struct s9 *__rcu *p)"),
        (
            lambda w: (0, [("p", w.ptr(w.type_tag("noderef", w.char, attribute=True)))]),
            "void f(char __attribute__((noderef)) *p)",
        ),
        (lambda w: (0, [("rows", w.ptr(w.array(w.row, 3)))]), "void f(int (*rows)[3][4])"),
        (lambda w: (0, [("e", w.enum("", {"A": 1})), ("u", w.union("", 4))]), "void f(enum {...} e, union {...} u)"),
        (
            lambda w: (0, [("a", w.ptr(w.ahead)), ("b", w.ptr(w.fwd("v", union=True)))]),
            "void f(struct ahead *a, union v *b)",
        ),
        (
            lambda w: (w.i, [("fn", w.ptr(w.func_proto(w.i, [("", w.pointer), ("", 0)])))]),
            "int f(int (*fn)(void *, ...))",
        ),
        (lambda w: (w.ptr(w.func_proto(0, [("", w.i)])), [("sig", w.i)]), "void (*f(int sig))(int)"),
        (lambda w: (0, [("const_first", w.const(w.volatile(w.i)))]), "void f(const volatile int const_first)"),
    ],
)
def test_prototypes_are_written_as_c(build, expected):
    assert text(build) == expected


def test_a_prototype_carries_its_arguments_with_sizes():
    w = Types()
    w.function("f", w.s9, [("file", w.ptr(w.s16)), ("by_value", w.s17), ("row", w.row), ("", 0)])
    btf = Btf(w.bytes())
    prototype = btf.prototype(btf.find_functions("f")[0])
    assert prototype.args == (
        Arg("file", "struct s16 *", 8),
        Arg("by_value", "struct s17", 17),
        Arg("row", "int [4]", 0),
    )
    assert (prototype.variadic, prototype.return_type, prototype.return_bytes) == (True, "struct s9", 9)


@pytest.mark.parametrize(
    ("first", "sentence"),
    [
        (lambda w: w.raw(KIND["ptr"], size=w.next_id), "a declaration of at most 4096 types"),
        (lambda w: w.raw(KIND["func_proto"], vlen=2, words=(0, w.next_id, 0, w.next_id)), "16 deep"),
        (lambda w: w.raw(KIND["func_proto"], vlen=1, size=w.next_id, words=(0, 1)), "at most 4096 types"),
        (lambda w: w.array(w.next_id, 2), "at most 4096 types"),
        (lambda w: w.var("v", 1), "a type that a declaration can name, found kind 14"),
    ],
)
def test_a_declaration_without_end_is_malformed(first, sentence):
    w = Types()
    pointer = w.ptr(w.next_id + 1)
    first(w)
    w.function("f", 0, [("a", pointer)])
    btf = Btf(w.bytes())
    func = btf.find_functions("f")[0]
    assert btf.shape(func.proto_id).nargs == 1
    with pytest.raises(Malformed, match=sentence):
        btf.prototype(func)
