/* SHA-512 (FIPS 180-4, section 6.4) over parts that follow each other. */
#ifndef QUORATE_SHA512_H
#define QUORATE_SHA512_H

#include <stdint.h>

#define SHA512_BYTES 64

typedef struct {
    uint64_t state[8];
    uint64_t size;
    uint8_t block[128];
} sha512;

void sha512_begin(sha512 *hash);
void sha512_add(sha512 *hash, const uint8_t *data, uint32_t size);
void sha512_end(sha512 *hash, uint8_t digest[SHA512_BYTES]);

#endif
