"""Learning which branches may be reused (Learning-to-Cache, Ma et al. 2024, arXiv 2406.01733)."""
