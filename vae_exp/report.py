"""`python -m vae_exp.report`: the name of `python -m vae_exp report` until version 0.2."""

from vae_exp.cli.main import old_command

if __name__ == "__main__":
    old_command("report")
