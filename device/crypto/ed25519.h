/* Verification of Ed25519 signatures (RFC 8032) by the rules of ZIP-215, which leave no choice to an implementation:
 *
 * - the equation is the one with the cofactor: 8 S B = 8 R + 8 k A, k = SHA-512(R, A, message) over the bytes given;
 * - A and R may be encoded in any way that names a point of the curve, and may be of small order;
 * - S must be below L.
 *
 * Handles public data only, so it does not run in constant time.
 */
#ifndef QUORATE_ED25519_H
#define QUORATE_ED25519_H

#include <stdint.h>

#define ED25519_KEY_BYTES 32
#define ED25519_SIGNATURE_BYTES 64

/* Returns 1 when the signature is valid, else 0. */
int ed25519_verify(const uint8_t *message, uint32_t size, const uint8_t key[ED25519_KEY_BYTES],
                   const uint8_t signature[ED25519_SIGNATURE_BYTES]);

#endif
