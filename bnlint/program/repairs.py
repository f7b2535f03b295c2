"""Repairs that several rules propose."""

from __future__ import annotations

from bnlint.findings import Edit, Fix, Location
from bnlint.program.events import BatchNorm, Program, TrainOp


def attach_updates(program: Program, op: TrainOp, lost: tuple[BatchNorm, ...]) -> Fix | None:
    """Makes a train op depend on the update ops of the batch norms that it trains.

    It is safe where running the train op then needs nothing that its loss does not need already:
    update ops of another network may need another feed (a GAN whose nets are trained in turn). With
    several networks the collection is read by the scope of this one's, if it has one of its own.
    """
    if op.statement is None or not op.tf_name or op.api not in ("minimize", "apply_gradients"):
        return None
    if any(_is_built_in(op.statement, norm) for norm in lost):
        return None  # the collection would be read before the network is built
    norms = [norm for norm in program.batch_norms if norm.graph == op.graph and _collects(norm)]
    own = {id(norm) for norm in op.batch_norms}
    scope = ""
    alone = all(id(norm) in own for norm in norms)
    if not alone or len({other.location for other in program.train_ops}) > 1:
        scope = _own_scope(norms, own, lost)
    edit = Edit("wrap-in-update-ops", op.statement, name=scope, value=op.tf_name)
    where = f" of scope {scope!r}" if scope else ""
    return Fix(f"Make the train op depend on UPDATE_OPS{where}", (edit,), safe=bool(scope) or alone)


def infer_at(program: Program, location: Location, norm: BatchNorm) -> Fix | None:
    """Passes False to the batch norm, or to the function of the network, called at `location`.

    Never safe: the same call may build the network that another program trains.
    """
    if program.trained(norm):
        return None
    name = _flag_taken_at(location, norm)
    if not name:
        return None
    return Fix(
        f"Pass {name}=False", (Edit("set-keyword", location, name=name, value="False"),), safe=False
    )


def _flag_taken_at(location: Location, norm: BatchNorm) -> str:
    """The parameter for the mode of what is called at `location`; "" if it has none."""
    if location == norm.location and norm.takes_mode and norm.api in ("slim", "tf.layers"):
        return "training" if norm.api == "tf.layers" else "is_training"
    for frame in norm.frames:
        if frame.call == location and frame.training_parameter is not None:
            return frame.training_parameter.name
    return ""


def _is_built_in(statement: Location, norm: BatchNorm) -> bool:
    calls = [norm.location, *(frame.call for frame in norm.frames if frame.call is not None)]
    first, last = (statement.line, statement.column), (statement.end_line, statement.end_column)
    return any(
        call.path == statement.path and first <= (call.line, call.column) < last for call in calls
    )


def _collects(norm: BatchNorm) -> bool:
    return norm.updates in ("collection", "unknown")


def _own_scope(norms: list[BatchNorm], own: set[int], lost: tuple[BatchNorm, ...]) -> str:
    """The top scope of the lost batch norms, if no other network's are in it; else ""."""
    tops = {(norm.scope or "").partition("/")[0] for norm in lost}
    top = tops.pop()
    if tops or not top:
        return ""
    # TensorFlow matches the beginning of names: "gen" also finds "generator/...".
    inside = [norm for norm in norms if norm.scope is None or norm.scope.startswith(top)]
    return top if all(norm.scope and id(norm) in own for norm in inside) else ""
