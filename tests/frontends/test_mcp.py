"""The Model Context Protocol: by the official client over pipes, and message by message."""

from __future__ import annotations

import asyncio
import io
import json
import sys

import pytest

from probe_scout.frontends.mcp import LINE_BYTES_MAX, Server, serve
from probe_scout.frontends.session import OpenKernel
from probe_scout.kernel.kernel import Kernel
from tests.conftest import RECORDED

TOOLS = {"check", "tracepoint", "stub", "diff", "inline", "audit"}


@pytest.fixture(scope="module")
def server(recorded):
    opened = OpenKernel()
    opened._opened = Kernel(recorded)
    return Server(lambda root: opened)


def asked(server, method, params=None, **more):
    message = {
        "jsonrpc": "2.0",
        "id": 7,
        "method": method,
        **({"params": params} if params is not None else {}),
        **more,
    }
    answer = json.loads(server.answer(json.dumps(message).encode()))
    assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
    return answer


def called(server, tool, **arguments):
    return asked(server, "tools/call", {"name": tool, "arguments": arguments})


def test_the_official_client_asks():
    mcp = pytest.importorskip("mcp", reason="the package mcp is not installed")
    line = mcp.StdioServerParameters(command=sys.executable, args=["-m", "probe_scout", "mcp"])

    async def talk():
        async with mcp.Client(line) as client:
            tools = (await client.list_tools()).tools
            arguments = {"names": ["do_execve"], "types": ["kprobe"], "root": str(RECORDED)}
            return (
                tools,
                await client.call_tool("check", arguments),
                await client.call_tool("check", {"names": ["tcp_*"]}),
            )

    tools, answer, refused = asyncio.run(talk())
    assert {tool.name for tool in tools} == TOOLS
    assert all(tool.annotations.read_only_hint for tool in tools)
    document = json.loads(answer.content[0].text)
    assert not answer.is_error
    assert document["schema"] == "probe-scout/check/1"
    assert [(v["attach"], v["errno"]) for v in document["targets"][0]["verdicts"]] == [("kprobe", "ENOENT")]
    assert refused.is_error


def test_versions(server):
    assert asked(server, "initialize", {"protocolVersion": "2024-11-05"})["result"]["protocolVersion"] == "2024-11-05"
    assert asked(server, "initialize", {"protocolVersion": "3000-01-01"})["result"]["protocolVersion"] == "2025-11-25"


def test_no_tool_attaches_or_writes(server):
    tools = asked(server, "tools/list")["result"]["tools"]
    assert {tool["name"] for tool in tools} == TOOLS
    assert all(tool["annotations"]["readOnlyHint"] for tool in tools)


@pytest.mark.parametrize(
    ("tool", "arguments", "schema"),
    [
        ("check", {"names": ["vfs_read"]}, "check"),
        ("tracepoint", {"glob": "sched:sched_switch"}, "tracepoint"),
        ("tracepoint", {"glob": "sched:*"}, "tracepoint"),
        ("stub", {"names": ["sched:sched_switch"], "lang": "rust"}, "stub"),
        ("diff", {"old": "a", "new": "b", "glob": "vfs_rea*"}, "diff"),
        ("inline", {"name": "vfs_read"}, "inline"),
    ],
)
def test_each_tool_gives_the_document_of_its_command(server, tool, arguments, schema):
    result = called(server, tool, **arguments)["result"]
    assert result["isError"] is False
    assert json.loads(result["content"][0]["text"])["schema"] == f"probe-scout/{schema}/1"


def test_a_kernel_that_cannot_be_opened_is_an_answer_of_the_tool(tmp_path):
    result = called(Server(), "check", names=["vfs_read"], root=str(tmp_path / "none"))["result"]
    assert result["isError"] is True
    assert "none" in result["content"][0]["text"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "the argument names is missing"),
        ({"names": "vfs_read"}, "the argument names is not a list of strings"),
        ({"names": ["a"], "force": True}, "there is no argument 'force'"),
        ({"names": ["a"], "root": 1}, "the argument root is not string"),
    ],
)
def test_arguments_are_those_of_the_schema(server, arguments, says):
    error = called(server, "check", **arguments)["error"]
    assert error["code"] == -32602
    assert error["message"].startswith(says)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"[" * 100_000, -32700),
        (b"\xff\xfe", -32700),
        (b"[]", -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"resources/list"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"verify"}}', -32602),
        (b"x" * (LINE_BYTES_MAX + 1), -32600),
    ],
)
def test_what_is_no_message_gets_an_error(server, line, code):
    assert json.loads(server.answer(line))["error"]["code"] == code


def test_the_conversation_ends_with_the_input(server):
    said = []
    lines = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n\n{"jsonrpc":"2.0","method":"unknown"}\n'
    lines += b"y" * (2 * LINE_BYTES_MAX) + b'\n{"jsonrpc":"2.0","id":"a","method":"ping"}'
    serve(io.BytesIO(lines), said.extend, server)
    assert [json.loads(line).get("result", "error") for line in said] == ["error", {}]
