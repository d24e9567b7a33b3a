"""Vectors of numbers in functions that numba compiles, and the compiling itself.

LLVM has such vectors for every processor: sixteen of 32 bits are one register of AVX-512, two of
AVX2, four of NEON. numba vectorises a loop only where it can prove enough, which it cannot where
more than a few arrays are written: any two might overlap. Indices are not checked.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

LANES = 16
WIDE = 2 * LANES
"""Numbers of a vector where few operations stand beside the loop's own."""
Loop = TypeVar("Loop", bound=Callable[..., Any])


@cache
def _sources(folder: Path) -> str:
    """Return a digest of the sources of a folder and of this one."""
    digest = hashlib.sha256()
    for path in sorted({*folder.glob("*.py"), *Path(__file__).parent.glob("*.py")}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiled(function: Loop) -> Loop:
    """Compile a loop at its first call and keep it in numba's cache until a source changes.

    A source of its folder or of this one: numba itself looks at the file of a function, not at
    those of the functions that it calls. A wrapper for C that nothing calls would only be compiled.
    """
    njit: Any = numba.njit  # whose stubs lack some of its options
    dispatcher = njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)
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
    njit: Any = numba.njit
    loop: Loop = njit(
        nogil=True,
        error_model="numpy",
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)
    return loop


class Vector(types.Type):
    """A numba type of a few numbers or booleans."""

    def __init__(self, name: str, element: Any, lanes: int) -> None:
        self.form = ir.VectorType(element, lanes)
        super().__init__(f"{name} x {lanes}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.form)  # type: ignore[no-untyped-call]


WORDS = Vector("int32", ir.IntType(32), LANES)
MASK = Vector("bool", ir.IntType(1), LANES)
FLOATS = Vector("float32", ir.FloatType(), LANES)
_WIDE_MASK = Vector("bool", ir.IntType(1), WIDE)
_WIDE = {
    types.float32: Vector("float32", ir.FloatType(), WIDE),
    types.float64: Vector("float64", ir.DoubleType(), WIDE),
}
_SUMS = _WIDE[types.float64]


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


def repeated(builder: Any, number: Any, lanes: int = LANES) -> Any:
    """Repeat a number in all lanes of a vector."""
    word = ir.IntType(32)
    nothing = ir.Constant(ir.VectorType(number.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, number, word(0))
    return builder.shuffle_vector(first, nothing, ir.VectorType(word, lanes)([0] * lanes))


@in_code
def where(typing: Any, mask: Any, a: Any, b: Any) -> Any:
    """Select lanes of a where the mask is set, else of b."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return a(mask, a, b), generate


def _first_lanes(builder: Any, count: Any) -> Any:
    word = ir.IntType(32)
    lanes = ir.Constant(ir.VectorType(word, WIDE), list(range(WIDE)))
    return builder.icmp_signed("<", lanes, repeated(builder, builder.trunc(count, word), WIDE))


def _is_full(builder: Any, count: Any) -> Any:
    return builder.icmp_signed(">=", count, ir.Constant(count.type, WIDE))


@in_code
def load_wide(typing: Any, array: Any, index: Any, count: Any) -> Any:
    """Load `WIDE` values from `index` on of a contiguous array of floats.

    Of them the first `count`; 0 for the others, which are not touched.
    """
    vector = _WIDE[array.dtype]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form, size = vector.form, array.dtype.bitwidth // 8
        place = address_of(context, builder, signature, arguments, form)
        found = cgutils.alloca_once(builder, form)  # type: ignore[no-untyped-call]
        with builder.if_else(_is_full(builder, arguments[2]), likely=True) as (full, partial):
            with full:
                builder.store(builder.load(place, align=size), found)
            with partial:
                inside = _first_lanes(builder, arguments[2])
                name = f"llvm.masked.load.v{WIDE}f{array.dtype.bitwidth}.p0"
                zeros = ir.Constant(form, [0.0] * WIDE)
                some = call(builder, name, form, place, ir.IntType(32)(size), inside, zeros)
                builder.store(some, found)
        return builder.load(found)

    return vector(array, types.intp, types.intp), generate


@in_code
def store_wide(typing: Any, array: Any, index: Any, vector: Any, count: Any) -> Any:
    """Store the first `count` of `WIDE` floats from value `index` of a contiguous array on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        form, size = vector.form, array.dtype.bitwidth // 8
        place = address_of(context, builder, signature, arguments, form)
        with builder.if_else(_is_full(builder, arguments[3]), likely=True) as (full, partial):
            with full:
                builder.store(arguments[2], place, align=size)
            with partial:
                inside = _first_lanes(builder, arguments[3])
                name = f"llvm.masked.store.v{WIDE}f{array.dtype.bitwidth}.p0"
                word = ir.IntType(32)(size)
                call(builder, name, ir.VoidType(), arguments[2], place, word, inside)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


@in_code
def wide(typing: Any, array: Any, value: Any) -> Any:
    """Repeat a number `WIDE` times, in the dtype of an array of floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.cast(builder, arguments[1], value, array.dtype)
        return repeated(builder, number, WIDE)

    return _WIDE[array.dtype](array, value), generate


@in_code
def magnitude(typing: Any, vector: Any) -> Any:
    """Return the absolute values of `WIDE` floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = 64 if vector is _SUMS else 32
        return call(builder, f"llvm.fabs.v{WIDE}f{bits}", vector.form, *arguments)

    return vector(vector), generate


@in_code
def add_exactly(typing: Any, total: Any, vector: Any) -> Any:
    """Add `WIDE` floats to as many sums in float64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b = arguments
        return builder.fadd(a, b if vector is _SUMS else builder.fpext(b, _SUMS.form))

    return _SUMS(_SUMS, vector), generate


# Numba's own, without the types that mypy asks for.
_typed: Any = signature
_named: Any = infer_global
_lowered: Any = lower_builtin


def operators(function: Any, *emitters: tuple[Any, Vector, Vector]) -> None:
    """Let an operator take two vectors of a type; each emitter has its operands and result."""

    class Template(ConcreteTemplate):
        cases: ClassVar = [_typed(result, own, own) for _, own, result in emitters]

    _named(function)(Template)

    def lower(emit: Any, operand: Vector) -> None:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return emit(builder, *arguments)

        _lowered(function, operand, operand)(generate)

    for emit, operand, _ in emitters:
        lower(emit, operand)


_KINDS = (FLOATS, *_WIDE.values())


def _of_floats(emit: Any) -> list[tuple[Any, Vector, Vector]]:
    return [(emit, kind, kind) for kind in _KINDS]


operators(operator.add, *_of_floats(ir.IRBuilder.fadd), (ir.IRBuilder.add, WORDS, WORDS))
operators(operator.sub, *_of_floats(ir.IRBuilder.fsub), (ir.IRBuilder.sub, WORDS, WORDS))
operators(operator.mul, *_of_floats(ir.IRBuilder.fmul), (ir.IRBuilder.mul, WORDS, WORDS))
operators(operator.truediv, *_of_floats(ir.IRBuilder.fdiv))
operators(
    operator.gt,
    *(
        (lambda builder, a, b: builder.fcmp_ordered(">", a, b), k, _WIDE_MASK)
        for k in _WIDE.values()
    ),
    (lambda builder, a, b: builder.icmp_signed(">", a, b), WORDS, MASK),
)
