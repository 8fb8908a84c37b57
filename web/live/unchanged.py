"""Pages that have not changed are not sent again: each carries a weak ETag over what it says, and 304 answers its return.

What differs from one rendering to the next without saying anything new (how the form token is masked, clocks, ages that the
page itself keeps counting) is left out, so an idle page that asks every few seconds gets headers only. The session's own
form secret is in: a page of an earlier session holds forms that are refused in this one.
"""

from __future__ import annotations

import hashlib
import re

from flask import Flask, Response, g, request, session

TICKING = re.compile(rb'(\sdata-(?:clock|freshness|age="[^"]*")[^>]*>).*?</span>', re.DOTALL)


def init_unchanged(app: Flask) -> None:
    """Let every page of the app be asked for again cheaply."""
    app.after_request(_tag)


def _tag(answer: Response) -> Response:
    is_page = request.method == "GET" and answer.status_code == 200 and answer.mimetype == "text/html"
    if is_page and not answer.is_streamed and not answer.cache_control.no_store:
        tag = tag_of(answer.get_data(), g.get("csrf_token", ""), session.get("csrf_token", ""))
        answer.set_etag(tag, weak=True)
        answer.vary.add("Cookie")
        answer.make_conditional(request)
    return answer


def tag_of(page: bytes, form_token: str, form_secret: str) -> str:
    """The tag of a page: the same for two renderings in one session that say the same."""
    said = page.replace(form_token.encode(), b"") if form_token else page
    return hashlib.sha256(form_secret.encode() + TICKING.sub(rb"\1", said)).hexdigest()[:32]
