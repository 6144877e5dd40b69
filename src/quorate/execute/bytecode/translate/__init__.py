"""Contract bytecode as a WebAssembly module that ends every run as the reference does, to the last cycle; for contracts
that run long. `docs/adr/0033-translation.md` says how exactness is kept."""
