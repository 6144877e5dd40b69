/* BLAKE3-256 of one range of bytes (BLAKE3 specification, section 2; no key, no context, 32 bytes of output).
 *
 * With QUORATE_BLAKE3_UNROLLED defined a round is written out with its state in variables: about four times faster on a
 * device, for some 700 bytes more.
 */
#ifndef QUORATE_BLAKE3_H
#define QUORATE_BLAKE3_H

#include <stdint.h>

#define BLAKE3_BYTES 32

void blake3_hash(uint8_t digest[BLAKE3_BYTES], const uint8_t *data, uint32_t size);

#endif
