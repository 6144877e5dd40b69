"""Of which modules a program is made, and whether they fit together. It reads outlines and runs nothing.

A module names another by content: the module name of the import is `blake3:` and the 64 digits (0-9a-f) of the digest
of the other's bytes. A dependency may name further ones in the same way and imports nothing else. Functions only are
imported: what a module keeps in its memory, its tables and its globals stays its own, so that a dependency can neither
read nor spoil what it was not handed.

A program lists all of its dependencies, those of dependencies too. Digests cannot form a true cycle, but what is
listed is a claim until every byte is there, so the graph that is claimed is checked like any other input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from quorate.errors import DependencyCycle, ForbiddenImport, MissingDependency, UnlinkedImport, UnusedDependency
from quorate.execute.wasm.sections import Import, Outline
from quorate.model.units import DIGEST_BYTES, Digest

PREFIX = "blake3:"
LIBRARY_FUEL = 20_000
IMPORT_FUEL = 5_000
"""What bringing one more module to life, and tying one import to it, takes of a run's fuel: about what they cost its
executor (20 and 4 microseconds, where a microsecond is some thousand fuel)."""
_DIGITS = frozenset("0123456789abcdef")


def import_name(digest: Digest) -> str:
    """The module name under which a module imports from the one with this digest."""
    return PREFIX + digest.hex()


def dependency_named(module: str) -> Digest | None:
    """The digest in the module name of an import, None for a name of another kind. Raises ForbiddenImport when it
    begins like one and is none."""
    if not module.startswith(PREFIX):
        return None
    digits = module.removeprefix(PREFIX)
    if len(digits) != 2 * DIGEST_BYTES or not _DIGITS.issuperset(digits):
        raise ForbiddenImport(
            f"{module[:80]!r} names no module",
            field="module",
            limit=f"{PREFIX} and {2 * DIGEST_BYTES} digits of 0-9a-f",
            fix="write the BLAKE3-256 digest of the dependency's bytes",
        )
    return Digest(bytes.fromhex(digits))


def foreign_imports(outline: Outline) -> tuple[Import, ...]:
    """The imports that come from no dependency."""
    return tuple(item for item in outline.imports if dependency_named(item.module) is None)


def link_order(root: Digest, outline: Outline, dependencies: Mapping[Digest, Outline]) -> tuple[Digest, ...]:
    """The dependencies in the order in which they are instantiated: depth first from the root, those of each module in
    the order of their digests, so that each stands behind all that it imports from.

    Raises MissingDependency, UnusedDependency, DependencyCycle, UnlinkedImport or ForbiddenImport.
    """
    if root in dependencies:
        raise _cycle((root, root))
    modules = {**dependencies, root: outline}
    order: dict[Digest, None] = {}
    _visit(root, modules, (), order)
    unused = sorted(set(modules) - set(order))
    if unused:
        raise UnusedDependency(
            f"nothing imports from {import_name(unused[0])}", field="dependencies", fix="leave it out"
        )
    for importer in order:
        _check_imports(modules[importer], modules, "module" if importer == root else "dependencies")
    return tuple(order)[:-1]


def link_fuel(outline: Outline, dependencies: Iterable[Outline]) -> int:
    """What linking these costs each run, before any of their code."""
    outlines = (outline, *dependencies)
    ties = sum(len(found.imports) - len(foreign_imports(found)) for found in outlines)
    return LIBRARY_FUEL * (len(outlines) - 1) + IMPORT_FUEL * ties


def _visit(at: Digest, modules: Mapping[Digest, Outline], path: tuple[Digest, ...], order: dict[Digest, None]) -> None:
    """Adds `at` to `order`, behind everything it needs. `path` is how it was reached."""
    if at in path:
        raise _cycle((*path[path.index(at) :], at))
    if at in order:
        return
    named = {dependency_named(item.module) for item in modules[at].imports} - {None}
    for needed in sorted(digest for digest in named if digest is not None):
        if needed not in modules:
            raise MissingDependency(
                f"{import_name(needed)} is imported and not among the dependencies",
                field="dependencies",
                limit=_listed(set(modules) - {(*path, at)[0]}),
                fix="give the module with these bytes as a dependency",
            )
        _visit(needed, modules, (*path, at), order)
    order[at] = None


def _listed(given: Iterable[Digest]) -> str:
    """What there is instead, so that a mixed-up file is found."""
    return "given: " + (", ".join(import_name(digest)[:23] for digest in sorted(given)) or "none")


def _cycle(way: tuple[Digest, ...]) -> DependencyCycle:
    shown = " -> ".join(import_name(digest)[:23] for digest in way)
    return DependencyCycle(f"a module depends on itself: {shown}", field="dependencies", fix="break the circle")


def _check_imports(importer: Outline, modules: Mapping[Digest, Outline], field: str) -> None:
    """A dependency imports from dependencies only; what the program itself may import beside is its profile's
    affair."""
    for item in importer.imports:
        digest = dependency_named(item.module)
        if digest is not None:
            _check_import(item, digest, modules[digest], field)
        elif field == "dependencies":
            raise ForbiddenImport(
                f"a dependency imports {item.module[:80]}.{item.name[:80]}",
                field=field,
                limit="imports from other dependencies",
                fix="build it without, or hand the value over as an argument",
            )


def _check_import(item: Import, digest: Digest, exporter: Outline, field: str) -> None:
    name = item.name[:80]
    if item.signature is None:
        raise ForbiddenImport(
            f"a {item.kind} is imported from a dependency: {name!r}",
            field=field,
            limit="functions",
            fix="export functions that read and change it",
        )
    exported = exporter.function_named(item.name)
    if exported is None:
        functions = [name for name, (kind, _) in exporter.exports.items() if kind == "func"]
        shown = ", ".join(name[:40] for name in functions[:5]) or "no functions"
        raise UnlinkedImport(
            f"{import_name(digest)[:23]} does not export a function {name!r}", field=field, fix=f"it exports {shown}"
        )
    if exported != item.signature:
        raise UnlinkedImport(
            f"{name} of {import_name(digest)[:23]} is imported as {item.signature}",
            field=field,
            limit=str(exported),
            fix="import it with the type it has",
        )
