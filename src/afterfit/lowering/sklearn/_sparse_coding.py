"""Sparse coding: each row as a sum of few atoms of a dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import spox.opset.ai.onnx.v21 as op

from afterfit.lowering._registry import lowers
from afterfit.lowering._table import constant
from afterfit.lowering.sklearn._array import single_table

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from spox import Var

    from afterfit.lowering._context import Context
    from afterfit.lowering._table import Table

_MOST_ATOMS = 16
"""Up to this many atoms a row; the graph grows with the cube of their number."""

_SMALLEST = float(np.finfo(np.float64).eps)
"""Squared products and pivots below it end a pursuit, as in scikit-learn."""

_CLOSE = 1e-12
"""Products this close, relative to the largest, may be ordered either way."""


@lowers(
    "sklearn.decomposition.SparseCoder",
    "sklearn.decomposition.DictionaryLearning",
    "sklearn.decomposition.MiniBatchDictionaryLearning",
)
def lower_sparse_coding(estimator: Any, X: Table, context: Context) -> Table:
    """Thresholding, or orthogonal matching pursuit, whose number of steps is known; the other algorithms iterate."""
    atoms = getattr(estimator, "components_", None)
    atoms = np.asarray(estimator.dictionary if atoms is None else atoms)
    dtype = np.result_type(X.number_dtype, atoms.dtype)
    if estimator.transform_algorithm == "threshold":
        code = _threshold(estimator, X, atoms, context)
    elif estimator.transform_algorithm == "omp":
        code = _pursue(estimator, X, atoms, dtype, context)
    else:
        raise context.refuse(
            estimator,
            f"its transform_algorithm {estimator.transform_algorithm!r} iterates for every row",
            "Choose transform_algorithm='omp' or 'threshold' and fit again",
        )
    width = len(atoms)
    if estimator.split_sign:
        negative = op.neg(op.min([code, constant(0.0)]))
        code = op.concat([op.max([code, constant(0.0)]), negative], axis=1)
        width *= 2
    return single_table(estimator, code, width, dtype, context)


def _threshold(estimator: Any, X: Table, atoms: NDArray[Any], context: Context) -> Var:
    alpha = estimator.transform_alpha
    if alpha is None:
        alpha = getattr(estimator, "alpha", None)
    products = op.matmul(context.numbers(estimator, X), constant(atoms.T))
    excess = op.sub(op.abs(products), constant(1.0 if alpha is None else float(alpha)))
    code = op.mul(op.sign(products), op.max([excess, constant(0.0)]))
    return op.max([code, constant(0.0)]) if estimator.positive_code else code


def _pursue(estimator: Any, X: Table, atoms: NDArray[Any], dtype: np.dtype[Any], context: Context) -> Var:
    """R. Rubinstein, M. Zibulevsky and M. Elad, Efficient implementation of the K-SVD algorithm using batch
    orthogonal matching pursuit, written out step by step for all rows at once.
    """
    count = estimator.transform_n_nonzero_coefs
    count = int(min(max(X.width / 10, 1), len(atoms)) if count is None else count)
    if count > _MOST_ATOMS or dtype == np.float32:
        raise context.refuse(
            estimator,
            f"it sums up to {count} atoms a row, and a graph holds the steps for {_MOST_ATOMS}"
            if count > _MOST_ATOMS
            else "it chooses atoms by float32 sums, whose rounding decides between them",
            "Set transform_n_nonzero_coefs lower"
            if count > _MOST_ATOMS
            else "Convert the columns to float64",
        )
    atoms = np.asarray(atoms, dtype=np.float64)
    products = op.matmul(context.numbers(estimator, X), constant(atoms.T))
    pursuit = _Pursuit(atoms @ atoms.T, products)
    for _ in range(count):
        context.note_ties(pursuit.step())
    return pursuit.code()


@dataclass
class _Chosen:
    """One atom that was chosen: its number int64 `[N]`, its row of the Cholesky factor and its part of the
    forward substitution, each float64 `[N]`.
    """

    atom: Var
    factor: list[Var]
    forward: Var


class _Pursuit:
    """The state of an orthogonal matching pursuit; rows that have ended keep the code they had."""

    def __init__(self, gram: NDArray[np.float64], products: Var) -> None:
        self.count = len(gram)
        self.gram = constant(gram.ravel())
        self.products = products
        self.chosen: list[_Chosen] = []
        self.weights: list[Var] = []
        self.going: Var | None = None

    def step(self) -> Var:
        """Choose one atom more; returns where, bool `[N]`, two atoms came so close that rounding decides."""
        residual = op.abs(op.sub(self.products, self._explained()) if self.chosen else self.products)
        atom = op.arg_max(residual, axis=1, keepdims=False)
        largest = op.reduce_max(residual, constant([1], np.int64), keepdims=False)
        going = op.greater_or_equal(op.mul(largest, largest), constant(_SMALLEST))
        for earlier in self.chosen:
            going = op.and_(going, op.not_(op.equal(atom, earlier.atom)))
        factor: list[Var] = []
        for i, earlier in enumerate(self.chosen):
            terms = [op.mul(factor[j], earlier.factor[j]) for j in range(i)]
            factor.append(op.div(_less(self._gram(atom, earlier.atom), terms), earlier.factor[i]))
        pivot = _less(self._gram(atom, atom), [op.mul(part, part) for part in factor])
        if self.chosen:
            going = op.and_(going, op.greater(pivot, constant(_SMALLEST)))
        tied = self._tied(residual, largest)
        if self.going is not None:
            going, tied = op.and_(going, self.going), op.and_(tied, self.going)
        factor.append(op.sqrt(op.where(going, pivot, constant(1.0))))
        terms = [op.mul(part, earlier.forward) for part, earlier in zip(factor, self.chosen, strict=False)]
        forward = op.div(_less(_entry(self.products, atom), terms), factor[-1])
        self.chosen.append(_Chosen(atom, factor, forward))
        self.going = going
        self._solve(going)
        return tied

    def _solve(self, going: Var) -> None:
        """The weights of the atoms chosen, by backward substitution."""
        weights: list[Var] = []
        for i in reversed(range(len(self.chosen))):
            terms = [
                op.mul(later.factor[i], weight)
                for later, weight in zip(self.chosen[i + 1 :], weights, strict=True)
            ]
            weights.insert(0, op.div(_less(self.chosen[i].forward, terms), self.chosen[i].factor[i]))
        before = [*self.weights, constant(0.0)]
        self.weights = [op.where(going, new, old) for new, old in zip(weights, before, strict=True)]

    def _explained(self) -> Var:
        """What the atoms chosen explain of the products, `[N, n]`."""
        rows = op.reshape(self.gram, constant([self.count, self.count], np.int64))
        parts = [
            op.mul(op.gather(rows, chosen.atom, axis=0), op.unsqueeze(weight, constant([1], np.int64)))
            for chosen, weight in zip(self.chosen, self.weights, strict=True)
        ]
        return parts[0] if len(parts) == 1 else op.sum(parts)

    def _tied(self, residual: Var, largest: Var) -> Var:
        if self.count == 1:
            return op.less(largest, constant(0.0))
        best, _ = op.top_k(residual, constant([2], np.int64), axis=1)
        gap = op.sub(largest, op.gather(best, constant(1, np.int64), axis=1))
        scale = op.reduce_max(op.abs(self.products), constant([1], np.int64), keepdims=False)
        return op.less_or_equal(gap, op.mul(scale, constant(_CLOSE)))

    def _gram(self, first: Var, second: Var) -> Var:
        """The products `[N]` of pairs of atoms."""
        return op.gather(self.gram, op.add(op.mul(first, constant(self.count, np.int64)), second))

    def code(self) -> Var:
        """The weight of every atom, float64 `[N, n]`."""
        places = constant(np.arange(self.count)[None, :], np.int64)
        total: Var | None = None
        for chosen, weight in zip(self.chosen, self.weights, strict=True):
            here = op.equal(op.unsqueeze(chosen.atom, constant([1], np.int64)), places)
            part = op.where(here, op.unsqueeze(weight, constant([1], np.int64)), constant(0.0))
            total = part if total is None else op.add(total, part)
        if total is None:
            raise ValueError("a pursuit takes one step at least")
        return total


def _entry(values: Var, position: Var) -> Var:
    """`values[i, position[i]]` `[N]`."""
    column = op.gather_elements(values, op.unsqueeze(position, constant([1], np.int64)), axis=1)
    return op.squeeze(column, constant([1], np.int64))


def _less(value: Var, terms: list[Var]) -> Var:
    """`value` less the sum of the terms."""
    if not terms:
        return value
    return op.sub(value, terms[0] if len(terms) == 1 else op.sum(terms))
