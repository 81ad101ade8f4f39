"""The folder for a hub: what is in it and what is not, its card, and the way to a hub and back."""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wavemore as wm
from tests.hub_stand_in import TOKEN, Hub, Repository, hub_stand_in, oid
from wavemore.cli import main
from wavemore.export.card import is_unchanged, model_card
from wavemore.export.folder import without_private
from wavemore.runs.config import SourceConfig, TeacherConfig
from wavemore.runs.run import Run
from wavemore.text.cleaning import AS_IS
from wavemore.text.corpus import DataFile

FILES = ["README.md", "config.json", "lines.safetensors", "model.safetensors", "summary.json", "vocabulary.json"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in for the hub, which huggingface_hub takes for the real one; it has a token and an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra: pip install 'wavemore[hub]'")
    with hub_stand_in() as hub:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)  # what HF_ENDPOINT was when it was imported
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", constants_template(hub.address))
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.chdir(tmp_path)
        yield hub


def constants_template(address: str) -> str:
    return address + "/{repo_id}/resolve/{revision}/{filename}"


def test_a_folder_is_a_model(small_run: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = small_run("tree")
    written = wm.export_folder(run, "out/names", license="cc-by-4.0")
    assert sorted(path.name for path in Path("out/names").iterdir()) == FILES
    assert sorted(path.name for path in written) == FILES
    ours, theirs = wm.from_pretrained(run.path), wm.from_pretrained("out/names")
    assert ours.generate(20, new=True, seed=3) == theirs.generate(20, new=True, seed=3)
    assert ours.score(["maria", "joan"]) == theirs.score(["maria", "joan"])
    val = run.corpus().val
    assert ours.evaluate(val) == theirs.evaluate(val)
    assert main(["sample", "out/names", "-n", "3"]) == 0
    assert main(["evaluate", "out/names", "--data", str(run.config.data.source)]) == 0


def test_nothing_private_is_in_it(small_run: Callable[[str], Run], tmp_path: Path) -> None:
    run = small_run("tree")
    place, names = str(tmp_path / "secret"), wm.from_pretrained(run.path)
    file = DataFile(f"{place}/val.txt", "0" * 64, "utf-8", 10)
    source = SourceConfig(f"{place}/runs/a-1", "1" * 64, "a", AS_IS, known=3, new_characters="")
    config = replace(
        names.config,
        command=("wavemore", "train", f"{place}/names.txt"),
        note=f"of {place}",
        experiment="secret",
        data=replace(names.config.data, val_file=file, test_file=None, more_files=(file, file)),
        teachers=(TeacherConfig(r"C:\Users\secret\runs\b-1", "2" * 64, "tree", 1.0),),
        carried_from=source,
    )
    wm.export_folder(replace(names, config=config), tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert b"secret" not in content
        assert str(run.path.parent).encode() not in content
    kept = wm.from_pretrained(tmp_path / "out").config
    assert (kept.data.source, kept.data.sha256) == ("names.txt", names.config.data.sha256)
    assert [teacher.run for teacher in kept.teachers] == ["b-1"]
    assert kept.carried_from is not None
    assert kept.carried_from.run == "a-1"
    assert without_private(replace(config, data=replace(config.data, source="names"))).data.source == "names"


@pytest.mark.parametrize(
    "name",
    ["gru", "labels", "separated", "ngram", *(pytest.param(name, marks=pytest.mark.slow) for name in ("text", "odd"))],
)
def test_the_card(name: str, small_run: Callable[[str], Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = small_run(name)
    config, summary = run.config, run.summary()
    assert summary is not None
    wm.export_folder(run, "model", license="mit")
    card = Path("model/README.md").read_text(encoding="utf-8")
    assert is_unchanged(card)
    front, body = re.fullmatch(r"---\n(.*?)\n---\n(.*)", card, re.DOTALL).groups()  # type: ignore[union-attr]
    assert 'license: "mit"\nlibrary_name: wavemore\npipeline_tag: text-generation\ntags:\n- wavemore\n' in front
    assert f"| train | {summary.train_nats:.4f} |" in body
    assert f"| val | {summary.val_nats:.4f} |" in body
    assert ("leak-free" in body) == (config.data.format == "lines" and summary.leak_free_val_nats is not None)
    assert config.data.sha256 in body
    assert config.model in body
    samples = re.search(r"\n(````*)text\n(.*?)\n\1\n", body, re.DOTALL)
    assert samples is not None
    if config.data.format == "lines":
        assert len(samples[2].split("\n%\n" if name == "separated" else "\n")) <= 10
    [usage] = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    exec(compile(usage, "README.md", "exec"), {})
    assert "<img" not in re.sub(r"(````*)text\n.*?\1", "", body, flags=re.DOTALL)


@given(text=st.text(max_size=60), place=st.integers(0, 3_000))
def test_a_changed_card_is_recognised(text: str, place: int) -> None:
    card = CARD
    assert is_unchanged(card)
    changed = card[:place] + text + card[place:]
    assert is_unchanged(changed) == (changed == card)


def _card() -> str:
    corpus = wm.load_corpus("names")
    return model_card(wm.LanguageModel.of(wm.build("bigram", len(corpus.vocabulary)), corpus), "names")


CARD = _card()


def test_what_was_written_by_hand_stays(small_run: Callable[[str], Run], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    wm.export_folder(small_run("tree"), folder)
    (folder / ".gitattributes").write_text("* text=auto\n")
    first = (folder / "README.md").read_text(encoding="utf-8")
    wm.export_folder(small_run("gru"), folder)
    second = (folder / "README.md").read_text(encoding="utf-8")
    assert first != second
    (folder / "README.md").write_text(f"{second}\nMy own words.\n", encoding="utf-8")
    wm.export_folder(small_run("text"), folder)
    assert (folder / "README.md").read_text(encoding="utf-8").endswith("My own words.\n")
    assert not (folder / "lines.safetensors").exists()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(wm.RunError, match="holds a training or other files"):
        wm.export_folder(small_run("tree"), folder)
    with pytest.raises(wm.RunError, match="holds a training or other files"):
        wm.export_folder(small_run("tree"), small_run("gru").path)
    with pytest.raises(wm.UsageError, match="`license` is 'My License'; it must be an identifier such as mit"):
        wm.export_folder(small_run("tree"), folder, license="My License")
    with pytest.raises(wm.UsageError, match="cannot be a name on the Hugging Face hub: give one such as user/names"):
        wm.export_folder(small_run("tree"), folder, push_to="../names")


@pytest.mark.filterwarnings("ignore:Use 'content")  # huggingface_hub's, of its HTTP client
def test_to_a_hub_and_back(hub: Hub, small_run: Callable[[str], Run]) -> None:
    run = small_run("tree")
    wm.export_folder(run, "first", push_to="user/names", private=True)
    repository = hub.repositories["user/names"]
    assert repository.private
    assert sorted(repository.commits[1]) == [".gitattributes", *FILES]
    assert 'wm.from_pretrained("user/names")' in repository.commits[1]["README.md"].decode()
    names = wm.from_pretrained("user/names")
    assert names.generate(5, seed=1) == wm.from_pretrained(run.path).generate(5, seed=1)
    wm.export_folder(small_run("text"), "second", push_to="user/names")
    assert sorted(repository.commits[2]) == [".gitattributes", *(name for name in FILES if name[:5] != "lines")]
    assert wm.from_pretrained("user/names").config.data.format == "text"
    old = wm.from_pretrained("user/names", revision=oid(1))
    assert old.config == names.config
    with pytest.raises(wm.RunError, match="user/names on the hub has no revision 'v7'"):
        wm.from_pretrained("user/names", revision="v7")
    repository.commits[-1]["README.md"] += b"My own words.\n"
    wm.export_folder(run, "third", push_to="user/names")
    assert repository.commits[-1]["README.md"].endswith(b"My own words.\n")
    read = {request.rpartition("/")[2] for request in hub.requests if "/resolve/" in request}
    assert read == set(FILES)
    latest = wm.from_pretrained("user/names").config
    hub.fails = True
    assert wm.from_pretrained("user/names").config == latest, "from the cache"
    assert wm.from_pretrained("user/names", revision=oid(1)).config == names.config


def test_what_is_no_model_on_a_hub(hub: Hub, small_run: Callable[[str], Run], tmp_path: Path) -> None:
    def problem(name: str = "user/names") -> str:
        with pytest.raises(wm.RunError) as caught:
            wm.from_pretrained(name)
        assert "\n" not in str(caught.value)
        assert "wavemore-" not in str(caught.value), "no temporary folder"
        return str(caught.value)

    assert "no such model on the Hugging Face hub, or it is private" in problem()
    hub.repositories["user/names"] = Repository()
    assert problem() == "user/names on the hub is not a wavemore model: it has no config.json"
    pickle = {"pytorch_model.bin": b"\x80\x04.", "model.safetensors": b"x" * 100}
    hub.repositories["user/names"].commits.append({"config.json": b'{"model_type": "gpt2"}', **pickle})
    assert problem().endswith("is not a wavemore model: another program wrote its config.json")
    wm.export_folder(small_run("gru"), "good")
    good = {path.name: path.read_bytes() for path in Path("good").iterdir()}
    before = len(hub.requests)
    commits = hub.repositories["user/names"].commits
    commits.append({**good, "pytorch_model.bin": b"\x80\x04.", "model.safetensors": b"x"})
    assert problem().startswith("user/names/model.safetensors is damaged or was changed")
    assert not any("pytorch_model" in request for request in hub.requests[before:])
    commits.append({name: good[name] for name in good if name != "vocabulary.json"})
    assert problem() == "user/names on the hub is not a wavemore model: it has no vocabulary.json"
    hub.repositories["user/names"].commits.append(
        good | {"config.json": good["config.json"].replace(b'"gru"', b'"GRU"')}
    )
    assert problem().startswith("user/names/config.json is damaged or was changed")
    commits.append({name: good[name] for name in good if name != "summary.json"})
    assert wm.from_pretrained("user/names").summary is None
    hub.repositories["user/names"].private = True
    hub.tokens = ()
    assert "or it is private" in problem("user/names")
    hub.fails = True
    assert "cannot be reached" in problem("user/other")
    (tmp_path / "user").mkdir()
    requests = len(hub.requests)
    message = "there is no folder 'user/names' with a model; models on the Hugging Face hub are named user/name"
    assert problem() == message
    assert "there is no folder 'names'" in problem("names")
    assert len(hub.requests) == requests, "a path of this machine is not sent to the hub"


def test_what_cannot_be_pushed(hub: Hub, small_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch) -> None:
    def problem(name: str = "user/names", *, private: bool = False) -> str:
        with pytest.raises(wm.RunError) as caught:
            wm.export_folder(small_run("gru"), "out", push_to=name, private=private)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert problem("other/names").startswith("this token may not read or write other/names")
    hub.repositories["user/gpt"] = Repository(commits=[{"config.json": b'{"model_type": "gpt2"}'}])
    assert "has a model of another library: choose another name" in problem("user/gpt")
    assert "and public: make it private there, or choose" in problem("user/gpt", private=True)
    assert len(hub.repositories["user/gpt"].commits) == 1
    hub.fails = True
    assert problem(private=True).startswith(f"the Hugging Face hub at {hub.address} cannot be reached: check the")
    hub.fails = False
    hub.tokens = ()
    assert "token may not read or write user/names" in problem()
    monkeypatch.delenv("HF_TOKEN")
    assert problem().startswith("no token of the Hugging Face hub was found: `hf auth login` stores a")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(wm.UsageError, match=r"uploading needs huggingface_hub: pip install 'wavemore\[hub\]'"):
        wm.export_folder(small_run("gru"), "out", push_to="user/names")
    with pytest.raises(wm.UsageError, match=r"there is no folder 'user/names', and .* pip install 'wavemore\[hub\]'"):
        wm.from_pretrained("user/names")
