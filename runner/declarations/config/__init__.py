"""Settings: the environment over `config.yaml` over the defaults."""

from headrace.declarations.config.loading import ConfigProblems, load_settings
from headrace.declarations.config.secrets import hidden_values
from headrace.declarations.config.settings import Settings, mask_url

__all__ = ["ConfigProblems", "Settings", "hidden_values", "load_settings", "mask_url"]
