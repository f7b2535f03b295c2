"""`create_train_op` and the training loop `train` (`tf.contrib.slim.learning`)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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

    Args:
      sess: the session.
      train_op: what `create_train_op` returned.
      global_step: the variable that counts steps.
      train_step_kwargs: may hold boolean tensors "should_log", "should_stop" and
          "should_trace" (which writes `tf_trace-<step>.json` to "logdir"), and a
          "summary_writer".

    Raises:
      ValueError: "should_trace" without "logdir".
    """
    start = time.time()
    options, metadata = None, None
    if "should_trace" in train_step_kwargs:
        if "logdir" not in train_step_kwargs:
            raise ValueError(
                "logdir must be present in train_step_kwargs when should_trace is present"
            )
        if sess.run(train_step_kwargs["should_trace"]):
            options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
            metadata = tf.RunMetadata()
    loss, step = sess.run([train_op, global_step], options=options, run_metadata=metadata)
    seconds = time.time() - start
    if metadata is not None:
        _write_trace(metadata, step, train_step_kwargs)
    if "should_log" in train_step_kwargs and sess.run(train_step_kwargs["should_log"]):
        tf.logging.info("global step %d: loss = %.4f (%.3f sec/step)", step, loss, seconds)
    if "should_stop" in train_step_kwargs:
        return loss, sess.run(train_step_kwargs["should_stop"])
    return loss, False


