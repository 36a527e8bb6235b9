"""Spectral indices by name, such as NDVI: formulas over named bands.

The formulas come from Awesome Spectral Indices (D. Montero et al., "A standardized catalogue of
spectral indices to advance the use of remote sensing in Earth system research", Scientific Data
10, 197, 2023), through its Python package spyndex, and from `KELP_INDICES`. They are sums,
products, quotients and powers, so the same formula works on NumPy arrays and, in a model, on
tensors.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from polynya.environment import install_command
from polynya.errors import MissingDependencyError, RecipeError, reason_of

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_KEY = "features.indices"

ELEVATION = "elevation"
"""Name of the band of elevation above the sea."""
_ELEVATION_SYMBOL = "E"
"""No symbol of spyndex; its bands are those of a satellite's image."""

KELP_INDICES: dict[str, str] = {
    "kelp_ATSAVI": "1.22 * (N - 1.22 * R - 0.03) / (1.22 * N + R - 1.22 * 0.03"
    " + 0.08 * (1 + 1.22 ** 2))",
    "kelp_AVI": "2 * N - R",
    "kelp_CI": "(R - B) / R",
    # The greater of E and 0, without a function.
    "kelp_DEMWM": "(E + (E * E) ** 0.5) / 2",
    "kelp_GVMI": "((N + 0.1) - (S1 + 0.02)) / ((N + 0.1) + (S1 + 0.02))",
    "kelp_IPVI": "N / (N + R) / 2 * ((R - G) / R + G + 1)",
    "kelp_KIVU": "(B - R) / G",
    "kelp_MCARI": "((N - R) - 0.2 * (N - G)) * N / R",
    "kelp_MVI": "N / S1",
    "kelp_PNDVI": "(N - R - G - B) / (N + R + G + B)",
    "kelp_SABI": "(N - R) / (G + B)",
    "kelp_mCRIG": "(1 / B - 1 / G) * N",
}
"""Indices of the kelp study that Awesome Spectral Indices lacks, or has with another formula under
the same name; hence 'kelp_'. The study's other five are NDVI, GBNDVI, NormNIR, WDRVI and CIG
(ClGreen in the study). kelp_DEMWM is the water mask from elevation: above 0 on land. Formulas: the
published code of an entry to the competition "Kelp Wanted: Segmenting Kelp Forests" (2024)."""


@dataclass(frozen=True)
class SpectralIndex:
    """A spectral index with known bands."""

    name: str
    expression: str
    """Formula with the keys of `bands` and `constants` as symbols."""
    bands: dict[str, str]
    """Name of the band for each symbol of the formula."""
    constants: dict[str, float]

    def compute(self, values: Mapping[str, Any]) -> Any:
        """Compute the index from the values of bands.

        Args:
            values: NumPy arrays, or tensors of any Keras back end, by name of the band.

        Returns:
            Array or tensor of the same kind. Division by 0 gives a number that is not finite.
        """
        known = {symbol: values[band] for symbol, band in self.bands.items()}
        return _value(ast.parse(self.expression, mode="eval").body, {**self.constants, **known})


def find_index(name: str, bands: Sequence[str]) -> SpectralIndex:
    """Find an index by name and match its symbols with bands.

    Args:
        name: Name in Awesome Spectral Indices, such as 'NDVI', or in `KELP_INDICES`.
        bands: Names of the available bands: common names such as 'nir', or Sentinel-2 names such
            as 'B08'.

    Raises:
        RecipeError: There is no such index, or a band that it needs is missing.
        MissingDependencyError: spyndex is not installed.
    """
    spyndex = _spyndex()
    there = _by_symbol(spyndex, bands)
    if name in KELP_INDICES:
        expression, constants = KELP_INDICES[name], {}
        tree = ast.parse(expression, mode="eval")
        needed = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    else:
        expression, symbols = _catalogued(spyndex, name)
        constants = {
            symbol: float(constant.default)
            for symbol, constant in spyndex.constants.items()
            if symbol in symbols and constant.default is not None
        }
        needed = [symbol for symbol in symbols if symbol not in constants]
    missing = [symbol for symbol in needed if symbol not in there]
    if missing:
        words = ", ".join(_described(spyndex, symbol) for symbol in missing)
        raise RecipeError(
            f"The recipe's key '{_KEY}' has '{name}', which needs {words}; 'scene.inputs' names"
            f" {', '.join(bands)}."
        )
    return SpectralIndex(name, expression, {symbol: there[symbol] for symbol in needed}, constants)


def _catalogued(spyndex: Any, name: str) -> tuple[str, list[str]]:
    """Formula of an index of the catalogue, and the symbols of its bands and constants."""
    if name not in spyndex.indices:
        similar = get_close_matches(name, [*spyndex.indices, *KELP_INDICES], n=3)
        hint = f"; similar ones are {', '.join(similar)}" if similar else ""
        raise RecipeError(
            f"The recipe's key '{_KEY}' has '{name}', which is no index of Awesome Spectral"
            f" Indices or of the kelp study{hint}."
        )
    found = spyndex.indices[name]
    return found.formula, list(found.bands)


def _by_symbol(spyndex: Any, bands: Sequence[str]) -> dict[str, str]:
    """Name of the available band for each symbol of a formula."""
    found = {_ELEVATION_SYMBOL: ELEVATION} if ELEVATION in bands else {}
    for symbol, band in spyndex.bands.items():
        product = getattr(getattr(band, "sentinel2a", None), "band", "")
        for name in bands:
            plain = name.lower().replace("b0", "b")
            if plain == band.common_name.lower() or (product and plain == product.lower()):
                found.setdefault(symbol, name)
    return found


def _described(spyndex: Any, symbol: str) -> str:
    if symbol == _ELEVATION_SYMBOL:
        return f"the band {ELEVATION}"
    if symbol in spyndex.bands:
        return f"the band {spyndex.bands[symbol].common_name} ({symbol})"
    return f"{symbol}, which is no band"


def _spyndex() -> Any:
    try:
        import spyndex
    except ImportError as error:
        raise MissingDependencyError(
            f"Spectral indices need spyndex ({reason_of(error)}); install it with:"
            f" {install_command('indices')}"
        ) from None
    return spyndex


def _value(node: ast.AST, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float()):
            return node.value
        case ast.Name():
            return values[node.id]
        case ast.BinOp() if type(node.op) in _OPERATORS:
            left, right = _value(node.left, values), _value(node.right, values)
            return _OPERATORS[type(node.op)](left, right)
        case ast.UnaryOp() if type(node.op) in _OPERATORS:
            return _OPERATORS[type(node.op)](_value(node.operand, values))
    raise ValueError(f"a formula may not have {ast.dump(node)}")
