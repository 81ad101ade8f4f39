import hashlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from wavemore.errors import DataError, UsageError
from wavemore.text import datasets
from wavemore.text.datasets import DATASETS, Dataset, detect_format, load_corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import Format
from wavemore.text.text_corpus import TextCorpus

LIST = "".join(f"thing {i}\n" for i in range(40)).encode()


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
    monkeypatch.setitem(DATASETS, "things", Dataset(url=url, sha256=sha256, file="things.txt"))


def test_the_default_is_the_bundled_names() -> None:
    corpus = load_corpus()
    assert (corpus.name, corpus.split_method, corpus.split_seed) == ("names", "distinct", 0)
    assert (corpus.report.lines, corpus.report.distinct) == (29_687, 29_687)
    assert [len(part.lines) for part in (corpus.train, corpus.val, corpus.test)] == [23_749, 2_969, 2_969]
    assert Path(corpus.source).name == "us-names-2018.txt"
    assert corpus.sha256 == "670f5954e8ccaec264bdc8fd58b54758eb504b25ecbadf6cd6b5069415763419"


def test_a_path_is_read_with_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "towns.txt"
    path.write_text("".join(f"Zürich {i}\n" for i in range(20)), encoding="latin-1")
    corpus = load_corpus(str(path), encoding="latin-1", split_method="lecture", split_seed=3)
    assert (corpus.name, corpus.source, corpus.encoding) == ("towns", str(path), "latin-1")
    assert (corpus.split_method, corpus.split_seed) == ("lecture", 3)
    assert corpus.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="for example latin-1"):
        load_corpus(path)
    with pytest.raises(UsageError, match="not a text encoding"):
        load_corpus(path, encoding="no-such")


def test_a_file_can_be_loaded_in_both_formats(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "things.txt"
    path.write_bytes(LIST)
    lines, text = load_corpus(path), load_corpus(path, format="text", train_fraction=0.4)
    assert isinstance(lines, LineCorpus)
    assert isinstance(text, TextCorpus)
    assert (lines.format, lines.train.format, lines.train_fraction, lines.longest_line) == ("lines", "lines", None, 8)
    assert (text.format, text.train.format, text.train_fraction, text.longest_line) == ("text", "text", 0.4, 0)
    assert (lines.split_method, text.split_method) == ("distinct", "position")
    assert (len(lines.line_hashes), len(text.line_hashes)) == (40, 0)
    assert lines.vocabulary == text.vocabulary
    assert lines.sha256 == text.sha256 == hashlib.sha256(LIST).hexdigest()
    assert lines.source == text.source == str(path)
    tokens = np.concatenate([text.train.tokens, text.val.tokens, text.test.tokens])
    assert text.vocabulary.decode_text(tokens).encode() == LIST
    assert [file.suffix for file in (cache / "texts").iterdir()] == [".ids"]


def test_settings_of_the_other_format_and_unknown_formats_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="`train_fraction` is only for a text"):
        load_corpus("names", train_fraction=0.5)
    unknown: Format = "stream"  # type: ignore[assignment]
    with pytest.raises(UsageError, match="`format` is 'stream'"):
        load_corpus("names", format=unknown)


def test_the_format_of_files_and_text_data_sets_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "things.txt"
    path.write_bytes(LIST)
    detected = detect_format(str(path))
    assert detected is not None
    assert (detected.format, detected.reason) == ("lines", "2.0 words per line, 0 % of the lines blank")
    assert [detect_format(data) for data in ("names", "makemore-names", "no-such", "", Path("names"))] == [None] * 5


def test_the_name_of_a_data_set_takes_precedence_over_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names").write_bytes(LIST)
    assert load_corpus("names").report.lines == 29_687
    assert load_corpus("./names").report.lines == 40
    assert load_corpus(Path("names")).source == str(tmp_path / "names")


@pytest.mark.parametrize("unknown", ["nams", "", "no/such/file.txt", "x" * 5000, "a\0b"])
def test_the_error_for_unknown_data_lists_the_data_sets(unknown: str) -> None:
    with pytest.raises(DataError, match=r"is neither a file nor a data set; .*one of names, makemore-names"):
        load_corpus(unknown)


def test_a_download_happens_once_and_is_checked(cache: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, f"{address}/list.txt")
    assert load_corpus("things").report.lines == 40
    assert load_corpus("things").source == str(cache / "things.txt")
    assert Handler.requests == 1


def test_a_failed_download_gives_advice(cache: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [
        (f"{address}/missing.txt", LIST),
        (f"{address}/list.txt", b"other"),
        ("http://127.0.0.1:9/x", LIST),
    ]
    for url, content in wrong:
        offer(monkeypatch, url, content)
        with pytest.raises(DataError, match=r"cannot download .*; check the network, or give the path") as caught:
            load_corpus("things")
        assert len(str(caught.value).splitlines()) == 1
        assert not (cache / "things.txt").exists()


def test_makemore_names_are_found_in_the_cache(cache: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = DATASETS["makemore-names"]
    offline = replace(dataset, url="http://127.0.0.1:9/names.txt")
    monkeypatch.setitem(datasets.DATASETS, "makemore-names", offline)
    cache.mkdir(parents=True)
    shutil.copy(shared_data / "names.txt", cache / dataset.file)
    corpus = load_corpus("makemore-names", split_method="lecture")
    assert (corpus.name, corpus.report.lines, corpus.val.num_targets) == ("makemore-names", 32_033, 22_655)
