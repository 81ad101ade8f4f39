"""The guard before the page: names, headers, sizes."""

import asyncio
from typing import Any

import pytest

from wavemore.app.server import MAX_BODY, POLICY, Guard, is_local


async def inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
    await send({"type": "http.response.body", "body": b"inside"})


def answer(host: bytes, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]"), length: bytes = b"9") -> Any:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "headers": [(b"host", host), (b"content-length", length)]}
    asyncio.run(Guard(inner, hosts)(scope, None, send))  # type: ignore[arg-type]
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"].decode()


@pytest.mark.parametrize("host", [b"127.0.0.1", b"127.0.0.1:7860", b"localhost:80", b"[::1]:7860", b"[::1]"])
def test_this_machine_is_answered_with_a_policy(host: bytes) -> None:
    status, headers, body = answer(host)
    assert (status, body) == (200, "inside")
    assert headers[b"content-security-policy"].decode() == POLICY
    assert headers[b"x"] == b"y"


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:7860", b"", b"127.0.0.1.evil.example", b":7860", b"\xff"]
)
def test_a_foreign_name_is_refused(host: bytes) -> None:
    status, _, body = answer(host)
    assert (status, body) == (403, "this page is for this machine alone")
    assert answer(host, hosts=())[0] == 200


@pytest.mark.parametrize("length", [str(MAX_BODY + 1).encode(), b"-1", b"many"])
def test_a_huge_request_is_refused_before_it_is_read(length: bytes) -> None:
    status, _, body = answer(b"localhost", length=length)
    assert status == 413
    assert "at most 50 MB" in body


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org", "::"])
def test_other_hosts_are_not_local(host: str) -> None:
    assert not is_local(host)
    assert is_local("127.0.0.1")
    assert is_local("::1")
