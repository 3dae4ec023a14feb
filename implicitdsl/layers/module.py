"""`Layer`: a definition as a torch.nn.Module."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from implicitdsl.backends.engine import Preparable
from implicitdsl.layers import batching, bodies, direct, noise, registry, routes
from implicitdsl.layers.blueprint import Blueprint, CallPiece, EnginePiece, ParamSpec, Piece
from implicitdsl.layers.constrained import Constrained, read_only
from implicitdsl.layers.derivatives import Poison, Solve, apply, head
from implicitdsl.layers.draws import draw
from implicitdsl.layers.entries import GUARD, BlueprintEntries, guarded
from implicitdsl.layers.last import Last, summarise
from implicitdsl.layers.options import read_dtype
from implicitdsl.layers.sets import SETS

_TRANSIENT = ("blueprint", "_binding", "_token", "_guarded", "_records", "_summary", "_calls", "_plans")

PLANS = 256
"""Plans of calls that a layer keeps."""


class Layer(torch.nn.Module):
    """A layer made from a blueprint.

    `layer(*inputs)` takes the inputs of the signature in order, or by name: tensors, arrays or numbers. Leading
    dimensions are batch dimensions, broadcast against each other; every output has the whole batch shape. Returns a
    tensor, or a plain tuple of several. `seed=` and `first_sample=` are taken by layers with noise.

    Raises TypeError and ValueError for inputs of wrong number, type, shape or device, and SolveError for samples that
    fail while `on_fail` is "raise". `layer.last` then tells the statuses. Params, consts and sub-layers bear the names
    of the text; a param in a set reads as its value, is set by assignment, and its storage is
    `parametrizations.NAME.original`.
    """

    blueprint: Blueprint
    _binding: registry.Binding
    _token: str
    _guarded: tuple[str, ...]

    def __init__(self, blueprint: Blueprint) -> None:
        super().__init__()
        self._bind(blueprint)
        dtype = blueprint.options.dtype or torch.get_default_dtype()
        held: dict[str, torch.nn.Module] = {}
        for spec in blueprint.params:
            if spec.set is None:
                self.register_parameter(spec.name, torch.nn.Parameter(_start(blueprint.name, spec, dtype)))
            else:
                value = _start(blueprint.name, spec, dtype)
                held[spec.name] = Constrained(spec.name, spec.shape, spec.set, value)
        for spec in blueprint.consts:
            self.register_buffer(spec.name, _start(blueprint.name, spec, dtype))
        if held:
            self.parametrizations = torch.nn.ModuleDict(held)
        for name, used in blueprint.uses.items():
            self.add_module(name, Layer(used))

    def _bind(self, blueprint: Blueprint) -> None:
        binding = registry.Binding(BlueprintEntries(blueprint))
        self.__dict__.update(blueprint=blueprint, _binding=binding, _token=binding.token, _guarded=guarded(blueprint))
        self.__dict__.update(_records=None, _summary=None, _calls={}, _plans={})

    @property
    def last(self) -> Last | None:
        """What the last call found out; None before the first."""
        if self._summary is None and self._records is not None:
            self.__dict__["_summary"] = summarise(self._records, self.blueprint.name)
        return self._summary

    def forward(self, *inputs: Any, seed: int | None = None, first_sample: int = 0, **named: Any) -> Any:
        """The answer; see the class."""
        blueprint = self.blueprint
        if named:
            inputs = batching.in_order(blueprint.name, blueprint.inputs, inputs, named)
        read = batching.read_inputs(blueprint.name, blueprint.inputs, inputs)
        values = self._values("")
        if torch.compiler.is_compiling():
            found = self._by_pieces(self._plan_call(read, values), read, values, seed, first_sample)
        else:
            known = self._known(read, values)
            with bodies.Listening() as records:
                try:
                    found = self._results(known, read, values, seed, first_sample)
                finally:
                    self.__dict__.update(_records=records or None, _summary=None)
        return found if blueprint.tuple_output else found[0]

    def _results(
        self,
        known: routes.Known,
        read: list[tuple[Tensor, bool]],
        values: Mapping[str, Tensor],
        seed: int | None,
        first: int,
    ) -> tuple[Tensor, ...]:
        """The results of an ordinary call by its route, those of others piece by piece."""
        if not known.is_sought:
            known.route, known.is_sought = self._route(known.call, read, values), True
        route = known.route
        if route is not None:
            args = route.arguments(read, values)
            if direct.applies(args):
                chosen = self._seed(seed)
                found, _ = direct.solve(route.job, args, None if chosen is None else int(chosen), first)
                return tuple(found) if route.picks is None else tuple([found[k] for k in route.picks])
        return self._by_pieces(known.call, read, values, seed, first)

    def _by_pieces(
        self,
        call: batching.Call,
        read: list[tuple[Tensor, bool]],
        values: Mapping[str, Tensor],
        seed: int | None,
        first: int,
    ) -> tuple[Tensor, ...]:
        found, _ = self._run(call.slots(read), values, call, self._seed(seed), first)
        batch = call.batch
        # A view, even one of the same shape, is a node more of torch's graph.
        return found if len(batch) == 1 else tuple(value.reshape(batch + value.shape[1:]) for value in found)

    def _known(self, read: list[tuple[Tensor, bool]], values: Mapping[str, Tensor]) -> routes.Known:
        """What follows from types and shapes is found once for each."""
        case = (
            torch.get_default_dtype(),
            *[(tensor.shape, tensor.dtype, counts) for tensor, counts in read],
            *[(value.dtype, value.is_cpu) for value in values.values()],
        )
        known = self._calls.get(case)
        if known is None:
            if len(self._calls) >= PLANS:
                self._calls.clear()
            known = self._calls[case] = routes.Known(self._plan_call(read, values))
        return known

    def _route(
        self, call: batching.Call, read: list[tuple[Tensor, bool]], values: Mapping[str, Tensor]
    ) -> routes.Route | None:
        program = self.blueprint.program
        if len(program) != 1 or not isinstance(program[0], EnginePiece):
            return None
        entry = registry.find(self._plan(0, call)[0])
        return routes.route_of(self.blueprint, program[0], entry, call, read, values)

    def _plan_call(self, read: list[tuple[Tensor, bool]], values: Mapping[str, Tensor]) -> batching.Call:
        blueprint = self.blueprint
        batching.check_values(blueprint.name, values)
        kinds = [tensor.dtype for tensor, counts in read if counts] + [v.dtype for v in values.values()]
        dtype = batching.promote(kinds, blueprint.options.dtype or torch.get_default_dtype())
        return batching.plan_call(blueprint.name, blueprint.inputs, [tuple(tensor.shape) for tensor, _ in read], dtype)

    def _plan(self, number: int, call: batching.Call) -> tuple[Any, ...]:
        """As `registry.plan`."""
        known = (number, call.dtype, *call.sizes.items())
        found = None if torch.compiler.is_compiling() else self._plans.get(known)
        if found is None:
            case = [part for size in call.sizes.items() for part in size]
            found = registry.plan(self._token, number, str(call.dtype).removeprefix("torch."), *case)
            if not torch.compiler.is_compiling():
                self._plans[known] = found
        return found

    def _run(
        self,
        slots: dict[str, Tensor],
        values: Mapping[str, Tensor],
        call: batching.Call,
        seed: Tensor | None,
        first: int,
        *,
        nested: bool = False,
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """The results, [B, *shape], for flat slots, and the mask of failed samples if a caller must know it."""
        blueprint, batch, dtype = self.blueprint, call.batch, call.dtype
        slots = dict(slots)
        on_fail = blueprint.options.on_fail
        failed: Tensor | None = None
        pieces: list[tuple[int, Piece]] = list(enumerate(blueprint.program))
        if self._guarded:
            pieces.insert(0, (GUARD, EnginePiece(self._guarded)))
        told = len(pieces) > 1 or nested
        for number, piece in pieces:
            if isinstance(piece, CallPiece):
                inner = cast(Layer, self._modules[piece.use])
                found, lost = inner._called(piece, slots, values, call, seed, first)
            else:
                key, names, shapes, drawn = self._plan(number, call)
                if drawn:
                    slots |= noise.drawn(drawn, slots, seed, first, math.prod(batch), dtype)
                args = [slots[n] if n in slots else _of_type(values[n], dtype) for n in names]
                if not torch.compiler.is_compiling() and direct.applies(args):
                    job = direct.Job(registry.find(key), on_fail, tuple(batch), told)
                    found, status = direct.solve(job, args, None if seed is None else int(seed), first)
                else:
                    answer = apply(Solve, *head(key, on_fail, len(shapes), len(args), batch), seed, first, *args)
                    found, status = answer[: len(shapes)], answer[len(shapes)]
                lost = status != 0 if told and status is not None else None
            slots.update(zip(piece.outputs, found, strict=True))
            failed = lost if failed is None or lost is None else failed | lost
        # A result that is an input given without batch dimensions still has the whole batch shape.
        results = tuple(
            value if value.ndim > len(own) else value.expand((math.prod(batch), *value.shape))
            for value, own in zip((slots[name] for name in blueprint.results), blueprint.outputs, strict=True)
        )
        if len(pieces) > 1 and on_fail == "nan" and failed is not None:
            results = tuple(_poisoned(value, failed) for value in results)
        return results, failed

    def _called(
        self,
        piece: CallPiece,
        slots: Mapping[str, Tensor],
        values: Mapping[str, Tensor],
        outer: batching.Call,
        seed: Tensor | None,
        first: int,
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """This layer as a piece of the one that uses it, on its flat slots."""
        specs = self.blueprint.inputs
        given = [slots[name] for name in piece.inputs]
        sizes = batching.bind_sizes(self.blueprint.name, specs, [tuple(g.shape) for g in given])
        own = {n.removeprefix(f"{piece.use}."): v for n, v in values.items() if n.startswith(f"{piece.use}.")}
        inner = {spec.name: value for spec, value in zip(specs, given, strict=True)}
        inner_call = batching.Call(outer.dtype, sizes, outer.batch, ())
        return self._run(inner, own, inner_call, seed, first, nested=True)

    def _values(self, prefix: str) -> dict[str, Tensor]:
        """Params and consts by qualified name, those of used layers included."""
        blueprint = self.blueprint
        held: Any = self._modules.get("parametrizations", {})
        found: dict[str, Tensor] = {}
        own = self._parameters
        for spec in blueprint.params:
            if spec.set is not None:
                found[prefix + spec.name] = held[spec.name]()
            else:
                # A replica of DataParallel holds its params as plain attributes.
                value = own.get(spec.name)
                found[prefix + spec.name] = getattr(self, spec.name) if value is None else value
        for spec in blueprint.consts:
            found[prefix + spec.name] = getattr(self, spec.name)
        for use in blueprint.uses:
            found.update(cast(Layer, self._modules[use])._values(f"{prefix}{use}."))
        return found

    def _seed(self, seed: int | None) -> Tensor | None:
        if not self.blueprint.noisy:
            if seed is not None:
                raise TypeError(f"{self.blueprint.name} has no noise and takes no seed")
            return None
        chosen = self.blueprint.options.seed if seed is None else seed
        if chosen is None:
            return torch.randint(0, 2**62, ())
        return torch.tensor(chosen)

    def prepare(self, *, batch: bool = True, dtype: Any = None, **sizes: int) -> Layer:
        """Builds what a call would build, now: for the layer's type or another one, and for the call sizes given by
        name (`T=100`). Returns the layer.

        On the back end `lanes` this compiles the machine code of the forward and of the backward pass with params that
        all samples share; with `batch`, also that of batches whose samples share all matrices among the inputs. Other
        layouts (some matrices shared) and the second order are compiled when first met."""
        wanted = self.blueprint.call_sizes
        if set(sizes) != set(wanted):
            raise TypeError(f"{self.blueprint.name}.prepare takes the call sizes {list(wanted)}, not {list(sizes)}")
        chosen = read_dtype(dtype) if dtype is not None else self._own_dtype()
        for number, piece in enumerate(self.blueprint.program):
            if not isinstance(piece, CallPiece):
                engine = self._binding.entry(number, chosen, {name: sizes[name] for name in wanted}).engine
                if isinstance(engine, Preparable):
                    engine.prepare(batch=batch)
                continue
            inner = cast(Layer, self._modules[piece.use])
            if not inner.blueprint.call_sizes:  # those of others follow from values of the call
                inner.prepare(batch=batch, dtype=chosen)
        return self

    def _own_dtype(self) -> torch.dtype:
        kinds = [v.dtype for v in self._values("").values()]
        return batching.promote(kinds, self.blueprint.options.dtype or torch.get_default_dtype())

    def __getattr__(self, name: str) -> Any:
        held = self.__dict__.get("_modules", {}).get("parametrizations")
        if held is not None and name in held._modules:
            return read_only(held._modules[name]())
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        held = self.__dict__.get("_modules", {}).get("parametrizations")
        if held is not None and name in held._modules:
            held._modules[name].assign(value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(spec.name for spec in self.blueprint.params)]

    def _get_name(self) -> str:
        return self.blueprint.name

    def extra_repr(self) -> str:
        """Kind, sizes and the options that were given."""
        options = self.blueprint.options
        parts = [self.blueprint.kind, *(f"{k}={v}" for k, v in self.blueprint.sizes.items())]
        if options.solver is not None:
            parts.append(f"solver={options.solver}")
        if options.on_fail != "raise":
            parts.append(f"on_fail={options.on_fail}")
        return ", ".join(parts)

    def __deepcopy__(self, memo: dict[int, Any]) -> Layer:
        from copy import deepcopy

        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        for name, value in self.__dict__.items():
            copied.__dict__[name] = value if name in _TRANSIENT else deepcopy(value, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        blueprint = self.blueprint
        if blueprint.recipe is None or blueprint.rebuild is None:
            raise TypeError(
                f"{blueprint.name} cannot be pickled: it was made without a recipe; save its state_dict instead"
            )
        kind = () if type(self) is Layer else (type(self),)
        return (_bare, (blueprint.rebuild, blueprint.recipe, *kind), self._state())

    def _state(self) -> dict[str, Any]:
        uses = self.blueprint.uses
        own = {k: v for k, v in self.__dict__.items() if k not in _TRANSIENT}
        own["_modules"] = {k: v for k, v in self._modules.items() if k not in uses}
        return {
            "own": own,
            "uses": {k: cast(Layer, self._modules[k])._state() for k in uses},
            "order": list(self._modules),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = {k: self.__dict__[k] for k in _TRANSIENT}
        inner = dict(self._modules)
        super().__setstate__({**state["own"]})
        self.__dict__.update(kept)
        for name, below in state["uses"].items():
            cast(Layer, inner[name]).__setstate__(below)
        own = state["own"]["_modules"]
        self.__dict__["_modules"] = {k: own[k] if k in own else inner[k] for k in state["order"]}


def _bare(rebuild: Any, recipe: tuple[Any, ...], kind: type[Layer] = Layer) -> Layer:
    """A layer without values, to be filled by `__setstate__`: unpickling draws nothing from torch's generator."""
    return _hollow(rebuild(recipe), kind)


