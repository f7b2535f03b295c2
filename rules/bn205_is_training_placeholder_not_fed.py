"""BN205: an is_training placeholder that an exported graph or a run does not feed."""

from bnlint.findings import Severity
from bnlint.rule import Rule

RULE = Rule(
    code="BN205",
    name="is-training-placeholder-not-fed",
    severity=Severity.ERROR,
    summary="an is_training placeholder that an exported graph or a run does not feed",
    why="""A network that is switched by a placeholder needs it in every run. Without a default the run
fails; with the default True, or fed True, evaluation runs in training mode. A SavedModel whose
signature does not name the placeholder cannot be served.""",
    help="Feed the placeholder, or use `tf.placeholder_with_default(False, [])`.",
    runtime_only=True,
)
