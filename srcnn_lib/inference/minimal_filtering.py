"""Minimal filtering, the algorithm of Toom, Cook and Winograd: a convolution with fewer products.

F(m, f) computes m neighboring outputs of a convolution with f taps from n = m + f − 1 inputs, with n products in place
of m · f. In two dimensions a tile of m × m outputs takes n² products: 100 in place of 900 for F(6, 5).

Derivation. Let g be a polynomial with f coefficients (the taps), h one with m coefficients, and s = g · h, which has n.
Choose n points p₁ … pₙ. Then s is known from its values at these points, and each of them is one product:

    s = V⁻¹ ((E_f g) ⊙ (E_m h)),   E_k: evaluation of k coefficients, rows (1, pᵢ, pᵢ², …);   V = E_n.

The last point is infinity, where a polynomial's value is its leading coefficient: its row is (0, …, 0, 1).

The map h → s is a matrix that depends on g. Its transpose maps n inputs d to the m outputs yⱼ = Σₖ gₖ d₍ⱼ₊ₖ₎, which are
a convolution as a network computes it. Transposing the line above gives

    y = A ((G g) ⊙ (B d)),   A = E_mᵀ (m × n),   G = E_f (n × f),   B = V⁻ᵀ (n × n).

B is found exactly, with fractions. Its row i is the polynomial Πⱼ (x − pⱼ) over the other finite points, divided by its
value at pᵢ (Lagrange). This divisor is moved into G, which transforms the weights in float64; the result is rounded
once. So A and B have few digits.

The error grows with the number of points and with their size. With each point x, −1/x is one too (0 and infinity, 1 and
−1), which keeps the entries of A and B small. Rounding adds Σᵢ Aⱼᵢ² |Gᵢ|² |Bᵢ|² to the variance of output j, in units
that depend on the data. Of the sets of ten points 0, ±1, infinity and three pairs (x, ±x or ±1/x) of small fractions,
the one below has the smallest such sum. On released networks its error is half of that with ±2, ±1/2, 4/3 and −3/4.

References: S. Winograd, *Arithmetic Complexity of Computations*, 1980; A. Lavin and S. Gray, arXiv 1509.09308,
section 4; B. Barabasz et al., *Error Analysis and Improving the Accuracy of Winograd Convolution*, arXiv 1803.10986.
"""

import functools
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

# And infinity. The first ones serve for up to eight points, the others for ten.
POINTS = tuple(map(Fraction, ("0", "1", "-1", "1/2", "-1/2", "2", "-2")))
TEN_POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-1/2", "3/4", "-4/3", "1/3", "-3")))
# The tile m for each filter size f: as many outputs as the points allow, n = m + f − 1 ≤ 10.
TILES = {3: 6, 5: 6, 7: 4, 9: 2}


@dataclass(frozen=True)
class MinimalFiltering:
    """F(m, f): m rows of a convolution with f taps as result @ ((kernel @ taps) * (data @ inputs))."""

    tile: int  # m
    result: Tensor  # (m, n), called A above
    kernel: Tensor  # (n, f), G
    data: Tensor  # (n, n), B

    def of_weight(self, weight: Tensor) -> Tensor:
        """Transforms a weight, (C₂, C₁, f, f) → (n, n, C₂, C₁), in float64, and rounds it once."""
        by_tap = weight.detach().cpu().double().permute(2, 3, 0, 1).flatten(0, 1)  # (f², C₂, C₁)
        points = len(self.kernel)
        return (self._kernel_2d @ by_tap.flatten(1)).view(points, points, *by_tap.shape[1:]).to(weight)

    def weight_gradient(self, gradient: Tensor) -> Tensor:
        """Applies the transpose of `of_weight`, to the gradient of its result: (n, n, C₂, C₁) → (C₂, C₁, f, f)."""
        taps = self.kernel.shape[1]
        by_tap = self._kernel_2d.T @ gradient.cpu().double().flatten(0, 1).flatten(1)  # (f², C₂ · C₁)
        return by_tap.view(taps, taps, *gradient.shape[2:]).permute(2, 3, 0, 1).to(gradient)

    @functools.cached_property
    def _kernel_2d(self) -> Tensor:
        """The kernel transform along rows and columns, (n², f²)."""
        return torch.kron(self.kernel, self.kernel)

    def like(self, tensor: Tensor) -> "MinimalFiltering":
        """Returns it with `result` and `data` in a tensor's precision, on its device; `kernel` stays in float64."""
        return replace(self, result=self.result.to(tensor), data=self.data.to(tensor))


@functools.cache
def minimal_filtering(tile: int, taps: int) -> MinimalFiltering:
    """Returns F(tile, taps) in float64.

    Args:
        tile: outputs, m.
        taps: of the filter, f. m + f may be at most 9, or 11.
    """
    size = tile + taps - 1
    points = TEN_POINTS if size == 10 else POINTS[: size - 1]
    data = [_monic([other for other in points if other != point], size) for point in points] + [_monic(points, size)]
    divisors = [_value(row, point) for row, point in zip(data, points, strict=False)] + [Fraction(1)]
    kernel = [
        [value / divisor for value in row] for row, divisor in zip(_evaluation(points, taps), divisors, strict=True)
    ]
    columns = zip(*_evaluation(points, tile), strict=True)
    return MinimalFiltering(tile, *(_tensor([list(row) for row in rows]) for rows in (columns, kernel, data)))


def _evaluation(points: tuple[Fraction, ...], coefficients: int) -> list[list[Fraction]]:
    """Returns the matrix that evaluates a polynomial at the points and at infinity."""
    finite = [[point**power for power in range(coefficients)] for point in points]
    return [*finite, [Fraction(power == coefficients - 1) for power in range(coefficients)]]


def _monic(roots: list[Fraction] | tuple[Fraction, ...], size: int) -> list[Fraction]:
    """Returns the coefficients of Π (x − root), from the constant one on, filled up with zeros."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [high - root * low for high, low in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients + [Fraction(0)] * (size - len(coefficients))


def _value(coefficients: list[Fraction], point: Fraction) -> Fraction:
    return sum((value * point**power for power, value in enumerate(coefficients)), Fraction(0))


def _tensor(rows: list[list[Fraction]]) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)