def _hollow(blueprint: Blueprint, kind: type[Layer] = Layer) -> Layer:
    layer = kind.__new__(kind)
    torch.nn.Module.__init__(layer)
    layer._bind(blueprint)
    for name, used in blueprint.uses.items():
        layer.add_module(name, _hollow(used))
    return layer


def _start(layer: str, spec: ParamSpec, dtype: torch.dtype) -> Tensor:
    """The start value of a param or const, a tensor of its own."""
    if spec.start is not None:
        return torch.as_tensor(spec.start, dtype=dtype).expand(spec.shape).clone()
    if spec.draw is not None:
        try:
            return draw(spec.draw, spec.shape, dtype)
        except ValueError as error:
            raise ValueError(f"{layer}: `{spec.name}`: {error}") from None
    if spec.set is not None:
        return torch.as_tensor(SETS[spec.set.name].centre(spec.shape, spec.set.args), dtype=dtype)
    return torch.zeros(spec.shape, dtype=dtype)


def _of_type(value: Tensor, dtype: torch.dtype) -> Tensor:
    return value if value.dtype is dtype else value.to(dtype)


def _poisoned(value: Tensor, failed: Tensor) -> Tensor:
    return apply(Poison, value, failed.reshape((-1, *([1] * (value.ndim - 1)))).expand_as(value))
