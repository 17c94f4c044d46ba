"""Which settings differ."""

from vae_exp.results.settings import differing, written

VAE = {"architecture": "vae", "likelihood": "bernoulli", "objective": "sgvb_b", "objective.samples": "1", "seed": "0"}
AE = {"architecture": "ae", "likelihood": "bernoulli", "architecture.contraction": "0.0", "seed": "1"}


def test_only_settings_that_affect_the_results_are_compared():
    assert differing([VAE, VAE | {"seed": "1", "paths.data": "/a", "callbacks.evaluate.images": "5"}]) == []
    assert differing([VAE, VAE | {"objective.samples": "2"}]) == ["objective.samples"]


def test_keys_that_follow_from_the_choice_of_a_part_are_left_out():
    assert differing([VAE, AE]) == ["architecture"]
    assert differing([VAE, AE, AE | {"architecture.contraction": "0.1"}]) == [
        "architecture",
        "architecture.contraction",
    ]


def test_a_key_that_only_some_runs_of_a_part_have_differs():
    assert differing([VAE, VAE | {"architecture.beta": "1.0"}]) == ["architecture.beta"]
    assert differing([VAE, {"architecture": "vae", "objective": "sgvb_b"}]) == ["likelihood", "objective.samples"]


def test_a_target_is_shown_if_it_does_not_follow_from_the_choice():
    ours, theirs = {"likelihood._target_": "vae_exp.Bernoulli"}, {"likelihood._target_": "my.Laplace"}
    gaussian = VAE | {"likelihood": "gaussian", "likelihood._target_": "vae_exp.Gaussian"}
    assert differing([VAE | ours, gaussian]) == ["likelihood"]
    assert differing([VAE | ours, VAE | theirs, gaussian]) == ["likelihood", "likelihood._target_"]


def test_values_are_written_as_on_the_command_line():
    assert [written(value) for value in (None, True, [500, 200], 0.5, "mlp")] == [
        "null",
        "true",
        "[500, 200]",
        "0.5",
        "mlp",
    ]
