"""`afterfit completion`."""

from __future__ import annotations

import click


@click.command(
    epilog="""\b
Examples:
  afterfit completion bash >> ~/.bashrc
  afterfit completion zsh >> ~/.zshrc
  afterfit completion fish > ~/.config/fish/completions/afterfit.fish"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and files in a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise AssertionError(f"click completes no {shell}")
    click.echo(kind(ctx.find_root().command, {}, "afterfit", "_AFTERFIT_COMPLETE").source())
