"""`create_train_op` and the training loop `train` (`tf.contrib.slim.learning`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf

# slim's sentinel for "not given": None means "none" in these arguments.
_USE_GLOBAL_STEP = 0
_USE_DEFAULT = 0

Gradients = list[tuple[Any, Any]]


def clip_gradient_norms(gradients_to_variables: Gradients, max_norm: float) -> Gradients:
    """Each gradient scaled down to a norm of at most `max_norm`."""
    return [
        (None if grad is None else _map_values(grad, lambda g: tf.clip_by_norm(g, max_norm)), var)
        for grad, var in gradients_to_variables
    ]


def multiply_gradients(
    grads_and_vars: Gradients, gradient_multipliers: dict[Any, Any]
) -> Gradients:
    """Gradients times the multiplier of their variable (or of its op name), if any.

    Raises:
        ValueError: an argument has the wrong type, there are no multipliers, or one is
            asked for a gradient of None.
    """
    if not isinstance(grads_and_vars, list):
        raise ValueError("`grads_and_vars` must be a list.")
    if not gradient_multipliers:
        raise ValueError("`gradient_multipliers` is empty.")
    if not isinstance(gradient_multipliers, dict):
        raise ValueError("`gradient_multipliers` must be a dict.")
    return [(_multiplied(grad, var, gradient_multipliers), var) for grad, var in grads_and_vars]


def _multiplied(grad: Any, var: Any, multipliers: dict[Any, Any]) -> Any:
    key = var if var in multipliers else var.op.name
    if key not in multipliers:
        return grad
    if grad is None:
        raise ValueError("Requested multiple of `None` gradient.")
    factor = tf.cast(multipliers[key], grad.dtype)
    return _map_values(grad, lambda values: values * factor)


def _map_values(grad: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(grad, tf.IndexedSlices):
        return tf.IndexedSlices(change(grad.values), grad.indices, grad.dense_shape)
    return change(grad)


def add_gradients_summaries(grads_and_vars: Gradients) -> list[Any]:
    """A histogram and the norm of each gradient, `<variable>/gradient` and `_norm`."""
    return _summarize_gradients(grads_and_vars, "/gradient")


def _summarize_gradients(grads_and_vars: Gradients, suffix: str) -> list[Any]:
    summaries = []
    for grad, var in grads_and_vars:
        if grad is None:
            tf.logging.info("Var %s has no gradient", var.op.name)
            continue
        values = grad.values if isinstance(grad, tf.IndexedSlices) else grad
        name = var.op.name + suffix
        summaries.append(tf.summary.histogram(name, values))
        summaries.append(tf.summary.scalar(name + "_norm", tf.global_norm([values])))
    return summaries


def create_train_op(
    total_loss: Any,
    optimizer: Any,
    global_step: Any = _USE_GLOBAL_STEP,
    update_ops: Any = None,
    variables_to_train: Any = None,
    clip_gradient_norm: float = 0,
    summarize_gradients: bool = False,
    gate_gradients: int = tf.train.Optimizer.GATE_OP,
    aggregation_method: Any = None,
    colocate_gradients_with_ops: bool = False,
    gradient_multipliers: dict[Any, Any] | None = None,
    check_numerics: bool = True,
) -> Any:
    """A tensor that, when run, updates statistics and weights and returns the loss.

    Args:
        total_loss: scalar float tensor.
        optimizer: a `tf.train.Optimizer`.
        global_step: variable to count steps in; None for no count; by default the
            graph's own, created if need be.
        update_ops: updates to run before the loss; None means those in UPDATE_OPS. A
            warning is logged when some of UPDATE_OPS are not among them.
        variables_to_train: trainable variables; None means all.
        clip_gradient_norm: greatest norm of a gradient; 0 for no limit.
        summarize_gradients: add a histogram and the norm of each gradient.
        gate_gradients, aggregation_method, colocate_gradients_with_ops: as in
            `Optimizer.compute_gradients`.
        gradient_multipliers: factors by variable or by its op name.
        check_numerics: fail when the loss is infinite or not a number.

    Raises:
        AssertionError: there is nothing to train.
    """
    if global_step is _USE_GLOBAL_STEP:
        global_step = tf.train.get_or_create_global_step()
    updates = _updates_to_run(update_ops)
    if updates:
        with tf.control_dependencies(updates):
            barrier = tf.no_op(name="update_barrier")
        total_loss = _after(barrier, total_loss)
    gradients = optimizer.compute_gradients(
        total_loss,
        _checked_variables(variables_to_train),
        gate_gradients=gate_gradients,
        aggregation_method=aggregation_method,
        colocate_gradients_with_ops=colocate_gradients_with_ops,
    )
    if gradient_multipliers:
        with tf.name_scope("multiply_grads"):
            gradients = multiply_gradients(gradients, gradient_multipliers)
    if clip_gradient_norm > 0:
        with tf.name_scope("clip_grads"):
            gradients = clip_gradient_norms(gradients, clip_gradient_norm)
    if summarize_gradients:
        with tf.name_scope("summarize_grads"):
            _summarize_gradients(gradients, "_gradient")
    step = optimizer.apply_gradients(gradients, global_step=global_step)
    with tf.name_scope("train_op"):
        if check_numerics:
            total_loss = tf.check_numerics(total_loss, "LossTensor is inf or nan")
        train_op = _after(step, total_loss)
    tf.add_to_collection(tf.GraphKeys.TRAIN_OP, train_op)
    return train_op


def _updates_to_run(update_ops: Any) -> list[Any]:
    collected = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    chosen = list(collected if update_ops is None else update_ops)
    chosen_ids = {id(update) for update in chosen}
    if not all(id(update) in chosen_ids for update in collected):
        tf.logging.warning(
            "update_ops in create_train_op does not contain all the update_ops "
            "in GraphKeys.UPDATE_OPS"
        )
    return chosen


def _checked_variables(variables_to_train: Any) -> list[Any]:
    trainable = tf.trainable_variables()
    variables = trainable if variables_to_train is None else list(variables_to_train)
    known = {id(var) for var in trainable}
    assert all(var.trainable or id(var) in known for var in variables), (
        "variables_to_train holds a variable that is not trainable"
    )
    assert variables, "there are no variables to train"
    return variables


def _after(operation: Any, tensor: Any) -> Any:
    with tf.control_dependencies([operation]):
        return tf.identity(tensor, name="control_dependency")


def train_step(
    sess: Any, train_op: Any, global_step: Any, train_step_kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    """One step: (loss, whether to stop).

    `train_step_kwargs` may hold boolean tensors "should_log" and "should_stop".
    """
    start = time.time()
    loss, step = sess.run([train_op, global_step])
    if "should_log" in train_step_kwargs and sess.run(train_step_kwargs["should_log"]):
        seconds = time.time() - start
        tf.logging.info("global step %d: loss = %.4f (%.3f sec/step)", step, loss, seconds)
    if "should_stop" in train_step_kwargs:
        return loss, sess.run(train_step_kwargs["should_stop"])
    return loss, False


def train(
    train_op: Any,
    logdir: str | None,
    train_step_fn: Callable[..., tuple[Any, Any]] = train_step,
    train_step_kwargs: Any = _USE_DEFAULT,
    log_every_n_steps: int = 1,
    graph: Any = None,
    master: str = "",
    is_chief: bool = True,
    global_step: Any = None,
    number_of_steps: int | None = None,
    init_op: Any = _USE_DEFAULT,
    init_feed_dict: Any = None,
    local_init_op: Any = _USE_DEFAULT,
    init_fn: Any = None,
    ready_op: Any = _USE_DEFAULT,
    summary_op: Any = _USE_DEFAULT,
    save_summaries_secs: int = 600,
    summary_writer: Any = _USE_DEFAULT,
    startup_delay_steps: int = 0,
    saver: Any = None,
    save_interval_secs: int = 600,
    sync_optimizer: Any = None,
    session_config: Any = None,
    session_wrapper: Any = None,
    trace_every_n_steps: int | None = None,
    ignore_live_threads: bool = False,
) -> Any:
    """Trains on one machine until `number_of_steps` or the end of the input.

    Args:
        train_op: what `create_train_op` returned.
        logdir: directory of checkpoints and summaries; None writes neither.
        train_step_fn: `train_step` or a function like it.
        number_of_steps: value of the global step to stop at; None: never.
        summary_op, init_op, local_init_op, ready_op: by default all summaries, and
            the initializers and checks of all variables.
        init_fn: called with the session after initialization.
        save_summaries_secs, save_interval_secs: seconds between summaries, checkpoints.
        The rest as in `tf.train.Supervisor`.

    Returns:
        The loss of the last step; None when there was no step.

    Raises:
        ValueError: no `train_op`, a `number_of_steps` below 1, or an option that needs
            a `logdir`.
        NotImplementedError: `sync_optimizer`, `startup_delay_steps` or
            `trace_every_n_steps`, which are for clusters and profiling.
    """
    _check_train_arguments(
        train_op, logdir, number_of_steps, summary_op, saver, trace_every_n_steps
    )
    if sync_optimizer is not None or startup_delay_steps or trace_every_n_steps is not None:
        raise NotImplementedError(
            "bnlint.slim trains on one machine without tracing: sync_optimizer, "
            "startup_delay_steps and trace_every_n_steps are not supported"
        )
    graph = graph or tf.get_default_graph()
    with graph.as_default():
        global_step = tf.train.get_or_create_global_step() if global_step is None else global_step
        saver = saver or tf.train.Saver()
        with tf.name_scope("init_ops"):
            if init_op == _USE_DEFAULT:
                init_op = tf.global_variables_initializer()
            if ready_op == _USE_DEFAULT:
                ready_op = tf.report_uninitialized_variables()
            if local_init_op == _USE_DEFAULT:
                local_init_op = tf.group(tf.local_variables_initializer(), tf.tables_initializer())
        if summary_op == _USE_DEFAULT:
            summary_op = tf.summary.merge_all()
        if train_step_kwargs == _USE_DEFAULT:
            train_step_kwargs = _step_conditions(global_step, number_of_steps, log_every_n_steps)
    supervisor = tf.train.Supervisor(
        graph=graph,
        is_chief=is_chief,
        logdir=logdir,
        init_op=init_op,
        init_feed_dict=init_feed_dict,
        local_init_op=local_init_op,
        ready_op=ready_op,
        summary_op=summary_op,
        summary_writer=(
            tf.train.Supervisor.USE_DEFAULT if summary_writer == _USE_DEFAULT else summary_writer
        ),
        global_step=global_step,
        saver=saver,
        save_summaries_secs=save_summaries_secs,
        save_model_secs=save_interval_secs,
        init_fn=init_fn,
    )
    if summary_writer is not None:
        train_step_kwargs["summary_writer"] = supervisor.summary_writer
    with supervisor.managed_session(
        master, start_standard_services=False, config=session_config
    ) as sess:
        sess = session_wrapper(sess) if session_wrapper is not None else sess
        if is_chief and logdir:
            supervisor.start_standard_services(sess)
        threads = supervisor.start_queue_runners(sess)
        loss = _run_steps(
            supervisor, lambda: train_step_fn(sess, train_op, global_step, train_step_kwargs)
        )
        if logdir and is_chief:
            tf.logging.info("Finished training! Saving model to disk.")
            supervisor.saver.save(sess, supervisor.save_path, global_step=supervisor.global_step)
            supervisor.stop(
                threads, close_summary_writer=True, ignore_live_threads=ignore_live_threads
            )
    return loss


def _check_train_arguments(
    train_op: Any,
    logdir: str | None,
    number_of_steps: int | None,
    summary_op: Any,
    saver: Any,
    trace_every_n_steps: int | None,
) -> None:
    if train_op is None:
        raise ValueError("train_op cannot be None.")
    needing_logdir = {
        "summary_op": summary_op != _USE_DEFAULT,
        "saver": saver is not None,
        "trace_every_n_steps": trace_every_n_steps is not None,
    }
    for name, given in needing_logdir.items():
        if given and logdir is None:
            raise ValueError(f"Cannot provide {name} because logdir=None")
    if number_of_steps is not None and number_of_steps <= 0:
        raise ValueError("`number_of_steps` must be either None or a positive number.")


def _step_conditions(
    global_step: Any, number_of_steps: int | None, log_every_n_steps: int
) -> dict[str, Any]:
    with tf.name_scope("train_step"):
        if number_of_steps:
            conditions = {"should_stop": tf.greater_equal(global_step, number_of_steps)}
        else:
            conditions = {"should_stop": tf.constant(False)}
        if log_every_n_steps > 0:
            conditions["should_log"] = tf.equal(tf.mod(global_step, log_every_n_steps), 0)
    return conditions


def _run_steps(supervisor: Any, step: Callable[[], tuple[Any, Any]]) -> Any:
    loss = None
    try:
        while not supervisor.should_stop():
            loss, should_stop = step()
            if should_stop:
                tf.logging.info("Stopping Training.")
                supervisor.request_stop()
                break
    except tf.errors.OutOfRangeError as error:
        # Raised by the input when its epochs are over.
        tf.logging.info("Caught OutOfRangeError. Stopping Training. %s", error)
    return loss
