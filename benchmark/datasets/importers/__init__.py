"""Importers of published originals, one file a kind: `import_original` and the kinds it knows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from benchmark.datasets.importers.cnn_zoo import CnnZoo
from benchmark.datasets.importers.contract import import_original, verify
from benchmark.datasets.importers.dws_sirens import DwsSirens
from benchmark.datasets.importers.nfn_sirens import NfnSirens

__all__ = ["CnnZoo", "DwsSirens", "Importer", "NfnSirens", "import_original", "verify"]

Importer = Annotated[NfnSirens | DwsSirens | CnnZoo, Field(discriminator="format")]
