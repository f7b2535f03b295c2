"""Inspect the backbones of tf-models-official, with random weights: none has a batch-norm mistake.

    TF_USE_LEGACY_KERAS=1 python benchmarks/inspect_official.py SOURCE

SOURCE is the unpacked tf-models-official; what it imports (gin-config, tensorflow-datasets,
tensorflow-hub, tensorflow-model-optimization, opencv, pycocotools, seqeval, sentencepiece...)
has to be installed beside `bnlint[runtime]` and tf-keras. Prints a Markdown table.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

CALLS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "ResNet-50": ("resnet.ResNet", {"model_id": 50}, (64, 64, 3)),
    "ResNet-101": ("resnet.ResNet", {"model_id": 101}, (64, 64, 3)),
    "DilatedResNet-50": (
        "resnet_deeplab.DilatedResNet",
        {"model_id": 50, "output_stride": 16},
        (64, 64, 3),
    ),
    "SpineNet-49": ("spinenet.SpineNet", {}, (128, 128, 3)),
    "MobileNetV2": ("mobilenet.MobileNet", {"model_id": "MobileNetV2"}, (64, 64, 3)),
    "MobileNetV3Large": ("mobilenet.MobileNet", {"model_id": "MobileNetV3Large"}, (64, 64, 3)),
    "EfficientNet-B0": ("efficientnet.EfficientNet", {"model_id": "b0"}, (64, 64, 3)),
    "ResNet3D-50": (
        "resnet_3d.ResNet3D",
        {
            "model_id": 50,
            "temporal_strides": [1, 1, 1, 1],
            "temporal_kernel_sizes": [(3, 3, 3), (3, 1, 3, 1), (3, 1, 3, 1, 3, 1), (1, 3, 1)],
        },
        (4, 64, 64, 3),
    ),
}


def main() -> None:
    """Builds and inspects every backbone."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    sys.path.insert(0, sys.argv[1])
    import tf_keras

    import bnlint

    print("| backbone | batch norms | findings |\n|---|---:|---|")
    for name, (path, keywords, shape) in CALLS.items():
        module, attribute = path.split(".")
        backbones = importlib.import_module(f"official.vision.modeling.backbones.{module}")
        specs = tf_keras.layers.InputSpec(shape=[None, *shape])
        report = bnlint.inspect_model(getattr(backbones, attribute)(input_specs=specs, **keywords))
        codes = ", ".join(finding.code for finding in report.findings) or "none"
        print(f"| {name} | {len(report.batch_norms)} | {codes} |")


if __name__ == "__main__":
    main()
