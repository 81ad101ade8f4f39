import contextlib
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavemore.errors import RunError
from wavemore.files import write_atomic
from wavemore.runs.tensors import read_tensors, write_tensors

TENSORS = {
    "a.weight": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(3),
    "empty": torch.empty(0, 4),
    "half": torch.ones(2, dtype=torch.bfloat16),
}

mutations = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "cut", "put", "drop"]), st.binary(min_size=1, max_size=9)),
    min_size=1,
    max_size=4,
)


def mutated(content: bytes, changes: list[tuple[float, str, bytes]]) -> bytes:
    for fraction, how, piece in changes:
        at = int(fraction * len(content))
        match how:
            case "set":
                content = content[:at] + piece + content[at + len(piece) :]
            case "cut":
                content = content[:at]
            case "put":
                content = content[:at] + piece + content[at:]
            case "drop":
                content = content[:at] + content[at + len(piece) :]
    return content


def test_tensors_and_facts_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t", TENSORS, '{"step": 3}')
    tensors, facts = read_tensors(tmp_path / "t")
    assert facts == '{"step": 3}'
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert torch.equal(tensors[name], value)
        assert tensors[name].dtype == value.dtype


def test_tensors_do_not_change_with_their_file(tmp_path: Path) -> None:
    """They are no view of the file, which Windows could not replace as long as they live."""
    path = tmp_path / "t"
    write_tensors(path, TENSORS)
    tensors, _ = read_tensors(path)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
    assert torch.equal(tensors["a.weight"], TENSORS["a.weight"])


def test_the_same_tensors_make_the_same_bytes(tmp_path: Path) -> None:
    for folder, tensors in (("one", TENSORS), ("two", dict(reversed(TENSORS.items())))):
        (tmp_path / folder).mkdir()
        write_tensors(tmp_path / folder / "t", tensors)
    assert (tmp_path / "one" / "t").read_bytes() == (tmp_path / "two" / "t").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=mutations)
def test_changed_bytes_are_found(tmp_path: Path, changes: list[tuple[float, str, bytes]]) -> None:
    path = tmp_path / "t"
    write_tensors(path, TENSORS)
    before = path.read_bytes()
    path.write_bytes(mutated(before, changes))
    with contextlib.suppress(RunError):
        tensors, facts = read_tensors(path)
        # The change was none, or in a place without meaning.
        assert facts == "{}"
        assert all(torch.equal(tensors[name], value) for name, value in TENSORS.items())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        read_tensors(tmp_path / "t")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"wavemore": "no JSON"},
        {"wavemore": "[]"},
        {"wavemore": "{}"},
        {"wavemore": '{"facts": 1, "sha256": 4}'},
        {"wavemore": "[" * 100_000},
    ],
)
def test_safetensors_of_other_programs_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    safetensors.torch.save_file(TENSORS, tmp_path / "t", metadata=metadata)
    with pytest.raises(RunError, match="damaged"):
        read_tensors(tmp_path / "t")


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is missing"):
        read_tensors(tmp_path / "t")
    with pytest.raises(RunError, match=str(tmp_path)):
        read_tensors(tmp_path)


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*f: No space left on device; its old content is unchanged"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]
