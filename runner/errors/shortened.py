"""Cut texts for messages."""

LONGEST_SHOWN = 60


def shortened(text: str, most: int = LONGEST_SHOWN) -> str:
    """Return a text of at most `most` characters; one that was cut ends with an ellipsis."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
