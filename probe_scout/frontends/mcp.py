"""The Model Context Protocol by hand, over stdio: programs that speak it ask the same questions as the command line.

Messages are JSON-RPC 2.0, one line each (modelcontextprotocol.io, "Transports", "Tools"). Every tool only reads: verify
is none of them, nothing is attached and no file is written. What a tool answers is the document that --json prints.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..errors import ProbeScoutError
from ..model.attach import NAMES
from ..model.document import Document
from ..model.stub import LANGUAGES
from ..model.version import __version__
from ..named_tuple import NamedTuple
from .session import OpenKernel, open_kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any

VERSIONS = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")  # newest first; tools are the same in all of them
LINE_BYTES_MAX = 4 << 20
_ANSWER_CHARS_MAX = 400_000  # what a reader with a small memory can still take; a narrower question gets under it
_PARSE, _REQUEST, _METHOD, _PARAMS = -32700, -32600, -32601, -32602  # JSON-RPC 2.0, section 5.1
_KERNELS_KEPT = 4
_INSTRUCTIONS = (
    "Ask before a BPF or tracing probe is written. answer is yes, no (with the kernel's errno) or unknown. Unknown is "
    "not no: unread says what could not be read and what would open it. coverage and limits say which calls go past an "
    "accepted probe; alternatives say what to take instead."
)


class _Tool(NamedTuple):
    says: str
    properties: dict[str, dict[str, object]]
    required: tuple[str, ...]
    ask: Callable[[Callable[[str], OpenKernel], dict[str, Any]], Document]


def _text(says: str, **more: object) -> dict[str, object]:
    return {"type": "string", "description": says, **more}


def _list(says: str, **items: object) -> dict[str, object]:
    return {"type": "array", "items": {"type": "string", **items}, "description": says}


_ROOT = _text("Snapshot, mounted root, kernel package or image; left out, the machine that this runs on.")
_TYPES = _list("Attach types to judge; left out, all that apply.", enum=list(NAMES))

_TOOLS = {
    "check": _Tool(
        "Say which attach types the kernel accepts for functions, tracepoints (tp:CATEGORY:EVENT), system calls "
        "(syscall:NAME) and user functions (/PATH:SYMBOL), why not, which calls go past a probe, and what instead.",
        {"names": _list("What to probe."), "types": _TYPES, "root": _ROOT},
        ("names",),
        lambda kernel, given: kernel(given.get("root", "")).check(given["names"], given.get("types", ())),
    ),
    "tracepoint": _Tool(
        "List trace events that match a pattern; for one event the fields: offset, size, readable or not.",
        {"glob": _text("CATEGORY:EVENT, a name, or a pattern."), "root": _ROOT},
        ("glob",),
        lambda kernel, given: _events(kernel(given.get("root", "")), given["glob"]),
    ),
    "stub": _Tool(
        "Write the struct that a program on an event or a function sees, as source text with assertions.",
        {
            "names": _list("Events or functions."),
            "lang": _text("The language.", enum=list(LANGUAGES)),
            "attach": _text("The attach type; left out, tp or fentry."),
            "core": {"type": "boolean", "description": "C that is relocated from BTF at load."},
            "program": {"type": "boolean", "description": "A whole program."},
            "root": _ROOT,
        },
        ("names",),
        lambda kernel, given: kernel(given.get("root", "")).stub(
            given["names"],
            given.get("lang", "c"),
            given.get("attach", ""),
            given.get("core", False),
            given.get("program", False),
        ),
    ),
    "diff": _Tool(
        "Say what differs between two kernels: functions and events that match, their arguments and verdicts.",
        {
            "old": _text("Snapshot, mounted root, package or image; live is this machine."),
            "new": _text("The same, for the other kernel."),
            "glob": _text("A pattern of functions and events."),
        },
        ("old", "new", "glob"),
        lambda kernel, given: kernel(_side(given["old"])).diff(kernel(_side(given["new"])), given["glob"]),
    ),
    "inline": _Tool(
        "Say where a kernel function was inlined and which calls a probe on it misses.",
        {"name": _text("The function as the source has it, or MODULE:NAME."), "root": _ROOT},
        ("name",),
        lambda kernel, given: kernel(given.get("root", "")).inline(given["name"]),
    ),
    "audit": _Tool(
        "Show every attached BPF program and probe, who holds it, and what is not sound about it.",
        {"target": _text("Only targets that match this pattern."), "root": _ROOT},
        (),
        lambda kernel, given: kernel(given.get("root", "")).audit(target=given.get("target", "")),
    ),
}


def _side(root: str) -> str:
    return "" if root == "live" else root


def _events(kernel: OpenKernel, glob: str) -> Document:
    """One event with all its fields; several with their names alone, as a list is long."""
    return kernel.tracepoint(glob, names_only=any(sign in glob for sign in "*?["))


class _Refused(Exception):
    """A message that gets an error of JSON-RPC: its number and a sentence."""

    def __init__(self, code: int, says: str) -> None:
        super().__init__(says)
        self.code = code


class Server:
    """Answers messages one after the other. Kernels that were asked stay open, the last few of them."""

    def __init__(self, opening: Callable[[str], OpenKernel] = lambda root: open_kernel(root, cache=True)) -> None:
        self._opening = opening
        self._kernels: dict[str, OpenKernel] = {}

    def answer(self, line: bytes) -> str | None:
        """The line to send back, without its end; None for a notification. Raises nothing."""
        import json

        number: object = None
        try:
            message = _message(line)
            number = message.get("id")
            result = self._result(str(message["method"]), message.get("params") or {})
            if "id" not in message:
                return None
            found: dict[str, object] = {"result": result}
        except _Refused as error:
            if line.strip().startswith(b"{") and number is None and error.code == _METHOD:
                return None  # an unknown notification
            found = {"error": {"code": error.code, "message": str(error)}}
        return json.dumps({"jsonrpc": "2.0", "id": number, **found}, separators=(",", ":"))

    def _result(self, method: str, params: object) -> dict[str, object]:
        if not isinstance(params, dict):
            raise _Refused(_PARAMS, "params is not an object")
        if method == "initialize":
            asked = params.get("protocolVersion")
            return {
                "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
                "capabilities": {"tools": {"listChanged": False}},
                "serverInfo": {"name": "probe-scout", "version": __version__},
                "instructions": _INSTRUCTIONS,
            }
        if method == "ping" or method.startswith("notifications/"):
            return {}
        if method == "tools/list":
            return {"tools": [_described(name, tool) for name, tool in _TOOLS.items()]}
        if method == "tools/call":
            return self._call(params.get("name"), params.get("arguments") or {})
        raise _Refused(_METHOD, f"there is no method {method!r}")

    def _call(self, name: object, given: object) -> dict[str, object]:
        tool = _TOOLS.get(name) if isinstance(name, str) else None
        if tool is None:
            raise _Refused(_PARAMS, f"there is no tool {name!r}; tools/list names them")
        if not isinstance(given, dict):
            raise _Refused(_PARAMS, "arguments is not an object")
        try:
            _fits(tool, given)
            text = tool.ask(self._kernel, given).to_json()
        except ProbeScoutError as error:
            return _content(str(error), is_error=True)
        except OSError as error:
            return _content(f"{error.filename or name}: {error.strerror or error}", is_error=True)
        if len(text) > _ANSWER_CHARS_MAX:
            return _content(
                f"the answer has {len(text):,} characters: ask for fewer names, or fewer types", is_error=True
            )
        return _content(text)

    def _kernel(self, root: str) -> OpenKernel:
        kernel = self._kernels.pop(root, None) if root else None  # what is live changes: it is read anew
        kernel = kernel or self._opening(root)
        if root:
            self._kernels[root] = kernel
            while len(self._kernels) > _KERNELS_KEPT:
                self._kernels.pop(next(iter(self._kernels)))
        return kernel


def _message(line: bytes) -> dict[str, Any]:
    import json

    if len(line) > LINE_BYTES_MAX:
        raise _Refused(_REQUEST, f"a message has at most {LINE_BYTES_MAX:,} bytes")
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        raise _Refused(_PARSE, "the line is not JSON") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0" or not isinstance(message.get("method"), str):
        raise _Refused(_REQUEST, "the line is not a request of JSON-RPC 2.0")
    return message


def _fits(tool: _Tool, given: dict[str, Any]) -> None:
    """The arguments are those of the tool's schema. Raises _Refused."""
    for name in tool.required:
        if name not in given:
            raise _Refused(_PARAMS, f"the argument {name} is missing")
    kinds: dict[object, type[object]] = {"string": str, "array": list, "boolean": bool}
    for name, value in given.items():
        known = tool.properties.get(name)
        if known is None:
            raise _Refused(_PARAMS, f"there is no argument {name!r}; there are {', '.join(tool.properties)}")
        kind = known["type"]
        if not isinstance(value, kinds[kind]):
            raise _Refused(_PARAMS, f"the argument {name} is not {'a list of strings' if kind == 'array' else kind}")
        if isinstance(value, list) and not all(isinstance(one, str) for one in value):
            raise _Refused(_PARAMS, f"the argument {name} is not a list of strings")


def _described(name: str, tool: _Tool) -> dict[str, object]:
    schema = {
        "type": "object",
        "properties": tool.properties,
        "required": [*tool.required],
        "additionalProperties": False,
    }
    hints = {"readOnlyHint": True, "destructiveHint": False, "idempotentHint": True, "openWorldHint": False}
    return {"name": name, "description": tool.says, "inputSchema": schema, "annotations": hints}


def _content(text: str, is_error: bool = False) -> dict[str, object]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}


def serve(lines: IO[bytes], write: Callable[[Iterable[str]], None], server: Server | None = None) -> None:
    """Answer every line until the input ends; each answer is written at once. Raises what `write` raises."""
    server = server or Server()
    for line in _lines(lines):
        answer = server.answer(line) if line.strip() else None
        if answer is not None:
            write([answer])


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines; of one that is too long the head, so that it is refused and its rest is passed over."""
    while line := stream.readline(LINE_BYTES_MAX + 1):
        rest = line
        while not rest.endswith(b"\n") and len(rest) > LINE_BYTES_MAX:
            rest = stream.readline(LINE_BYTES_MAX + 1)
        yield line
