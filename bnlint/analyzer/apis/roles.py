"""What library functions do, as they are declared (see registry.py)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Roles:
    """What a function does, as far as bnlint follows programs for it.

    Attributes:
      makes_batch_norm: it builds a batch norm, or a network with some.
      makes_layer: it builds a layer that may be given a normalizer.
      imports_by_name: it gives a module, or what is in one, by name: perhaps a network.
      trains, evaluates, saves, restores, sets_mode: there may be something to report about it.
      attaches_updates: it runs UPDATE_OPS without being told to.
      makes_spec: it makes what an estimator's model_fn returns.
      ends: a function that calls it is a program of its own when nothing led to it.
    """

    makes_batch_norm: bool = False
    makes_layer: bool = False
    imports_by_name: bool = False
    trains: bool = False
    evaluates: bool = False
    saves: bool = False
    restores: bool = False
    sets_mode: bool = False
    attaches_updates: bool = False
    makes_spec: bool = False
    ends: bool = False

    @property
    def acts(self) -> bool:
        return self.trains or self.evaluates or self.saves or self.restores or self.sets_mode
