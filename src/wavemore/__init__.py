"""wavemore: character-level language models whose context is fused step by step, as in WaveNet."""

__version__ = "0.1.0"
