"""Vectors of sixteen 32-bit integers or floats in functions that numba compiles.

LLVM has such vectors for every processor: one register of AVX-512, two of AVX2, four of NEON. numba
vectorises a loop only where it can prove enough; the loops of
`snnquant.inference.integer.kernels` keep sums in registers across loops and append the places of
spikes to a list, which it cannot vectorise. Indices are not checked.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from snnquant.spiking.backends.vector_types import (
    FLOATS,
    LANES,
    MASK,
    WORDS,
    address_of,
    call,
    compiled,
    in_code,
    operators,
    part,
    repeated,
    where,
)

__all__ = [
    "LANES",
    "add_to",
    "add_words",
    "any_apart",
    "append",
    "clipped",
    "compiled",
    "dot",
    "dot_like",
    "fill",
    "load",
    "load_floats",
    "load_words",
    "nearest",
    "pair",
    "part",
    "spread",
    "spread_float",
    "store",
    "store_bits",
    "store_narrow",
    "where",
]

_WORD, _WORDS, _FLOATS = ir.IntType(32), WORDS.form, FLOATS.form
_BITS = MASK.form


def _bytes(array: Any) -> int:
    size: int = array.dtype.bitwidth // 8
    return size


@in_code
def load(typing: Any, array: Any, index: Any) -> Any:
    """Load values index..index+15 of a contiguous array of bytes, int16 or 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form = ir.VectorType(ir.IntType(array.dtype.bitwidth), LANES)
        address = address_of(context, builder, signature, arguments, form)
        values = builder.load(address, align=_bytes(array))
        return values if form == _WORDS else builder.sext(values, _WORDS)

    return WORDS(array, types.intp), generate


@in_code
def store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Store 64 bytes at value `index` of a contiguous array of int16 or int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = address_of(context, builder, signature, arguments, _WORDS)
        builder.store(arguments[2], address, align=_bytes(array))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@in_code
def load_words(typing: Any, array: Any, index: Any) -> Any:
    """Load the 64 bytes at value `index` of an array of int16 or int32, unconverted."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = address_of(context, builder, signature, arguments, _WORDS)
        return builder.load(address, align=_bytes(array))

    return WORDS(array, types.intp), generate


@in_code
def append(typing: Any, array: Any, index: Any, vector: Any, mask: Any) -> Any:
    """Write a mask's lanes to an array from an index on; return the index after the last.

    The rest of the array up to index + 15 is overwritten too.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_WORDS, [_WORDS, _BITS, _WORDS])
        name = f"llvm.experimental.vector.compress.v{LANES}i32"
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, kind, name
        )
        _, start, values, chosen = arguments
        packed = builder.call(function, [values, chosen, ir.Constant(_WORDS, ir.Undefined)])
        address = address_of(context, builder, signature, arguments, _WORDS)
        builder.store(packed, address, align=_bytes(array))
        count = builder.ctpop(builder.bitcast(chosen, ir.IntType(LANES)))
        return builder.add(start, builder.zext(count, start.type))

    return types.intp(array, types.intp, vector, mask), generate


