"""The small T5: words are tokens, and its folder is read as a large one's is."""

from pathlib import Path

import pytest
import torch

from ditkit.text.encoder import ENCODERS, Vocabulary, encode, find_encoder
from ditkit.text.small import SIZES, fresh_encoder, save_encoder, word_vocabulary
from tests.closeness import assert_close, evaluated

WORDS = ("a", "and", "cat", "cats", "hot", "dog", "hotel", "left", "of")


@pytest.fixture(scope="module")
def vocabulary() -> bytes:
    return word_vocabulary(WORDS)


def test_every_word_and_punctuation_is_one_token(vocabulary: bytes) -> None:
    reader = Vocabulary(vocabulary)
    assert reader.pieces("A hot dog, two cats") == ["▁a", "▁hot", "▁dog", ",", "▁", "t", "w", "o", "▁cats"]
    assert [reader.pieces(word) for word in WORDS] == [[f"▁{word}"] for word in WORDS]
    numbers, mask = reader.encode(["", "hotel cat."], 6)
    assert numbers[0].tolist() == [1, 0, 0, 0, 0, 0] and numbers[1, 3:].tolist() == [1, 0, 0]
    assert mask.sum(1).tolist() == [1, 4]
    assert int(numbers.max()) < len(reader) < 60


def test_the_vocabulary_depends_on_the_words_only(vocabulary: bytes) -> None:
    assert word_vocabulary(WORDS) == vocabulary != word_vocabulary(WORDS[:-1])


@pytest.mark.parametrize("name", SIZES)
def test_the_folder_written_makes_the_same_features(name: str, vocabulary: bytes, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = fresh_encoder(name, len(Vocabulary(vocabulary)))
    encoder.load_state_dict({key: value.half().float() for key, value in encoder.state_dict().items()})  # as they are written
    save_encoder(tmp_path, encoder.config.to_diff_dict(), encoder.state_dict(), vocabulary)
    assert {file.name for file in tmp_path.iterdir()} == {"config.json", "model.safetensors", "spiece.model"}
    found, spec = find_encoder(name, str(tmp_path)), ENCODERS[name]
    features, mask = encode(["a cat left of a hot dog", ""], found, spec)
    numbers, _ = Vocabulary(vocabulary).encode(["a cat left of a hot dog", ""], spec.tokens)
    expected = encoder.train()(input_ids=numbers, attention_mask=mask).last_hidden_state  # training drops nothing out
    assert_close(features, expected, evaluated(encoder))
