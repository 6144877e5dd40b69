"""The contract machine (MHR-Byte, also called NXS-Byte): container, verifier and reference. `docs/spec/bytecode.md` is
the prose; what this folder computes is the authority."""
