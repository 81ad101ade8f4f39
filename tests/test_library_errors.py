"""What a user of the library does wrong is one sentence of a public class."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import wavemore as wm

CORPUS = wm.LineCorpus.from_lines([a + b for a in ("an", "bo", "cleo", "dan") for b in ("na", "by", "lia")])
SIZE, RECIPE, OTHER = len(CORPUS.vocabulary), wm.Recipe(steps=1), nn.Linear(2, 2)
VOCABULARY = CORPUS.vocabulary
ANY: Any = wm  # without types, as in a notebook


def gru() -> wm.Model:
    return wm.build("gru", SIZE, hidden=4)


def language_model() -> Any:
    return wm.LanguageModel.of(gru(), CORPUS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: list(ANY.fit(nn.Sequential(), CORPUS, RECIPE)), "a Sequential is not a wavemore model"),
        (lambda: list(ANY.fit(gru(), "names", RECIPE)), "`corpus` is a str; it must be a corpus"),
        (lambda: list(ANY.fit(gru(), CORPUS, None)), "`recipe` is a NoneType; it must be a Recipe"),
        (lambda: list(ANY.fit(gru(), CORPUS, ANY.plan(CORPUS))), "`recipe` is a Plan; it must be a Recipe"),
        (lambda: ANY.evaluate(gru(), CORPUS), "`part` is a LineCorpus; it must be a part"),
        (lambda: ANY.evaluate([gru(), OTHER], CORPUS.val), "a Linear is not a wavemore model"),
        (lambda: ANY.score(OTHER, VOCABULARY, ["anna"]), "a Linear is not a wavemore model"),
        (lambda: ANY.score(gru(), VOCABULARY, "anna"), "`texts` is one string"),
        (lambda: ANY.export_onnx("names"), "`model` is a str; it must be a run"),
        (lambda: ANY.export_folder(OTHER, "x"), "`model` is a Linear; it must be a run"),
        (lambda: list(ANY.generate(OTHER, VOCABULARY, 2, wm.Sampling())), "a Linear is not a wavemore model"),
        (lambda: list(ANY.generate(gru(), VOCABULARY, 2, wm.Sampling(), "anna")), "`known` is one string"),
        (lambda: ANY.generate_text(OTHER, VOCABULARY, 2, 5, wm.Sampling()), "a Linear is not a wavemore model"),
        (lambda: ANY.soft_targets([OTHER], CORPUS), "a Linear is not a wavemore model"),
        (
            lambda: ANY.compare_models(gru(), gru(), CORPUS),
            "`a` is a Recurrent; it must be a list of models, one per seed",
        ),
        (lambda: ANY.Ensemble(gru()), "`models` is a Recurrent; it must be a list of models"),
        (lambda: ANY.LineCorpus.from_lines("anna"), "`lines` is one string"),
        (lambda: ANY.train(["anna", "bob"]), "`corpus` is a list; it must be a corpus"),
        (lambda: ANY.plan("names"), "`corpus` is a str; it must be a corpus"),
        (lambda: ANY.plan(CORPUS, hidden="3"), "`hidden` is '3'; it must be a whole number"),
        (lambda: ANY.build("gru", SIZE, hiden=3), "there is no setting `hiden` of a gru; choose from embedding"),
        (lambda: ANY.build("gru", SIZE, wm.TreeConfig()), "takes a RecurrentConfig, not a TreeConfig"),
        (lambda: ANY.Recipe(steps="3"), "`steps` is '3'; it must be a whole number"),
        (lambda: ANY.Recipe(steps=2.5), "`steps` is 2.5; it must be a whole number"),
        (lambda: ANY.plan(CORPUS, epochs="3"), "`epochs` is '3'; it must be a number"),
        (lambda: ANY.plan(CORPUS, minutes="3"), "`minutes` is '3'; it must be a number"),
        (lambda: ANY.plan(CORPUS, model="tree", fuse="22"), "`fuse` is '22'; it must be a list of whole numbers"),
        (lambda: ANY.build("gru", SIZE, dropout="1"), "`dropout` is '1'; it must be a number"),
        (lambda: ANY.build("gru", str(SIZE)), "`vocabulary_size` is '"),
        (lambda: ANY.Sampling(temperature="hot"), "`temperature` is 'hot'; it must be a number"),
        (lambda: ANY.Sampling(top_k="3"), "`top_k` is '3'; it must be a whole number or all"),
        (lambda: ANY.Sampling(max_length=2.5), "`max_length` is 2.5; it must be a whole number"),
        (lambda: ANY.Sampling(seed=None), "`seed` is None; it must be a whole number"),
        (lambda: ANY.Sampling(suffix=3), "`suffix` is 3; it must be a string"),
        (lambda: ANY.Sampling(contains=[None]), "`contains` holds None; give a list of strings"),
        (lambda: ANY.Sampling(new="no"), "`new` is 'no'; it must be True or False"),
        (lambda: language_model().generate("3"), "`n` is '3'; it must be a whole number"),
        (lambda: language_model().generate(2, contains=3), "`contains` is an int; it must be a list of strings"),
        (lambda: language_model().generate(2, like=[3]), "`like` holds 3; give a list of strings"),
        (lambda: language_model().generate(2, like=["anna"], rank="best"), "`like` and `rank` choose lines in diff"),
        (lambda: language_model().score([None]), "`texts` holds None; give a list of strings"),
        (lambda: language_model().to("meta"), "device 'meta' cannot be used here"),
        (lambda: language_model().save_pretrained(None), "`folder` is a NoneType; it must be the path"),
        (lambda: ANY.LanguageModel.of(gru(), None), "`corpus` is a NoneType; it must be a corpus"),
        (lambda: list(ANY.generate(language_model(), VOCABULARY, 2, wm.Sampling())), "holds a model: give its `model`"),
        (lambda: list(ANY.generate(gru(), "abc", 2, wm.Sampling())), "`vocabulary` is a str; it must be a Vocabulary"),
        (lambda: list(ANY.generate(gru(), VOCABULARY, 2, {})), "`sampling` is a dict; it must be a Sampling"),
        (lambda: ANY.next_characters(gru(), VOCABULARY, 3), "`prefix` is 3; it must be a string"),
        (lambda: ANY.from_pretrained(b"runs/x"), "`folder` is a bytes; it must be the path of a folder or file"),
        (lambda: ANY.from_pretrained("x" * 300), "there is no folder 'xxx"),
        (lambda: ANY.batches(CORPUS, gru()), "`part` is a LineCorpus; it must be a part"),
        (lambda: ANY.batches(CORPUS.train, gru(), epochs="1"), "`epochs` is '1'; it must be a number"),
        (lambda: ANY.RecipeOptimizer(gru(), None), "`recipe` is a NoneType; it must be a Recipe"),
        (lambda: ANY.build("tree", SIZE).unique(torch.zeros(2, 8).long()), "a Tensor is not a plan: make plans by"),
        (lambda: ANY.Vocabulary(3), "3 is not a character; give a string, or a list"),
        (lambda: ANY.Vocabulary(["a", 3]), "3 is not a character; give a string, or a list"),
        (lambda: ANY.load_corpus(3), "`data` is an int; it must be a path"),
        (lambda: ANY.train(CORPUS, run=3), "`run` is an int; it must be the path"),
        (lambda: ANY.train(CORPUS, {"epochs": 1}), "`plan` is a dict; it must be a Plan"),
        (lambda: ANY.LanguageModel.of(gru(), CORPUS).generate(2, hot=1), "there is no setting `hot`; choose from"),
        (lambda: ANY.Run("nowhere").model(), "there is no run at nowhere"),
        (lambda: ANY.from_pretrained("nowhere"), "there is no folder 'nowhere' with a model"),
        (lambda: ANY.find_run("nowhere").config, "there is no run 'nowhere'"),
        (lambda: ANY.load_corpus("nowhere"), "neither a file nor a data set"),
        (lambda: ANY.train(CORPUS, device="cuda:99"), "device 'cuda:99' cannot be used here"),
    ],
)
def test_it_is_one_sentence_of_a_public_class(
    wrong: Callable[[], object], message: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wm.WavemoreError, match=message.replace("(", r"\(")) as error:
        wrong()
    assert getattr(wm, type(error.value).__name__) is type(error.value)
    assert len(str(error.value).splitlines()) <= 2


def drawn() -> list[wm.Sample]:
    return list(wm.generate(gru(), VOCABULARY, 2, wm.Sampling()))


USES: dict[str, tuple[Callable[..., Any], tuple[Callable[[], Any], ...]]] = {
    "adapt": (wm.adapt, (gru, lambda: VOCABULARY, lambda: ["anna"], wm.Sampling)),
    "batches": (wm.batches, (lambda: CORPUS.train, gru)),
    "build": (wm.build, (lambda: "gru", lambda: SIZE)),
    "compare": (wm.compare, (lambda: "nowhere", lambda: "nowhere")),
    "compare_models": (wm.compare_models, (lambda: [gru()], lambda: [gru()], lambda: CORPUS)),
    "Ensemble": (wm.Ensemble, (lambda: [gru()],)),
    "evaluate": (wm.evaluate, (gru, lambda: CORPUS.val)),
    "find_run": (wm.find_run, (lambda: "nowhere",)),
    "fit": (lambda *given: list(wm.fit(*given)), (gru, lambda: CORPUS, lambda: RECIPE)),
    "from_pretrained": (wm.from_pretrained, (lambda: "nowhere",)),
    "generate": (lambda *given: list(wm.generate(*given)), (gru, lambda: VOCABULARY, lambda: 2, wm.Sampling)),
    "generate_text": (wm.generate_text, (gru, lambda: VOCABULARY, lambda: 1, lambda: 2, wm.Sampling)),
    "inspect_model": (wm.inspect_model, (gru, lambda: CORPUS)),
    "keepers": (lambda *given: list(wm.keepers(*given)), (drawn, lambda: 2)),
    "known_lines": (wm.known_lines, (lambda: None,)),
    "load_corpus": (wm.load_corpus, (lambda: "names",)),
    "load_ensemble": (wm.load_ensemble, (lambda: [wm.Run("nowhere")],)),
    "NearLines": (wm.NearLines, (lambda: None,)),
    "next_characters": (wm.next_characters, (gru, lambda: VOCABULARY, lambda: "an")),
    "plan": (wm.plan, (lambda: CORPUS,)),
    "ranked": (wm.ranked, (drawn, lambda: 2, lambda: "best")),
    "RecipeOptimizer": (wm.RecipeOptimizer, (gru, lambda: RECIPE)),
    "report": (wm.report, (lambda: "nowhere",)),
    "score": (wm.score, (gru, lambda: VOCABULARY, lambda: ["anna"])),
    "soft_targets": (wm.soft_targets, (lambda: [gru()], lambda: CORPUS)),
}
WRONG = [None, -1, 1.5, "x", [], [3], {"anna"}, b"anna", OTHER, torch.zeros(2), object(), True]


@pytest.mark.parametrize("use", USES)
def test_anything_in_place_of_an_argument(use: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is accepted, or an error of wavemore; never one of Python or torch from somewhere within."""
    monkeypatch.chdir(tmp_path)
    function, arguments = USES[use]
    errors = 0
    for place in range(len(arguments)):
        for wrong in WRONG:
            given: list[Any] = [make() for make in arguments]
            given[place] = wrong
            try:
                function(*given)
            except wm.WavemoreError:
                errors += 1
    assert errors >= len(arguments)


