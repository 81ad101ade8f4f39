"""`wavemore app`: what is refused before a page is served. The page itself is tested in tests/app."""

import socket
import sys
from collections.abc import Callable

import pytest


def test_without_gradio_one_line_says_what_to_install(
    fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert fails(2, "app", "--no-open") == "wavemore: the page needs Gradio: pip install 'wavemore[app]'"


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_a_port_out_of_range_is_refused(port: str, fails: Callable[..., str]) -> None:
    assert fails(2, "app", "--port", port) == f"wavemore: --port is {port}; it must be between 1 and 65,535"


def test_a_port_in_use_is_refused(fails: Callable[..., str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = fails(2, "app", "--no-open", "--port", str(port))
    assert message == f"wavemore: --port is {port}, which cannot be used (Address already in use): choose another one"


@pytest.mark.parametrize("host", ["no such host", "203.0.113.7", "", "x" * 300, "a\x1b[31m"])
def test_a_host_that_is_not_this_machine_is_refused(host: str, fails: Callable[..., str]) -> None:
    message = fails(2, "app", "--no-open", "--host", host)
    assert message.startswith("wavemore: --host is ")
    assert message.endswith("leave it out")
    assert "\x1b" not in message
