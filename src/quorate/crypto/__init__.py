"""Thin names over vetted libraries: digests, signatures, seals, commitments. No protocol, no state."""