@in_code
def add_to(typing: Any, target: Any, to: Any, source: Any, start: Any) -> Any:
    """Add source[start + n] to target[to + n] for n < 32, both of int16 or both of int32.

    In two halves: a processor forwards a store to the next load of exactly the same values, not to
    a load that overlaps it.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form = ir.VectorType(ir.IntType(target.dtype.bitwidth), LANES)
        pair = types.void(source, types.intp)
        at = address_of(context, builder, signature, arguments, form)
        row = address_of(context, builder, pair, arguments[2:], form)
        for half in range(2):
            here, there = (builder.gep(place, [_WORD(half)]) for place in (at, row))
            old, more = (builder.load(place, align=_bytes(target)) for place in (here, there))
            builder.store(builder.add(old, more), here, align=_bytes(target))
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), generate


@in_code
def add_words(typing: Any, like: Any, a: Any, b: Any) -> Any:
    """Add a and b, whose words are numbers of an array's type: one int32, or two int16."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = like.dtype.bitwidth
        form = ir.VectorType(ir.IntType(bits), LANES * 32 // bits)
        x, y = (builder.bitcast(v, form) for v in arguments[1:])
        return builder.bitcast(builder.add(x, y), _WORDS)

    return a(like, a, b), generate


@in_code
def fill(typing: Any, value: Any) -> Any:
    """Repeat an int32 sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return repeated(builder, context.cast(builder, arguments[0], value, types.int32))

    return WORDS(value), generate


@in_code
def spread(typing: Any, array: Any, index: Any) -> Any:
    """Repeat one value of an array of int32 or uint32 sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = address_of(context, builder, signature, arguments, _WORD)
        return repeated(builder, builder.load(address, align=4))

    return WORDS(array, types.intp), generate


@in_code
def pair(typing: Any, array: Any, index: Any) -> Any:
    """Load two neighbours of an array of int16 as one int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(address_of(context, builder, signature, arguments, _WORD), align=2)

    return types.int32(array, types.intp), generate


def _has(context: Any, feature: str) -> bool:
    """Tell whether numba compiles for a processor with a feature."""
    return f"+{feature}" in context.codegen().magic_tuple()[2]


def _dot_of_halves(context: Any, builder: Any, total: Any, a: Any, b: Any) -> Any:
    halves = ir.VectorType(ir.IntType(16), 2 * LANES)
    if _has(context, "avx512bw"):  # as operations below, it is lost where halves are known as 0
        x, y = (builder.bitcast(v, halves) for v in (a, b))
        return builder.add(total, call(builder, "llvm.x86.avx512.pmaddw.d.512", _WORDS, x, y))
    wide = ir.VectorType(_WORD, 2 * LANES)
    x, y = (builder.sext(builder.bitcast(v, halves), wide) for v in (a, b))
    products = builder.mul(x, y)
    # Compilers know the sum of neighbouring products as one instruction (vpdpwssd).
    low, high = (
        builder.shuffle_vector(
            products, ir.Constant(wide, ir.Undefined), _WORDS(list(range(i, 2 * LANES, 2)))
        )
        for i in range(2)
    )
    return builder.add(total, builder.add(low, high))


def _dot_of_bytes(context: Any, builder: Any, total: Any, a: Any, b: Any) -> Any:
    if _has(context, "avx512vnni"):
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", _WORDS, total, a, b)
    halves = ir.VectorType(ir.IntType(16), 2 * LANES)
    eight, low = ir.Constant(halves, [8] * 2 * LANES), ir.Constant(halves, [255] * 2 * LANES)
    a, b = builder.bitcast(a, halves), builder.bitcast(b, halves)
    even = builder.and_(a, low), builder.ashr(builder.shl(b, eight), eight)
    odd = builder.lshr(a, eight), builder.ashr(b, eight)
    return _dot_of_halves(context, builder, _dot_of_halves(context, builder, total, *even), *odd)


@in_code
def dot(typing: Any, total: Any, a: Any, b: Any) -> Any:
    """Return total + low(a) low(b) + high(a) high(b), with two int16 per lane of a and b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _dot_of_halves(context, builder, *arguments)

    return total(total, a, b), generate


@in_code
def dot_like(typing: Any, words: Any, total: Any, a: Any, b: Any) -> Any:
    """Return total + the products of the numbers in a lane of a and b, two or four of them.

    Two int16 each for an array of int32; for one of uint32 four bytes, of b with a sign.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if words.dtype.signed:
            return _dot_of_halves(context, builder, *arguments[1:])
        return _dot_of_bytes(context, builder, *arguments[1:])

    return total(words, total, a, b), generate


@in_code
def load_floats(typing: Any, array: Any, index: Any, count: Any) -> Any:
    """Load values index..index+15 of an array of float32 with neighbours side by side.

    Of them `count`; 0 for the others, which are not touched.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = address_of(context, builder, signature, arguments, _FLOATS)
        number = builder.trunc(arguments[2], _WORD)
        lanes = ir.Constant(_WORDS, list(range(LANES)))
        inside = builder.icmp_signed("<", lanes, repeated(builder, number))
        zeros = ir.Constant(_FLOATS, [0.0] * LANES)
        name = f"llvm.masked.load.v{LANES}f32.p0"
        return call(builder, name, _FLOATS, address, _WORD(4), inside, zeros)

    return FLOATS(array, types.intp, types.intp), generate


@in_code
def store_narrow(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    """Store the low bits of sixteen int32 from value `index` of an array of bytes or int16 on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form = ir.VectorType(ir.IntType(array.dtype.bitwidth), LANES)
        address = address_of(context, builder, signature, arguments, form)
        builder.store(builder.trunc(arguments[2], form), address, align=_bytes(array))
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@in_code
def store_bits(typing: Any, array: Any, index: Any, mask: Any) -> Any:
    """Store sixteen lanes of a mask as bytes 0 and 1 from value `index` of an array of bytes on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form = ir.VectorType(ir.IntType(8), LANES)
        address = address_of(context, builder, signature, arguments, form)
        builder.store(builder.zext(arguments[2], form), address, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, mask), generate


@in_code
def spread_float(typing: Any, value: Any) -> Any:
    """Repeat a float32 sixteen times."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        nothing = ir.Constant(_FLOATS, ir.Undefined)
        first = builder.insert_element(nothing, arguments[0], _WORD(0))
        return builder.shuffle_vector(first, nothing, _WORDS([0] * LANES))

    return FLOATS(types.float32), generate


@in_code
def nearest(typing: Any, vector: Any) -> Any:
    """Round float32 to nearest, ties to even."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, f"llvm.rint.v{LANES}f32", _FLOATS, *arguments)

    return vector(vector), generate


@in_code
def clipped(typing: Any, vector: Any, low: Any, high: Any) -> Any:
    """Clip float32 to low..high and return them as int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        above = call(builder, f"llvm.maxnum.v{LANES}f32", _FLOATS, *arguments[:2])
        within = call(builder, f"llvm.minnum.v{LANES}f32", _FLOATS, above, arguments[2])
        return builder.fptosi(within, _WORDS)

    return WORDS(vector, low, high), generate


@in_code
def any_apart(typing: Any, a: Any, b: Any, distance: Any) -> Any:
    """Tell whether any lanes of a and b differ by more than those of `distance`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, limit = arguments
        apart = call(builder, f"llvm.fabs.v{LANES}f32", _FLOATS, builder.fsub(a, b))
        far = builder.fcmp_ordered(">", apart, limit)
        return builder.icmp_unsigned(
            "!=", builder.bitcast(far, ir.IntType(LANES)), ir.IntType(LANES)(0)
        )

    return types.boolean(a, b, distance), generate


operators(operator.and_, (ir.IRBuilder.and_, WORDS, WORDS))
operators(operator.lshift, (ir.IRBuilder.shl, WORDS, WORDS))
operators(operator.rshift, (ir.IRBuilder.ashr, WORDS, WORDS))
