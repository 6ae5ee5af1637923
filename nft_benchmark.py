"""The console scripts `nft-benchmark` and `nft-leaderboard`.

`benchmark` and `baselines` are names that others use, too. Here the project's packages are those
beside this file, whatever else is on Python's path, in these commands and in their workers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HERE = str(Path(__file__).resolve().parent)
PACKAGES = ("nft", "baselines", "benchmark", "leaderboard")


class Beside(MetaPathFinder):
    """Finds the project's packages beside this file."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return where a package of the project is; None for what is none."""
        return PathFinder.find_spec(fullname, [HERE]) if fullname in PACKAGES else None


sys.meta_path.insert(0, Beside())  # also in a worker, which loads the script anew


def benchmark() -> None:
    """Run `nft-benchmark`."""
    try:
        from benchmark.__main__ import main
    except ModuleNotFoundError as error:
        _explain(error)
    main()


def leaderboard() -> None:
    """Run `nft-leaderboard`."""
    try:
        from leaderboard.__main__ import main
    except ModuleNotFoundError as error:
        _explain(error)
    sys.exit(main())


def _explain(error: ModuleNotFoundError) -> None:
    """Exit with the package that is missing, where it is none of the project's."""
    if error.name is None or error.name.partition(".")[0] in PACKAGES:
        raise error
    print(
        f"error: {error.name} is not installed: the layers need torch alone, the benchmark needs "
        "more; from the project's folder: pip install '.[benchmark]'",
        file=sys.stderr,
    )
    sys.exit(2)
