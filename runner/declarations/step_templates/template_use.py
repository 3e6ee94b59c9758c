"""One step that uses a template: what it says itself, and what comes from the template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.declarations.draft import DraftStep
from headrace.declarations.source import KeyPath
from headrace.declarations.step_templates.declared_templates import StepTemplate
from headrace.declarations.step_templates.substitution import names_in

# Mappings of which a step may say a part, and its template another.
MERGED = ("retry", "env")


@dataclass(frozen=True, slots=True)
class Use:
    """One step that uses a template. `raw` is what it says itself, `path` where."""

    template: StepTemplate
    path: KeyPath
    raw: Mapping[str, Any]

    @property
    def label(self) -> str:
        """Return the step as messages name it."""
        return DraftStep(self.path, self.raw).label

    @property
    def given(self) -> Mapping[str, Any]:
        """The template's parameters as the step gives them."""
        given = self.raw.get("with")
        return given if isinstance(given, dict) else {}

    def is_own(self, within: KeyPath) -> bool:
        """Return whether the step itself says what stands at a path within it."""
        key = within[0] if within else None
        if key == "with":
            return False
        if key in MERGED and len(within) > 1 and isinstance(self.raw.get(str(key)), dict):
            return within[1] in self.raw[str(key)] or key not in self.template.body
        return key is None or key in self.raw or key not in self.template.body

    def param_at(self, within: KeyPath) -> tuple[str, KeyPath] | None:
        """Return the parameter that a value of the template comes from, and what is left of it.

        The first that the step gives, else the first of all; None for a value without any.
        """
        text, left = self.template.text_at(within)
        names = names_in(text) if text is not None else []
        if not names:
            return None
        return next((name for name in names if name in self.given), names[0]), left
