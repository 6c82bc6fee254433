"""What every metric asks of its input before it computes with it.

Shapes: N samples, D feature dimensions.
"""

from torch import Tensor

from ditkit.errors import DataError


def checked(features_ND: Tensor, least: int = 1) -> Tensor:
    """The features themselves; raises `DataError` unless they are (N, D), all finite, and of at least `least` samples."""
    if features_ND.ndim != 2:
        raise DataError(f"features have shape {tuple(features_ND.shape)}; a metric takes (samples, dimensions): flatten or pool them first")
    if len(features_ND) < least:
        raise DataError(f"features of {len(features_ND)} samples; this metric needs at least {least}")
    broken = (~features_ND.isfinite().all(1)).nonzero()[:, 0].tolist()
    if broken:
        raise DataError(
            f"features of {len(broken)} of {len(features_ND)} samples are NaN or infinite (the first is sample {broken[0]}); "
            "make these samples again, in float32 if they came from a lower precision"
        )
    return features_ND


def check_same_dimensions(generated: int, reference: int) -> None:
    """Raise `DataError` unless both sides have features of one dimension."""
    if generated != reference:
        raise DataError(
            f"generated features have {generated} dimensions, the reference has {reference}; take both from one network and layer"
        )
