"""The exported page in a real Firefox: the same arithmetic, the same items."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest

from tests.export.test_page_in_browser import MODELS, WISHES, Reference, logits_of
from wavemore.engine.sampling import Sampling
from wavemore.export.page import export_page
from wavemore.runs.run import Run

FIREFOX = which("firefox-esr") or which("firefox")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FIREFOX is None, reason="needs Firefox, such as Debian's package firefox-esr"),
]


class Firefox:
    """A Firefox, driven by its own protocol: https://firefox-source-docs.mozilla.org/testing/marionette/Protocol.html."""

    def __init__(self, profile: Path) -> None:
        (profile / "user.js").write_text('user_pref("marionette.port", 0);\n')  # a free one
        self.process = subprocess.Popen(
            [str(FIREFOX), "--headless", "--marionette", "--no-remote", "--profile", str(profile)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        port, end = profile / "MarionetteActivePort", time.monotonic() + 90
        while not port.exists() or not port.read_text():
            assert time.monotonic() < end, "Firefox does not start"
            time.sleep(0.1)
        self.connection = socket.create_connection(("127.0.0.1", int(port.read_text())), timeout=90)
        self.answers = self.connection.makefile("rb")
        self._read()  # its greeting
        self.call("WebDriver:NewSession")

    def call(self, command: str, **values: Any) -> Any:
        message = json.dumps([0, 1, command, values]).encode()
        self.connection.sendall(b"%d:%b" % (len(message), message))
        _, _, error, result = self._read()
        assert error is None, error
        return result.get("value", result)

    def _read(self) -> Any:
        length = b""
        while (digit := self.answers.read(1)) != b":":
            assert digit, "Firefox has ended"
            length += digit
        return json.loads(self.answers.read(int(length)))

    def evaluate(self, script: str, *values: Any) -> Any:
        return self.call("WebDriver:ExecuteScript", script=f"return ({script})(...arguments)", args=values)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self.connection.close()


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    firefox = Firefox(tmp_path_factory.mktemp("profile"))
    yield firefox
    firefox.close()


def test_pages_compute_and_make_the_same(small_run: Callable[[str], Run], firefox: Firefox, tmp_path: Path) -> None:
    for name in (name for name in MODELS if "-" not in name):
        run, path = small_run(name), tmp_path / f"{name}.html"
        path.write_text(export_page(run, float32=True), encoding="utf-8")
        firefox.call("WebDriver:Navigate", url=path.as_uri())
        for line in ("", "marian", "jojojojojojojojo"):
            got = np.array(firefox.evaluate("(line) => wavemore.logits(line)", line))
            assert np.abs(got - logits_of(run.model(), run.vocabulary(), line)).max() < 1e-4, name
        items = firefox.evaluate("(wishes) => wavemore.generate(20, wishes)", WISHES)
        expected = Reference(run, Sampling(temperature=1, max_length=12, seed=7), None).lines(20)
        assert [item["text"] for item in items] == expected, name
        firefox.evaluate("() => document.getElementById('make').click()")
        end = time.monotonic() + 30
        while not firefox.evaluate("() => document.getElementById('stop').hidden"):
            assert time.monotonic() < end, name
            time.sleep(0.05)
        assert firefox.evaluate("() => document.querySelectorAll('#made button').length") == 10, name
        assert firefox.evaluate("() => document.querySelectorAll('#inside svg rect').length") > 0, name
