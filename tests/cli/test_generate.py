"""`ditkit eval --generate`: whose option each override is."""

from ditkit.cli.generate import divided


def test_overrides_go_to_the_command_that_knows_them():
    words = ["model=dit-emoji", "features=clip", "count=8", "out=runs/x", "data.path=y", "sampler.eta=0.5", "resamples=9"]
    own, to_sample = divided(words)
    assert own == ["features=clip", "data.path=y", "resamples=9"]
    assert to_sample == ["model=dit-emoji", "count=8", "out=runs/x", "sampler.eta=0.5"]
