"""Everything that knows Lightning, W&B, TensorBoard or other processes. Imports from `results` and below."""