def _write_trace(metadata: Any, step: int, train_step_kwargs: dict[str, Any]) -> None:
    # TensorFlow has no public name for the timeline.
    from tensorflow.python.client import timeline

    path = os.path.join(train_step_kwargs["logdir"], f"tf_trace-{step}.json")
    tf.logging.info("Writing trace to %s", path)
    with tf.gfile.GFile(path, "w") as stream:
        stream.write(timeline.Timeline(metadata.step_stats).generate_chrome_trace_format())
    if "summary_writer" in train_step_kwargs:
        train_step_kwargs["summary_writer"].add_run_metadata(metadata, f"run_metadata-{step}")


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
    """Trains until `number_of_steps` or the end of the input.

    Args:
      train_op: what `create_train_op` returned.
      logdir: directory of checkpoints and summaries; None writes neither.
      train_step_fn: `train_step` or a function like it.
      number_of_steps: value of the global step to stop at; None: never.
      summary_op, init_op, local_init_op, ready_op: by default all summaries, and
          the initializers and checks of all variables.
      init_fn: called with the session after initialization.
      save_summaries_secs, save_interval_secs: seconds between summaries, checkpoints.
      startup_delay_steps: global step at which a worker that is not chief begins.
      sync_optimizer: one `tf.train.SyncReplicasOptimizer` or a list of them.
      session_wrapper: function of the session that returns the one to train with.
      trace_every_n_steps: steps between timelines written to `logdir`; None: none.
      The rest as in `tf.train.Supervisor`.

    Returns:
      The loss of the last step; None when there was no step.

    Raises:
      ValueError: no `train_op`, a `number_of_steps` below 1, an option that needs a
          `logdir`, or a `sync_optimizer` of another kind or with a startup delay.
    """
    _check_train_arguments(train_op, logdir, summary_op, saver, trace_every_n_steps)
    if isinstance(sync_optimizer, tf.train.SyncReplicasOptimizer):
        sync_optimizer = [sync_optimizer]
    if sync_optimizer is not None and startup_delay_steps > 0:
        raise ValueError("startup_delay_steps must be zero when sync_optimizer is supplied.")
    if number_of_steps is not None and number_of_steps <= 0:
        raise ValueError("`number_of_steps` must be either None or a positive number.")
    graph = graph or tf.get_default_graph()
    with graph.as_default():
        global_step = tf.train.get_or_create_global_step() if global_step is None else global_step
        saver = saver or tf.train.Saver()
        for optimizer in sync_optimizer or ():
            if not isinstance(optimizer, tf.train.SyncReplicasOptimizer):
                raise ValueError("`sync_optimizer` must be a tf.train.SyncReplicasOptimizer.")
        with tf.name_scope("init_ops"):
            if init_op == _USE_DEFAULT:
                init_op = tf.global_variables_initializer()
            if ready_op == _USE_DEFAULT:
                ready_op = tf.report_uninitialized_variables()
            if local_init_op == _USE_DEFAULT:
                local_init_op = tf.group(tf.local_variables_initializer(), tf.tables_initializer())
            ready_for_local_init_op = None
            if sync_optimizer is not None:
                local_init_op, ready_for_local_init_op = _synchronized_init_ops(
                    sync_optimizer, local_init_op, is_chief
                )
        if summary_op == _USE_DEFAULT:
            summary_op = tf.summary.merge_all()
        if train_step_kwargs == _USE_DEFAULT:
            traced = trace_every_n_steps if is_chief else None
            train_step_kwargs = _step_conditions(
                global_step, number_of_steps, log_every_n_steps, traced, logdir
            )
        # Made before the supervisor finalizes the graph.
        chief_queues = _chief_queues(sync_optimizer) if is_chief and sync_optimizer else None
    supervisor = tf.train.Supervisor(
        graph=graph,
        is_chief=is_chief,
        logdir=logdir,
        init_op=init_op,
        init_feed_dict=init_feed_dict,
        local_init_op=local_init_op,
        ready_for_local_init_op=ready_for_local_init_op,
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
    _stay_in_graph(supervisor.coord, graph)
    if summary_writer is not None:
        train_step_kwargs["summary_writer"] = supervisor.summary_writer

    def run_session() -> Any:
        with supervisor.managed_session(
            master, start_standard_services=False, config=session_config
        ) as sess:
            sess = session_wrapper(sess) if session_wrapper is not None else sess
            if is_chief and logdir:
                supervisor.start_standard_services(sess)
            elif not is_chief and startup_delay_steps > 0:
                delay = min(startup_delay_steps, number_of_steps or sys.maxsize)
                _wait_for_step(sess, global_step, delay)
            threads = supervisor.start_queue_runners(sess)
            if chief_queues is not None:
                runners, init_tokens = chief_queues
                supervisor.start_queue_runners(sess, runners)
                sess.run(init_tokens)
            loss = _run_steps(
                supervisor, lambda: train_step_fn(sess, train_op, global_step, train_step_kwargs)
            )
            if logdir and is_chief:
                tf.logging.info("Finished training! Saving model to disk.")
                step = supervisor.global_step
                supervisor.saver.save(sess, supervisor.save_path, global_step=step)
                supervisor.stop(
                    threads, close_summary_writer=True, ignore_live_threads=ignore_live_threads
                )
        return loss

    while True:
        try:
            return run_session()
        except tf.errors.AbortedError:
            # A server of the cluster was restarted.
            tf.logging.info("Retrying training!")


def _stay_in_graph(coordinator: Any, graph: Any) -> None:
    """Makes the threads of a supervisor run in graph mode, also in TensorFlow 2.

    New threads start in eager mode there, where savers and step counters refuse to work.
    Every thread of a supervisor enters `stop_on_exception` first.
    """
    enter = coordinator.stop_on_exception

    @contextmanager
    def stop_on_exception() -> Iterator[None]:
        with graph.as_default(), enter():
            yield

    coordinator.stop_on_exception = stop_on_exception


def _check_train_arguments(
    train_op: Any,
    logdir: str | None,
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


def _synchronized_init_ops(optimizers: list[Any], local_init_op: Any, is_chief: bool) -> Any:
    """(local init op, op that says when to run it) of synchronized replicas."""
    with tf.control_dependencies([local_init_op] if local_init_op is not None else []):
        inits = [opt.chief_init_op if is_chief else opt.local_step_init_op for opt in optimizers]
        local_init_op = tf.group(*inits)
    return local_init_op, tf.group(*[opt.ready_for_local_init_op for opt in optimizers])


def _chief_queues(optimizers: list[Any]) -> tuple[list[Any], list[Any]]:
    """(queue runners, ops that fill the token queues) of synchronized replicas."""
    tokens = [opt.get_init_tokens_op() for opt in optimizers]
    return [opt.get_chief_queue_runner() for opt in optimizers], tokens


def _wait_for_step(sess: Any, global_step: Any, step: int) -> None:
    while tf.train.global_step(sess, global_step) < step:
        time.sleep(1.0)


def _step_conditions(
    global_step: Any,
    number_of_steps: int | None,
    log_every_n_steps: int,
    trace_every_n_steps: int | None,
    logdir: str | None,
) -> dict[str, Any]:
    with tf.name_scope("train_step"):
        if number_of_steps:
            conditions = {"should_stop": tf.greater_equal(global_step, number_of_steps)}
        else:
            conditions = {"should_stop": tf.constant(False)}
        if log_every_n_steps > 0:
            conditions["should_log"] = tf.equal(tf.mod(global_step, log_every_n_steps), 0)
        if trace_every_n_steps is not None:
            conditions["should_trace"] = tf.equal(tf.mod(global_step, trace_every_n_steps), 0)
            conditions["logdir"] = logdir
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
