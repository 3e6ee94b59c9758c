"""Cells of the matrix that are known to be wrong today. Each leaves the list with its mend."""

NOT_YET = frozenset(
    """
    http-berlin
    http-beside
    http-bouncer
    http-control
    http-dba
    http-debian
    http-latin1
    http-wheel
    load_lines-berlin
    load_lines-beside
    load_lines-bouncer
    load_lines-control
    load_lines-dba
    load_lines-debian
    load_lines-latin1
    load_lines-wheel
    """.split()
)
