"""`python -m vae_exp.evaluate`: the name of `python -m vae_exp evaluate` until version 0.2."""

from vae_exp.cli.main import old_command

if __name__ == "__main__":
    old_command("evaluate")
