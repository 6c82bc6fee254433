"""T5's matrices in 8 bits, which halves the memory of bfloat16 again: transformers' own option, by torchao."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from ditkit.errors import MissingDependency

if TYPE_CHECKING:
    from transformers import T5EncoderModel


def check_available() -> None:
    """Raise `MissingDependency` unless torchao is installed."""
    if find_spec("torchao") is None:
        raise MissingDependency(
            "a text encoder in int8 needs the torchao package: pip install 'ditkit[int8]', or use text.precision=bfloat16"
        )


def in_eight_bits(encoder: "T5EncoderModel") -> "T5EncoderModel":
    """The same encoder with its linear layers' weights rounded to 8 bits, each row by its own scale; everything else as it is."""
    check_available()
    from torchao.quantization import Int8WeightOnlyConfig  # pyright: ignore[reportMissingImports] (an extra)
    from transformers import T5EncoderModel, TorchAoConfig

    rounding = TorchAoConfig(Int8WeightOnlyConfig())
    made = T5EncoderModel.from_pretrained(
        None, config=encoder.config, state_dict=encoder.state_dict(), dtype=encoder.dtype, quantization_config=rounding
    )
    return made.eval().requires_grad_(False)
