"""Which latents carry nothing, since when, and what the page advises."""

import pytest

from vae_exp.results.report.latents import latents_of, verdict

SETTINGS = {
    "samples": 900,
    "architecture.beta": 20.0,
    "architecture.free_bits": 0.0,
    "objective._target_": "vae_exp.objective.SGVBB",
}
KL = {100: (0.005, 0.5, 2.0), 300: (0.02, 0.005, 2.0), 500: (0.004, 0.002, 1.9), 900: (0.001, 0.001, 2.1)}
"""The first latent recovers once, the second dies before it, the third lives."""


def latents(kl=KL):
    return latents_of([{"samples": n} | {f"test/kl_per_latent/{i}": v for i, v in enumerate(kl[n])} for n in kl])


def test_a_latent_is_inactive_since_it_last_carried_something():
    assert [one.inactive_since for one in latents()] == [500, 300, None]
    assert [one.highest for one in latents()] == [(300, 0.02), (100, 0.5), (900, 2.1)]


def test_the_verdict_counts_them_and_says_since_when_and_what_to_try():
    assert verdict(latents(), SETTINGS).startswith(
        "2 of 3 latents have carried less than 0.01 nats since 500 samples; try a smaller architecture.beta (now 20), "
        "'architecture.beta={warmup: 300}' or architecture.free_bits=0.1."
    )
    assert verdict(latents({100: KL[900]}), SETTINGS).startswith(
        "2 of 3 latents have carried less than 0.01 nats since the first evaluation (100 samples)"
    )
    assert verdict(latents({100: (1.0, 2.0)}), SETTINGS) == "Each of the 2 latents carries at least 0.01 nats."


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"architecture.beta": 1.0}, "try 'architecture.beta={warmup: 300}' or architecture.free_bits=0.1. "),
        ({"architecture.beta": None, "architecture.beta.warmup": 100}, "try architecture.free_bits=0.1. "),
        ({"architecture.beta": 1.0, "architecture.free_bits": 0.1}, "try 'architecture.beta={warmup: 300}'. "),
        ({"objective._target_": "vae_exp.objective.IWAE"}, "try a smaller architecture.latent_dim. "),
    ],
)
def test_the_advice_names_what_the_run_does_not_use_yet(changed, advice):
    assert advice in verdict(latents(), SETTINGS | changed)


def test_columns_that_are_no_latents_are_left_out():
    rows = [
        {"samples": 1, "test/kl_per_latent/x": 1.0, "test/kl_per_latent/0": float("nan"), "train/kl_per_latent/0": 1.0}
    ]
    assert latents_of(rows) == []
    assert latents_of([]) == []
