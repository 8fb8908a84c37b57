"""The service's settings: read once at start, checked by name, then passed around as one frozen record.

Sources, later ones winning: the default here, `config/settings.yaml`, the `.env` file, the environment. `NAME_FILE`
names a file that holds the value (Docker secrets). A wrong or unknown setting stops the start with its name.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

from core.errors import InvalidInputError, MisconfiguredError
from core.records import Timeframe

ROLES = ("all", "web", "worker")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
TRADINGVIEW_ADDRESSES = ("52.89.214.238", "34.212.75.30", "54.218.53.128", "52.32.178.7")
PLACEHOLDERS = ("change-me", "changeme", "<", "your-", "placeholder", "example-secret")
OWN_PREFIXES = ("SIGNALBOOK_", "WEBHOOK_")
TEST_DATA = "SIGNALBOOK_DATA"  # where the tests find real data: none of the service's settings
YAML_SECTIONS = {
    "database": {"dsn_template", "password_env_var"},
    "market": {"contracts", "timeframes"},
    "analysis": {"analyzers", "rules"},
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its environment name, how its text becomes a value, and what it is for."""

    name: str
    parse: Callable[[str], Any]
    default: str
    help: str
    secret: bool = False


def _text(value: str) -> str:
    return value.strip()


def _optional(value: str) -> str | None:
    return value.strip() or None


def _flag(value: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.strip().lower() not in words | {"": False}:
        raise ValueError("must be 1 or 0")
    return words.get(value.strip().lower(), False)


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"\d{1,9}", value.strip()) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        found = {word.lower(): word for word in words}.get(value.strip().lower())
        if found is None:
            raise ValueError("must be one of " + ", ".join(words))
        return found

    return parse


def _path(value: str) -> Path:
    return Path(value.strip()).expanduser()


def _optional_path(value: str) -> Path | None:
    return _path(value) if value.strip() else None


def _host(value: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z_.:-]{1,255}", value.strip()):
        raise ValueError("must be a host name or an address")
    return value.strip()


def _database_url(value: str) -> str | None:
    """SQLAlchemy takes `postgresql://` for another driver and refuses `postgres://`, so the driver is always named."""
    if not value.strip():
        return None
    scheme, found, rest = value.strip().partition("://")
    if not found or scheme not in ("postgres", "postgresql", "postgresql+psycopg2"):
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    return f"postgresql+psycopg2://{rest}"


def _public_url(value: str) -> str | None:
    text = value.strip().rstrip("/")
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must look like https://signals.example.com")
    return text


def _contact(value: str) -> str | None:
    text = value.strip()
    if not text:
        return None
    if re.fullmatch(r"[^@\s:/]+@[^@\s:/]+", text):
        return f"mailto:{text}"
    if not re.fullmatch(r"(https://|mailto:|tel:)\S+", text):
        raise ValueError("must be an e-mail address, or begin with https:, mailto: or tel:")
    return text


def _hub_url(value: str) -> str:
    scheme = urlsplit(value.strip()).scheme
    if scheme not in ("http", "https", "ws", "wss") or not urlsplit(value.strip()).hostname:
        raise ValueError("must look like https://rtc.example.com/hubs/market")
    return value.strip()


def _secret_text(minimum: int) -> Callable[[str], str | None]:
    def parse(value: str) -> str | None:
        text = value.strip()
        if not text:
            return None
        if text.lower().startswith(PLACEHOLDERS):
            raise ValueError("still holds the placeholder; set a value of your own or leave it empty")
        if len(text.encode()) < minimum:
            raise ValueError(f"must have at least {minimum} characters")
        return text

    return parse


def _webhook_token(value: str) -> str | None:
    text = _secret_text(16)(value)
    if text is not None and not re.fullmatch(r"[0-9A-Za-z_-]{16,128}", text):
        raise ValueError("must be 16 to 128 letters, digits, _ or -")
    return text


def _crash_point(value: str) -> tuple[str, int] | None:
    """`name` or `name:n`; whether there is such a point is known where it is armed."""
    if not value.strip():
        return None
    found = re.fullmatch(r"([a-z_]{1,40})(?::(\d{1,6}))?", value.strip())
    if not found:
        raise ValueError("must look like name or name:3")
    return found[1], int(found[2] or 1)


def _ws_url(value: str) -> str | None:
    text = value.strip()
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError("must look like wss://signals.example.com:8765")
    return text


def _attempts(value: str) -> int:
    return -1 if value.strip() == "-1" else _number(1, 1_000_000)(value)


