"""A finished run as the beginning of a training on other data: found, checked, and its weights carried over."""

import unicodedata
from dataclasses import dataclass

from wavemore.errors import UsageError
from wavemore.nn.carry_over import carry_over, require_trained
from wavemore.nn.model import Model
from wavemore.runs.config import RunConfig, SourceConfig
from wavemore.runs.find import find_run
from wavemore.runs.run import Run
from wavemore.runs.weights import weights_sha256
from wavemore.text.arrays import is_among
from wavemore.text.corpus import Corpus

KINDS = {"lines": "a list", "text": "continuous text"}


@dataclass(frozen=True)
class Source:
    """A run whose weights another training begins with."""

    run: Run
    config: RunConfig
    characters: str
    """Its vocabulary; that of the data has to include it: see `extra_characters` of `load_corpus`."""
    trained: Model
    """Its best weights."""

    def model(self, corpus: Corpus, seed: int = 0) -> Model:
        """Return the model that begins with the run's weights, for the vocabulary of `corpus`, as `check` asks."""
        self.check(corpus)
        name, config = self.config.model, self.config.model_config
        return carry_over(name, config, self.trained, self.characters, corpus.vocabulary.characters, seed)

    def check(self, corpus: Corpus) -> None:
        """Raise `UsageError` for data of the other format, with labels, or without a character of that of the run."""
        own = KINDS[self.config.data.format]
        if self.config.data.format != corpus.format:
            raise UsageError(
                f"{self.run.path} was trained on {own}, and {corpus.name} is read as {KINDS[corpus.format]}: name "
                "another run, or set `format`"
            )
        if self.trained.num_labels or corpus.vocabulary.labels:
            raise UsageError(
                f"labels are not carried over from {self.run.path}: name a run without them, and leave out "
                "`label_column`"
            )
        if not self._known(corpus):
            raise UsageError(
                f"{corpus.name} has no character in common with the data of {self.run.path}: name another run"
            )

    def describe(self, corpus: Corpus) -> SourceConfig:
        """Return what the config of the new run keeps of this one."""
        self.check(corpus)
        shared = 0
        if corpus.format == "lines":
            hashes = corpus.val.as_lines(corpus.vocabulary).lines.hashes()
            shared = int(is_among(hashes, self.run.line_hashes()).sum())
        known = self._known(corpus)
        new = sorted(set(corpus.vocabulary.characters) - set(self.characters))
        return SourceConfig(
            run=str(self.run.path.absolute()),
            sha256=weights_sha256(self.run.path / "model.safetensors"),
            data=self.config.data.name,
            cleaning=self.config.data.cleaning,
            known=len(known),
            new_characters="".join(new),
            lost_by_case=sum(character.lower() in self.characters for character in new),
            lost_by_form=sum(self._knows_form(character) for character in new),
            shared_val_lines=shared,
        )

    def _known(self, corpus: Corpus) -> set[str]:
        """Return the characters of the data that the run knows."""
        own = set(corpus.vocabulary.characters) - set(corpus.extra_characters)
        return own & set(self.characters)

    def _knows_form(self, character: str) -> bool:
        """Whether a character that the run does not know is one of its own in another Unicode form, or part of one."""
        parts = unicodedata.normalize("NFD", character)
        if len(parts) > 1:
            return set(parts) <= set(self.characters)
        return any(character in unicodedata.normalize("NFD", own)[1:] for own in self.characters)


def find_source(name: str) -> Source:
    """Return the run of a name as `find_run` finds it.

    Raises `RunError` for a run that is missing or damaged, or has no model yet, and `UsageError` for an n-gram model.
    """
    run = find_run(name)
    config = run.config
    require_trained(config.model_config)
    model = run.model()
    return Source(run, config, model.characters, model)
