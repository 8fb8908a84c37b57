"""Settings: parsed, checked, and refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import MisconfiguredError
from core.settings import TRADINGVIEW_ADDRESSES, load_settings


def test_defaults_are_those_of_the_documentation() -> None:
    settings = load_settings({})
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 5000, Path("var"))
    assert settings.database_url is None
    assert settings.stream == "main"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "five"),
        ("DATABASE_URL", "mysql://a@b/c"),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "change-me-change-me-change-me-change-me"),
        ("WEBHOOK_TOKEN", "has spaces in the token"),
        ("WEBHOOK_ALLOW", "52.89.214"),
        ("PUBLIC_URL", "signals.example.com"),
        ("LOG_LEVEL", "loud"),
        ("ROLE", "leader"),
        ("SIGNAL_WS_URL", "http://a"),
        ("SIGNAL_WS_MAX_RECONNECT_ATTEMPTS", "-2"),
        ("WAVE_CHECK_MINUTES", "6,60"),
        ("WAVE_CHECK_MINUTES", ","),
        ("WAVE_EXCHANGES", "0:None"),
        ("WAVE_EXCHANGES", "1:A,1:B"),
        ("DEMO", "perhaps"),
        ("CRASH_AT", "before_reply"),
        ("CRASH_AT", "before reply"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(MisconfiguredError, match=name) as caught:
        load_settings({name: value})
    assert caught.value.field == name


def test_a_crash_point_is_taken_from_tests_only() -> None:
    assert load_settings({"TESTING": "1", "CRASH_AT": "before_reply"}).crash_at == ("before_reply", 1)
    assert load_settings({"TESTING": "1", "CRASH_AT": "after_commit:3"}).crash_at == ("after_commit", 3)


def test_waves_are_off_until_they_have_a_server_or_a_demo() -> None:
    assert load_settings({}).wave_url is None
    assert load_settings({"DEMO": "1"}).wave_url == "ws://127.0.0.1:8765"
    assert load_settings({"DEMO": "1", "SIGNAL_WS_URL": "wss://a:1/x"}).wave_url == "wss://a:1/x"
    assert load_settings({}).wave_check_minutes == (6, 20, 35, 50)
    assert load_settings({"WAVE_EXCHANGES": "2:Bybit, 1:Binance,"}).wave_exchanges == ((1, "Binance"), (2, "Bybit"))


def test_a_secret_never_stands_in_the_message_that_refuses_it() -> None:
    with pytest.raises(MisconfiguredError) as caught:
        load_settings({"DATABASE_URL": "mysql://user:canary-password@host/db"})
    assert "canary-password" not in str(caught.value)


@pytest.mark.parametrize("name", ["DATABASE_ULR", "WEBHOOK_TOKN", "SIGNALBOOK_PORT", "WEBHOOK_LIMIT"])
def test_an_unknown_setting_in_the_environment_stops_the_start(name: str) -> None:
    with pytest.raises(MisconfiguredError, match=name):
        load_settings({name: "x"})


def test_other_programs_names_in_the_environment_are_left_alone() -> None:
    load_settings({"PATH": "/bin", "HOSTNAME": "a", "PORTAGE": "b", "DATABASE_PUBLIC_URL": "c", "FLASK_DEBUG": "0"})


def test_any_unknown_name_in_the_env_file_stops_the_start() -> None:
    with pytest.raises(MisconfiguredError, match="COLOUR"):
        load_settings({}, env_file={"COLOUR": "blue"})


def test_the_environment_wins_over_the_env_file() -> None:
    assert load_settings({"PORT": "5001"}, env_file={"PORT": "5002"}).port == 5001


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_a_postgresql_url_names_the_driver(scheme: str) -> None:
    assert (
        load_settings({"DATABASE_URL": f"{scheme}://u:p@h:5432/d"}).database_url == "postgresql+psycopg2://u:p@h:5432/d"
    )


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a-token-from-a-file\n")
    assert load_settings({"WEBHOOK_TOKEN_FILE": str(path)}).webhook_token == "a-token-from-a-file"


def test_a_secret_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="WEBHOOK_TOKEN_FILE"):
        load_settings({"WEBHOOK_TOKEN_FILE": str(tmp_path / "absent")})


def test_the_word_tradingview_stands_for_its_four_addresses() -> None:
    assert load_settings({"WEBHOOK_ALLOW": "tradingview, 10.0.0.1"}).webhook_allow == (
        *TRADINGVIEW_ADDRESSES,
        "10.0.0.1",
    )


def yaml_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


DSN = "database:\n  dsn_template: postgresql://u:{password}@h/d\n  password_env_var: DB_PASSWORD\n"


def test_the_dsn_template_takes_its_password_from_the_named_variable(tmp_path: Path) -> None:
    settings = load_settings({"DB_PASSWORD": "a/b"}, yaml_file=yaml_with(tmp_path, DSN))
    assert settings.database_url == "postgresql+psycopg2://u:a%2Fb@h/d"


def test_the_password_of_the_template_may_stand_in_the_env_file(tmp_path: Path) -> None:
    settings = load_settings({}, env_file={"DB_PASSWORD": "pw"}, yaml_file=yaml_with(tmp_path, DSN))
    assert settings.database_url == "postgresql+psycopg2://u:pw@h/d"


def test_a_template_without_its_password_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="DB_PASSWORD"):
        load_settings({}, yaml_file=yaml_with(tmp_path, DSN))


def test_database_url_wins_over_the_template(tmp_path: Path) -> None:
    settings = load_settings({"DATABASE_URL": "postgres://x/y"}, yaml_file=yaml_with(tmp_path, DSN))
    assert settings.database_url == "postgresql+psycopg2://x/y"


@pytest.mark.parametrize(
    ("text", "named"), [("colour: {}", "colour"), ("database: {dns: 1}", "database.dns"), ("- a", "settings.yaml")]
)
def test_an_unknown_name_in_the_settings_file_stops_the_start(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(MisconfiguredError, match=named):
        load_settings({}, yaml_file=yaml_with(tmp_path, text))


MARKET = "market:\n  contracts:\n    MNQ:\n    MES: [1m, 1h]\n  timeframes: [5m, 1d]\n"


def test_contracts_and_timeframes_may_stand_in_the_settings_file(tmp_path: Path) -> None:
    path = yaml_with(tmp_path, MARKET)
    found = load_settings({}, yaml_file=path).contracts
    assert {name: [str(frame) for frame in frames] for name, frames in found.items()} == {
        "MNQ": ["5m", "1d"],
        "MES": ["1m", "1h"],
    }
    assert list(load_settings({"MARKET_CONTRACTS": "RTY"}, yaml_file=path).contracts) == ["RTY"]
    assert list(load_settings({"MARKET_CONTRACTS": ""}, yaml_file=path).contracts) == ["MNQ", "MES"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("market: {contracts: [MNQ]}", "market.contracts"),
        ("market: {timeframes: 1m}", "market.timeframes"),
        ("market: {timeframes: [7m]}", "MARKET_TIMEFRAMES"),
        ("market: {contract: {}}", "market.contract"),
    ],
)
def test_a_wrong_market_section_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(MisconfiguredError, match=named):
        load_settings({}, yaml_file=yaml_with(tmp_path, text))
