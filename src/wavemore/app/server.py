"""The server of the page: on this machine unless told otherwise, and with nothing from elsewhere."""

import os
import re
import socket
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavemore.app.desk import Desk
from wavemore.app.lists import MAX_BYTES
from wavemore.app.shelf import Shelf
from wavemore.engine.threads import set_threads
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""Environment variables of Gradio and of what it uses: nothing is reported or looked up anywhere."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""The browser itself refuses what would come from elsewhere, or go there."""
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
MAX_BODY = 2 * MAX_BYTES
"""Bytes of a request: pasted text is escaped on its way."""
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "DejaVu Sans Mono", "monospace")
SUBDUED, SUBDUED_DARK, BLUE, DARK_BLUE = "#52617a", "#a9b7cc", "#1d5fb4", "#174d94"


@contextmanager
def served(host: str = "127.0.0.1", port: int | None = None, *, debug: bool = False) -> Iterator[tuple[str, Desk]]:
    """Serve the page in the block; yield its address, and the trainings. Afterwards, all of them are saved.

    Without `debug`, what Gradio would print about wrong requests is left out. Raises `UsageError` if Gradio is not
    installed, and if the host or the port cannot be used.
    """
    _check_address(host, port)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="wavemore-app-"))
        gradio = _require_gradio(folder)
        if not debug:
            stack.enter_context(redirect_stderr(stack.enter_context(open(os.devnull, "w"))))  # noqa: PTH123
        yield from _served(gradio, Path(folder), host, port, Desk(debug=debug))


def _served(gradio: Any, folder: Path, host: str, port: int | None, desk: Desk) -> Iterator[tuple[str, Desk]]:
    from wavemore.app.answers import Answers
    from wavemore.app.page import Page

    set_threads(1)  # the other processors are for the training
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            blocks = Page(Answers(desk, Shelf(), folder)).build()
            blocks.queue(default_concurrency_limit=4, max_size=1_000)
            _, url, _ = blocks.launch(
                server_name=f"[{host}]" if ":" in host.strip("[]") else host,
                server_port=port,
                share=False,
                inbrowser=False,
                quiet=True,
                prevent_thread_lock=True,
                show_error=False,
                footer_links=[],
                run_history=False,
                allowed_paths=[],
                max_file_size=MAX_BYTES,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                mcp_server=False,
                theme=_theme(gradio),
                css=(files("wavemore.app") / "page.css").read_text(encoding="utf-8"),
                app_kwargs={"middleware": _middleware(host), "docs_url": None, "redoc_url": None},
            )
        try:
            yield url, desk
        finally:
            blocks.close(verbose=False)
    finally:
        desk.close()


def _check_address(host: str, port: int | None) -> None:
    """Raise `UsageError` if nothing can be served there."""
    name = host.strip("[]")
    try:
        family = socket.getaddrinfo(name, port or 0, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((name, port or 0))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a valid host name"
        if port is None or not isinstance(error, OSError) or isinstance(error, socket.gaierror):
            raise UsageError(f"`host` is {host!r:.100}, where nothing can be served ({reason}): leave it out") from None
        raise UsageError(f"`port` is {port}, which cannot be used ({reason}): choose another one") from None


def _require_gradio(folder: str) -> Any:
    """Import Gradio, which then keeps its files in a folder. Raises `UsageError` if it is not installed."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]  # settings of other pages
    os.environ.update(SETTINGS | {"GRADIO_TEMP_DIR": folder})  # read when Gradio is imported, and later
    try:
        import gradio
    except ImportError:
        raise UsageError("the page needs Gradio: pip install 'wavemore[app]'") from None
    return gradio


def _theme(gradio: Any) -> Any:
    """Colours of our own, and fonts that the machine has."""
    theme = gradio.themes.Base(
        primary_hue="blue", neutral_hue="slate", radius_size="md", font=list(FONTS), font_mono=list(MONO)
    )
    return theme.set(
        body_text_color_subdued=SUBDUED,
        body_text_color_subdued_dark=SUBDUED_DARK,
        block_info_text_color=SUBDUED,
        block_info_text_color_dark=SUBDUED_DARK,
        input_placeholder_color=SUBDUED,
        input_placeholder_color_dark=SUBDUED_DARK,
        button_primary_background_fill=BLUE,
        button_primary_background_fill_dark=BLUE,
        button_primary_background_fill_hover=DARK_BLUE,
        color_accent=BLUE,
    )


def _middleware(host: str) -> list[Any]:
    from starlette.middleware import Middleware

    return [Middleware(Guard, hosts=("127.0.0.1", "localhost", "[::1]", host) if is_local(host) else ())]


def is_local(host: str) -> bool:
    """Whether only this machine can reach a host.

    >>> is_local("127.0.0.1"), is_local("localhost"), is_local("0.0.0.0")
    (True, True, False)
    """
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Adds headers to all answers; refuses huge requests, and those under a foreign name (DNS rebinding)."""

    def __init__(self, app: "ASGIApp", hosts: Sequence[str]) -> None:
        """Without `hosts`, every name is allowed."""
        self.app, self.hosts = app, hosts

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        name = re.sub(r":\d+$", "", headers.get(b"host", b"").decode("latin-1"))  # without the port
        if self.hosts and name not in self.hosts:
            await _refuse(send, 403, "this page is for this machine alone")
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY:
            await _refuse(send, 413, f"at most {MAX_BYTES / 1e6:,.0f} MB can be read here: give a part of the list")
            return

        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        await self.app(scope, receive, send_with_headers)


async def _refuse(send: "Send", status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": sentence.encode()})
