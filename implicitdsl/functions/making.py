"""Records of the functions that make and join tensors, and of the calculus in expressions."""

from __future__ import annotations

from implicitdsl.functions import shapes, tensor
from implicitdsl.functions.function import Function
from implicitdsl.functions.record import Sign, always, is_nonneg, is_nonpos


def _common(*signs: Sign) -> Sign:
    """What holds for all parts."""
    if all(map(is_nonneg, signs)):
        return "zero" if all(map(is_nonpos, signs)) else "nonneg"
    return "nonpos" if all(map(is_nonpos, signs)) else "unknown"


_unknown = always("unknown")

_MAKING: tuple[Function, ...] = (
    Function(
        name="eye",
        family="making and joining",
        arity=(1, 1),
        signature="eye(n)",
        doc="The identity matrix.",
        example="eye(n)",
        latex=r"I_{{{0}}}",
        shape=shapes.eye,
        build=tensor.eye,
        sign=always("nonneg"),
        curvature="constant",
        monotonicity=(None,),
        form="the argument is a size: `shape` takes the size, `build` an int",
    ),
    Function(
        name="zeros",
        family="making and joining",
        arity=(0, None),
        signature="zeros(n, …)",
        doc="Zeros of the shape told.",
        example="zeros(n, m)",
        latex=r"0_{{{args}}}",
        shape=shapes.filled,
        build=tensor.zeros,
        sign=always("zero"),
        curvature="constant",
        form="the arguments are sizes: `shape` takes sizes, `build` ints",
    ),
    Function(
        name="ones",
        family="making and joining",
        arity=(0, None),
        signature="ones(n, …)",
        doc="Ones of the shape told.",
        example="ones(n)",
        latex=r"1_{{{args}}}",
        shape=shapes.filled,
        build=tensor.ones,
        sign=always("nonneg"),
        curvature="constant",
        form="the arguments are sizes: `shape` takes sizes, `build` ints",
    ),
    Function(
        name="reshape",
        family="making and joining",
        arity=(2, 2),
        signature="reshape(x, [n, …])",
        doc="The same scalars, row by row, under another shape.",
        example="reshape(f(z), [h, c])",
        latex=r"\operatorname{{reshape}}\left({0}, {1}\right)",
        shape=shapes.reshape,
        build=tensor.reshape,
        sign=lambda x, shape="unknown": x,
        curvature="affine",
        monotonicity=("increasing", None),
        affine_in=(True, False),
        form="the second argument is a bracket of sizes: `shape` takes it as a tuple of sizes, `build` as one of ints",
        fits=((((6,), (2, 3)), (2, 3)), (((2, 3), (3, 2)), (3, 2))),
        misfits=(((6,), (2, 2)),),
    ),
    Function(
        name="concat",
        family="making and joining",
        arity=(1, None),
        signature="concat(x, y, …), concat(e for k in a:b)",
        doc="The parts one after another along the first axis; scalars count as length 1.",
        example="concat(x, y)",
        latex=r"\left[{args}\right]",
        shape=shapes.concat,
        build=tensor.concat,
        sign=_common,
        curvature="affine",
        form="takes any number of parts, also as one bracket or `for`; increasing and affine in each",
        fits=((((3,), (2,), ()), (6,)), (((2, 3), (1, 3)), (3, 3))),
        misfits=(((2, 3), (2, 2)), ((2, 3), (3,))),
    ),
    Function(
        name="stack",
        family="making and joining",
        arity=(1, None),
        signature="stack(x, y, …), stack(e for k in a:b)",
        doc="The parts, of one shape, under a new first axis.",
        example="stack(x, y)",
        latex=r"\operatorname{{stack}}\left({args}\right)",
        shape=shapes.stack,
        build=tensor.stack,
        sign=_common,
        curvature="affine",
        form="takes any number of parts, also as one bracket or `for`; increasing and affine in each",
        fits=((((3,), (3,)), (2, 3)), (((), ()), (2,))),
        misfits=(((3,), (2,)), ((3,), ())),
    ),
)

_CALCULUS: tuple[Function, ...] = (
    Function(
        name="grad",
        family="calculus",
        arity=(2, 2),
        signature="grad(e, x)",
        doc="The gradient of a scalar expression by a name it is made of.",
        example="grad(H(q, p), p)",
        latex=r"\nabla_{{{1}}} {0}",
        shape=shapes.gradient,
        build=tensor.gradient,
        sign=_unknown,
        form="the second argument is a name, not a value: curvature is judged on the derived expression",
        fits=((((), (3,)), (3,)), (((), ()), ())),
        misfits=(((3,), (3,)),),
    ),
    Function(
        name="div",
        family="calculus",
        arity=(2, 2),
        signature="div(v, x)",
        options=("probes",),
        doc="The sum of dv[i]/dx[i]; with `probes = k` its unbiased estimate from k vectors of random signs.",
        example="div(f(z), z)",
        latex=r"\nabla_{{{1}}} \cdot {0}",
        shape=shapes.divergence,
        build=tensor.divergence,
        sign=_unknown,
        form="the second argument is a name, not a value: curvature is judged on the derived expression",
        fits=((((3,), (3,)), ()), (((), ()), ())),
        misfits=(((3,), (2,)), ((3,), ())),
    ),
    Function(
        name="jacobian",
        family="calculus",
        arity=(2, 2),
        signature="jacobian(v, x)",
        doc="All derivatives of v by x: the axes of v, then those of x.",
        example="jacobian(f(z), z)",
        latex=r"\frac{{\partial {0}}}{{\partial {1}}}",
        shape=shapes.jacobian,
        build=tensor.jacobian,
        sign=_unknown,
        form="the second argument is a name, not a value: curvature is judged on the derived expression",
        fits=((((2,), (3,)), (2, 3)), (((), (3,)), (3,))),
    ),
)

RECORDS: tuple[Function, ...] = (*_MAKING, *_CALCULUS)
