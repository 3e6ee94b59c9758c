"""Order, waves and cycles."""

import random
from itertools import pairwise

import pytest

from headrace.model.pipeline import Step
from headrace.plan.graph import find_cycle, topological_order, waves


def steps(**edges: list[str]) -> list[Step]:
    return [Step(id=name, job="Job", depends_on=tuple(up)) for name, up in edges.items()]


def test_steps_that_need_nothing_of_each_other_share_a_wave():
    diamond = steps(load=[], left=["load"], right=["load"], join=["left", "right"])

    assert waves(diamond) == [["load"], ["left", "right"], ["join"]]


def test_a_wave_keeps_the_order_of_the_file():
    assert waves(steps(c=["a"], b=["a"], a=[], z=[], d=["b"])) == [["a", "z"], ["c", "b"], ["d"]]


def test_a_step_waits_for_its_longest_way():
    assert waves(steps(a=[], b=["a"], c=["b"], d=["a", "c"])) == [["a"], ["b"], ["c"], ["d"]]


def test_no_steps_have_no_waves():
    assert waves([]) == []


def test_an_order_that_the_file_already_has_is_kept():
    assert topological_order({"a": [], "b": [], "c": ["b"], "d": ["a"]}) == ["a", "b", "c", "d"]


def test_what_a_step_depends_on_comes_before_it():
    assert topological_order({"c": ["b"], "a": [], "b": ["a"]}) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({"a": ["a"]}, ["a", "a"]),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"x": [], "a": ["x", "b"], "b": ["c"], "c": ["b"]}, ["b", "c", "b"]),
    ],
)
def test_a_cycle_is_shown_from_its_first_step_back_to_it(edges, cycle):
    assert find_cycle(edges) == cycle
    with pytest.raises(ValueError, match=" -> ".join(cycle)):
        topological_order(edges)


def test_a_diamond_is_no_cycle():
    assert find_cycle({"d": ["b", "c"], "b": ["a"], "c": ["a"], "a": []}) is None


def test_a_dependency_that_does_not_exist_is_no_cycle():
    assert find_cycle({"a": ["nowhere"]}) is None
    assert waves(steps(a=["nowhere"])) == [["a"]]


def test_a_chain_of_ten_thousand_steps_is_ordered():
    chain = {str(n): [str(n + 1)] for n in range(9_999)} | {"9999": []}

    assert find_cycle(chain) is None
    assert topological_order(chain)[0] == "9999"
    assert find_cycle(chain | {"9999": ["0"]}) == [*map(str, range(10_000)), "0"]


@pytest.mark.generated
def test_random_graphs_are_ordered_or_show_a_real_cycle(seeds):
    outcomes = set()
    for seed in seeds(500):
        rng = random.Random(seed)
        names = [str(n) for n in range(rng.randint(1, 8))]
        edges = {name: rng.sample(names, rng.randint(0, min(2, len(names)))) for name in names}
        cycle = find_cycle(edges)
        outcomes.add(cycle is None)
        if cycle is None:
            place = {name: i for i, name in enumerate(topological_order(edges))}
            assert all(place[up] < place[name] for name in names for up in edges[name])
        else:
            assert cycle[0] == cycle[-1]
            assert all(up in edges[name] for name, up in pairwise(cycle))
    assert outcomes == {True, False}