SETTINGS = [
    name for name in inspect.signature(wm.load_corpus).parameters if name not in ("data", "cleaning", "by_count")
]


@pytest.mark.parametrize("setting", [*SETTINGS, "normalize", "case", "max_length", "no_such_setting"])
def test_anything_in_place_of_a_setting_of_load_corpus(setting: str) -> None:
    for wrong in (1.5, [3], b"anna", OTHER, torch.zeros(2), object()):
        with pytest.raises(wm.UsageError, match=f"`{setting}`"):
            ANY.load_corpus("names", **{setting: wrong})


@pytest.mark.parametrize("kind", [wm.Tree, wm.WaveNet, wm.Bigram, wm.BagOfWords, wm.Transformer, wm.Ngram])
def test_anything_in_place_of_the_config_of_a_model(kind: Any) -> None:
    for wrong in WRONG:
        with pytest.raises(wm.UsageError, match=r"^`config` is an? \w+; it must be an? \w+Config$"):
            kind(SIZE, wrong)
    with pytest.raises(wm.UsageError, match=r"^`config` is an object; it must be a RecurrentConfig$"):
        ANY.Recurrent(SIZE, object(), nn.GRU)


def test_lines_are_new_without_known_ones_and_one_teacher_needs_no_list() -> None:
    model = gru()
    for _ in wm.fit(model, CORPUS, RECIPE):
        pass
    assert all(sample.new for sample in wm.generate(model, VOCABULARY, 3, wm.Sampling()))
    assert wm.soft_targets(model, CORPUS).shape == (CORPUS.train.num_targets, SIZE)


def test_numbers_of_numpy_are_settings() -> None:
    sampling = ANY.Sampling(seed=np.int64(3), temperature=np.float32(0.5), contains=["a"])
    assert (type(sampling.seed), sampling.temperature, sampling.contains) == (int, 0.5, ("a",))
    assert len(language_model().generate(np.int64(2), seed=np.int64(3))) == 2


def test_a_model_goes_to_a_device_of_torch(tmp_path: Path) -> None:
    model = language_model().to(torch.device("cpu"))
    model.save_pretrained(tmp_path / "model")
    assert wm.from_pretrained(tmp_path / "model", device=torch.device("cpu")).device.type == "cpu"
