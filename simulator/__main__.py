"""`python -m simulator COMMAND`: starts one of the stand-ins for the outside world."""

from __future__ import annotations

import argparse
import sys

from core.errors import SignalbookError
from simulator import alert_command, wave_command
from simulator.gateway import command as gateway_command

COMMANDS = {"alerts": alert_command, "gateway": gateway_command, "waves": wave_command}
"""Each has `HELP`, `add_arguments(parser)` and `run(args) -> exit code`."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description=sys.modules[__name__].__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        return int(args.run(args))
    except SignalbookError as error:
        print(f"{error.field}: {error.message}" if error.field else error.message, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
