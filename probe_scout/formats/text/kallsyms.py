"""Read /proc/kallsyms.

Written by the kernel in kernel/kallsyms.c (s_show): `address letter name`, and `\\t[module]` behind
symbols of modules. vmlinux comes first, in the order of addresses; each module follows in the order
of its own symbol table, newest module first, which is also the order in which the kernel searches
modules by name (kernel/module/kallsyms.c, module_kallsyms_lookup_name).

The letters are kept and not trusted: from 6.18 on thousands of data symbols carry `t`. Whether an
address is text is decided by ranges (`_stext`, `_etext`, `_sinittext`, `_einittext`).
Mapping symbols of modules (`$x`, `$d`: where code and data begin, on arm64) count as names, but the kernel skips them
when it names an address; they are in `marks`.
Entries of the pseudo modules `bpf`, `__builtin__ftrace` and `__builtin__kprobes` are shown by the
file but found by no lookup; they are left out and counted.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import repeat

from ...errors import Malformed
from ...named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PATH = "proc/kallsyms"
PSEUDO_MODULES = frozenset((b"bpf", b"__builtin__ftrace", b"__builtin__kprobes"))
_WORD_BYTES_MIN, _WORD_LINES_MAX, _WORDS_MAX = 6, 400, 4  # of what Places notes
_FEW = 2  # names up to which a search for each is as cheap as one for all
_LIMITS = (b"_stext", b"_etext", b"_sinittext", b"_einittext", b"_end")


class Symbol(NamedTuple):
    """One line. `address` is 0 where kernel.kptr_restrict hides it; `module` is None for vmlinux."""

    address: int
    letter: str
    name: str
    module: str | None


class SymbolTable:
    """All symbols of the bytes given, as parallel lists; populations stay plain bytes and ints.

    `names[i]`, `addresses[i]`, `letters[i]` and `modules[i]` describe line i, in the file's order. vmlinux is
    `names[:vmlinux_count]` and sorted by address (it is sorted here where the file is not).
    """

    __slots__ = (
        "_first",
        "_module_starts",
        "_starts",
        "addresses",
        "hidden",
        "letters",
        "limits",
        "marks",
        "modules",
        "names",
        "pseudo_count",
        "vmlinux_count",
        "where",
    )

    def __init__(self, raw: bytes) -> None:
        start = modules_begin(raw)
        names, addresses, letters, _ = columns(raw[:start], 0, 3)
        if addresses != sorted(addresses):
            order = sorted(range(len(addresses)), key=addresses.__getitem__)
            names = [names[i] for i in order]
            addresses = [addresses[i] for i in order]
            letters = [letters[i] for i in order]
        self.vmlinux_count = len(names)
        modules: list[bytes | None] = [None] * len(names)
        self.pseudo_count = 0
        if start < len(raw):
            more, more_addresses, more_letters, owners = columns(raw[start:], start, 4)
            plain = {owner: owner[1:-1] for owner in set(owners)}
            if any(owner[:1] + owner[-1:] != b"[]" for owner in plain):
                bad = next(owner for owner in owners if owner[:1] + owner[-1:] != b"[]")
                raise Malformed(PATH, raw.find(bad, start), "name and [module]", repr(bad[:40]))
            if PSEUDO_MODULES.isdisjoint(plain.values()):
                names += more
                addresses += more_addresses
                letters += more_letters
                modules += [plain[owner] for owner in owners]
            else:
                for name, address, letter, owner in zip(more, more_addresses, more_letters, owners, strict=True):
                    if plain[owner] in PSEUDO_MODULES:
                        self.pseudo_count += 1
                        continue
                    names.append(name)
                    addresses.append(address)
                    letters.append(letter)
                    modules.append(plain[owner])
        self.names, self.addresses, self.letters, self.modules = names, addresses, letters, modules
        self.marks: frozenset[int] = frozenset()
        if b" $" in raw or b" .L" in raw:
            of_modules = range(self.vmlinux_count, len(names))
            self.marks = frozenset(i for i in of_modules if is_mapping_symbol(names[i]))
        self.hidden = bool(addresses) and not any(addresses)
        first: dict[bytes, int] = {}
        firsts = list(map(first.setdefault, names, range(len(names))))
        self.where: dict[bytes, int | list[int]] = dict(first)
        if len(first) < len(names):
            where = self.where
            for row in [row for row, before in enumerate(firsts) if row != before]:
                known = where[names[row]]
                if isinstance(known, list):
                    known.append(row)
                else:
                    where[names[row]] = [known, row]
        self.limits: dict[bytes, int] = {}
        for name in _LIMITS:
            at = self.rows(name)
            if at:
                self.limits[name] = addresses[at[0]]
        self._starts: list[int] = []
        self._module_starts: dict[bytes, list[int]] = {}
        self._first: dict[tuple[bytes | None, int], int] = {}

    def rows(self, name: bytes) -> Sequence[int]:
        """The lines of exactly this name, vmlinux first (lowest address first), then modules."""
        at = self.where.get(name)
        if at is None:
            return ()
        return at if isinstance(at, list) else (at,)

    def lookup(self, name: bytes) -> int | None:
        """The line that kallsyms_lookup_name takes: the lowest of vmlinux, else the first module's."""
        at = self.rows(name)
        return at[0] if at else None

    def starts(self, module: bytes | None) -> list[int]:
        """Distinct symbol addresses of vmlinux or of one module, sorted: where symbols begin."""
        if module is None:
            if not self._starts:
                self._starts = list(dict.fromkeys(self.addresses[: self.vmlinux_count]))
            return self._starts
        if not self._module_starts:
            found: dict[bytes, set[int]] = {}
            for i in range(self.vmlinux_count, len(self.names)):
                if i in self.marks:
                    continue
                found.setdefault(self.modules[i] or b"", set()).add(self.addresses[i])
            self._module_starts = {name: sorted(addresses) for name, addresses in found.items()}
        return self._module_starts.get(module, [])

    def extent(self, row: int) -> tuple[int, int]:
        """Start and end (exclusive) of the symbol: up to the next different address of the same owner.

        kernel/kallsyms.c get_symbol_pos, kernel/module/kallsyms.c find_kallsyms_symbol. The last
        symbol has no next one; its end is open (2**64).
        """
        address = self.addresses[row]
        starts = self.starts(self.modules[row])
        at = bisect_right(starts, address)
        return address, starts[at] if at < len(starts) else 1 << 64

    def rows_at(self, address: int) -> range:
        """The lines of vmlinux at exactly this address."""
        first = bisect_left(self.addresses, address, 0, self.vmlinux_count)
        return range(first, bisect_right(self.addresses, address, first, self.vmlinux_count))

    def canonical(self, row: int) -> bytes:
        """The name the kernel prints for this line's address: the first of its aliases.

        kernel/kallsyms.c kallsyms_lookup (vmlinux), find_kallsyms_symbol (modules).
        """
        address, module = self.addresses[row], self.modules[row]
        if self.hidden:
            return self.names[row]
        if module is None:
            return self.names[bisect_left(self.addresses, address, 0, self.vmlinux_count)]
        if not self._first:
            for i in range(len(self.names) - 1, self.vmlinux_count - 1, -1):
                if i in self.marks:
                    continue
                self._first[self.modules[i], self.addresses[i]] = i
        return self.names[self._first.get((module, address), row)]

    def is_core_text(self, address: int) -> bool:
        """Inside `_stext.._etext`, which is what core_kernel_text accepts once boot is over."""
        return self.limits.get(b"_stext", 0) <= address < self.limits.get(b"_etext", 0)

    def is_init_text(self, address: int) -> bool:
        """Inside `_sinittext.._einittext`, which is given back after boot."""
        return self.limits.get(b"_sinittext", 0) <= address < self.limits.get(b"_einittext", 0)

    def letter(self, row: int) -> str:
        """The letter of the line: t or T for text, as far as it can be trusted."""
        return chr(self.letters[row][0])

    def symbol(self, row: int) -> Symbol:
        """Line `row` as a Symbol, for people."""
        module = self.modules[row]
        return Symbol(
            self.addresses[row],
            self.letter(row),
            self.names[row].decode("utf-8", "replace"),
            module.decode("utf-8", "replace") if module else None,
        )


