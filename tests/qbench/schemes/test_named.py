"""Names with options, as recipes hold them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from qbench.schemes.named import Named, NamedSpec, spelled_out


class Held(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    what: Named = "relu"


@pytest.mark.parametrize("given", ["gelu", {"name": "gelu"}, {"name": "gelu", "options": {}}, NamedSpec(name="gelu")])
def test_one_form_stands_for_a_name_without_options(given: Any) -> None:
    assert Held(what=given).what == "gelu"
    assert Held(what=given).model_dump() == {"what": "gelu"}


@pytest.mark.parametrize(
    "given", [{"name": "a.b", "options": {"k": 1}}, NamedSpec(name="a.b", options={"k": 1})], ids=["mapping", "spec"]
)
def test_options_are_kept_and_read_back(given: Any) -> None:
    held = Held(what=given)

    assert held.what == NamedSpec(name="a.b", options={"k": 1})
    assert Held.model_validate(held.model_dump()) == held
    assert str(held.what) == "a.b(k=1)"


def test_both_forms_are_spelled_out() -> None:
    assert spelled_out("relu") == NamedSpec(name="relu", options={})
    assert spelled_out(NamedSpec(name="x", options={"k": 1})).options == {"k": 1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "expected a name, or a mapping"),
        (None, "expected a name, or a mapping"),
        ({"options": {}}, "expected a name, or a mapping"),
        ({"name": "x", "option": {}}, "unknown key 'option'"),
    ],
)
def test_anything_else_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Held(what=given)
