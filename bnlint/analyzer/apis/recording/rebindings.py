"""Python flags that are set again after batch norms were built with them."""

from __future__ import annotations

from dataclasses import dataclass

from bnlint.analyzer.apis.recording.timeline import Timeline
from bnlint.analyzer.syntax import nodes
from bnlint.program.events import BatchNorm, Rebinding


@dataclass
class Rebindings:
    """Notes them, and whether the network is built anew with the new value."""

    at: Timeline

    def add(self, key: str, name: str, value: bool, node: nodes.Node) -> None:
        """A Python flag that built batch norms changes."""
        program = self.at.program
        built = [norm for norm in program.batch_norms if norm.training.key == key]
        if not built:
            return
        for earlier in program.rebindings:
            earlier.rebuilt |= any(
                norm.time > earlier.time and norm.training.key == key for norm in built
            )
        time = self.at.interpreter.tick()
        program.rebindings.append(
            Rebinding(name, value, self.at.here(node), built, False, [], time)
        )

    def built_with(self, norm: BatchNorm) -> None:
        """A batch norm was built with a flag variable that had been set again."""
        for rebinding in self.at.program.rebindings:
            if any(old.training.key == norm.training.key for old in rebinding.batch_norms):
                rebinding.rebuilt = True

    def finish(self) -> None:
        """Finds the runs between each rebinding and the next one of the same name."""
        ordered = self.at.program.rebindings
        for rebinding in ordered:
            following = [
                other.time
                for other in ordered
                if other.name == rebinding.name and other.time > rebinding.time
            ]
            end = min(following, default=self.at.interpreter.time + 1)
            rebinding.runs_after = [
                run for run in self.at.program.runs if rebinding.time < run.time < end
            ]
