"""Pictures of tensors, and the published curves. Imports from the floors below: architectures and data sets."""
