"""How updates are computed: eager, compiled, captured. Imports no Lightning."""
