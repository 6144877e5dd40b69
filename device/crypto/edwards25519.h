/* Points of the twisted Edwards curve -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032, section 5.1) in extended coordinates.
 *
 * The formulas are complete: they hold for every pair of points of the curve, those of small order too. Verification
 * handles public data only, so nothing here runs in constant time. Never use it with a secret scalar.
 */
#ifndef QUORATE_EDWARDS25519_H
#define QUORATE_EDWARDS25519_H

#include "field25519.h"

#define EDWARDS25519_BYTES 32
#define SCALAR25519_BYTES 32

typedef struct {
    field25519 x, y, z, t; /* the affine point is (x/z, y/z), and t = xy/z */
} edwards25519;

extern const edwards25519 EDWARDS25519_BASE;

/* Decoding by ZIP-215: y may be p or more, and the sign of x may be set where x is zero. Returns 0 when no point of the
 * curve has this y, else 1. */
int edwards25519_decode_any(edwards25519 *point, const uint8_t bytes[EDWARDS25519_BYTES]);

/* Decoding by RFC 8032, 5.1.3: as above, and the encoding must be the one that `edwards25519_encode` gives. */
int edwards25519_decode(edwards25519 *point, const uint8_t bytes[EDWARDS25519_BYTES]);

/* Encodes `count` points, at most EDWARDS25519_ENCODE_MAX, for the price of one inversion. */
#define EDWARDS25519_ENCODE_MAX 4
void edwards25519_encode(uint8_t (*bytes)[EDWARDS25519_BYTES], const edwards25519 *points, int count);

void edwards25519_subtract(edwards25519 *difference, const edwards25519 *p, const edwards25519 *q);
void edwards25519_times_cofactor(edwards25519 *multiple, const edwards25519 *p);
int edwards25519_is_identity(const edwards25519 *p);

/* result = m p - n q. Scalars have 256 bits, little end first. */
void edwards25519_combine(edwards25519 *result, const uint8_t m[SCALAR25519_BYTES], const edwards25519 *p,
                          const uint8_t n[SCALAR25519_BYTES], const edwards25519 *q);

/* Whether the scalar is below L, the order of the base point. */
int scalar25519_is_reduced(const uint8_t scalar[SCALAR25519_BYTES]);

/* 512 bits modulo L, little end first. */
void scalar25519_reduce(uint8_t scalar[SCALAR25519_BYTES], const uint8_t wide[64]);

#endif
