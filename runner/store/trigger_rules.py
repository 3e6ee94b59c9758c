"""The names of the trigger rules, as the gate's SQL spells them out."""

import re
from functools import cache

from headrace.store.statements import STATEMENTS

_RULE = re.compile(r"^\s*WHEN '(\w+)' THEN ", re.MULTILINE)


@cache
def trigger_rules() -> tuple[str, ...]:
    """Return the names in the order in which `trigger_rule_part` has them."""
    return tuple(_RULE.findall(STATEMENTS["trigger_rule_part"].sql))
