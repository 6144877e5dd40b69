"""From a checked subset of Python to a contract. `program.compile_contract` is the way in;
`docs/spec/contract-python.md` is the prose."""
