"""`python -m vae_exp.sample`: the name of `python -m vae_exp sample` until version 0.2."""

from vae_exp.cli.main import old_command

if __name__ == "__main__":
    old_command("sample")
