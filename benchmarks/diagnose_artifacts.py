"""Train the programs of `fixtures/programs` for real, and keep what their users would have.

    python benchmarks/diagnose_artifacts.py FOLDER [BN101 ...]

FOLDER gets `BN101_broken/` and so on: the checkpoint with its `.meta` (or `model.keras`), and the
test images' predictions in inference mode with their labels. Where a program saves nothing itself,
its last session or Keras model is saved when it ends. Programs whose network has a mode to
switch leave predictions in training mode, too.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from bnlint.reproduce.programs import KINDS, all_pairs

TIMEOUT = 600


class Keeper:
    """Follows sessions and Keras models, and saves the last of each."""

    def __init__(self) -> None:
        self.active = True
        self.model: Any = None
        self.evaluation: tuple[Any, Any, Any] | None = None

    def attach(self) -> None:
        import wrapt

        def sessions(module: Any) -> None:
            wrapt.wrap_function_wrapper(module, "BaseSession.run", self._run)
            wrapt.wrap_function_wrapper(module, "BaseSession.close", self._close)

        def keras(module: Any) -> None:
            wrapt.wrap_function_wrapper(module, "Layer.__call__", self._call)

        wrapt.register_post_import_hook(sessions, "tensorflow.python.client.session")
        wrapt.register_post_import_hook(keras, "keras.src.layers.layer")
        wrapt.register_post_import_hook(
            lambda module: wrapt.wrap_function_wrapper(module, "Layer.__call__", self._call),
            "tf_keras.src.engine.base_layer",
        )

    def _call(self, wrapped: Any, layer: Any, args: Any, kwargs: Any) -> Any:
        if self.active and hasattr(layer, "fit"):
            self.model = layer
        return wrapped(*args, **kwargs)

    def _run(self, wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        if self.active:
            feeds = kwargs.get("feed_dict", args[1] if len(args) > 1 else None)
            self.evaluation = (session, args[0] if args else kwargs["fetches"], feeds)
        return result

    def _close(self, wrapped: Any, session: Any, args: Any, kwargs: Any) -> Any:
        if self.active:
            self.active = False
            try:
                self._save(session)
            except Exception:
                traceback.print_exc()
            finally:
                self.active = True
        return wrapped(*args, **kwargs)

    def _save(self, session: Any) -> None:
        import numpy as np
        import tensorflow.compat.v1 as tf

        self._train_mode(session, np)
        if list(Path().glob("*.index")) and not Path("kept").exists():
            return  # the program saves by itself
        graph = session.graph
        graph._unsafe_unfinalize()
        variables = graph.get_collection("variables")
        if not variables:
            return
        Path("kept").touch()
        meta = tf.train.export_meta_graph(graph=graph)
        with graph.as_default():
            saver = tf.train.Saver(variables, name="kept")
        saver.save(session, "./model.ckpt", write_meta_graph=False)
        Path("model.ckpt.meta").write_bytes(meta.SerializeToString())

    def _train_mode(self, session: Any, np: Any) -> None:
        """The last evaluation once more, its boolean flag the other way."""
        if self.evaluation is None or self.evaluation[0] is not session:
            return
        _, fetches, feeds = self.evaluation
        flags = [key for key, value in (feeds or {}).items() if isinstance(value, bool)]
        if len(flags) == 1 and not feeds[flags[0]]:
            switched = session.run(fetches, {**feeds, flags[0]: True})
            if isinstance(switched, np.ndarray):
                np.save("train_mode.npy", switched)

    def finish(self) -> None:
        import numpy as np

        self.active = False
        gc.collect()
        if Path("results.npz").exists():
            with np.load("results.npz") as results:
                np.save("predictions.npy", results["predictions"])
                np.save("labels.npy", results["labels"])
        if self.model is None:
            return
        if not Path("model.keras").exists():
            self.model.save("model.keras")
        images = sys.modules["digits"].test_images
        try:
            outputs = self.model(images, training=True)
            if outputs.shape[-1] > 1:
                np.save("train_mode.npy", np.argmax(np.asarray(outputs), -1))
        except Exception:
            traceback.print_exc()


def train(script: str, folder: str) -> None:
    """In a process of its own."""
    import runpy

    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    with open("log.txt", "wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    sys.path.insert(0, str(Path(script).parent))
    keeper = Keeper()
    keeper.attach()
    runpy.run_path(script, run_name="__main__")
    keeper.finish()


def main(folder: str, codes: list[str]) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bnlint.reproduce.preload"])
    for code, pair in all_pairs().items():
        for kind in KINDS if not codes or code in codes else ():
            place = Path(folder).resolve() / f"{code}_{kind}"
            if (place / "predictions.npy").exists():
                continue
            process = context.Process(target=train, args=(str(pair.path(kind).resolve()), place))
            process.start()
            process.join(TIMEOUT)
            kept = sorted(one.name for one in place.iterdir()) if place.exists() else []
            print(place.name, process.exitcode, *kept, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
