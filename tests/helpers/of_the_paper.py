"""Results of a run that can be compared with the curves of figure 2 of the paper, except its number of latents."""

MNIST = {
    "dataset": "mnist",
    "dataset.binarization": "none",
    "dataset.train_size": None,
    "dataset.validation_size": 0,
    "architecture": "vae",
    "architecture.beta": 1.0,
    "architecture.conditional": False,
    "likelihood": "bernoulli",
    "network": "mlp",
    "network.activation": "tanh",
    "network.hidden_sizes": [500],
}
