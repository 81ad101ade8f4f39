"""A script as a user of torch writes one, with types: it uses all of the library and is checked by mypy and pyright."""

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import wavemore as wm


class Doubled(wm.Tree):
    """A model of one's own, by a subclass."""

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict with logits that are twice as far from each other."""
        return 2 * super().forward(tokens, logits_to_keep)


def loss_of(model: wm.Model, inputs: Tensor, targets: Tensor) -> Tensor:
    """Compute the mean loss of a batch."""
    logits: Tensor = model(inputs)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def train_yourself(corpus: wm.Corpus) -> wm.LanguageModel:
    """Train in a loop of one's own."""
    model: wm.Model = wm.build("transformer", len(corpus.vocabulary), channels=16, layers=1, heads=2)
    recipe = wm.Recipe(learning_rate=0.02)
    optimizer: torch.optim.Optimizer = wm.RecipeOptimizer(model, recipe)
    batches: wm.Batches[Tensor] = wm.batches(corpus.train, model, batch_size=256, epochs=2, seed=1)
    for inputs, targets in batches:
        loss = loss_of(model, inputs, targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return wm.LanguageModel.of(model, corpus)


def steps(corpus: wm.Corpus) -> Iterator[dict[str, float]]:
    """Yield the numbers of a training with an optimizer of torch."""
    plan: wm.Plan = wm.plan(corpus, model="tree", fuse=(2, 2), hidden=16, steps=10, batch_size=128)
    config = plan.model_config
    assert isinstance(config, wm.TreeConfig)
    tree: wm.Tree = wm.build("tree", len(corpus.vocabulary), config, seed=1)
    optimizer = torch.optim.NAdam(tree.parameters(), lr=0.01)
    record: wm.StepRecord
    for record in wm.fit(tree, corpus, plan.recipe, optimizer=optimizer):
        yield record.scalars
    for ngrams, targets in wm.batches(corpus.val, tree, plans=True):
        yield {"val": F.cross_entropy(tree.unique(ngrams), targets).item()}
    contexts = torch.zeros(3, 4, dtype=torch.int64)
    shape: torch.Size = tree.windows(contexts).shape
    assert shape == (3, len(corpus.vocabulary))
    checkpoint: wm.Checkpoint
    training: wm.Training = wm.fit(tree, corpus, plan.recipe)
    for _ in training:
        checkpoint = training.checkpoint()
        yield {"tensors": float(len(checkpoint.tensors))}


def use(names: wm.LanguageModel, corpus: wm.Corpus) -> list[str]:
    """Draw, score and evaluate."""
    samples: list[wm.Sample] = names.generate(5, prefix="an", new=True, temperature=0.9, seed=1)
    scores: list[wm.Score] = names.score([sample.text for sample in samples])
    assert [round(score.nats, 3) for score in scores] == [round(sample.nats, 3) for sample in samples]
    evaluation: wm.Evaluation = names.evaluate(corpus.val)
    assert evaluation.perplexity > 1 and evaluation.bits_per_char > 0  # noqa: PT018
    model: wm.Model = names.model
    decoder: wm.Decoder = model.decoder(2)
    ids = torch.tensor([corpus.vocabulary.encode("an").tolist()] * 2)
    prefilled: Tensor = decoder.prefill(ids)
    decoder.select(torch.tensor([0]))
    assert prefilled.shape == (2, 2, len(corpus.vocabulary))
    assert decoder.step(torch.tensor([1])).shape == decoder.logits.shape == (1, len(corpus.vocabulary))
    drawn = wm.generate(model, corpus.vocabulary, 2, wm.Sampling(seed=3), corpus.line_hashes)
    return [sample.text for sample in (*samples, *drawn)]


def inspect(folder: Path, corpus: wm.Corpus) -> wm.Inspection:
    """Look at a run as it is on disk."""
    run: wm.Run = wm.find_run(str(folder))
    assert run.config.model == "lstm"
    assert wm.find_runs([folder.parent])
    return wm.inspect_model(run.model(), corpus)


def errors(corpus: wm.Corpus) -> list[str]:
    """Cause errors that a user causes."""
    found = list[str]()
    try:
        wm.from_pretrained("nowhere")
    except wm.RunError as error:
        found.append(str(error))
    try:
        wm.plan(corpus, model="tree", hidden=-1)
    except wm.UsageError as error:
        found.append(str(error))
    try:
        wm.evaluate(wm.build("gru", 3), corpus.val)
    except wm.ModelError as error:
        found.append(str(error))
    return found


def main(folder: Path) -> list[str]:
    """Use everything, in a folder; return what is worth a look."""
    lines = [a + b + c for a in ("an", "bo", "cleo", "d") for b in ("", "n", "tta") for c in "aeoy"]
    corpus = wm.LineCorpus.from_lines(lines)
    names = wm.train(corpus, run=folder / "runs" / "lstm", model="lstm", hidden=16, steps=20, device="cpu")
    names.save_pretrained(folder / "model")
    names = wm.from_pretrained(folder / "model", device="auto").to("cpu")
    found = [repr(names), *use(names, corpus), *use(train_yourself(corpus), corpus)]
    found += [f"{len(numbers)} numbers" for numbers in steps(corpus) if numbers]
    own = Doubled(len(corpus.vocabulary), wm.TreeConfig(fuse=(2, 2), norm="layer", hidden=8))
    *_, last = wm.fit(own, corpus, wm.Recipe(steps=5, batch_size=64))
    found += [f"val {last.best_val_nats:.2f}", str(len(inspect(folder / "runs" / "lstm", corpus).layers))]
    assert wm.LECTURE.steps == 200_000
    return [*found, *errors(corpus)]


if __name__ == "__main__":
    print("\n".join(main(Path("user-script"))))  # noqa: T201
