"""Every YAML in conf/factorization/ offers exactly the options of its class, with their defaults."""

import subprocess
import sys
from importlib import import_module

import pytest
import yaml
from pydantic_core import PydanticUndefined

from embfact.factorization.auto import Auto
from embfact.factorization.base import Factorization, Method, ModelAdapter, TokenizerMethod
from tests.helpers.places import CONF

FILES = sorted((CONF / "factorization").glob("*.yaml"))
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def read(path):
    options = yaml.safe_load(path.read_text(encoding="utf-8"))
    module, _, name = options.pop("_target_").rpartition(".")
    return getattr(import_module(module), name), options


def test_there_are_methods():
    assert {"none", "svd", "random", "weighted_svd", "albert"} <= {path.stem for path in FILES}


@each_file
def test_the_file_names_a_method_of_its_own_name(path):
    method, _ = read(path)
    assert issubclass(method, Method)
    assert issubclass(method, Factorization | ModelAdapter | TokenizerMethod | Auto)
    assert method.name == path.stem


@each_file
def test_the_options_are_the_fields_with_their_defaults(path):
    method, options = read(path)
    defaults = {name: field.default for name, field in method.model_fields.items()}
    assert PydanticUndefined not in defaults.values()
    assert options == defaults
    assert method.model_validate(options) == method()


@each_file
def test_each_option_is_explained_in_the_file_and_in_the_class(path):
    method, options = read(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert any(line.startswith(f"#   python train.py factorization={path.stem}") for line in lines)
    for name in options:
        assert any(line.startswith(f"{name}: ") and "  # " in line for line in lines), name
        assert method.model_fields[name].description, name


@each_file
def test_an_unknown_option_is_refused(path):
    method, options = read(path)
    with pytest.raises(ValueError, match="smothing"):
        method.model_validate({**options, "smothing": 1})


def test_reading_the_options_of_all_methods_imports_nothing_heavy():
    modules = [yaml.safe_load(path.read_text(encoding="utf-8"))["_target_"].rpartition(".")[0] for path in FILES]
    code = f"import sys, {', '.join(modules)}; print({{'torch', 'transformers', 'numpy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
