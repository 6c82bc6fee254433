"""What models are trained on: pictures, scenes composed of sprites, cached latents, and point clouds."""
