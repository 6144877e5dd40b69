"""WebAssembly: guard, profiles, deterministic WASI, linking, compile cache and the engine. Only the engine and its
`memory_creator` import `wasmtime`.
"""
