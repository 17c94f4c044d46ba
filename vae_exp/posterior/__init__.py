"""q(z|x) and samples of p(z|x), with and without an encoder. Imports from `prior` and the floors below it."""
