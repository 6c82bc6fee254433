"""Codecs: between the latents a model denoises and the pictures a person sees."""
