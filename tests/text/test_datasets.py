import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wavemore.errors import DataError, UsageError
from wavemore.text import datasets
from wavemore.text.datasets import DATASETS, Download, load

LIST = "".join(f"thing {i}\n" for i in range(30)).encode()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(folder / name))
    return folder / "wavemore"


class Handler(BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self) -> None:
        Handler.requests += 1
        self.send_response(200 if self.path == "/list.txt" else 404)
        self.end_headers()
        self.wfile.write(LIST)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Handler.requests = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def offer(monkeypatch: pytest.MonkeyPatch, url: str, content: bytes = LIST) -> None:
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(DATASETS, "things", Download(url=url, sha256=sha256, file="things.txt", about="things"))


def test_the_default_is_the_bundled_names() -> None:
    corpus = load()
    assert (corpus.name, corpus.split, corpus.split_seed) == ("names", "distinct", 0)
    assert (corpus.report.lines, corpus.report.distinct) == (29_687, 29_687)
    assert [len(part.lines) for part in (corpus.train, corpus.val, corpus.test)] == [23_749, 2_969, 2_969]
    assert Path(corpus.source).name == "us-names-2018.txt"
    assert corpus.sha256 == "670f5954e8ccaec264bdc8fd58b54758eb504b25ecbadf6cd6b5069415763419"


def test_a_path_is_read_with_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "towns.txt"
    path.write_text("".join(f"Zürich {i}\n" for i in range(20)), encoding="latin-1")
    corpus = load(str(path), encoding="latin-1", split="lecture", split_seed=3)
    assert (corpus.name, corpus.source, corpus.encoding) == ("towns", str(path), "latin-1")
    assert (corpus.split, corpus.split_seed) == ("lecture", 3)
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="--encoding latin-1"):
        load(path)
    with pytest.raises(UsageError, match="no text encoding"):
        load(path, encoding="no-such")


def test_the_name_of_a_data_set_wins_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names").write_bytes(LIST)
    assert load("names").report.lines == 29_687
    assert load("./names").report.lines == 30
    assert load(Path("names")).source == str(tmp_path / "names")


@pytest.mark.parametrize("unknown", ["nams", "", "no/such/file.txt", "x" * 5000, "a\0b"])
def test_what_is_no_file_and_no_data_set_lists_the_data_sets(unknown: str) -> None:
    with pytest.raises(DataError, match=r"is no file and no data set; .*one of names, makemore-names"):
        load(unknown)


def test_a_download_is_made_once_and_checked(cache: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{address}/list.txt")
    assert load("things").report.lines == 30
    assert load("things").source == str(cache / "things.txt")
    assert Handler.requests == 1


def test_a_download_that_fails_says_what_to_do(cache: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [
        (f"{address}/missing.txt", LIST),
        (f"{address}/list.txt", b"other"),
        ("http://127.0.0.1:9/x", LIST),
    ]
    for url, content in wrong:
        offer(monkeypatch, url, content)
        with pytest.raises(DataError, match=r"cannot download .*; check the network, or give the path") as caught:
            load("things")
        assert len(str(caught.value).splitlines()) == 1
        assert not (cache / "things.txt").exists()


def test_makemore_names_are_found_in_the_cache(cache: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = DATASETS["makemore-names"]
    assert isinstance(dataset, Download)
    offline = replace(dataset, url="http://127.0.0.1:9/names.txt")
    monkeypatch.setitem(datasets.DATASETS, "makemore-names", offline)
    cache.mkdir(parents=True)
    shutil.copy(shared_data / "names.txt", cache / dataset.file)
    corpus = load("makemore-names", split="lecture")
    assert (corpus.name, corpus.report.lines, corpus.val.targets) == ("makemore-names", 32_033, 22_655)
