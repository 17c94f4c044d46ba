"""What knows Lightning and runs a training: one run from config to results, and how its updates are computed."""
