"""The settings of this process: environment, `.env` and `config/settings.yaml` of the checkout."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from core.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]


def settings_of_environment() -> Settings:
    """Raises MisconfiguredError with the name of what is wrong."""
    env_file = {name: value or "" for name, value in dotenv_values(ROOT / ".env").items()}
    return load_settings(os.environ, env_file=env_file, yaml_file=ROOT / "config" / "settings.yaml")
