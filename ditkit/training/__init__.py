"""Training base models: diffusion transformers, autoencoders and the judge, with bit-exact resume."""
