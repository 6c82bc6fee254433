"""Other people's pipelines as clients of plans: a denoiser is watched from outside, and nothing is known of its blocks."""
