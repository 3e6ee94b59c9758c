"""What the jobs of this package share."""

from decimal import Decimal


def in_words(amount: Decimal) -> str:
    """Return an amount as a person writes it: 1,234.50."""
    return f"{amount:,.2f}"
