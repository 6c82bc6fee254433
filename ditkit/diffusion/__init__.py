"""The mathematics of diffusion sampling: schedules, predictions, solvers, guidance and noise. Tensors, not networks."""
