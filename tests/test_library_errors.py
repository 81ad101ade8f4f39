"""What a user of the library does wrong is one sentence of a public class."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

import wavemore as wm

CORPUS = wm.LineCorpus.from_lines([a + b for a in ("an", "bo", "cleo", "dan") for b in ("na", "by", "lia")])
SIZE, RECIPE, OTHER = len(CORPUS.vocabulary), wm.Recipe(steps=1), nn.Linear(2, 2)
VOCABULARY = CORPUS.vocabulary
ANY: Any = wm  # without types, as in a notebook


def gru() -> wm.Model:
    return wm.build("gru", SIZE, hidden=4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: list(ANY.fit(nn.Sequential(), CORPUS, RECIPE)), "a Sequential is no model of wavemore"),
        (lambda: list(ANY.fit(gru(), "names", RECIPE)), "`corpus` is a str; it must be a corpus"),
        (lambda: list(ANY.fit(gru(), CORPUS, None)), "`recipe` is a NoneType; it must be a Recipe"),
        (lambda: list(ANY.fit(gru(), CORPUS, ANY.plan(CORPUS))), "`recipe` is a Plan; it must be a Recipe"),
        (lambda: ANY.evaluate(gru(), CORPUS), "`part` is a LineCorpus; it must be a part"),
        (lambda: ANY.evaluate([gru(), OTHER], CORPUS.val), "a Linear is no model"),
        (lambda: ANY.score(OTHER, VOCABULARY, ["anna"]), "a Linear is no model"),
        (lambda: ANY.score(gru(), VOCABULARY, "anna"), "`texts` is one string"),
        (lambda: list(ANY.generate(OTHER, VOCABULARY, 2, wm.Sampling())), "a Linear is no model"),
        (lambda: list(ANY.generate(gru(), VOCABULARY, 2, wm.Sampling(), "anna")), "`known` is one string"),
        (lambda: ANY.generate_text(OTHER, VOCABULARY, 2, 5, wm.Sampling()), "a Linear is no model"),
        (lambda: ANY.soft_targets([OTHER], CORPUS), "a Linear is no model"),
        (lambda: ANY.LineCorpus.from_lines("anna"), "`lines` is one string"),
        (lambda: ANY.train(["anna", "bob"]), "`corpus` is a list; it must be a corpus"),
        (lambda: ANY.plan("names"), "`corpus` is a str; it must be a corpus"),
        (lambda: ANY.plan(CORPUS, hidden="3"), "`hidden` is '3'; it must be a whole number"),
        (lambda: ANY.build("gru", SIZE, hiden=3), "there is no setting `hiden` of a gru; choose from embedding"),
        (lambda: ANY.build("gru", SIZE, wm.TreeConfig()), "takes a RecurrentConfig, not a TreeConfig"),
        (lambda: ANY.Recipe(steps="3"), "`steps` is '3'; it must be a number"),
        (lambda: ANY.LanguageModel.of(gru(), CORPUS).generate(2, hot=1), "there is no setting `hot`; choose from"),
        (lambda: ANY.Run("nowhere").model(), "there is no run at nowhere"),
        (lambda: ANY.from_pretrained("user/name"), "there is no folder 'user/name' with a model"),
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


def test_lines_are_new_without_known_ones_and_one_teacher_needs_no_list() -> None:
    model = gru()
    for _ in wm.fit(model, CORPUS, RECIPE):
        pass
    assert all(sample.new for sample in wm.generate(model, VOCABULARY, 3, wm.Sampling()))
    assert wm.soft_targets(model, CORPUS).shape == (CORPUS.train.num_targets, SIZE)
