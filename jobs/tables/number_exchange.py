"""Exchanges whole numbers one for one under a secret: different numbers stay different.

A hash cut to 31 bits makes two of 65,000 numbers equal more often than not. An alternating Feistel
network does not: Luby and Rackoff, How to construct pseudorandom permutations from pseudorandom
functions (SIAM Journal on Computing 17, 1988), with the eight rounds of FF3-1 (NIST SP 800-38G
Rev. 1) and SHA-256 of secret, round and half. Here the sign of a number stays.
"""

from dataclasses import dataclass

_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class NumberExchange:
    """The numbers of a type of so many `bits`, the sign not counted: at most 31.

    Its texts are templates; `c` is the column, `salt` the secret.
    """

    bits: int

    def expression(self) -> str:
        """Return the number that stands for `c`, by a subquery a round.

        OFFSET 0 keeps PostgreSQL from putting each into the next, where it would be computed often.
        """
        text = f"SELECT {_C} >> 31 AS s, {self._left} AS l, {self._right} AS r OFFSET 0"
        for number in range(_ROUNDS):
            halves = "l, r # {} AS r" if number % 2 else "l # {} AS l, r"
            mixed = halves.format(self._mixed("l" if number % 2 else "r", number))
            text = f"SELECT s, {mixed} FROM ({text}) AS h{number} OFFSET 0"  # noqa: S608 - all ours
        joined = self._joined("l", "r")
        return f"(SELECT {joined} # s FROM ({text}) AS h{_ROUNDS})"  # noqa: S608 - all ours

    def steps(self) -> list[str]:
        """Return expressions without a subquery, each of the number that the last one has made."""
        found = []
        for number in range(0, _ROUNDS, 2):
            left = f"({self._left} # {self._mixed(self._right, number)})"
            right = f"({self._right} # {self._mixed(left, number + 1)})"
            found.append(f"{self._joined(left, right)} # ({_C} >> 31)")
        return found

    @property
    def _of_right(self) -> int:
        return self.bits // 2

    @property
    def _left(self) -> str:
        return f"({_POSITIVE} >> {self._of_right})"

    @property
    def _right(self) -> str:
        return f"({_POSITIVE} & {(1 << self._of_right) - 1})"

    def _joined(self, left: str, right: str) -> str:
        return f"(({left} << {self._of_right}) | {right})"

    def _mixed(self, half: str, number: int) -> str:
        """Return what the other half is changed by in a round."""
        bits = self._of_right if number % 2 else self.bits - self._of_right
        text = f"{{{{ salt }}}}::text || ' {self.bits} {number} ' || {half}::text"
        digest = f"sha256(convert_to({text}, 'UTF8'))"
        return f"(('x' || encode(substr({digest}, 1, 2), 'hex'))::bit(16)::int & {(1 << bits) - 1})"


_C = "{{ c }}::int"
# Negative numbers are mirrored at -0.5, so that all of them have as many as the others.
_POSITIVE = f"({_C} # ({_C} >> 31))"
