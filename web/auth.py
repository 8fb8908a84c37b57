"""Login and logout: who a cookie speaks for, how often one may guess, and that forms come from our own pages.

A cookie names the login and its `session_version`. Logout, a new password and deactivation raise the version in the
database, so older cookies are dead in every browser at the next request. Below /api a call may bring an API token instead:
then its cookie counts for nothing, and it needs no form token, because no browser sends such a header by itself.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Flask, current_app, g, redirect, render_template, request, session
from flask.sessions import SecureCookieSessionInterface
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFError, CSRFProtect
from itsdangerous import BadSignature, URLSafeTimedSerializer
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from database import api_tokens, second_factors, users
from database.engine import Cursor
from database.users import User
from web.headers import COOKIE_LIFETIME, cookie_prefix, is_https, keep_cookie
from web.passwords import hash_of_nobody, is_password_of
from web.policy import api_token
from web.safe_next import safe_next
from web.services import Services, services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.wrappers import Response


class FormProtection(CSRFProtect):  # type: ignore[misc]
    """The token of our forms, asked of every change that a cookie could speak for."""

    def protect(self, **options: Any) -> None:
        """Refuse a change that did not come from a page of ours."""
        if api_token() is None:
            super().protect(**options)


blueprint = Blueprint("auth", __name__)
csrf = FormProtection()

GUESSES = RateLimitItemPerMinute(10, 15)
# From the login on. The session is not `permanent`: flask-login's strong protection spares permanent ones.
SESSION_LIFETIME = timedelta(days=14)
AWAITED = "awaited"
CODE_SECONDS = 300.0
REFUSED = "That login and password do not match."


class Sessions(SecureCookieSessionInterface):
    """Flask's signed cookies, by HMAC-SHA-256 instead of its SHA-1."""

    digest_method = staticmethod(hashlib.sha256)


class Login(UserMixin):  # type: ignore[misc]
    """A user as flask-login wants it; the cookie holds `get_id()`."""

    def __init__(self, user: User) -> None:
        self.id = user.id
        self.name = user.name
        self.role = user.role
        self._cookie_id = f"{user.id}:{user.session_version}"

    def get_id(self) -> str:
        return self._cookie_id


class Program(UserMixin):  # type: ignore[misc]
    """Whoever holds an API token, as flask-login wants it."""

    def __init__(self, token: Any) -> None:
        self.id = f"token:{token.id}"
        self.name = token.name
        self.role = token.role


class Callers(LoginManager):  # type: ignore[misc]
    """Who calls: the holder of a given API token, else the login of the cookie.

    flask-login's own `request_loader` would ask the cookie first, and not be asked at all where the cookie is refused.
    """

    def _load_user(self) -> None:
        token = api_token()
        if token is None:
            super()._load_user()
        else:
            self._update_request_context_with_user(load_program(token))


class GuessLimit:
    """At most ten guesses in fifteen minutes per account and per address; a right password clears both counts.

    A browser in which the account has logged in before is counted by itself: guessing from elsewhere cannot keep the
    owner out.
    """

    def __init__(self) -> None:
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def seconds_to_wait(self, account: str, address: str) -> int:
        """Count one guess; 0 if it may be tried, else how long to wait."""
        for key in (address, account):
            if not self._window.hit(GUESSES, key):
                free_at = self._window.get_window_stats(GUESSES, key).reset_time
                return max(1, round(free_at - time.time()))
        return 0

    def forget(self, account: str, address: str) -> None:
        """The guess was right."""
        for key in (address, account):
            self._window.clear(GUESSES, key)


def guesses() -> GuessLimit:
    """The app's count of guesses."""
    limit: GuessLimit = current_app.extensions["signalbook.guesses"]
    return limit


def too_many(wait: int) -> str:
    """What is said to whoever has to wait so many seconds."""
    return f"Too many attempts. Try again in {-(-wait // 60)} minutes."


def init_auth(app: Flask) -> None:
    """Sessions, cookies and CSRF for the app; the blueprint is registered by whoever builds it."""
    settings = _services_of(app).settings
    app.config.update(
        SESSION_COOKIE_NAME=f"{cookie_prefix(settings)}signalbook",
        SESSION_COOKIE_SECURE=is_https(settings),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=SESSION_LIFETIME,
    )
    app.session_interface = Sessions()
    manager = Callers()
    # Without its context processor, which would ask the database while the page about its absence is rendered.
    manager.init_app(app, add_context_processor=False)
    manager.session_protection = "strong"
    manager.user_loader(load_login)
    app.extensions["signalbook.guesses"] = GuessLimit()
    init_csrf(app)
    hash_of_nobody()  # now, so that the first unknown name takes no longer than the next


def init_csrf(app: Flask) -> None:
    """Every request that changes something needs our token and, where the browser names one, our origin."""
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # a trader's tab stays open all day
    csrf.init_app(app)
    app.before_request(_check_origin)


