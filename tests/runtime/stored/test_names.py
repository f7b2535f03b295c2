"""Which stored variables are a batch norm's."""

import pytest

from bnlint.runtime.stored.names import Group, group_by_shape

VECTOR = [4]


def parts(shapes: dict[str, list[int]], known: list[Group] | None = None) -> dict[str, set[str]]:
    groups = group_by_shape(shapes, known or [])
    return {group.scope: set(group.parts) for group in groups}


ALL = {"mean", "variance", "gamma", "beta"}


@pytest.mark.parametrize(
    ("mean", "variance"),
    [
        ("bn/moving_mean", "bn/moving_variance"),
        ("bn/pop_mean", "bn/pop_var"),
        ("bn/mean_ema", "bn/var_ema"),
        ("bn/mu", "bn/sigma2"),
        ("bn/first", "bn/second"),
        (
            "bn/bn/moments/Squeeze/ExponentialMovingAverage",
            "bn/bn/moments/Squeeze_1/ExponentialMovingAverage",
        ),
    ],
)
def test_statistics_under_any_name(mean: str, variance: str) -> None:
    shapes = dict.fromkeys(("bn/gamma", "bn/beta", mean, variance), VECTOR)
    (group,) = group_by_shape(shapes)
    assert group.parts == {
        "mean": mean,
        "variance": variance,
        "gamma": "bn/gamma",
        "beta": "bn/beta",
    }


def test_slots_of_an_optimizer_are_no_statistics() -> None:
    names = ["bn/gamma", "bn/beta", "bn/gamma/Adam", "bn/beta/Adam_1"]
    assert parts(dict.fromkeys(names, VECTOR)) == {"bn": {"gamma", "beta"}}


def test_an_average_of_weights_is_no_statistic() -> None:
    names = ["bn/gamma", "bn/gamma/ExponentialMovingAverage"]
    assert parts(dict.fromkeys(names, VECTOR)) == {"bn": {"gamma"}}


def test_trained_vectors_are_no_statistics() -> None:
    names = ["bn/gamma", "bn/one", "bn/one/Momentum", "bn/two", "bn/two/Momentum"]
    assert parts(dict.fromkeys(names, VECTOR)) == {"bn": {"gamma"}}


def test_vectors_of_another_length_are_no_statistics() -> None:
    shapes = {"bn/gamma": [4], "bn/mean": [8], "bn/var": [8]}
    assert parts(shapes) == {"bn": {"gamma"}}


def test_scale_and_offset_count_in_scopes_named_as_batch_norms() -> None:
    names = ["bn1/scale", "bn1/offset", "dense/scale", "dense/offset"]
    assert parts(dict.fromkeys(names, VECTOR)) == {"bn1": {"gamma", "beta"}}


def test_what_the_graph_says_comes_first() -> None:
    known = Group("n", {"mean": "n/a", "variance": "n/b", "gamma": "n/c", "beta": "n/d"})
    shapes = dict.fromkeys(["n/a", "n/b", "n/c", "n/d"], VECTOR)
    assert parts(shapes, [known]) == {"n": ALL}


def test_statistics_that_the_graph_knows_and_the_checkpoint_lacks() -> None:
    known = Group("n", {"mean": "n/a", "variance": "n/b", "gamma": "n/c"})
    (group,) = group_by_shape({"n/c": VECTOR}, [known])
    assert group.is_batch_norm and not group.has_statistics
