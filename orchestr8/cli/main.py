"""The verbs: a table from a word to the module that has it, loaded when the word is typed."""

from __future__ import annotations

import importlib
import os
import sys

import click

from orchestr8 import __version__

_INTERRUPTED = 130
_PIPE_CLOSED = 141

# verb -> (module below verbs/, one line for --help), in the order in which a newcomer meets them
VERBS: dict[str, tuple[str, str]] = {
    "up": ("daemons", "Run master and worker in one process: a cluster of one host"),
    "master": ("daemons", "Run a master: API, store, controllers, scheduler"),
    "worker": ("daemons", "Run a worker: it runs pods through Podman"),
    "token": ("token", "Make, list and remove the tokens with which hosts join"),
    "join": ("join", "Make this host a worker, or a further master, of a cluster"),
    "kubeconfig": ("kubeconfig", "Write a kubeconfig for this cluster (on a master)"),
    "apply": ("apply", "Make the cluster what files say"),
    "get": ("get", "List objects"),
    "describe": ("describe", "Show objects with what happened to them"),
    "delete": ("delete", "Delete objects"),
    "scale": ("scale", "Set how many replicas run"),
    "rollout": ("rollout", "Watch, undo, restart or pause a rolling update"),
    "logs": ("logs", "Show what containers print"),
    "exec": ("exec", "Run a command in a container"),
    "why": ("why", "Say why a pod is where it is, or nowhere"),
    "status": ("status", "Show masters, nodes and what needs attention"),
    "version": ("version", "Show the versions of client and cluster"),
    "install": ("install", "Place the systemd units"),
    "uninstall": ("install", "Remove the systemd units"),
}


class Verbs(click.Group):
    """Loads one verb at a time: the others cost nothing."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"orchestr8.cli.verbs.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, "exec_" if cmd_name == "exec" else cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """From the table, so that --help loads no verb."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "see `orchestr8 --help`"
            raise click.UsageError(f"there is no verb {args[0]!r}: {hint}", ctx) from error


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="""\b
First steps on one host:
  orchestr8 up                                     (as root; in another terminal:)
  orchestr8 apply -f docs/examples/web.yaml
  orchestr8 get pods -o wide
  orchestr8 why POD                                why is it not running?

`orchestr8 VERB --help` shows examples. kubectl works too, with the same kubeconfig.""",
)
@click.version_option(__version__, prog_name="orchestr8")
def main() -> None:
    """orchestr8 turns Linux hosts into a cluster that runs pods through Podman."""


def run() -> None:
    """The process: exit codes as in docs/operations.md, also for what click would answer with 1."""
    try:
        code = main.main(prog_name="orchestr8", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); leave nothing to be flushed into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_PIPE_CLOSED)
    sys.exit(code if isinstance(code, int) else 0)
