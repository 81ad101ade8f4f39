from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

# A busy machine is no reason for a test to fail.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-clock")


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data that is not in the repository, beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "names.txt").is_file():
        pytest.skip(f"needs names.txt in {folder}")
    return folder
