"""`python -m vae_exp`."""

from vae_exp.cli.main import main

if __name__ == "__main__":
    main()
