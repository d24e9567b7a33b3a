"""Vectors of sixteen numbers in functions that numba compiles, and the compiling itself.

LLVM has such vectors for every processor: of 32 bits one register of AVX-512, two of AVX2, four of
NEON. numba vectorises a loop only where it can prove enough, which it cannot where more than a few
arrays are written: any two might overlap. Indices are not checked.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

LANES = 16
Loop = TypeVar("Loop", bound=Callable[..., Any])


@cache
def _sources(folder: Path) -> str:
    """Return a digest of the sources of a folder and of this one."""
    digest = hashlib.sha256()
    for path in sorted({*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiled(function: Loop, *, inlined: bool = False) -> Loop:
    """Compile a loop at its first call and keep it in numba's cache until a source changes.

    A source of its folder or of this one: numba itself looks at the file of a function, not at
    those of the functions that it calls.
    """
    compiles = numba.njit(nogil=True, error_model="numpy", forceinline=inlined)
    dispatcher: Any = compiles(function)
    dispatcher.enable_caching()
    sources = _sources(Path(function.__code__.co_filename).parent)
    file = dispatcher._cache._cache_file
    file._source_stamp = sources
    # Of another version numba reads no types, whose classes may have moved meanwhile.
    file._version = f"{file._version} {sources}"
    loop: Loop = dispatcher
    return loop


def part(function: Loop) -> Loop:
    """Compile a function that is called for every place, into its callers.

    A call would count references to each array, which is a locked write to memory that the cores
    share.
    """
    return compiled(function, inlined=True)


class Vector(types.Type):
    """A numba type of sixteen numbers or booleans."""

    def __init__(self, name: str, element: Any) -> None:
        self.element = element
        self.form = ir.VectorType(element, LANES)
        super().__init__(name)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.form)  # type: ignore[no-untyped-call]


WORDS = Vector("int32 x 16", ir.IntType(32))
MASK = Vector("bool x 16", ir.IntType(1))
FLOATS = Vector("float32 x 16", ir.FloatType())
DOUBLES = Vector("float64 x 16", ir.DoubleType())
_OF = {types.float32: FLOATS, types.float64: DOUBLES}


def in_code(function: Callable[..., Any]) -> Any:
    """Wrap `intrinsic` untyped: compiled callers see another signature and numba's types."""
    return intrinsic(function)


def address_of(context: Any, builder: Any, signature: Any, arguments: Any, form: Any) -> Any:
    """Return the address of a value; the first two arguments are an array and an index."""
    view: Any = cgutils.create_struct_proxy(signature.args[0])  # type: ignore[no-untyped-call]
    data = view(context, builder, arguments[0]).data
    return builder.bitcast(builder.gep(data, [arguments[1]]), form.as_pointer())


def call(builder: Any, name: str, form: Any, *arguments: Any) -> Any:
    """Call an intrinsic of LLVM on vectors or numbers."""
    kind = ir.FunctionType(form, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]
    return builder.call(function, arguments)


def sixteen(builder: Any, number: Any) -> Any:
    """Repeat a number sixteen times."""
    form = ir.VectorType(number.type, LANES)
    nothing = ir.Constant(form, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.VectorType(ir.IntType(32), LANES)([0] * LANES))


