"""Which pictures a model makes, and in which it draws things alone."""

from dataclasses import replace

import pytest

from ditkit.models import registry
from ditkit.models.sizes import object_sizes, pixels_per_cell, sizes


@pytest.mark.parametrize("name", ["pixart-xl-2-512", "pixart-xl-2-1024-ms"])
def test_a_published_pixart_draws_things_alone_in_the_pictures_that_it_makes(name: str) -> None:
    spec = registry.find(name)
    assert object_sizes(spec) == sizes(spec)


def test_a_pixart_that_was_trained_on_smaller_pictures_draws_things_alone_in_those() -> None:
    spec = registry.find("pixart-emoji")
    patch = pixels_per_cell(spec) * spec.params.patch
    smaller = object_sizes(spec)
    assert spec.object_size
    assert [known.aspect for known in smaller] == [known.aspect for known in sizes(spec)]
    assert next((known.height, known.width) for known in smaller if known.aspect == 1) == (spec.object_size, spec.object_size)
    for own, made in zip(smaller, sizes(spec), strict=True):
        for side, whole in ((own.height, made.height), (own.width, made.width)):
            assert side % patch == 0 and abs(side - whole * spec.object_size / spec.image_size) <= patch / 2
    assert object_sizes(replace(spec, object_size=None)) == sizes(spec)
