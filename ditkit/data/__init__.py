"""What models are trained on: pictures, scenes composed of sprites, and cached latents."""
