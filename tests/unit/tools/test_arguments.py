"""Arguments are read strictly and written in one way: RFC 7493, RFC 8785."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parlor.tools.arguments import ArgumentsError, canonical, canonical_arguments, digest_of

pytestmark = pytest.mark.unit

ANY = {"type": "object"}
NUMBERS = [
    (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (1e21, "1e+21"), (-1e22, "-1e+22"),
    (1e-6, "0.000001"), (1.5e-6, "0.0000015"), (-1.25e-5, "-0.0000125"), (1e-7, "1e-7"), (1.5e-7, "1.5e-7"),
    (0.001, "0.001"), (9007199254740991.0, "9007199254740991"), (333333333.3333333, "333333333.3333333"),
    (1e23, "1e+23"), (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (4.5, "4.5"),
    (2e-3, "0.002"), (1.0e-10, "1e-10"), (0.0001, "0.0001"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "written"), NUMBERS)
def test_numbers_are_written_as_ecmascript_writes_them(value: float, written: str) -> None:
    assert canonical(value) == written
    assert float(written) == value


def test_the_example_of_the_rfc() -> None:
    text = (
        '{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        ' "string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/", "literals": [null, true, false]}'
    )
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical_arguments(text, ANY) == expected


def test_names_are_sorted_by_their_utf_16() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical_arguments(json.dumps(dict.fromkeys(names, 0)), ANY))) == order


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ('{"a": 1, "a": 1}', "twice"),
        ('{"b": {"a": 1, "\\u0061": 2}}', "twice"),
        ('{"a": 9007199254740992}', "2\\^53"),
        ('{"a": -9007199254740993}', "2\\^53"),
        ('{"a": ' + "9" * 5000 + "}", "2\\^53"),
        ('{"a": 1e999}', "no double"),
        ('{"a": 1e20}', "2\\^53"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "\\ud83e"}', "surrogate"),
        ('{"a\\udc00": 1}', "surrogate"),
        ("[]", "not an object"),
        ("null", "not an object"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "not JSON"),
        ('{"a": "b"', "not JSON"),
    ],
)
def test_what_two_programs_may_read_differently_is_refused(text: str, words: str) -> None:
    with pytest.raises(ArgumentsError, match=words):
        canonical_arguments(text, ANY)


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(-1e15, 1e15)
    | st.floats(min_value=1e21, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(
    SIMPLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_the_form_says_the_same_and_is_its_own_form(value: dict[str, object]) -> None:
    written = canonical_arguments(json.dumps(value), ANY)
    assert json.loads(written) == value
    assert canonical_arguments(written, ANY) == written
    assert canonical_arguments(json.dumps(value, indent=3, ensure_ascii=False), ANY) == written


def test_arguments_have_to_fit_their_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 5}}, "required": ["n"]}
    assert canonical_arguments('{"n": 5.0}', schema) == '{"n":5}'
    for text in ("{}", '{"n": 6}', '{"n": "5"}'):
        with pytest.raises(ArgumentsError, match="do not fit"):
            canonical_arguments(text, schema)


def test_a_digest_is_of_the_tool_and_its_arguments() -> None:
    digests = {digest_of("a", '{"b":1}'), digest_of("b", '{"b":1}'), digest_of("a", '{"b":2}')}
    assert len(digests) == 3
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in digests)
