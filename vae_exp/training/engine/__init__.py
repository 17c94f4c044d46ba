"""Compute updates: eagerly, by a compiled program, or captured as a CUDA graph. Does not import Lightning."""
