"""What ditkit reads and writes: named tensors, weights, published files, and files that are always whole."""
