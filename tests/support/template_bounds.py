"""The words of a refusal that keeps a template within its bounds, and of no other error."""

BOUND = (
    r"longer than|more than|takes longer|nested too deeply|is too large|takes from -100 to 100"
    r"|not safely callable|No filter named|is not available|are not available|has no text"
    r"|Exceeds the limit"
)
