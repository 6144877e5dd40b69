"""WebAssembly: guard, profiles, deterministic WASI, compile cache and the engine. `wasmtime` is imported in one file
only.
"""
