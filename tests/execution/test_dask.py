"""A real Dask cluster of processes gives the same findings as one process."""

import os
import signal
from pathlib import Path

from bnlint.analyzer.analysis import analyze
from bnlint.execution.dask_executor import Dask
from bnlint.execution.executor import Crashed
from bnlint.execution.progress import Silent
from bnlint.sources.files import Source
from bnlint.testing import read_cases

CASES = Path(__file__).parents[2] / "fixtures" / "rules"


def projects() -> list[Source]:
    return [
        Source(f"{folder.parent.name}/{name}/{path}", path.removesuffix(".py"), text)
        for folder in sorted(CASES.glob("*/bad"))
        for name, case in read_cases(folder).items()
        for path, text in case.files.items()
    ]


def test_a_cluster_whose_worker_is_killed_midway_gives_the_same(cluster: Dask) -> None:
    expected = analyze(projects())
    victims: list[int] = []

    class Killer(Silent):
        """Kills a worker when the first piece of work is done."""

        def at(self, item: str, count: int = 1) -> None:
            if not victims:
                workers = cluster.client.run(os.getpid)
                victims.append(next(iter(workers.values())))
                os.kill(victims[0], signal.SIGKILL)

    result = analyze(projects(), engine=cluster, progress=Killer())
    assert victims and result == expected and len(result.findings) > 20


def test_a_deadly_piece_of_work_is_given_up_and_the_rest_is_done(strict_cluster: Dask) -> None:
    deadly = "__import__('os').kill(__import__('os').getpid(), 9)"
    results = list(strict_cluster.map(eval, ["1", deadly, "3"]))
    assert isinstance(results.pop(1), Crashed) and results == [1, 3]
