"""`flask user ...`: logins from the command line. Passwords are asked for or made, and a made one is printed once."""

from __future__ import annotations

import json
from typing import Any

import click

from database import operator_actions, second_factors, users
from database.command_line import Commands, json_option
from database.engine import Cursor
from web.passwords import check_new_password, hash_password, new_password
from web.services import services

user_commands = Commands("user", help="Logins: create, passwd, list, deactivate, activate, factor-off.")
COMMANDS: tuple[click.Group, ...] = (user_commands,)

made_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document; implies --generate.")
generate_option = click.option("--generate", is_flag=True, help="Make a password and print it once.")


@user_commands.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(users.ROLES), default="operator", show_default=True)
@generate_option
@made_option
def create(name: str, role: str, generate: bool, as_json: bool) -> None:
    """Create the login NAME."""
    password, is_made = _password(name.lower(), generate or as_json)
    with services().db.transaction() as cur:
        user = users.add_user(cur, name=name.lower(), password_hash=hash_password(password), role=role)
        _note(cur, "create", user.name, role=role)
    _print_login("Created", {"name": user.name, "role": user.role}, password if is_made else None, as_json)


@user_commands.command("passwd")
@click.argument("name")
@generate_option
@made_option
def passwd(name: str, generate: bool, as_json: bool) -> None:
    """Change the password of NAME and end its sessions."""
    password, is_made = _password(name.lower(), generate or as_json)
    with services().db.transaction() as cur:
        users.set_password(cur, name=name.lower(), password_hash=hash_password(password))
        _note(cur, "passwd", name.lower())
    _print_login("Changed the password of", {"name": name.lower()}, password if is_made else None, as_json)


@user_commands.command("deactivate")
@click.argument("name")
@json_option
def deactivate(name: str, as_json: bool) -> None:
    """Keep NAME out and end its sessions."""
    _set_active(name.lower(), False, as_json)


@user_commands.command("activate")
@click.argument("name")
@json_option
def activate(name: str, as_json: bool) -> None:
    """Let NAME in again."""
    _set_active(name.lower(), True, as_json)


@user_commands.command("list")
@json_option
def list_logins(as_json: bool) -> None:
    """List every login."""
    with services().db.transaction() as cur:
        found = users.list_users(cur)
    rows = [
        {
            "name": user.name,
            "role": user.role,
            "is_active": user.is_active,
            "created_at": user.created_at.isoformat(),
            "last_login_at": user.last_login_at.isoformat() if user.last_login_at else None,
        }
        for user in found
    ]
    if as_json:
        click.echo(json.dumps({"users": rows}))
        return
    for row in rows:
        state = "active" if row["is_active"] else "deactivated"
        click.echo(f"{row['name']:<24} {row['role']:<9} {state:<12} last login {row['last_login_at'] or 'never'}")


def _set_active(name: str, is_active: bool, as_json: bool) -> None:
    with services().db.transaction() as cur:
        users.set_active(cur, name=name, is_active=is_active)
        _note(cur, "activate" if is_active else "deactivate", name)
    _print_login("Activated" if is_active else "Deactivated", {"name": name, "is_active": is_active}, None, as_json)


def _password(name: str, is_made: bool) -> tuple[str, bool]:
    """(password for the login `name`, whether it was made here)."""
    if not is_made:
        text = click.prompt(
            "Password (empty to have one made)",
            hide_input=True,
            default="",
            show_default=False,
            confirmation_prompt=True,
        )
        if text:
            return check_new_password(text, name), False
    return new_password(), True


def _print_login(done: str, login: dict[str, Any], password: str | None, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(login | ({"password": password} if password else {})))
        return
    click.echo(f"{done} {login['name']}.")
    if password:
        click.echo(f"Password, shown this once: {password}")


@user_commands.command("factor-off")
@click.argument("name")
@json_option
def factor_off(name: str, as_json: bool) -> None:
    """Turn the second factor of NAME off and end its sessions, for somebody who has lost the phone."""
    with services().db.transaction() as cur:
        second_factors.remove(cur, name.lower())
        _note(cur, "factor-off", name.lower())
    _print_login("Turned off the second factor of", {"name": name.lower()}, None, as_json)


def _note(cur: Cursor, command: str, name: str, **more: Any) -> None:
    operator_actions.add_command(cur, f"user {command}", services().clock.now(), name=name, **more)
