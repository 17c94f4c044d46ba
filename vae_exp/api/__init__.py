"""What Python programs and notebooks call: `train` and `sweep`. Imports from every floor."""