def _minutes(value: str) -> tuple[int, ...]:
    """Minutes of the hour, separated by commas, in their order."""
    words = [word.strip() for word in value.split(",") if word.strip()]
    if not words or not all(re.fullmatch(r"\d{1,2}", word) and int(word) < 60 for word in words):
        raise ValueError("must be minutes of the hour such as 6,20,35,50")
    return tuple(sorted({int(word) for word in words}))


def _exchanges(value: str) -> tuple[tuple[int, str], ...]:
    """`1:Binance,2:Bybit` as (id, name)."""
    found: dict[int, str] = {}
    for word in filter(None, (part.strip() for part in value.split(","))):
        number, _, name = word.partition(":")
        if not re.fullmatch(r"[1-9]\d{0,8}", number.strip()) or not name.strip() or int(number) in found:
            raise ValueError("must look like 1:Binance,2:Bybit")
        found[int(number)] = name.strip()[:40]
    return tuple(sorted(found.items()))


def _urls(value: str) -> tuple[str, ...]:
    """Addresses with any scheme, separated by spaces."""
    if not all(re.fullmatch(r"[a-z][a-z0-9+.-]*://\S+", word) for word in value.split()):
        raise ValueError("must be addresses such as discord://id/token, separated by spaces")
    return tuple(value.split())


def _days(least: int) -> Callable[[str], int]:
    """Days to keep something: 0 keeps it for ever, fewer than `least` is refused."""

    def parse(value: str) -> int:
        days = _number(0, 36_500)(value)
        if 0 < days < least:
            raise ValueError(f"must be 0 (for ever) or at least {least}")
        return days

    return parse


def _timeframes(value: str) -> tuple[Timeframe, ...]:
    try:
        return tuple(Timeframe.parse(word) for word in re.split(r"[,/]", value) if word.strip())
    except InvalidInputError as error:
        raise ValueError(error.message) from None


def _contracts(value: str) -> tuple[tuple[str, tuple[Timeframe, ...]], ...]:
    """`MNQ, MES=1m/1h`: contract ids or roots, each with timeframes of its own or none."""
    found: list[tuple[str, tuple[Timeframe, ...]]] = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, _, frames = part.partition("=")
        if not re.fullmatch(r"[A-Z0-9.]{1,40}", name.strip()):
            raise ValueError(f"{name.strip()[:40]!r} is no contract id (CON.F.US.MNQ.Z26) and no root (MNQ)")
        found.append((name.strip(), _timeframes(frames)))
    return tuple(found)


def _sync_contracts(value: str) -> tuple[tuple[str, str, date], ...]:
    """`MNQ1!=CON.F.US.MNQ.Z25, MNQ1!=CON.F.US.MNQ.H26@2025-12-15` as (symbol, contract, first day), by day."""
    found: list[tuple[str, str, date]] = []
    for part in filter(None, (part.strip() for part in value.split(","))):
        match = re.fullmatch(r"([0-9A-Z!:_]{1,40})=([A-Z0-9.]{1,40})(?:@(\d{4}-\d{2}-\d{2}))?", part)
        if match is None:
            raise ValueError("must look like MNQ1!=CON.F.US.MNQ.Z25, MNQ1!=CON.F.US.MNQ.H26@2025-12-15")
        found.append((match[1], match[2], date.fromisoformat(match[3]) if match[3] else date.min))
    return tuple(sorted(found, key=lambda mapping: (mapping[0], mapping[2])))


def _addresses(value: str) -> tuple[str, ...]:
    """Addresses separated by commas; the word `tradingview` stands for TradingView's four."""
    found: list[str] = []
    for word in filter(None, (part.strip() for part in value.split(","))):
        if word.lower() == "tradingview":
            found.extend(TRADINGVIEW_ADDRESSES)
        else:
            found.append(str(ipaddress.ip_address(word)))
    return tuple(found)


