"""A whole contract as one WebAssembly module, and what its sites mean.

The module imports one function, `quorate.host`, and exports its memory and one function for each export of the
contract. A function that the host and the contract itself call is there twice: only the outermost says at which RET it
ends. The module is a pure function of the contract.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from quorate.errors import TooLarge
from quorate.execute.bytecode.translate import layout
from quorate.execute.bytecode.translate.arithmetic import product_overflows
from quorate.execute.bytecode.translate.bounds import called, counted
from quorate.execute.bytecode.translate.emission import OTHER_ENGINE, Emitter, Parts, Room, Site, check_size
from quorate.execute.bytecode.translate.flow import Graph, graph_of
from quorate.execute.bytecode.translate.function import FunctionTranslation, entry
from quorate.execute.bytecode.translate.writer import I32, I64, Code, Import, ModuleWriter, Signature, W
from quorate.execute.bytecode.verify import Contract

DISPATCHED_BLOCKS_MAX: Final = 1000
"""Blocks of all functions that need a table. The compiler's time grows with the square of them: 5,000 take 45 seconds,
1,000 half a second. No compiler of structured programs makes such a function."""
HOST_SIGNATURE: Final = Signature((I32, I64), (I64,))
IMPORT: Final = ("quorate", "host")


class Translation(NamedTuple):
    """`sites` are numbered as the module numbers them."""

    contract: Contract
    module: bytes
    sites: tuple[Site, ...]


def _stop(exchange: int) -> Code:
    """The body of (site, left): writes both down and ends the run."""
    code = Code()
    code.i32(0)
    code.get(0)
    code.access(W.I32_STORE, exchange + layout.SITE)
    code.i32(0)
    code.get(1)
    code.access(W.I64_STORE, exchange + layout.LEFT)
    code.raw(W.UNREACHABLE)
    return code


def graphs_of(contract: Contract) -> list[Graph]:
    """The graphs of all functions. Raises TooLarge for what would take the compiler too long."""
    graphs = [graph_of(contract, index) for index in range(len(contract.container.functions))]
    if sum(len(graph.blocks) for graph in graphs if not graph.flow.reducible) > DISPATCHED_BLOCKS_MAX:
        limit = f"{DISPATCHED_BLOCKS_MAX} blocks"
        raise TooLarge("loops of several entries", field="contract", limit=limit, fix=OTHER_ENGINE)
    return graphs


def translate(contract: Contract) -> Translation:
    """Raises TooLarge if the module, or its compilation, would be too large; such a contract runs on another engine."""
    container = contract.container
    graphs = graphs_of(contract)
    module = ModuleWriter([Import(*IMPORT, HOST_SIGNATURE)], layout.pages_of(container))
    stop = module.add(Signature((I32, I64), ()), [], _stop(layout.exchange_of(container)))
    product = module.add(Signature((I64, I64), (I32,)), [], product_overflows())
    sites: list[Site] = []
    parts = Parts(container, counted(contract), graphs, 0, stop, product, product + 1, sites, Room())
    inner = called(contract)
    outermost = {export.function for export in container.exports}
    targets = {}
    for index in range(len(container.functions)):
        targets[index] = _add(contract, parts, module, index, index not in inner)
    for index in sorted(outermost & inner):
        targets[index] = _add(contract, parts, module, index, True)
    for number, export in enumerate(container.exports):
        code, slots = entry(parts, export.function, targets[export.function])
        module.export(f"call_{number}", module.add(Signature((), ()), [(slots, I64)], code))
    return Translation(contract, module.module(), tuple(sites))


def _add(contract: Contract, parts: Parts, module: ModuleWriter, index: int, outermost: bool) -> int:
    translation = FunctionTranslation(contract, Emitter(parts, index), outermost)
    translation.write()
    added = translation.add_to(module)
    check_size(module.size)
    return added
