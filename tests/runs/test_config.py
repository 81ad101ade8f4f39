import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavemore.errors import RunError
from wavemore.runs.config import FORMAT, RunConfig, read_config
from wavemore.runs.json_file import write_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(value, dict):
        return [path]
    return [path, *(place for key, inner in value.items() for place in places(inner, (*path, key)))]


def with_value(config: RunConfig, place: tuple[str, ...], value: Any) -> bytes:
    record = json.loads(msgspec.json.encode(config))
    if not place:
        return json.dumps(value).encode()
    inner = record
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return json.dumps(record).encode()


def test_a_config_is_read_as_it_was_written(tmp_path: Path, config: RunConfig) -> None:
    write_json(tmp_path / "config.json", config)
    assert read_config(tmp_path / "config.json") == config
    assert (tmp_path / "config.json").read_text().startswith('{\n  "format": 1,\n')


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), value=json_values)
def test_any_value_in_any_place_is_read_or_refused(
    tmp_path: Path, config: RunConfig, data: st.DataObject, value: Any
) -> None:
    place = data.draw(st.sampled_from(places(json.loads(msgspec.json.encode(config)))))
    path = tmp_path / "config.json"
    path.write_bytes(with_value(config, place, value))
    with contextlib.suppress(RunError):
        result = read_config(path)
        assert isinstance(result, RunConfig)
        assert result.format == FORMAT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"config\.json"):
        read_config(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "damaged"),
        (lambda text: text[:100], "damaged"),
        (lambda text: "[" * 100_000, "damaged"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "has format 2 .written by wavemore 0.1.0"),
        (lambda text: text.replace('"hidden": 8', '"hidden": -1'), "hidden"),
        (lambda text: text.replace('"hidden": 8', '"hidden": "8"'), r"model_config\.hidden"),
        (lambda text: text.replace('"threads": 1', '"threads": 0'), r"threads"),
        (lambda text: text.replace('"steps": 12', '"steps": 0'), "`steps` is 0"),
        (lambda text: text.replace('"model": "tree"', '"model": "forest"'), "`model` is 'forest'"),
    ],
)
def test_the_wrong_field_is_named(
    tmp_path: Path, config: RunConfig, change: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "config.json"
    write_json(path, config)
    path.write_text(change(path.read_text()))
    with pytest.raises(RunError, match=message):
        read_config(path)


def test_a_value_that_json_cannot_hold_is_refused(tmp_path: Path, config: RunConfig) -> None:
    with pytest.raises(RunError, match="change that value"):
        write_json(tmp_path / "config.json", replace(config, note="\udcff"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is incomplete .it has no config.json"):
        read_config(tmp_path / "config.json")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(RunError, match=r"config.json is a folder"):
        read_config(tmp_path / "config.json")
