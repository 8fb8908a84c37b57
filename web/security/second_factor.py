"""The second factor of a login: the code after the password, and the page on which a login turns it on or off.

It is optional. Whoever has lost the phone asks whoever has the server: `flask user factor-off NAME`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, session
from flask_login import current_user

from database import second_factors, users
from web import auth
from web.safe_next import safe_next
from web.security import totp
from web.security.account import (
    NOT_PROVEN,
    account,
    account_page,
    forget_guesses,
    go_on,
    is_own_password,
    limit_guesses,
    own_factor,
    own_id,
    seconds_to_wait,
    uses_code,
)
from web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from database.users import User

code_login = Blueprint("code_login", __name__)

WRONG_CODE = "That code is not right, or was used already. Wait for the next one."


@code_login.get("/login/code")
def ask_code() -> ResponseReturnValue:
    """The form for the code, to whoever has just given a right password."""
    return redirect("/login") if _awaited() is None else _code_form()


@code_login.post("/login/code")
def check_code() -> ResponseReturnValue:
    """Check the code; a right one starts a fresh session."""
    user = _awaited()
    if user is None:
        return redirect("/login", 303)
    wait = seconds_to_wait(user.id)
    if wait:
        return *_code_form(auth.too_many(wait), 429), {"Retry-After": str(wait)}
    if not uses_code(user.id, request.form.get("code", "")):
        return _code_form(WRONG_CODE, 401)
    forget_guesses(user.id)
    return auth.start_session(user, safe_next(request.form.get("next")))


@account.post("/account/second-factor/propose")
def propose() -> ResponseReturnValue:
    """Make a secret and show it; it counts once a code of it is entered."""
    with services().db.transaction() as cur:
        second_factors.propose(cur, own_id(), totp.new_secret())
    return account_page(own_factor(), has_secret=True)


@account.post("/account/second-factor/confirm")
def confirm() -> ResponseReturnValue:
    """Turn the second factor on, if the password is right and the code is one of the proposed secret.

    All other sessions of the login end.
    """
    factor, now = own_factor(), services().clock.now()
    if factor.secret is None or factor.is_on:
        return redirect("/account", 303)
    limit_guesses()
    if not is_own_password(request.form.get("password", "")):
        return account_page(factor, has_secret=True, message=NOT_PROVEN, status=422)
    step = totp.step_of_code(factor.secret, request.form.get("code", ""), now, factor.last_step)
    if step is None:
        return account_page(factor, has_secret=True, message=WRONG_CODE, status=422)
    with services().db.transaction() as cur:
        second_factors.confirm(cur, own_id(), step=step, now=now)
    return go_on(own_id())


@account.post("/account/second-factor/remove")
def remove() -> ResponseReturnValue:
    """Turn the second factor off: asks for password and code, because an open browser must not be enough."""
    limit_guesses()
    is_right = is_own_password(request.form.get("password", "")) and uses_code(own_id(), request.form.get("code", ""))
    if not is_right:
        return account_page(own_factor(), message=NOT_PROVEN, status=422)
    with services().db.transaction() as cur:
        second_factors.remove(cur, current_user.name)
    return go_on(own_id())


def _awaited() -> User | None:
    """The login whose password was right a few minutes ago."""
    user_id, version, since = session.get(auth.AWAITED, (0, 0, 0.0))
    if services().clock.now().timestamp() - since > auth.CODE_SECONDS:
        return None
    with services().db.transaction() as cur:
        user = users.get_user(cur, user_id)
    return user if user is not None and user.is_active and user.session_version == version else None


def _code_form(message: str = "", status: int = 200) -> tuple[str, int]:
    target = safe_next(request.values.get("next"))
    return render_template("login_code.html", next=target, message=message), status