SETTINGS = (
    Setting("HOST", _host, "127.0.0.1", "address to listen on; 0.0.0.0 for all"),
    Setting("PORT", _number(0, 65535), "5000", "TCP port to listen on; 0 takes a free one"),
    Setting("DATA_DIR", _path, "./var", "folder of journal, keys and the embedded database"),
    Setting("DATABASE_URL", _database_url, "", "PostgreSQL 14 or newer; empty starts the embedded server", True),
    Setting("DATABASE_DIRECT_URL", _database_url, "", "same server past a pooler; empty takes DATABASE_URL", True),
    Setting("READ_DATABASE_URL", _database_url, "", "a replica that pages read from; empty: the same database", True),
    Setting("READ_MAX_STALE_SECONDS", _number(45, 3600), "90", "an older replica is not read from"),
    Setting("DATABASE_POOL_SIZE", _number(2, 100), "12", "connections kept for requests and jobs"),
    Setting("SECRET_KEY", _secret_text(32), "", "signs cookies, at least 32 characters; empty makes one", True),
    Setting("WEBHOOK_TOKEN", _webhook_token, "", "token of stream main at first start; empty makes one", True),
    Setting("WEBHOOK_ALLOW", _addresses, "", "addresses that need no token, or the word tradingview"),
    Setting("ADMIN_PASSWORD", _secret_text(10), "", "password of admin at first start; empty makes one", True),
    Setting("METRICS_TOKEN", _secret_text(16), "", "bearer token of /metrics; empty makes one", True),
    Setting("PUBLIC_URL", _public_url, "", "address under which the world reaches the service"),
    Setting("SECURITY_CONTACT", _contact, "", "where to report a weakness, for security.txt"),
    Setting("TRUSTED_PROXY", _optional, "", "address of the reverse proxy whose X-Forwarded headers count"),
    Setting("TRUSTED_PROXY_COUNT", _number(1, 5), "1", "how many proxies stand in front"),
    Setting("PROJECTX_USERNAME", _optional, "", "login at the market data gateway; empty: no feed"),
    Setting("PROJECTX_API_TOKEN", _secret_text(8), "", "API key at the market data gateway", True),
    Setting("PROJECTX_API_URL", _public_url, "https://api.topstepx.com", "REST API of the gateway"),
    Setting("PROJECTX_RTC_MARKET_URL", _hub_url, "https://rtc.topstepx.com/hubs/market", "market hub of the gateway"),
    Setting("PROJECTX_RTC_USER_URL", _hub_url, "https://rtc.topstepx.com/hubs/user", "user hub; not connected to yet"),
    Setting("MARKET_CONTRACTS", _contracts, "MNQ", "contracts to follow, as MNQ, MES=1m/1h"),
    Setting("MARKET_TIMEFRAMES", _timeframes, "1m,5m,15m,30m,1h,4h,1d,1w", "timeframes of contracts without their own"),
    Setting(
        "ALARM_URLS", _urls, "", "where alarms go: apprise addresses, separated by spaces; empty: shown only", True
    ),
    Setting("ALARM_HEARTBEAT_URL", _public_url, "", "called every 30 s while the jobs run", True),
    Setting("BACKUP_DIR", _optional_path, "", "folder of nightly backups; empty: none are made"),
    Setting("BACKUP_KEEP", _number(1, 1000), "14", "nightly backups to keep"),
    Setting("KEEP_DELIVERY_BODIES_DAYS", _days(365), "0", "days to keep raw bodies, at least 365; 0 for ever"),
    Setting("KEEP_BARS_DAYS", _days(30), "0", "days to keep bars below one hour, at least 30; 0 for ever"),
    Setting("KEEP_LOGS_DAYS", _days(1), "90", "days to keep rotated log files and the history of alarms; 0 for ever"),
    Setting("SYNC_CONTRACTS", _sync_contracts, "", "contract of a chart symbol, MNQ1!=CON.F.US.MNQ.H26@2025-12-15"),
    Setting("LOG_LEVEL", _one_of(*LOG_LEVELS), "INFO", "DEBUG, INFO, WARNING or ERROR"),
    Setting("LOG_FILE", _optional_path, "", "file that gets the log as well as standard output"),
    Setting("ROLE", _one_of(*ROLES), "all", "all, web (no jobs) or worker (jobs, no pages)"),
    Setting("DEMO", _flag, "0", "1 runs on made-up data in its own stream, marked on every page"),
    Setting("SIGNAL_WS_URL", _ws_url, "", "signal server of the waves; empty: no waves (DEMO: the simulator's)", True),
    Setting("SIGNAL_WS_TOKEN", _secret_text(1), "", "token for the signal server", True),
    Setting("SIGNAL_WS_AUTO_RECONNECT", _flag, "1", "0 gives up after the first lost connection"),
    Setting("SIGNAL_WS_RECONNECT_INTERVAL", _number(1, 3600), "5", "seconds before the first retry; doubles up to 60"),
    Setting("SIGNAL_WS_MAX_RECONNECT_ATTEMPTS", _attempts, "-1", "failures in a row before giving up; -1 never"),
    Setting("SIGNAL_BUFFER_SIZE", _number(1, 100_000), "100", "messages kept in memory while the database is away"),
    Setting("WAVE_CHECK_MINUTES", _minutes, "6,20,35,50", "minutes of the hour at which a wave is asked for"),
    Setting("WAVE_CHECK_DURATION_SECONDS", _number(1, 840), "120", "how long it is asked for"),
    Setting("WAVE_CHECK_INTERVAL_SECONDS", _number(1, 60), "1", "how often it is asked for"),
    Setting("WAVE_EXCHANGES", _exchanges, "1:Binance,2:Bybit", "exchanges with a row from the start, id:name"),
    Setting("WAVE_CHANGE_ALERT_PERCENT", _number(0, 1000), "10", "a parameter that changes by more is an alarm"),
    Setting("MAX_TRADES_PER_15MIN", _number(1, 1000), "5", "trades a wave where no parameter says it"),
    Setting("TESTING", _flag, "0", "1 honours the receive-clock header and crash points; never in production"),
    Setting("CRASH_AT", _crash_point, "", "with TESTING=1: kill the process at this crash point, name or name:n"),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, parsed; attribute names are the environment names in lower case."""

    host: str
    port: int
    data_dir: Path
    database_url: str | None = field(repr=False)
    database_direct_url: str | None = field(repr=False)
    read_database_url: str | None = field(repr=False)
    read_max_stale_seconds: int
    database_pool_size: int
    secret_key: str | None = field(repr=False)
    webhook_token: str | None = field(repr=False)
    webhook_allow: tuple[str, ...]
    admin_password: str | None = field(repr=False)
    metrics_token: str | None = field(repr=False)
    public_url: str | None
    security_contact: str | None
    trusted_proxy: str | None
    trusted_proxy_count: int
    projectx_username: str | None
    projectx_api_token: str | None = field(repr=False)
    projectx_api_url: str
    projectx_rtc_market_url: str
    projectx_rtc_user_url: str
    market_contracts: tuple[tuple[str, tuple[Timeframe, ...]], ...]
    market_timeframes: tuple[Timeframe, ...]
    alarm_urls: tuple[str, ...] = field(repr=False)
    alarm_heartbeat_url: str | None = field(repr=False)
    backup_dir: Path | None
    backup_keep: int
    keep_delivery_bodies_days: int
    keep_bars_days: int
    keep_logs_days: int
    sync_contracts: tuple[tuple[str, str, date], ...]
    log_level: str
    log_file: Path | None
    role: str
    demo: bool
    signal_ws_url: str | None = field(repr=False)
    signal_ws_token: str | None = field(repr=False)
    signal_ws_auto_reconnect: bool
    signal_ws_reconnect_interval: int
    signal_ws_max_reconnect_attempts: int
    signal_buffer_size: int
    wave_check_minutes: tuple[int, ...]
    wave_check_duration_seconds: int
    wave_check_interval_seconds: int
    wave_exchanges: tuple[tuple[int, str], ...]
    wave_change_alert_percent: int
    max_trades_per_15min: int
    testing: bool
    crash_at: tuple[str, int] | None
    analysis: Mapping[str, Any] = field(default_factory=dict)
    """The section of that name in config/settings.yaml, as it stands there."""

    @property
    def wave_url(self) -> str | None:
        """The signal server; None: the wave feed is off. A demo has the simulator's on its usual port."""
        return self.signal_ws_url or ("ws://127.0.0.1:8765" if self.demo else None)

    @property
    def has_feed(self) -> bool:
        """True when there is a login at the market data gateway."""
        return bool(self.projectx_username and self.projectx_api_token)

    @property
    def contracts(self) -> dict[str, tuple[Timeframe, ...]]:
        """The contracts to follow and the timeframes of each."""
        return {name: own or self.market_timeframes for name, own in self.market_contracts}

    @property
    def stream(self) -> str:
        """The stream that alerts without a stream of their own belong to."""
        return "demo" if self.demo else "main"


def load_settings(
    environ: Mapping[str, str], *, env_file: Mapping[str, str] | None = None, yaml_file: Path | None = None
) -> Settings:
    """Read, check and parse every setting; `env_file` holds the pairs of a `.env` file.

    Raises MisconfiguredError naming the setting that is wrong or unknown.
    """
    given = {name: value for name, value in (env_file or {}).items() if value is not None}
    sections = read_yaml(yaml_file) if yaml_file else {}
    database = sections.get("database") or {}
    for name in given:
        if name != database.get("password_env_var"):
            _refuse_unknown(name, where=".env", certain=True)
    for name in environ:
        _refuse_unknown(name, where="the environment", certain=name.startswith(OWN_PREFIXES) and name != TEST_DATA)
    given.update(environ)
    given = _market_of(sections.get("market") or {}) | {name: value for name, value in given.items() if value}
    values = {setting.name.lower(): _read(setting, given) for setting in SETTINGS}
    if values["database_url"] is None:
        values["database_url"] = _dsn_of(database, given)
    settings = Settings(**values, analysis=sections.get("analysis") or {})
    if not settings.demo and any(ipaddress.ip_address(address).is_loopback for address in settings.webhook_allow):
        raise MisconfiguredError("WEBHOOK_ALLOW: loopback is allowed with DEMO=1 only", field="WEBHOOK_ALLOW")
    if settings.crash_at and not settings.testing:
        raise MisconfiguredError("CRASH_AT: is allowed with TESTING=1 only", field="CRASH_AT")
    return settings


def _read(setting: Setting, given: Mapping[str, str]) -> Any:
    text = given.get(setting.name, "")
    file_name = given.get(f"{setting.name}_FILE", "") if setting.secret else ""
    if file_name and not text:
        try:
            text = Path(file_name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MisconfiguredError(f"{setting.name}_FILE: cannot be read", field=f"{setting.name}_FILE") from error
    try:
        return setting.parse(text or setting.default)
    except ValueError as error:
        raise MisconfiguredError(f"{setting.name}: {error}", field=setting.name) from None


def _refuse_unknown(name: str, *, where: str, certain: bool) -> None:
    """The environment holds other programs' names too, so there only our prefixes and near misses count."""
    secrets = {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
    if name in BY_NAME or name in secrets or name.startswith("FLASK_"):
        return
    near = difflib.get_close_matches(name, [known for known in BY_NAME if len(known) >= 8], n=1, cutoff=0.88)
    if certain or near:
        hint = f"; did you mean {near[0]}?" if near else ""
        raise MisconfiguredError(f"{name}: unknown setting in {where}{hint}", field=name)


def read_yaml(path: Path) -> dict[str, Any]:
    """The settings file as a dict of sections; {} when it does not exist. Unknown names raise MisconfiguredError."""
    if not path.exists():
        return {}
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise MisconfiguredError(f"{path.name}: is not valid YAML", field=path.name) from error
    if not isinstance(content, dict):
        raise MisconfiguredError(f"{path.name}: must hold named sections", field=path.name)
    for section, names in content.items():
        if section not in YAML_SECTIONS:
            raise MisconfiguredError(f"{section}: unknown section in {path.name}", field=str(section))
        for name in names or {}:
            if name not in YAML_SECTIONS[section]:
                raise MisconfiguredError(f"{section}.{name}: unknown setting in {path.name}", field=f"{section}.{name}")
    return content


def _market_of(section: Mapping[str, Any]) -> dict[str, str]:
    """The section `market` in the words of its environment names: contracts as a map of name to timeframes or null."""
    found: dict[str, str] = {}
    contracts, timeframes = section.get("contracts"), section.get("timeframes")
    if contracts is not None:
        if not isinstance(contracts, dict):
            raise MisconfiguredError(
                "market.contracts: must map names to lists of timeframes", field="market.contracts"
            )
        named = (f"{name}={'/'.join(map(str, frames))}" if frames else str(name) for name, frames in contracts.items())
        found["MARKET_CONTRACTS"] = ",".join(named)
    if timeframes is not None:
        if not isinstance(timeframes, list):
            raise MisconfiguredError("market.timeframes: must be a list such as [1m, 1h]", field="market.timeframes")
        found["MARKET_TIMEFRAMES"] = ",".join(map(str, timeframes))
    return found


def _dsn_of(section: Mapping[str, Any], given: Mapping[str, str]) -> str | None:
    """A `dsn_template` with `{password}`, its password taken from the variable that `password_env_var` names."""
    template, variable = section.get("dsn_template"), section.get("password_env_var")
    if not template:
        return None
    if "{password}" in template and not (variable and given.get(variable)):
        raise MisconfiguredError(
            f"database.password_env_var: {variable or 'no variable'} holds no password",
            field="database.password_env_var",
        )
    try:
        return _database_url(template.replace("{password}", quote(given.get(variable or "", ""), safe="")))
    except ValueError as error:
        raise MisconfiguredError(f"database.dsn_template: {error}", field="database.dsn_template") from None
