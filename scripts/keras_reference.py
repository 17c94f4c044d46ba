"""Train the Keras models that `keras_mlp_vae` and `keras_conv_vae` reproduce, and print their test bounds.

The numbers in docs/results.md come from this script. It needs Keras 3 and JAX (`pip install keras jax`) but no other
part of the project, and it reads MNIST from the package's files:

    KERAS_BACKEND=jax python scripts/keras_reference.py mlp --epochs 50
    KERAS_BACKEND=jax python scripts/keras_reference.py conv --epochs 10 --beta 1
"""

import argparse
import json
import lzma
import os
import time
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
from keras import layers, ops

MNIST = Path(__file__).parents[1] / "vae_exp" / "dataset" / "mnist_files"


def images(name: str) -> np.ndarray:
    """Read the images of one IDX file, (N, 28, 28, 1) float32 in [0, 1]."""
    packed = (MNIST / f"{name}-images-idx3-ubyte.xz").read_bytes()
    pixels = np.frombuffer(lzma.decompress(packed), np.uint8, offset=16)
    return pixels.reshape(-1, 28, 28, 1).astype("float32") / 255


class Sample(layers.Layer):
    """Draw z = μ + σε with ε ~ N(0, I), and add β·KL(q‖N(0, I)) to the loss."""

    def __init__(self, beta: float):
        super().__init__()
        self.beta = beta
        self.seed = keras.random.SeedGenerator()

    def call(self, statistics):
        mean, log_variance = statistics
        kl = -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1)
        self.add_loss(self.beta * ops.mean(kl))
        return mean + ops.exp(0.5 * log_variance) * keras.random.normal(ops.shape(mean), seed=self.seed)


def mlp_encoder(x, latent_dim: int):
    h = layers.Dense(256, activation="relu")(layers.Flatten()(x))
    return layers.Dense(latent_dim)(h), layers.Dense(latent_dim)(h)


def mlp_decoder(z):
    h = layers.Dense(256, activation="relu")(z)
    return layers.Reshape((28, 28, 1))(layers.Dense(784, activation="sigmoid")(h))


def conv_encoder(x, latent_dim: int):
    h = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    h = layers.Conv2D(64, 3, padding="same", activation="relu", strides=2)(h)
    h = layers.Conv2D(64, 3, padding="same", activation="relu")(h)
    h = layers.Conv2D(64, 3, padding="same", activation="relu")(h)
    h = layers.Dense(32, activation="relu")(layers.Flatten()(h))
    return layers.Dense(latent_dim)(h), layers.Dense(latent_dim)(h)


def conv_decoder(z):
    h = layers.Reshape((14, 14, 64))(layers.Dense(14 * 14 * 64, activation="relu")(z))
    h = layers.Conv2DTranspose(32, 3, padding="same", activation="relu", strides=2)(h)
    return layers.Conv2D(1, 3, padding="same", activation="sigmoid")(h)


def nll(x, probabilities):
    """Compute −log p(x|z) of a Bernoulli decoder, in nats per image."""
    return 784 * ops.mean(keras.losses.binary_crossentropy(x, probabilities), axis=(-1, -2))


MODELS = {"mlp": (mlp_encoder, mlp_decoder, 100), "conv": (conv_encoder, conv_decoder, 16)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--beta", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    keras.utils.set_random_seed(arguments.seed)
    encoder, decoder, batch_size = MODELS[arguments.model]
    x = layers.Input((28, 28, 1))
    model = keras.Model(x, decoder(Sample(arguments.beta)(encoder(x, 2))))
    model.compile(optimizer="rmsprop", loss=nll, metrics=[nll])
    train, test = images("train"), images("t10k")
    start = time.perf_counter()
    for epoch in range(1, arguments.epochs + 1):
        model.fit(train, train, batch_size=batch_size, epochs=1, verbose=0)
        scores = model.evaluate(test, test, batch_size=500, verbose=0, return_dict=True)
        seconds = round(time.perf_counter() - start, 1)
        kl = (scores["loss"] - scores["nll"]) / arguments.beta  # the rest of the loss is β·KL
        bound = -(scores["nll"] + kl)
        row = {**vars(arguments), "epoch": epoch, "seconds": seconds, "test/bound": bound, "test/kl": kl}
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
