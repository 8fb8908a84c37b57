"""The second factor of a login: the code after the password, and the page on which a login turns it on or off.

It is optional. Whoever has lost the phone asks whoever has the server: `flask user factor-off NAME`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, current_app, redirect, render_template, request, session
from flask_login import current_user, login_user

from core.errors import NotAllowedError, RateLimitedError
from database import second_factors, users
from database.second_factors import SecondFactor
from web import auth
from web.passwords import is_password_of
from web.safe_next import safe_next
from web.security import totp
from web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from database.users import User

code_login = Blueprint("code_login", __name__)
account = Blueprint("account", __name__)

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
    wait = _seconds_to_wait(user.id)
    if wait:
        return *_code_form(auth.TOO_MANY.format(-(-wait // 60)), 429), {"Retry-After": str(wait)}
    if not _uses_code(user.id, request.form.get("code", "")):
        return _code_form(WRONG_CODE, 401)
    _forget_guesses(user.id)
    return auth.start_session(user, safe_next(request.form.get("next")))


@account.get("/account")
def show() -> ResponseReturnValue:
    """The login's own page: its role and its second factor."""
    return _account_page(_own_factor())


@account.post("/account/second-factor/propose")
def propose() -> ResponseReturnValue:
    """Make a secret and show it; it counts once a code of it is entered."""
    with services().db.transaction() as cur:
        second_factors.propose(cur, _own_id(), totp.new_secret())
    return _account_page(_own_factor(), has_secret=True)


@account.post("/account/second-factor/confirm")
def confirm() -> ResponseReturnValue:
    """Turn the second factor on, if the code is one of the proposed secret. All other sessions of the login end."""
    factor, now = _own_factor(), services().clock.now()
    if factor.secret is None or factor.is_on:
        return redirect("/account", 303)
    _limit_guesses()
    step = totp.step_of_code(factor.secret, request.form.get("code", ""), now, factor.last_step)
    if step is None:
        return _account_page(factor, has_secret=True, message=WRONG_CODE, status=422)
    with services().db.transaction() as cur:
        second_factors.confirm(cur, _own_id(), step=step, now=now)
    return _go_on(_own_id())


@account.post("/account/second-factor/remove")
def remove() -> ResponseReturnValue:
    """Turn the second factor off: asks for password and code, because an open browser must not be enough."""
    user_id = _own_id()
    _limit_guesses()
    with services().db.transaction() as cur:
        user = users.get_user(cur, user_id)
    is_right = is_password_of(user.password_hash if user else None, request.form.get("password", ""))
    if user is None or not is_right or not _uses_code(user_id, request.form.get("code", "")):
        return _account_page(_own_factor(), message="Password or code is not right.", status=422)
    with services().db.transaction() as cur:
        second_factors.remove(cur, user.name)
    return _go_on(user_id)


def _go_on(user_id: int) -> ResponseReturnValue:
    """Every session of the login has ended; this one goes on."""
    _forget_guesses(user_id)
    with services().db.transaction() as cur:
        user = users.get_user(cur, user_id)
    if user is not None:
        login_user(auth.Login(user))
    return redirect("/account", 303)


def _awaited() -> User | None:
    """The login whose password was right a few minutes ago."""
    user_id, version, since = session.get(auth.AWAITED, (0, 0, 0.0))
    if services().clock.now().timestamp() - since > auth.CODE_SECONDS:
        return None
    with services().db.transaction() as cur:
        user = users.get_user(cur, user_id)
    return user if user is not None and user.is_active and user.session_version == version else None


def _uses_code(user_id: int, code: str) -> bool:
    """True if the code is right and nobody has used it; then it is used up."""
    with services().db.transaction() as cur:
        factor = second_factors.get_second_factor(cur, user_id)
        if factor.secret is None or not factor.is_on:
            return False
        step = totp.step_of_code(factor.secret, code, services().clock.now(), factor.last_step)
        return step is not None and second_factors.use_code(cur, user_id, step)


def _own_id() -> int:
    """The id of the login. Raises NotAllowedError for a program."""
    if not isinstance(current_user.id, int):
        raise NotAllowedError("A second factor belongs to a login, not to a token.")
    return current_user.id


def _own_factor() -> SecondFactor:
    with services().db.transaction() as cur:
        return second_factors.get_second_factor(cur, _own_id())


def _seconds_to_wait(user_id: int) -> int:
    limit: auth.GuessLimit = current_app.extensions["signalbook.guesses"]
    return limit.seconds_to_wait(f"code {user_id}", auth.address_key())


def _limit_guesses() -> None:
    wait = _seconds_to_wait(_own_id())
    if wait:
        raise RateLimitedError(auth.TOO_MANY.format(-(-wait // 60)))


def _forget_guesses(user_id: int) -> None:
    limit: auth.GuessLimit = current_app.extensions["signalbook.guesses"]
    limit.forget(f"code {user_id}", auth.address_key())


def _code_form(message: str = "", status: int = 200) -> tuple[str, int]:
    target = safe_next(request.values.get("next"))
    return render_template("login_code.html", next=target, message=message), status


def _account_page(
    factor: SecondFactor, *, has_secret: bool = False, message: str = "", status: int = 200
) -> ResponseReturnValue:
    """`has_secret`: show the proposed secret, which only the answer to its making does."""
    shown = factor.secret if has_secret and not factor.is_on else None
    address = totp.address_of(shown, current_user.name) if shown else ""
    page = render_template(
        "account.html",
        factor=factor,
        secret=shown,
        qr=totp.qr_code(address) if address else "",
        message=message,
    )
    return page, status, {"Cache-Control": "no-store"}