def is_mapping_symbol(name: bytes) -> bool:
    """A mark for code and data, not a function: include/linux/module_symbol.h is_mapping_symbol."""
    return name[:2] == b".L" or (name[:1] == b"$" and name[1:2] in b"adtx" and name[2:3] in (b"", b"."))


def columns(raw: bytes, base: int, width: int) -> tuple[list[bytes], list[int], list[bytes], list[bytes]]:
    """Names, addresses, letters and, where lines have four words, the fourth. All words at once: it is the fast way."""
    if not raw:
        return [], [], [], []
    digits = raw.find(b" ")
    if digits not in (8, 16):
        raise Malformed(PATH, base, "an address of 8 or 16 hexadecimal digits", repr(raw[:24]))
    if not raw.endswith(b"\n"):
        raise Malformed(PATH, base + raw.rfind(b"\n") + 1, "a line end (the file is cut off)", repr(raw[-24:]))
    count, words = raw.count(b"\n"), raw.split()
    written, letters, names = words[0::width], words[1::width], words[2::width]
    good = len(words) == count * width and raw.count(b" ") == 2 * count and raw.count(b"\t") == (width - 3) * count
    if not good or set(map(len, written)) != {digits} or set(map(len, letters)) != {1}:
        raise _bad_line(raw.split(b"\n"), base, digits)
    try:
        addresses = list(map(int, written, repeat(16)))
    except ValueError:
        raise _bad_line(raw.split(b"\n"), base, digits) from None
    return names, addresses, letters, words[3::4] if width == 4 else []


