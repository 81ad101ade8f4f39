"""All figures by key.

The time of one run on a shared machine means little; the ratio of two medians, measured interleaved, is stable. So each
figure has a named baseline that runs in the same process, in turn with wavemore.
"""

from collections.abc import Callable, Iterator, Sequence

import torch

from benchmarks.gemm import gemm_peak
from benchmarks.generation import decoding, sampling
from benchmarks.lecture_race import time_to_lecture_val
from benchmarks.lstm import lstm_sampling, lstm_sharing, lstm_training
from benchmarks.measurement import Measurement
from benchmarks.rivals import time_to_makemore_val, time_to_nanogpt_val
from benchmarks.start_up import cold_start
from benchmarks.tree import unique_evaluate, unique_step, unique_step_lecture
from benchmarks.wavenet import receptive_field_cost
from wavemore.engine.threads import set_threads
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus

MEASURES: dict[str, Callable[[LineCorpus, int], Measurement]] = {
    "time_to_lecture_val_ratio": time_to_lecture_val,
    "unique_step_ratio": unique_step,
    "unique_step_lecture_ratio": unique_step_lecture,
    "unique_evaluate_ratio": unique_evaluate,
    "sampling_ratio": sampling,
    "decoding_ratio": decoding,
    "lstm_training_ratio": lstm_training,
    "lstm_sharing_ratio": lstm_sharing,
    "lstm_sampling_ratio": lstm_sampling,
    "wavenet_receptive": receptive_field_cost,
    "gemm_peak_share": gemm_peak,
    "cold_start_seconds": cold_start,
    "transformer_ratio": time_to_makemore_val,
}

TEXT_MEASURES: dict[str, Callable[[TextCorpus, int], Measurement]] = {"wavenet_text_ratio": time_to_nanogpt_val}
"""The figures that are measured on a continuous text."""

DEFAULT = tuple(key for key in MEASURES if key != "transformer_ratio")
"""The figures without `--only`: those that train a whole rival take minutes and are left out."""


def measure(
    corpus: LineCorpus, keys: Sequence[str], threads: Sequence[int], repeats: int, text: TextCorpus | None = None
) -> Iterator[Measurement]:
    """Measure each figure with each number of threads; the figures on a text need `text`."""
    before = torch.get_num_threads()
    try:
        for key in keys:
            for number in threads:
                set_threads(number)
                if key in TEXT_MEASURES:
                    assert text is not None, f"{key} needs a text"
                    yield TEXT_MEASURES[key](text, repeats)
                else:
                    yield MEASURES[key](corpus, repeats)
    finally:
        set_threads(before)
