from pathlib import Path

import pytest

from ditkit.errors import CheckpointError
from ditkit.text.encoder import encode, find_encoder
from ditkit.text.vocabulary import Vocabulary
from tests.text.tiny import SPEC, write_encoder

PROMPTS = ["a hot dog , two cats.", "  Brown TREE ", "", "tree  and\ncat", "über dog", "x" * 40]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline's folder whose tokenizer is as transformers writes it: tokenizer.json and its configuration."""
    from transformers import T5Tokenizer

    write_encoder(tmp_path)
    T5Tokenizer.from_pretrained(tmp_path / "tokenizer").save_pretrained(tmp_path / "written")
    assert not (tmp_path / "written" / "spiece.model").exists()
    return tmp_path


def test_a_tokenizer_that_transformers_wrote_makes_the_tokens_of_its_sentencepiece(folder: Path) -> None:
    from transformers import T5Tokenizer

    ours = Vocabulary(folder / "written" / "tokenizer.json")
    theirs = T5Tokenizer.from_pretrained(folder / "written")
    for prompt in PROMPTS:
        assert ours.pieces(prompt) == theirs.tokenize(prompt.lower().strip())
    numbers, mask = ours.encode(PROMPTS, 12)
    given = theirs([prompt.lower().strip() for prompt in PROMPTS], padding="max_length", max_length=12, truncation=True)
    assert (numbers.tolist(), mask.tolist()) == (given["input_ids"], given["attention_mask"])
    assert ours.warnings(["a hot dog and two cats"], 4) == Vocabulary(folder / "tokenizer" / "spiece.model").warnings(
        ["a hot dog and two cats"], 4
    )
    assert len(ours) >= len(Vocabulary(folder / "tokenizer" / "spiece.model"))


def test_a_folder_with_nothing_but_that_tokenizer_is_read(folder: Path) -> None:
    words = ["a hot dog", ""]
    expected = encode(words, find_encoder("t5-v1.1-xxl", str(folder)), SPEC)
    (folder / "tokenizer" / "spiece.model").unlink()
    (folder / "written" / "tokenizer.json").rename(folder / "tokenizer" / "tokenizer.json")
    found = find_encoder("t5-v1.1-xxl", str(folder))
    assert found.vocabulary == folder / "tokenizer" / "tokenizer.json"
    features, mask = encode(words, found, SPEC)
    assert features.equal(expected.features) and mask.equal(expected.mask)


def test_what_is_no_tokenizer_of_a_t5_is_refused(folder: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    path = folder / "tokenizer" / "tokenizer.json"
    Tokenizer(WordLevel({"cat": 0}, unk_token="cat")).save(str(path))
    with pytest.raises(CheckpointError, match=rf"^{path} is not the tokenizer of a T5: it has no </s>$"):
        Vocabulary(path)
    path.write_text("{}")
    with pytest.raises(CheckpointError, match=rf"^{path} is not a tokenizer of transformers: "):
        Vocabulary(path)
    spiece = folder / "tokenizer" / "spiece.model"
    spiece.write_text("version https://git-lfs.github.com/spec/v1\nsize 791656\n")
    with pytest.raises(CheckpointError, match=rf"^{spiece} is a Git LFS pointer, 55 bytes in place of 791656; "):
        Vocabulary(spiece)
