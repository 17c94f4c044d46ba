"""Hold parts from outside this package against their contracts, on two random images, before the training starts."""