@in_code
def where(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """Select lanes of a where the mask is set, else of b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return a(mask, a, b), generate


def _first_lanes(builder: Any, count: Any) -> Any:
    word = ir.IntType(32)
    lanes = ir.Constant(ir.VectorType(word, LANES), list(range(LANES)))
    return builder.icmp_signed("<", lanes, sixteen(builder, builder.trunc(count, word)))


def _is_full(builder: Any, count: Any) -> Any:
    return builder.icmp_signed(">=", count, ir.Constant(count.type, LANES))


@in_code
def load_some(typing: Any, array: Any, index: Any, count: Any) -> Any:
    """Load values index..index+15 of a contiguous array of floats.

    Of them the first `count`; 0 for the others, which are not touched.
    """
    vector = _OF[array.dtype]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form, size = vector.form, array.dtype.bitwidth // 8
        place = address_of(context, builder, signature, arguments, form)
        found = cgutils.alloca_once(builder, form)  # type: ignore[no-untyped-call]
        with builder.if_else(_is_full(builder, arguments[2]), likely=True) as (full, partial):
            with full:
                builder.store(builder.load(place, align=size), found)
            with partial:
                inside = _first_lanes(builder, arguments[2])
                name = f"llvm.masked.load.v{LANES}f{array.dtype.bitwidth}.p0"
                zeros = ir.Constant(form, [0.0] * LANES)
                some = call(builder, name, form, place, ir.IntType(32)(size), inside, zeros)
                builder.store(some, found)
        return builder.load(found)

    return vector(array, types.intp, types.intp), generate


@in_code
def store_some(typing: Any, array: Any, index: Any, vector: Any, count: Any) -> Any:
    """Store the first `count` of sixteen floats from value `index` of a contiguous array on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form, size = vector.form, array.dtype.bitwidth // 8
        place = address_of(context, builder, signature, arguments, form)
        with builder.if_else(_is_full(builder, arguments[3]), likely=True) as (full, partial):
            with full:
                builder.store(arguments[2], place, align=size)
            with partial:
                inside = _first_lanes(builder, arguments[3])
                name = f"llvm.masked.store.v{LANES}f{array.dtype.bitwidth}.p0"
                word = ir.IntType(32)(size)
                call(builder, name, ir.VoidType(), arguments[2], place, word, inside)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


@in_code
def spread_as(typing: Any, array: Any, value: Any) -> Any:
    """Repeat a number sixteen times, in the dtype of an array of floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return sixteen(builder, context.cast(builder, arguments[1], value, array.dtype))

    return _OF[array.dtype](array, value), generate


@in_code
def magnitude(typing: Any, vector: Any) -> Any:
    """Return the absolute values of floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = 32 if vector is FLOATS else 64
        return call(builder, f"llvm.fabs.v{LANES}f{bits}", vector.form, *arguments)

    return vector(vector), generate


@in_code
def add_wide(typing: Any, total: Any, vector: Any) -> Any:
    """Add floats to sixteen sums in float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        wide = b if vector is DOUBLES else builder.fpext(b, DOUBLES.form)
        return builder.fadd(a, wide)

    return DOUBLES(DOUBLES, vector), generate


def operators(function: Any, *emitters: tuple[Any, Vector, Vector]) -> None:
    """Let an operator take two vectors of a type; each emitter has its operands and result."""

    def intrinsic_of(emit: Any, result: Vector) -> Any:
        @in_code
        def compute(typing: Any, a: Any, b: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
                return emit(builder, *arguments)

            return result(a, b), generate

        return compute

    computes = {operand: intrinsic_of(emit, result) for emit, operand, result in emitters}

    @overload(function)
    def choose(a: Any, b: Any) -> Any:
        if a is not b or a not in computes:
            return None
        compute = computes[a]

        def of_vectors(a: Any, b: Any) -> Any:
            return compute(a, b)

        return of_vectors


def _of_floats(emit: Any) -> list[tuple[Any, Vector, Vector]]:
    return [(emit, kind, kind) for kind in (FLOATS, DOUBLES)]


def _above(builder: Any, a: Any, b: Any) -> Any:
    return builder.fcmp_ordered(">", a, b)


operators(operator.add, *_of_floats(ir.IRBuilder.fadd), (ir.IRBuilder.add, WORDS, WORDS))
operators(operator.sub, *_of_floats(ir.IRBuilder.fsub), (ir.IRBuilder.sub, WORDS, WORDS))
operators(operator.mul, *_of_floats(ir.IRBuilder.fmul), (ir.IRBuilder.mul, WORDS, WORDS))
operators(operator.truediv, *_of_floats(ir.IRBuilder.fdiv))
operators(
    operator.gt,
    *((_above, kind, MASK) for kind in (FLOATS, DOUBLES)),
    (lambda builder, a, b: builder.icmp_signed(">", a, b), WORDS, MASK),
)
