"""Settings: the environment over `config.yaml` over the defaults."""

from runner.config.loading import ConfigProblems, load_settings
from runner.config.secrets import hidden_values
from runner.config.settings import Settings, mask_url

__all__ = ["ConfigProblems", "Settings", "hidden_values", "load_settings", "mask_url"]
