"""What the packages export is what they say they export."""

import importlib

import pytest


@pytest.mark.parametrize("package", ["actors", "actors.runtime", "supervisor", "actors.resolver"])
def test_every_exported_name_can_be_loaded_and_the_list_is_sorted(package):
    module = importlib.import_module(package)

    for name in module.__all__:
        assert getattr(module, name) is not None, name
    assert list(module.__all__) == sorted(module.__all__)


def test_an_unknown_name_is_an_attribute_error_as_everywhere():
    actors = importlib.import_module("actors")

    with pytest.raises(AttributeError, match="no attribute 'NoSuchActor'"):
        _ = actors.NoSuchActor
