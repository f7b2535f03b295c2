"""Evaluating checkpoints, once or as they arrive (`tf.contrib.slim.evaluation`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bnlint.slim._tf import tf

_USE_DEFAULT = 0

checkpoints_iterator = tf.train.checkpoints_iterator


def wait_for_new_checkpoint(
    checkpoint_dir: str,
    last_checkpoint: str | None = None,
    seconds_to_sleep: float = 1,
    timeout: float | None = None,
) -> str | None:
    """Path of the latest checkpoint once it is not `last_checkpoint`; None after `timeout` s.

    Looks every `seconds_to_sleep` seconds; waits for ever when `timeout` is None.
    """
    stop_time = None if timeout is None else time.time() + timeout
    while True:
        path = tf.train.latest_checkpoint(checkpoint_dir)
        if path is not None and path != last_checkpoint:
            return path
        if stop_time is not None and time.time() + seconds_to_sleep > stop_time:
            return None
        time.sleep(seconds_to_sleep)


def evaluate_once(
    master: str,
    checkpoint_path: str,
    logdir: str,
    num_evals: int = 1,
    initial_op: Any = None,
    initial_op_feed_dict: Any = None,
    eval_op: Any = None,
    eval_op_feed_dict: Any = None,
    final_op: Any = None,
    final_op_feed_dict: Any = None,
    summary_op: Any = _USE_DEFAULT,
    summary_op_feed_dict: Any = None,
    variables_to_restore: Any = None,
    session_config: Any = None,
    hooks: Any = None,
) -> Any:
    """Restores a checkpoint, runs `eval_op` `num_evals` times, then `final_op`.

    Args:
      master: session master; "" for this process.
      checkpoint_path: checkpoint to evaluate.
      logdir: directory of the summaries (`summary_op`, by default all), written once
          at the end.
      variables_to_restore: by default all.
      hooks: further session hooks.

    Returns:
      The value of `final_op`; None when there is none.
    """
    evaluate = _evaluator(
        master, logdir, num_evals, initial_op, initial_op_feed_dict, None, eval_op,
        eval_op_feed_dict, final_op, final_op_feed_dict, summary_op, summary_op_feed_dict,
        variables_to_restore, session_config, hooks,
    )  # fmt: skip
    return evaluate(checkpoint_path)


def evaluation_loop(
    master: str,
    checkpoint_dir: str,
    logdir: str,
    num_evals: int = 1,
    initial_op: Any = None,
    initial_op_feed_dict: Any = None,
    init_fn: Any = None,
    eval_op: Any = None,
    eval_op_feed_dict: Any = None,
    final_op: Any = None,
    final_op_feed_dict: Any = None,
    summary_op: Any = _USE_DEFAULT,
    summary_op_feed_dict: Any = None,
    variables_to_restore: Any = None,
    eval_interval_secs: float = 60,
    max_number_of_evaluations: int | None = None,
    session_config: Any = None,
    timeout: float | None = None,
    timeout_fn: Callable[[], bool] | None = None,
    hooks: Any = None,
) -> Any:
    """`evaluate_once` for each new checkpoint of `checkpoint_dir`.

    Args:
      init_fn: called with the scaffold and the session after initialization.
      eval_interval_secs: least seconds between two evaluations.
      max_number_of_evaluations: evaluations to run; None for no limit.
      timeout: seconds to wait for a checkpoint; None for ever.
      timeout_fn: after a timeout, whether there is nothing more to come.
      The rest as in `evaluate_once`.

    Returns:
      The value of the last `final_op`; None when there was no evaluation.
    """
    evaluate = _evaluator(
        master, logdir, num_evals, initial_op, initial_op_feed_dict, init_fn, eval_op,
        eval_op_feed_dict, final_op, final_op_feed_dict, summary_op, summary_op_feed_dict,
        variables_to_restore, session_config, hooks,
    )  # fmt: skip
    result = None
    paths = checkpoints_iterator(checkpoint_dir, eval_interval_secs, timeout, timeout_fn)
    for count, path in enumerate(paths, start=1):
        result = evaluate(path)
        if max_number_of_evaluations is not None and count >= max_number_of_evaluations:
            break
    return result


def _evaluator(
    master: str,
    logdir: str,
    num_evals: int,
    initial_op: Any,
    initial_op_feed_dict: Any,
    init_fn: Any,
    eval_op: Any,
    eval_op_feed_dict: Any,
    final_op: Any,
    final_op_feed_dict: Any,
    summary_op: Any,
    summary_op_feed_dict: Any,
    variables_to_restore: Any,
    session_config: Any,
    hooks: Any,
) -> Callable[[str], Any]:
    """A function that evaluates one checkpoint.

    All ops are made here, once: the first session finalizes the graph.
    """
    if summary_op == _USE_DEFAULT:
        summary_op = tf.summary.merge_all()
    all_hooks = list(hooks or [])
    if summary_op is not None:
        all_hooks.insert(0, _SummaryAtEndHook(logdir, summary_op, summary_op_feed_dict))
    final_hook = tf.train.FinalOpsHook(final_op, final_op_feed_dict)
    saver = tf.train.Saver(variables_to_restore) if variables_to_restore is not None else None
    scaffold = tf.train.Scaffold(
        init_op=initial_op, init_feed_dict=initial_op_feed_dict, init_fn=init_fn, saver=saver
    )

    def evaluate(checkpoint_path: str) -> Any:
        creator = tf.train.ChiefSessionCreator(
            scaffold=scaffold,
            checkpoint_filename_with_path=checkpoint_path,
            master=master,
            config=session_config,
        )
        with tf.train.MonitoredSession(creator, hooks=[*all_hooks, final_hook]) as session:
            for _ in range(num_evals if eval_op is not None else 0):
                if session.should_stop():
                    break
                session.run(eval_op, eval_op_feed_dict)
        return final_hook.final_ops_values

    return evaluate


class _SummaryAtEndHook(tf.train.SessionRunHook):
    """Writes one summary when the evaluation ends."""

    def __init__(self, logdir: str, summary_op: Any, feed_dict: Any) -> None:
        self._logdir = logdir
        self._summary_op = summary_op
        self._feed_dict = feed_dict

    def begin(self) -> None:
        self._global_step = tf.train.get_or_create_global_step()

    def end(self, session: Any) -> None:
        step = tf.train.global_step(session, self._global_step)
        writer = tf.summary.FileWriterCache.get(self._logdir)
        writer.add_summary(session.run(self._summary_op, self._feed_dict), step)
        writer.flush()
