import pytest

import actors.resolver


@pytest.mark.parametrize("name", actors.resolver.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(actors.resolver, name).__name__ == name


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = actors.resolver.nothing
