"""The world: each port of `quorate.ports` on a real dependency, one file each, named after it."""
