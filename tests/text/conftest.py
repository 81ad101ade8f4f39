from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason for a test to fail.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-clock")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data that is not in the repository, beside the checkout."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data"
    if not (folder / "names.txt").is_file():
        pytest.skip(f"needs names.txt in {folder}")
    return folder
