"""Contracts as WebAssembly: what they declare, what the host does for them, the engine, and the way from bytecode."""
