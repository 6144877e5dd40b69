"""One function for each opcode, in the same four blocks: stack, cost, operation, program counter."""
