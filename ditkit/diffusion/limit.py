"""What a scheduler keeps the network's clean samples within, where it was made for pixels or says so."""

from typing import NamedTuple

from torch import Tensor


class Limit(NamedTuple):
    """Clean samples are clamped to [-`most`, `most`], or thresholded (Saharia et al. 2022, section 2.3).

    That is: to the `share` quantile of each sample's magnitudes, which is at least 1 and at most `most`, and divided by it.
    """

    most: float
    share: float | None = None

    def keep(self, x0: Tensor) -> Tensor:
        """Clean samples (B, ...) within the limit."""
        if self.share is None:
            return x0.clamp(-self.most, self.most)
        each = x0.float().abs().flatten(1).quantile(self.share, dim=1).clamp(1, self.most).to(x0.dtype)
        largest = each.reshape(-1, *[1] * (x0.dim() - 1))
        return x0.clamp(-largest, largest) / largest
