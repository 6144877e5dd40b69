"""A bytecode contract as a WebAssembly contract: one source, both forms."""
