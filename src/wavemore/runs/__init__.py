"""Run folders: everything that wavemore keeps on disk."""
