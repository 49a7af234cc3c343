"""``mnemon completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

HOW = {
    "bash": "mnemon completion bash > ~/.local/share/bash-completion/completions/mnemon",
    "zsh": "mnemon completion zsh > ~/.zfunc/_mnemon   (with ~/.zfunc in your fpath)",
    "fish": "mnemon completion fish > ~/.config/fish/completions/mnemon.fish",
}


@click.command(epilog="\b\n" + "\n".join(HOW.values()))
@click.argument("shell", type=click.Choice(list(HOW)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for your shell."""
    maker = get_completion_class(shell)
    if maker is None:
        raise RuntimeError(f"click has no completion for {shell}")
    click.echo(maker(ctx.find_root().command, {}, "mnemon", "_MNEMON_COMPLETE").source())
