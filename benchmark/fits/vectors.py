"""A processor's vector registers as a type of numba, so that a kernel says what each holds.

Left to itself, LLVM decides loop by loop whether to use vectors, and one literal of another
precision keeps it from it. A `Vector` holds as many numbers as a register (AVX-512's, or half of
that, which other processors have or make of two), all of the type of the array that it is read
from. `+`, `-`, `*` and `/` work on two of them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

BYTES = 64 if binding.get_host_cpu_features().get("avx512f") else 32
"""The size of a vector."""

SINE = {
    32: (
        3.141592636895439,
        -5.167709684803433,
        2.5500697264114103,
        -0.5982421268412718,
        0.07756038772650278,
    ),
    64: (
        3.141592653589793,
        -5.167712780049969,
        2.550164039877294,
        -0.5992645293187382,
        0.08214588656989281,
        -0.007370430478762746,
        0.00046629968877016405,
        -2.1903185407119565e-05,
        7.69472715744174e-07,
    ),
}
"""By bits of a number: sin(pi x) / x as a polynomial of x^2, for |x| <= 1/2.

The largest relative error is as small as that many terms allow (by Remez' algorithm): 5e-9 and
3e-19.
"""

COSINE = {
    32: (
        0.9999999997806521,
        -4.934802137228471,
        4.058709164345972,
        -1.3352120567010153,
        0.2349375590945165,
        -0.024396716815456333,
    ),
    64: (
        1.0,
        -4.934802200544676,
        4.058712126416498,
        -1.3352627688434646,
        0.23533063012980843,
        -0.0258068887393532,
        0.001929556283593826,
        -0.00010456658073743866,
        4.149591701727263e-06,
    ),
}
"""Likewise cos(pi x); the largest error is 2e-10 and 4e-18."""


class Vector(types.Type):
    """The type of a vector of float32 or float64."""

    def __init__(self, dtype: types.Float) -> None:
        self.dtype = dtype
        self.lanes = BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype}, {self.lanes})")


def _register(kind: Vector) -> ir.VectorType:
    scalar = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
    return ir.VectorType(scalar, kind.lanes)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, _register(kind))


Code = tuple[Any, Callable[..., ir.Value]]


@intrinsic
def lanes(typing: Any, array: types.Array) -> Code:  # noqa: ARG001
    """The numbers in a vector of that array's type."""

    def code(*_: Any) -> ir.Value:
        return ir.Constant(ir.IntType(types.intp.bitwidth), Vector(array.dtype).lanes)

    return types.intp(array), code


@intrinsic
def load(typing: Any, array: types.Array, index: types.Integer) -> Code:  # noqa: ARG001
    """The numbers of a flat array from an index on."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        place = _place(context, builder, signature, args)
        place = builder.bitcast(place, _register(signature.return_type).as_pointer())
        return builder.load(place, align=array.dtype.bitwidth // 8)

    return Vector(array.dtype)(array, types.intp), code


@intrinsic
def store(typing: Any, array: types.Array, index: types.Integer, vector: Vector) -> Code:  # noqa: ARG001
    """Write a vector into a flat array, from an index on."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        place = _place(context, builder, signature, args)
        place = builder.bitcast(place, _register(vector).as_pointer())
        builder.store(args[2], place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def spread(typing: Any, array: types.Array, index: types.Integer) -> Code:  # noqa: ARG001
    """A number of a flat array, in every lane."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        scalar = builder.load(_place(context, builder, signature, args))
        return _splat(builder, scalar, signature.return_type)

    return Vector(array.dtype)(array, types.intp), code


@intrinsic
def number(typing: Any, array: types.Array, value: types.Float) -> Code:  # noqa: ARG001
    """A float64 in every lane, rounded to that array's type."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        scalar = context.cast(builder, args[1], types.float64, array.dtype)
        return _splat(builder, scalar, signature.return_type)

    return Vector(array.dtype)(array, types.float64), code


@intrinsic
def multiply_add(typing: Any, a: Vector, b: Vector, c: Vector) -> Code:  # noqa: ARG001
    """a * b + c, by one instruction where the processor has it."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:  # noqa: ARG001
        return _multiply_add(builder, *args)

    return a(a, a, a), code


@intrinsic
def root(typing: Any, a: Vector) -> Code:  # noqa: ARG001
    """The square roots."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:  # noqa: ARG001
        return _call(builder, "sqrt", *args)

    return a(a), code


@intrinsic
def total(typing: Any, a: Vector) -> Code:  # noqa: ARG001
    """The sum of the lanes, half to half."""

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:  # noqa: ARG001
        (vector,), count = args, a.lanes
        while count > 1:
            count //= 2
            numbers = ir.VectorType(ir.IntType(32), count)
            low, high = (
                builder.shuffle_vector(vector, vector, ir.Constant(numbers, list(half)))
                for half in (range(count), range(count, 2 * count))
            )
            vector = builder.fadd(low, high)
        return builder.extract_element(vector, ir.IntType(32)(0))

    return a.dtype(a), code


@intrinsic
def sine_and_cosine(typing: Any, turns: Vector) -> Code:  # noqa: ARG001
    """sin(pi x) and cos(pi x), from one reduction to |x| <= 1/2.

    Adding 1.5 * 2^23 (2^52) to x rounds it to a whole number, whose last bit is the sign of both.
    """

    def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
        (x,), bits = args, turns.dtype.bitwidth
        integers = ir.VectorType(ir.IntType(bits), turns.lanes)

        def constant(value: float) -> ir.Constant:
            return ir.Constant(x.type, [value] * turns.lanes)

        def negate(value: ir.Value) -> ir.Value:
            return builder.bitcast(builder.xor(builder.bitcast(value, integers), odd), x.type)

        def polynomial(terms: tuple[float, ...]) -> ir.Value:
            value = constant(terms[-1])
            for term in terms[-2::-1]:
                value = _multiply_add(builder, value, square, constant(term))
            return value

        shift = constant(1.5 * 2.0 ** (23 if bits == 32 else 52))
        shifted = builder.fadd(x, shift)
        rest = builder.fsub(x, builder.fsub(shifted, shift))
        places = ir.Constant(integers, [bits - 1] * turns.lanes)
        odd = builder.shl(builder.bitcast(shifted, integers), places)
        square = builder.fmul(rest, rest)
        sine = builder.fmul(polynomial(SINE[bits]), negate(rest))
        cosine = negate(polynomial(COSINE[bits]))
        return context.make_tuple(builder, signature.return_type, (sine, cosine))

    return types.UniTuple(turns, 2)(turns), code


def _place(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
    """The address of an element, from the first two arguments: an array and an index."""
    array = context.make_array(signature.args[0])(context, builder, args[0])
    return builder.gep(array.data, [args[1]])


def _splat(builder: ir.IRBuilder, scalar: ir.Value, kind: Vector) -> ir.Value:
    empty = ir.Constant(_register(kind), ir.Undefined)
    first = builder.insert_element(empty, scalar, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), [0] * kind.lanes)
    return builder.shuffle_vector(first, empty, zeros)


def _multiply_add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    return _call(builder, "fmuladd", a, b, c)


def _call(builder: ir.IRBuilder, name: str, *args: ir.Value) -> ir.Value:
    """Call one of LLVM's own functions of vectors."""
    kind = args[0].type
    bits = 32 if isinstance(kind.element, ir.FloatType) else 64
    function = ir.FunctionType(kind, [kind] * len(args))
    full_name = f"llvm.{name}.v{kind.count}f{bits}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function, full_name), args)


def _overload_operator(symbol: Callable[..., Any], instruction: str) -> None:
    @intrinsic
    def compute(typing: Any, a: Vector, b: Vector) -> Code:  # noqa: ARG001
        def code(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:  # noqa: ARG001
            return getattr(builder, instruction)(*args)

        return a(a, a), code

    @overload(symbol, strict=False)  # whose implementation has no annotations
    def choose(a: types.Type, b: types.Type) -> Callable[..., Any] | None:
        if isinstance(a, Vector) and a == b:
            return lambda a, b: compute(a, b)  # noqa: PLW0108
        return None


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _overload_operator(_symbol, _instruction)
