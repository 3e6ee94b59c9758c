"""A job class that builds on another takes what the two constructors leave to be given."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from headrace.errors import InvalidPayload
from headrace.jobs.base import BaseJob
from headrace.jobs.load_file import LoadFile
from headrace.jobs.run_sql import RunSql
from headrace.model.job_parameters import parameters_of, refused_names
from headrace.model.passed_on import passed_on

BASE = {"connection", "lock_timeout", "role"}


class Parent(BaseJob):
    """Takes one argument that it needs and one that it does not."""

    def __init__(self, path: str, table: str, *, mode: str = "append", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path, self.table, self.mode = path, table, mode

    def handle(self) -> Any:
        return [self.path, self.table, self.mode]


class ByName(Parent):
    def __init__(self, region: str, **kwargs: Any) -> None:
        super().__init__(path="orders.csv", **kwargs)
        self.region = region


class ByPlace(Parent):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__("orders.csv", **kwargs)


class OfParent(Parent):
    def __init__(self, **kwargs: Any) -> None:
        Parent.__init__(self, "orders.csv", **kwargs)


class ByMapping(Parent):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"path": "orders.csv", **kwargs})


class BySetdefault(Parent):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("path", "orders.csv")
        super().__init__(**kwargs)


class ByBody(Parent):
    path = "orders.csv"


class ByBodyBelow(ByBody):
    mode = "replace"


class Unreadable(Parent):
    def __init__(self, **kwargs: Any) -> None:
        options: dict[str, Any] = {"path": "orders.csv"}
        super().__init__(**options, **kwargs)


class Below(ByName):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(region="eu", **kwargs)


class OnlyHandle(Parent):
    def handle(self) -> Any:
        return ["more", *super().handle()]


class Popping(Parent):
    def __init__(self, **kwargs: Any) -> None:
        self.region = kwargs.pop("region")
        self.size = kwargs.pop("size", 1)
        super().__init__(**kwargs)


class Closed(Parent):
    def __init__(self, table: str) -> None:
        super().__init__("orders.csv", table)


class Swallowing(Parent):
    def __init__(self, table: str, **_kwargs: Any) -> None:
        super().__init__("orders.csv", table)


@pytest.mark.parametrize(
    ("cls", "required", "optional"),
    [
        (ByName, {"region", "table"}, {"mode", *BASE}),
        (ByPlace, {"table"}, {"mode", *BASE}),
        (OfParent, {"table"}, {"mode", *BASE}),
        (ByMapping, {"table"}, {"path", "mode", *BASE}),
        (BySetdefault, {"table"}, {"path", "mode", *BASE}),
        (ByBody, {"table"}, {"path", "mode", *BASE}),
        (ByBodyBelow, {"table"}, {"path", "mode", *BASE}),
        (Below, {"table"}, {"mode", *BASE}),
        (OnlyHandle, {"path", "table"}, {"mode", *BASE}),
        (Popping, {"region", "path", "table"}, {"size", "mode", *BASE}),
        (Closed, {"table"}, set()),
        (Swallowing, {"table"}, set()),
        # What it gives stands nowhere; its constructor tells what is missing.
        (Unreadable, set(), {"path", "table", "mode", *BASE}),
    ],
)
def test_a_class_takes_what_its_constructor_does_not_give_itself(
    cls: type, required: set[str], optional: set[str]
):
    known = parameters_of(cls)

    assert {name for name, one in known.items() if one.required} == required
    assert {name for name, one in known.items() if not one.required} == optional


@pytest.mark.parametrize(
    ("cls", "values", "named", "result"),
    [
        (ByName, (), {"region": "eu", "table": "t"}, ["orders.csv", "t", "append"]),
        (ByBody, (), {"table": "t"}, ["orders.csv", "t", "append"]),
        (ByBody, (), {"table": "t", "path": "x"}, ["x", "t", "append"]),
        (ByBody, ("x", "t"), {}, ["x", "t", "append"]),
        (ByBodyBelow, (), {"table": "t"}, ["orders.csv", "t", "replace"]),
        (Below, (), {"table": "t"}, ["orders.csv", "t", "append"]),
        (OnlyHandle, (), {"path": "x", "table": "t"}, ["more", "x", "t", "append"]),
    ],
)
def test_it_is_made_in_python_as_from_yaml(
    cls: type[BaseJob], values: tuple[str, ...], named: dict[str, str], result: list[str]
):
    made: BaseJob = cls(*values, **named)

    assert made.handle() == result


def test_a_value_in_the_body_is_the_parameters_default():
    assert parameters_of(ByBodyBelow)["path"].default == "orders.csv"
    assert parameters_of(ByBodyBelow)["mode"].default == "replace"
    assert parameters_of(Parent)["mode"].default == "append"


def test_a_connection_in_the_body_is_where_the_job_works():
    class Warehouse(LoadFile):
        connection = "warehouse"

    assert Warehouse(path="x", table="t").connection == "warehouse"
    assert Warehouse(path="x", table="t", connection="other").connection == "other"


def test_a_value_in_the_body_hides_no_method():
    class Refresh(RunSql):
        sql = "SELECT 1"  # type: ignore[assignment]

    assert Refresh().sql_text == "SELECT 1"
    assert callable(Refresh.sql)


def test_a_dataclass_may_be_a_job():
    @dataclass
    class Counted(BaseJob):
        table: str
        most: int = 3

        def handle(self) -> int:
            return self.most

    known = parameters_of(Counted)
    assert list(known) == ["table", "most"]
    assert (known["table"].required, known["most"].default) == (True, 3)
    assert known["most"].type is int


def test_a_class_without_source_leaves_what_is_missing_to_its_constructor():
    names: dict[str, Any] = {"Parent": Parent}
    exec(
        "class Made(Parent):\n"
        "    def __init__(self, **kwargs):\n"
        "        super().__init__(path='x', **kwargs)\n",
        names,
    )
    known = parameters_of(names["Made"])
    assert known.keys() >= parameters_of(Parent).keys() > set()
    assert not any(one.required for one in known.values())


def test_a_constructor_that_calls_no_other_is_taken_to_pass_on_all():
    class Keeping(Parent):
        def __init__(self, region: str, **kwargs: Any) -> None:
            self.region, self.rest = region, kwargs

    assert parameters_of(Keeping).keys() == {"region", *parameters_of(Parent)}


def test_a_hint_that_cannot_be_read_leaves_the_others():
    class Odd(BaseJob):
        def __init__(self, a: Any, n: int, day: date, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.all = a, n, day

    Odd.__init__.__annotations__["a"] = "Unheard"
    Odd.__init__.__defaults__ = (None,)  # As `day: date = None` has it.

    known = parameters_of(Odd)
    assert (known["a"].type, known["n"].type) == (None, int)
    assert known["day"].type == date | None


def test_a_name_that_is_passed_on_and_taken_by_no_class_is_told():
    class Passing(BaseJob):
        def __init__(self, region: str, **kwargs: Any) -> None:
            super().__init__(region=region, **kwargs)

    with pytest.raises(InvalidPayload, match='Passing passes "region" on, which no class takes'):
        Passing(region="eu")


def test_a_misspelt_name_that_is_passed_on_is_told_with_the_one_that_is_meant():
    class Passing(BaseJob):
        def __init__(self, region: str, **kwargs: Any) -> None:
            super().__init__(regoin=region, **kwargs)

    with pytest.raises(InvalidPayload) as refused:
        Passing(region="eu")

    assert str(refused.value) == 'Passing has no parameter "regoin"; did you mean "region"?'


def test_a_handle_with_arguments_may_be_built_on():
    class Importing(BaseJob):
        def handle(self, args: Mapping[str, Any], **kwargs: Any) -> Any:  # type: ignore[override]
            return [dict(args), kwargs]

    class Counting(Importing):
        def handle(self, args: Mapping[str, Any], **kwargs: Any) -> Any:  # type: ignore[override]
            return ["counted", *super().handle(args, **kwargs)]

    job: BaseJob = Counting(source="api")
    assert job.handle() == ["counted", {"source": "api"}, {"source": "api"}]


class ByIndex(Parent):
    def __init__(self, **kwargs: Any) -> None:
        kwargs["path"] = "orders.csv"
        super().__init__(**kwargs)


class ByUpdate(Parent):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.update(read_elsewhere())
        super().__init__(**kwargs)


class ByComputedKey(Parent):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{KEY: "orders.csv"}, **kwargs)


class ByComputedDefault(Parent):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(KEY, "orders.csv")
        super().__init__(**kwargs)


KEY = "path"


def read_elsewhere() -> dict[str, str]:
    return {}


@pytest.mark.parametrize(
    ("cls", "optional", "anything"),
    [
        (ByIndex, {"path"}, False),
        (ByUpdate, set(), True),
        (ByComputedKey, set(), True),
        (ByComputedDefault, set(), True),
    ],
)
def test_what_a_constructor_gives_beside_its_own_is_read_from_its_source(
    cls: type, optional: set[str], anything: bool
):
    found = passed_on(vars(cls)["__init__"], "kwargs")

    assert (set(found.optional), found.anything, found.forwards) == (optional, anything, True)


class CallsNoOther(Parent):
    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("path", "x")
        vars(self).update(kwargs)


def test_of_one_that_calls_no_other_the_defaults_are_read_as_well():
    found = passed_on(vars(CallsNoOther)["__init__"], "kwargs")

    assert (set(found.optional), found.anything, found.forwards) == ({"path"}, False, True)


def test_a_value_in_the_body_that_is_no_parameter_of_the_class_stays_an_attribute():
    class Given(Parent):
        table = "in the body"

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(table="given", **kwargs)

    assert Given.table == "in the body"
    assert "table" not in parameters_of(Given)
    assert Given(path="x").handle()[:2] == ["x", "given"]


def test_a_key_that_is_no_text_is_told_like_any_other():
    found = refused_names("Parent", Parent, [1, "path", "table"], anything=False)  # type: ignore[list-item]

    assert [(place, code) for place, code, *_ in found] == [((1,), "unknown-parameter")]
    assert not refused_names("Parent", Parent, [1, "path", "table"], anything=True)  # type: ignore[list-item]
