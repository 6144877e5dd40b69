"""NOUNS: frozen values with one byte form each; a value is one file."""