def _bad_line(lines: list[bytes], base: int, width: int) -> Malformed:
    """The error for the first line that is not `address letter name`."""
    at = base
    for line in lines:
        head = line[:width]
        try:
            good = int(head, 16) >= 0 and head.isalnum() and len(head) == width
        except ValueError:
            good = False
        tail = line[width:]
        if not good or len(tail) < 4 or tail[0] != 32 or tail[2] != 32 or not 33 <= tail[1] <= 126:
            return Malformed(PATH, at, "address, letter and name", repr(line[:40]))
        at += len(line) + 1
    return Malformed(PATH, base, "address, letter and name")


def find(raw: bytes, name: str) -> tuple[Symbol, ...]:
    """Symbols of exactly this name, in file order; empty if there is none.

    Compares the whole name: "vfs_read" does not find "vfs_readv" or "vfs_read.cold".
    """
    found = []
    for line in _lines_of(raw, name.encode(), modules_begin(raw)):
        found.append(_symbol_of(raw, line))
    return tuple(s for s in found if (s.module or "").encode() not in PSEUDO_MODULES)


def extent_bytes(raw: bytes, name: str) -> int | None:
    """Bytes from the vmlinux symbol of this name to the next higher address; None if it is absent or hidden.

    The next line of the file is the next address, as the kernel sorts them. An aligned symbol behind it makes
    the extent a little larger than the object.
    """
    split = modules_begin(raw)
    for line in _lines_of(raw, name.encode(), split):
        begin = int(raw[line : raw.index(b" ", line)], 16) if line < split else 0
        at = raw.find(b"\n", line) + 1
        while begin and 0 < at < split:
            address = _symbol_of(raw, at).address
            if address != begin:
                return address - begin if address > begin else None
            at = raw.find(b"\n", at) + 1
    return None


def table(raw: bytes) -> SymbolTable:
    """Every symbol. Raises Malformed with the position of the first line that is not one."""
    return SymbolTable(raw)


def modules_begin(raw: bytes) -> int:
    """Byte position of the first line of a module; the length of the file if there is none."""
    at = raw.find(b"\t")
    return raw.rfind(b"\n", 0, at) + 1 if at >= 0 else len(raw)


