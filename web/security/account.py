"""The login's own page, its password, and the proof that it is still the same person who sits there.

Whatever changes how a login proves itself asks for the password again (and the code, where there is a second factor):
an open browser must not be enough.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request
from flask_login import current_user, login_user

from core.errors import InvalidInputError, NotAllowedError, RateLimitedError
from database import second_factors, users
from database.second_factors import SecondFactor
from web import auth
from web.passwords import check_new_password, hash_password, is_password_of
from web.security import totp
from web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

account = Blueprint("account", __name__)

NOT_PROVEN = "Password or code is not right."
NOT_THE_SAME = "The new password was typed in two different ways."
CHANGED = "Your password is changed. Every other session of yours has ended."


@account.get("/account")
def show() -> ResponseReturnValue:
    """The login's own page: its role, its password and its second factor."""
    has_changed = request.args.get("password") == "changed"
    return account_page(own_factor(), password_done=CHANGED if has_changed else "")


@account.post("/account/password")
def change_password() -> ResponseReturnValue:
    """Another password, for whoever knows the present one. All other sessions of the login end."""
    limit_guesses()
    new, again = request.form.get("new", ""), request.form.get("again", "")
    try:  # before the proof, which uses the code up
        check_new_password(new, current_user.name)
    except InvalidInputError as error:
        return account_page(own_factor(), password_message=error.message, status=422)
    if not compare_digest(new.encode(), again.encode()):
        return account_page(own_factor(), password_message=NOT_THE_SAME, status=422)
    if not proves_itself(request.form.get("password", ""), request.form.get("code", "")):
        return account_page(own_factor(), password_message=NOT_PROVEN, status=422)
    with services().db.transaction() as cur:
        users.set_password(cur, name=current_user.name, password_hash=hash_password(new))
    return go_on(own_id(), "/account?password=changed")


def own_id() -> int:
    """The id of the login. Raises NotAllowedError for a program."""
    if not isinstance(current_user.id, int):
        raise NotAllowedError("A password and a second factor belong to a login, not to a token.")
    return current_user.id


def own_factor() -> SecondFactor:
    """The second factor of the login that asks."""
    with services().db.transaction() as cur:
        return second_factors.get_second_factor(cur, own_id())


def is_own_password(password: str) -> bool:
    """True if the login that asks has this password."""
    with services().db.transaction() as cur:
        user = users.get_user(cur, own_id())
    return is_password_of(user.password_hash if user else None, password)


def proves_itself(password: str, code: str) -> bool:
    """True if the password is right, and the code too where the login needs one; the code is then used up."""
    return is_own_password(password) and (not own_factor().is_on or uses_code(own_id(), code))


def uses_code(user_id: int, code: str) -> bool:
    """True if the code is right and nobody has used it; then it is used up."""
    with services().db.transaction() as cur:
        factor = second_factors.get_second_factor(cur, user_id)
        if factor.secret is None or not factor.is_on:
            return False
        step = totp.step_of_code(factor.secret, code, services().clock.now(), factor.last_step)
        return step is not None and second_factors.use_code(cur, user_id, step)


def go_on(user_id: int, target: str = "/account") -> ResponseReturnValue:
    """Every session of the login has ended; this one goes on."""
    forget_guesses(user_id)
    with services().db.transaction() as cur:
        user = users.get_user(cur, user_id)
    if user is not None:
        login_user(auth.Login(user))
    return redirect(target, 303)


def seconds_to_wait(user_id: int) -> int:
    """Count one guess at the login's password or code; 0 if it may be tried, else how long to wait."""
    return auth.guesses().seconds_to_wait(f"code {user_id}", auth.address_key())


def limit_guesses() -> None:
    """Count one guess of the login that asks. Raises RateLimitedError."""
    wait = seconds_to_wait(own_id())
    if wait:
        raise RateLimitedError(auth.too_many(wait), retry_after=wait)


def forget_guesses(user_id: int) -> None:
    """The guess was right."""
    auth.guesses().forget(f"code {user_id}", auth.address_key())


def account_page(
    factor: SecondFactor,
    *,
    has_secret: bool = False,
    message: str = "",
    password_message: str = "",
    password_done: str = "",
    status: int = 200,
) -> ResponseReturnValue:
    """`has_secret`: show the proposed secret, which only the answers to its making do."""
    shown = factor.secret if has_secret and not factor.is_on else None
    address = totp.address_of(shown, current_user.name) if shown else ""
    page = render_template(
        "account.html",
        factor=factor,
        secret=shown,
        qr=totp.qr_code(address) if address else "",
        message=message,
        password_message=password_message,
        password_done=password_done,
    )
    return page, status, {"Cache-Control": "no-store"}
