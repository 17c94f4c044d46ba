"""Distributions p(z) of the latents. Imports from the floors below: networks, likelihoods and samplers."""
