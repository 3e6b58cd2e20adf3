"""Events of a small image whose structures lie as in no kernel: found by its own types alone."""

from __future__ import annotations

from probe_scout.formats.elf.kernel_image import KernelImage
from probe_scout.formats.image import events
from probe_scout.formats.image.facts import Facts
from probe_scout.formats.image.tree import Tree
from tests.builders.tiny_image import FIRST_ID, IGNORE_ENABLE, Event, Field, Syscall, TinyImage

SWITCH = Event(
    "sched",
    "sched_switch",
    (
        Field("char[TASK_COMM_LEN]", "comm", 16, 1, 0, 16),
        Field("u8", "tiny", 1, 1),
        Field("long", "state", 8, 8, 1),
        Field("__data_loc char[]", "text", 4, 4),
    ),
)


def read(image: TinyImage) -> list[events.Event]:
    return list(events.read(Facts(KernelImage(image.elf()))))


def text_of(image: TinyImage) -> str:
    facts = Facts(KernelImage(image.elf()))
    (event,) = events.read(facts)
    return events.format_text(event, events.common_fields(facts) or ())


def test_fields_are_aligned_behind_the_common_ones_and_arrays_have_their_length():
    image = TinyImage()
    image.event(SWITCH)
    (found,) = read(image)
    assert (found.system, found.name, found.id, found.is_listed) == ("sched", "sched_switch", FIRST_ID, True)
    assert [(f.name, f.offset, f.size, f.is_signed) for f in found.fields or ()] == [
        *(("comm", 8, 16, False), ("tiny", 24, 1, False), ("state", 32, 8, True), ("text", 40, 4, False)),
    ]
    text = text_of(image)
    assert "\tfield:char comm[16];\toffset:8;\tsize:16;\tsigned:0;\n" in text
    assert "\tfield:__data_loc char[] text;\toffset:40;\tsize:4;\tsigned:0;\n" in text
    assert text.startswith(f"name: sched_switch\nID: {FIRST_ID}\nformat:\n\tfield:unsigned short common_type;")
    assert text.endswith('\nprint fmt: "%s", REC->x\n')


def test_a_kernel_that_keeps_no_length_prints_the_text_in_brackets():
    image = TinyImage(length=False)
    image.event(SWITCH)
    assert "field:char comm[TASK_COMM_LEN];" in text_of(image)


def test_ids_count_registered_events_and_those_of_ftrace_have_their_own():
    image = TinyImage()
    image.event(Event("ftrace", "function", tracepoint=False, type=1, flags=IGNORE_ENABLE))
    image.event(SWITCH)
    image.syscall(Syscall("gone", present=False))
    image.syscall(Syscall("read"))
    image.event(Event("", "nameless"))
    image.event(Event("timer", "tick", reg=False))
    assert [(e.system, e.name, e.id, e.is_listed) for e in read(image)] == [
        ("ftrace", "function", 1, False),
        ("sched", "sched_switch", FIRST_ID, True),
        ("syscalls", "sys_enter_read", FIRST_ID + 1, True),
        ("syscalls", "sys_exit_read", FIRST_ID + 2, True),
        ("timer", "tick", FIRST_ID + 3, False),
    ]


def test_arguments_of_system_calls_and_those_that_code_decides():
    image = TinyImage()
    image.syscall(Syscall("openat", (("int", "dfd"), ("const char *", "filename"))))
    enter, leave = read(image)
    assert [(f.type, f.name, f.offset, f.size) for f in enter.fields or ()] == [
        *(("int", "__syscall_nr", 8, 4), ("int", "dfd", 16, 8), ("const char *", "filename", 24, 8)),
    ]
    assert [(f.name, f.offset) for f in leave.fields or ()] == [("__syscall_nr", 8), ("ret", 16)]
    copies = TinyImage(user_copies=True)
    copies.syscall(Syscall("openat", (("int", "dfd"), ("const char *", "filename"))))
    copies.syscall(Syscall("close", (("unsigned int", "fd"),)))
    assert [found.fields is None for found in read(copies)] == [True, False, False, False]


CALLS = ("read", "write", "open", *(f"call_{number}" for number in range(3, 13)), "rt_sigaction", "close")


def test_without_a_symbol_the_table_of_system_calls_is_known_by_its_first_entries():
    """As without CONFIG_KALLSYMS_ALL: events of system calls were left out of the list."""
    image = TinyImage()
    image.hides_calls = True
    for name in CALLS:
        image.syscall(Syscall(name))
    image.syscall(Syscall("gone", present=False))
    facts = Facts(KernelImage(image.elf()))
    assert facts.address("sys_call_table") is None
    assert events.all_told(facts)
    assert {event.name.removeprefix("sys_enter_").removeprefix("sys_exit_") for event in read(image)} == set(CALLS)


def test_the_32_bit_table_behind_it_is_none_of_it():
    image = TinyImage()
    image.hides_calls = True
    for name in CALLS:
        image.syscall(Syscall(name))
    image.table.append(image.function("__ia32_sys_waitpid"))
    image.syscall(Syscall("waitpid", present=False))
    assert "sys_enter_waitpid" not in {event.name for event in read(image)}


def test_where_the_table_is_not_found_the_list_is_not_told():
    image = TinyImage()
    image.hides_calls = True
    image.event(SWITCH)
    for name in CALLS[:-2]:
        image.syscall(Syscall(name))
    facts = Facts(KernelImage(image.elf()))
    assert not events.all_told(facts)
    files = Tree(image.elf(), "vmlinux").files()
    assert "sys/kernel/tracing/available_events" not in files
    assert "sys/kernel/tracing/events/sched/sched_switch/format" in files


def test_tables_that_point_nowhere_end():
    image = TinyImage()
    image.event(Event("loop", "endless", tuple(Field("int", "x", 4, 0) for _ in range(400))))
    image.calls += [0, 1 << 63, image.calls[0] + 3]
    found = read(image)
    assert [len(e.fields or ()) for e in found[:1]] == [256]
    assert len(found) <= 2