def load_login(cookie_id: str) -> Login | None:
    """The login of a cookie, if it is still good. Raises DatabaseUnavailableError."""
    with services().db.transaction() as cur:
        return login_of(cur, cookie_id)


def login_of(cur: Cursor, cookie_id: str) -> Login | None:
    """The login that `get_id` gave this id, unless its sessions have ended since."""
    user_id, _, version = cookie_id.partition(":")
    user = users.get_user(cur, int(user_id))
    if user is None or not user.is_active or str(user.session_version) != version:
        return None
    return Login(user)


def load_program(token: str) -> Program | None:
    """The caller of an API token, if it is still good. Raises DatabaseUnavailableError."""
    with services().db.transaction() as cur:
        found = api_tokens.get_token(cur, token)
    return Program(found) if found is not None else None


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """The login form."""
    target = safe_next(request.args.get("next"))
    return redirect(target) if current_user.is_authenticated else _form(target)


@blueprint.post("/login")
def log_in() -> ResponseReturnValue:
    """Check name and password; a right pair starts a fresh session and leads to `next`."""
    name, target = request.form.get("name", "").strip().lower(), safe_next(request.form.get("next"))
    limit = guesses()
    account, address = _account_key(name), address_key()
    wait = limit.seconds_to_wait(account, address)
    if wait:
        return *_form(target, too_many(wait), 429), {"Retry-After": str(wait)}
    user = _find_user(name, request.form.get("password", ""))
    if user is None:
        return _form(target, REFUSED, 401)
    limit.forget(account, address)
    with services().db.transaction() as cur:
        needs_code = second_factors.get_second_factor(cur, user.id).is_on
    return _await_code(user, target) if needs_code else start_session(user, target)


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    """End every session of the login, here and elsewhere."""
    if current_user.is_authenticated:
        g.leaving = (current_user.name, current_user.role)
        with services().db.transaction() as cur:
            users.end_sessions(cur, current_user.id)
        logout_user()
    session.clear()
    response = redirect("/login", 303)
    # What pages of the session left behind in this browser. Not the cookies: how a reader likes to look is no secret.
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _find_user(name: str, password: str) -> User | None:
    """The user if all is right. Unknown names and deactivated logins cost the same time as wrong passwords."""
    with services().db.transaction() as cur:
        user = users.get_user_by_name(cur, name) if name.isprintable() else None
    is_right = is_password_of(user.password_hash if user else None, password)
    return user if user is not None and is_right and user.is_active else None


def _await_code(user: User, target: str) -> Response:
    """The password was right; a code must follow soon. Nothing but this is known of the session so far."""
    session.clear()
    session[AWAITED] = (user.id, user.session_version, services().clock.now().timestamp())
    return redirect(f"/login/code?{urlencode({'next': target})}", 303)


def start_session(user: User, target: str) -> Response:
    """A session of its own for a login that has proved itself; leads to `target`."""
    session.clear()  # nothing from before the login, its CSRF token included, lives on
    login_user(Login(user))
    with services().db.transaction() as cur:
        users.record_login(cur, user.id, services().clock.now())
    response = redirect(target, 303)
    mark = _browser_signer().dumps([user.name, secrets.token_hex(8)])
    keep_cookie(response, _browser_cookie(), mark, httponly=True)
    return response


def _form(target: str, message: str = "", status: int = 200) -> tuple[str, int]:
    name = request.form.get("name", "")[:64]
    return render_template("login.html", next=target, message=message, name=name), status


def _account_key(name: str) -> str:
    """What guesses at this name are counted under: the name, or this browser if the name has logged in with it."""
    cookie = request.cookies.get(_browser_cookie(), "")
    try:
        known_name, browser = _browser_signer().loads(cookie, max_age=int(COOKIE_LIFETIME.total_seconds()))
    except (BadSignature, ValueError):
        return f"account {name[:64]}"
    return f"browser {browser}" if known_name == name else f"account {name[:64]}"


def address_key() -> str:
    """The caller's address; for IPv6 its /64, which one subscriber holds whole."""
    text = request.remote_addr or ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return f"address {text}"
    if address.version == 6:
        return f"address {ipaddress.ip_network((int(address), 64), strict=False)}"
    return f"address {address}"


def _browser_cookie() -> str:
    return f"{cookie_prefix(services().settings)}signalbook_browser"


def _browser_signer() -> URLSafeTimedSerializer:
    how = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="known browser", signer_kwargs=how)


def _check_origin() -> None:
    """Refuse a change that a page of another origin asks for, even if it got hold of a token."""
    origin = request.headers.get("Origin")
    if origin is not None and g.get("csrf_valid"):  # set by the token check, which leaves exempt routes alone
        own = {request.host, urlsplit(services().settings.public_url or "").netloc}
        if urlsplit(origin).netloc not in own - {""}:
            raise CSRFError("The request came from another origin.")


def _services_of(app: Flask) -> Services:
    found: Services = app.extensions["signalbook"]
    return found
