"""The front door: finds the command, gives it the common options, and turns errors into exit codes."""

from __future__ import annotations

import gc
import json
import os
import shlex
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from retentiond.cli import complete
from retentiond.errors import Problem, RetentiondError, StateOfAnother

COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("init:init", "Write a first retentiond.yaml, policies.d/ and keys."),
    "demo": ("demo:demo", "Build a small company and play plan, approve, apply and verify on it."),
    "check": ("check:check", "Read everything, open every store, change nothing."),
    "plan": ("plan:plan", "Show what would happen (the dry run); also: plan show, plan diff."),
    "plans": ("plans:plans", "List the plans that there are."),
    "runs": ("plans:runs", "List the runs of the past."),
    "approve": ("approve:approve", "Let the daemon enforce this version of a category."),
    "apply": ("apply:apply", "Carry out a plan, or what is left of it."),
    "status": ("status:status", "Show what is overdue, violated or late, and what waits for a person."),
    "run": ("run:run", "Run as a daemon: every category on its schedule."),
    "explain": ("explain:explain", "Show every rung of the ladder for one item."),
    "erase": ("erase:erase", "Erase one person from every store (Art. 17 GDPR)."),
    "request": ("request:request", "List the erasure requests that are open; withdraw one."),
    "replay": ("replay:replay", "After a restore, dispose once more of what is back."),
    "hold": ("hold:hold", "Place, release and list holds."),
    "event": ("event:event", "Record, withdraw and list events."),
    "review": ("review:review", "List what waits for a person; let it go, or put it off."),
    "archive": ("archive:archive", "List archives and copies; bring archives back."),
    "audit": ("audit:audit", "Show, look up, verify and export the audit trail."),
    "clock": ("clock:clock", "Show whether the clock is trusted; accept a step of it."),
    "notify": ("notify:notify", "Tell people when something is wrong: notify test."),
    "unit": ("unit:unit", "Print the drop-in for systemd that opens the paths of the rules."),
    "schema": ("schema:schema", "Print the JSON Schema of the files, for editors."),
}
"""Every command with the place of its code and its line in the list."""

IMPERSONAL = frozenset({"check", "plan", "replay", "plans", "runs", "approve", "apply", "status", "run", "clock", "unit"})
"""The commands whose words, as they are typed, name no item and no person."""

_NOT_UTF8 = Problem(
    "a word on the command line is not UTF-8", do="write the key of such an item as b64: and its bytes in base64", code="usage"
)


class Lazy(click.Group):
    """A group whose commands are loaded when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(f"retentiond.cli.{module}"), name)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that a word may become, without loading any of them, and the options."""
        names = [CompletionItem(name, help=words) for name, (_, words) in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(f"there is no command '{args[0]}'" + (f"; did you mean '{near[0]}'?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


class Options:
    """The common options, wherever on the line they stood."""

    def __init__(self) -> None:
        self.config: str | None = None
        self.json = False
        self.verbose = False


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value:
        setattr(ctx.ensure_object(Options), param.name or "", value)
    return value


def common(command: Any) -> Any:
    """Adds `--config`, `--json` and `--verbose` to a command, so that they may stand before and after it."""
    for option in (
        click.option("--verbose", is_flag=True, expose_value=False, callback=_remember, help="Say more."),
        click.option("--json", "json", is_flag=True, expose_value=False, callback=_remember, help="Answer in JSON."),
        click.option(
            "--config",
            metavar="FILE",
            expose_value=False,
            shell_complete=complete.files,
            callback=_remember,
            help="The configuration (default: retentiond.yaml).",
        ),
    ):
        command = option(command)
    return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88})
@click.version_option(package_name="retentiond", message="%(prog)s %(version)s")
@common
def retentiond() -> None:
    """Keeps the promises of a privacy notice, and proves it.

    Reads the rules in policies.d/, looks at databases and files, writes down what is due
    (plan), does exactly that (apply), and keeps a record that a stranger can verify (audit).

    Exit codes: 0 done; 1 some steps failed or are unknown; 2 configuration or usage;
    3 refused by a limit or unapproved; 4 a plan that cannot be used; 5 a store or a lock;
    6 the audit trail does not verify; 7 a violation or something overdue.
    """


def run(args: Sequence[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    gc.set_threshold(20_000, 20, 100)  # what a page leaves behind is freed by counting; looking for cycles finds none
    try:
        sys.exit(code_of(sys.argv[1:] if args is None else args))
    finally:
        gc.freeze()  # so that the interpreter does not look for cycles once more before it ends


def code_of(args: Sequence[str]) -> int:
    """Runs one command; its exit code."""
    as_json = "--json" in args
    if any("\udc80" <= c <= "\udcff" for word in args for c in word):
        return _told([_NOT_UTF8], as_json, 2)
    try:
        answer = retentiond.main(list(args), prog_name="retentiond", standalone_mode=False, obj=Options())
    except RetentiondError as error:
        if isinstance(error, StateOfAnother):
            error.do = typed_again(error, args)
        return _told(error.problems, as_json, error.exit_code, error)
    except click.exceptions.Abort:
        return _told([Problem("stopped by the person at the terminal", code="usage")], as_json, 2)
    except click.ClickException as error:
        return _told([Problem(error.format_message(), do=_see(error), code="usage")], as_json, 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if "--verbose" in args:
            raise
        return _told([_inside(error)], as_json, 1)
    return answer if isinstance(answer, int) else 0


def typed_again(error: StateOfAnother, args: Sequence[str]) -> str:
    """The command that was typed, for the user whose state it is.

    Words that may name a person are shown again at a terminal only. sudo does not hand on
    `$RETENTIOND_CONFIG`, so it becomes an option.
    """
    commands = COMMANDS.keys() & {*args}
    if not (commands and commands <= IMPERSONAL) and not sys.stderr.isatty():
        return error.do
    told = any(word.split("=")[0] == "--config" for word in args)
    config = [] if told or "RETENTIOND_CONFIG" not in os.environ else ["--config", os.environ["RETENTIOND_CONFIG"]]
    return shlex.join(["sudo", "-u", error.user, "retentiond", *config, *args])


def _inside(error: Exception) -> Problem:
    """A fault of the program itself: where it happened, without the text of the exception, which may hold data."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {os.path.basename(last.filename)}:{last.lineno}"
    return Problem("a fault inside the program", where, "repeat it with --verbose and report what it prints", code="internal")


def row(problem: Problem) -> dict[str, Any]:
    """A problem as `--json` shows it."""
    whole = asdict(problem)
    return {name: whole[name] for name in ("code", "file", "line", "column", "what", "why", "do")}


def _for_people(problem: Problem) -> str:
    """A problem on one line, for whoever searches a log; at a terminal no word is cut, and a command to type stands whole."""
    if not sys.stderr.isatty():
        return f"retentiond: {problem}"
    from retentiond.cli.render import folded

    width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
    said = folded(f"retentiond: {replace(problem, do='')}", "  ", width)
    typed = problem.do.startswith(("retentiond ", "sudo "))
    return "\n".join([said, *([f"  {problem.do}" if typed else folded(f"  {problem.do}", "  ", width)] if problem.do else [])])


def _see(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context is not None else ""


def _told(problems: Sequence[Problem], as_json: bool, code: int, error: RetentiondError | None = None) -> int:
    if as_json:
        click.echo(json.dumps({"errors": [row(p) for p in problems]}, ensure_ascii=False))
        return code
    for problem in problems:
        click.echo(_for_people(problem), err=True)
    if error is not None and error.key and sys.stderr.isatty():
        click.echo(f"  item: {error.key}", err=True)
    return code