def _lines_of(raw: bytes, name: bytes, split: int) -> list[int]:
    """Byte positions of the lines of exactly this name; `split` is where the modules begin."""
    found = []
    for needle, begin, end in ((b" " + name + b"\n", 0, split), (b" " + name + b"\t", split, len(raw))):
        at = raw.find(needle, begin, end)
        while at >= 0:
            found.append(raw.rfind(b"\n", 0, at) + 1)
            at = raw.find(needle, at + 1, end)
    return found


class Places:
    """What was found of one file's lines: those that hold a word are noted, and names with the word in them, such as
    `__x64_sys_execve` with `execve`, are then looked for among these alone.
    """

    __slots__ = ("_lines", "_split", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._lines: dict[bytes, list[int]] = {}
        self._split: int | None = None

    @property
    def split(self) -> int:
        """As `modules_begin`."""
        if self._split is None:
            self._split = modules_begin(self.raw)
        return self._split

    def note(self, name: bytes) -> None:
        """Note the lines that hold the name's root, unless they are many: a pass like that for the name alone."""
        if len(self._lines) >= _WORDS_MAX or self._near(name) is not None:
            return
        bare = name.partition(b".")[0].lstrip(b"_")
        for word in (bare.partition(b"_")[2], bare):
            if len(word) >= _WORD_BYTES_MIN:
                lines = self._holding(word)
                if lines is not None:
                    self._lines[word] = lines
                    return

    def _holding(self, word: bytes) -> list[int] | None:
        raw = self.raw
        found: list[int] = []
        at = raw.find(word)
        while at >= 0:
            if len(found) == _WORD_LINES_MAX:
                return None
            found.append(raw.rfind(b"\n", 0, at) + 1)
            end = raw.find(b"\n", at)
            at = raw.find(word, end) if end >= 0 else -1
        return found

    def _near(self, text: bytes) -> list[int] | None:
        return next((lines for word, lines in self._lines.items() if word in text), None)

    def lines_of(self, name: bytes) -> list[int] | None:
        """Byte positions of the lines of exactly this name; None if no word in it was noted."""
        near = self._near(name)
        if near is None:
            return None
        raw, split = self.raw, self.split
        found = []
        for line in near:
            needle = b" " + name + (b"\n" if line < split else b"\t")
            end = raw.find(b"\n", line)
            if raw.find(needle, line, end + 1 if end >= 0 else len(raw)) >= 0:
                found.append(line)
        return found

    def prefixed(self, head: bytes) -> tuple[bytes, ...] | None:
        """As the function `prefixed`; None if no word in `head` was noted."""
        near = self._near(head)
        if near is None:
            return None
        raw, ends = self.raw, [(line, self.raw.find(b"\n", line)) for line in near]
        return prefixed(b"\n".join(raw[line : end if end >= 0 else len(raw)] for line, end in ends), head)


def _lines_of_all(raw: bytes, names: set[bytes], split: int, places: Places | None = None) -> list[int]:
    """Byte positions of the lines of all these names."""
    noted: list[int] = []
    if places is not None:
        known = {name: places.lines_of(name) for name in names}
        noted = [line for lines in known.values() for line in lines or ()]
        names = {name for name, lines in known.items() if lines is None}
    pattern = None
    if len(names) > _FEW:
        from . import many

        pattern = many.pattern(b" ", names, b"\n\t")
    if pattern is None:
        return noted + [line for name in names for line in _lines_of(raw, name, split)]
    found = noted
    for match in pattern.finditer(raw):
        at, end = match.span()
        if raw[end] == (0x0A if end < split else 0x09):
            found.append(raw.rfind(b"\n", 0, at) + 1)
    return found


def limits_of(raw: bytes) -> bytes:
    """The lines of the section limits alone, for `narrow`."""
    split = modules_begin(raw)
    lines: list[bytes] = []
    before = 0
    for name in _LIMITS:  # in the order of addresses, so each is sought behind the one before
        at = raw.find(b" " + name + b"\n", before, split)
        if at < 0:
            at = raw.find(b" " + name + b"\n", 0, before)
        if at >= 0:
            lines.append(raw[raw.rfind(b"\n", 0, at) + 1 : raw.index(b"\n", at) + 1])
            before = at
    return b"".join(sorted(lines))


def _symbol_of(raw: bytes, line: int) -> Symbol:
    end = raw.find(b"\n", line)
    if end < 0:
        raise Malformed(PATH, line, "a line end (the file is cut off)")
    text = raw[line:end]
    head, _, rest = text.partition(b" ")
    letter, _, name = rest.partition(b" ")
    name, _, module = name.partition(b"\t")
    try:
        address = int(head, 16)
    except ValueError:
        raise Malformed(PATH, line, "an address", repr(head[:20])) from None
    return Symbol(
        address,
        letter.decode("latin-1"),
        name.decode("utf-8", "replace"),
        module[1:-1].decode("utf-8", "replace") or None,
    )


def narrow(raw: bytes, names: Iterable[bytes], limits: bytes | None = None, places: Places | None = None) -> bytes:
    """The part of the file that decides about these names, itself in the file's format.

    Holds every line of each name, its neighbours up to the next different address on both sides,
    the whole of each module that has one of the names, and the section limits. `limits` of limits_of
    and the `places` noted of this file save looking for them. A SymbolTable of it answers rows, lookup, extent,
    canonical and the ranges for these names as one of the whole file does.
    """
    spans: list[tuple[int, int]] = []
    chunks: dict[bytes, tuple[int, int]] = {}
    split = modules_begin(raw) if places is None else places.split
    limits = limits_of(raw) if limits is None else limits
    for line in _lines_of_all(raw, set(names), split, places):
        end = raw.find(b"\n", line)
        tab = raw.find(b"\t", line, end)
        if end < 0:
            raise Malformed(PATH, line, "a line end (the file is cut off)")
        if tab >= 0:
            module = raw[tab + 1 : end]
            if module not in chunks:
                chunks[module] = _chunk(raw, line, module)
            spans.append(chunks[module])
        else:
            spans.append(_neighbourhood(raw, line))
    spans.sort()
    parts: list[bytes] = []
    done = 0
    for begin, stop in spans:
        begin = max(begin, done)
        if begin < stop:
            parts.append(raw[begin:stop])
            done = stop
    # The limits may stand among the parts already; each line once, vmlinux sorted by the table itself.
    there = b"".join(parts)
    return b"".join(line for line in limits.splitlines(True) if line not in there) + there


def _neighbourhood(raw: bytes, line: int) -> tuple[int, int]:
    """From the first alias of this line's address to the first line of the next address, inclusive."""
    head = raw[line : raw.find(b" ", line) + 1]
    begin = line
    while begin:
        before = raw.rfind(b"\n", 0, begin - 1) + 1
        if not raw.startswith(head, before):
            break
        begin = before
    stop = raw.find(b"\n", line) + 1
    while raw.startswith(head, stop):
        stop = raw.find(b"\n", stop) + 1
    after = raw.find(b"\n", stop)
    if after >= 0 and raw.find(b"\t", stop, after) < 0:
        stop = after + 1
    return begin, stop


def _chunk(raw: bytes, line: int, module: bytes) -> tuple[int, int]:
    """First byte and end of all lines of one module; `module` is written with its brackets."""
    tail = b"\t" + module + b"\n"
    begin = line
    while begin:
        before = raw.rfind(b"\n", 0, begin - 1) + 1
        if not raw.endswith(tail, before, begin):
            break
        begin = before
    stop = raw.rfind(tail) + len(tail)
    return begin, stop


def prefixed(raw: bytes, head: bytes) -> tuple[bytes, ...]:
    """Names that begin with `head` (for suffix variants: b"vfs_read."), sorted, each once."""
    needle = b" " + head
    found = set()
    at = raw.find(needle)
    while at >= 0:
        end = raw.find(b"\n", at)
        name = raw[at + 1 : end if end >= 0 else len(raw)].partition(b"\t")[0]
        found.add(name)
        at = raw.find(needle, at + 1)
    return tuple(sorted(found))
