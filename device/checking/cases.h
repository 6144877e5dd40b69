/* Runs a file of cases, each an operation with its operands and the answer that it must give.
 *
 * The file: "QCAS", a count, then the cases, packed. A case: kind and expected verdict (a byte each), two zero bytes,
 * the size of the message, the message, and what the kind needs:
 *   1 BLAKE3         the digest, 32 bytes
 *   2 SHA-512        the digest, 64 bytes
 *   3 Ed25519        key, 32 bytes; signature, 64 bytes
 *   4 ECVRF          key, 32 bytes; proof, 80 bytes; output, 64 bytes
 * Numbers have four bytes, little end first.
 */
#ifndef QUORATE_CASES_H
#define QUORATE_CASES_H

#include <stdint.h>

/* What the program around this supplies: a place for text, and a count of executed instructions (0 if none is kept). */
void print_text(const char *text);
uint32_t instructions_executed(void);

/* Prints "case <index> kind <kind> size <size> <right or wrong> <instructions>" for each, then a line with the totals.
 * Returns how many were wrong; a file that is no file of cases counts as one. `size_max` is how far it may be read. */
uint32_t run_cases(const uint8_t *file, uint32_t size_max);

#endif
