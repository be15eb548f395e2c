"""What a merge can be told is written once; whoever restates it is checked against that."""

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import get_args

import pytest

import wkfast as wk
from wkfast import merge_annotations
from wkfast.cli import merge_fallback, merge_steps
from wkfast.errors import MergeError
from wkfast.merge.options import CHOICES, MergeKeywords, MergeOptions

FIELDS = {field.name: field for field in dataclasses.fields(MergeOptions)}
# How many jobs an executor is kept busy with is asked on the command line alone.
KEYWORDS = [name for name in FIELDS if name != "jobs"]


@pytest.mark.parametrize("call", [wk.Annotation.merge_fallback_layer, merge_annotations])
def test_every_option_is_a_keyword_with_the_same_default_and_type(call):
    parameters = inspect.signature(call).parameters
    there = [name for name in parameters if name in FIELDS]
    assert sorted(there) == sorted(KEYWORDS)
    for name in there:
        assert parameters[name].default == FIELDS[name].default, name
        assert parameters[name].annotation == FIELDS[name].type, name


def test_the_keywords_of_type_checkers_are_the_options():
    keywords = {name: hint.__forward_arg__ for name, hint in MergeKeywords.__annotations__.items()}
    assert keywords == {name: FIELDS[name].type for name in KEYWORDS if name not in {"executor", "dry_run"}}


@pytest.mark.parametrize("command", [merge_fallback.merge_fallback, merge_fallback.merge_annotations, merge_steps.plan])
@pytest.mark.parametrize("option", CHOICES)
def test_the_command_line_offers_the_same_words_and_defaults(command, option):
    parameter = inspect.signature(command).parameters[option]
    assert get_args(parameter.annotation)[0] is CHOICES[option]
    assert parameter.default == FIELDS[option].default


@pytest.mark.parametrize("option", CHOICES)
def test_the_stub_and_the_docs_of_the_core_name_the_same_words(option):
    stub = ast.parse(Path(wk.__file__).with_name("_core.pyi").read_text(encoding="utf-8"))
    records = [node for node in stub.body if isinstance(node, ast.ClassDef)]
    told = [node for node in records if node.name in {"MergeChoices", "MergeMapping"}]
    fields = [item for record in told for item in record.body if isinstance(item, ast.AnnAssign)]
    (field,) = [field for field in fields if ast.unparse(field.target) == option]
    words = [node.value for node in ast.walk(field.annotation) if isinstance(node, ast.Constant)]
    assert words == [word.value for word in CHOICES[option]]


@pytest.mark.parametrize("option", CHOICES)
def test_a_word_that_is_none_is_refused_and_the_others_are_named(option):
    with pytest.raises(MergeError) as raised:
        MergeOptions(**{option: "other"})
    assert all(repr(word.value) in str(raised.value) for word in CHOICES[option])
