/* Arithmetic modulo p = 2^255 - 19 (RFC 7748, section 4.1) in ten signed limbs of 26 and 25 bits in turn.
 *
 * Limb i counts 2^ceil(25.5 i). Products, squares and loaded values are tight: their limbs are at most 1.01 x 2^25
 * (even i) and 1.01 x 2^24 (odd i) in size. Sums and differences are not carried; a sum of n tight values has n units.
 * What an operation takes, in units, is said beside it; the callers in edwards25519.c keep to it. A result may be an
 * operand.
 *
 * Products are of 32 by 32 bits, the largest that every target has. Time depends on the values: for public data only.
 */
#ifndef QUORATE_FIELD25519_H
#define QUORATE_FIELD25519_H

#include <stdint.h>

#define FIELD25519_LIMBS 10

typedef struct {
    int32_t limb[FIELD25519_LIMBS];
} field25519;

extern const field25519 FIELD25519_ONE;

void field25519_add(field25519 *sum, const field25519 *a, const field25519 *b);
void field25519_subtract(field25519 *difference, const field25519 *a, const field25519 *b);

/* a up to 8 units, b up to 3. */
void field25519_multiply(field25519 *product, const field25519 *a, const field25519 *b);

/* a up to 3 units. */
void field25519_square(field25519 *square, const field25519 *a);

/* The power 2^252 - 3 = (p - 5) / 8, the core of square roots. a up to 3 units. */
void field25519_power_root(field25519 *power, const field25519 *a);

/* 1 / a; zero has the inverse zero. a up to 3 units. */
void field25519_invert(field25519 *inverse, const field25519 *a);

/* a up to 8 units. */
int field25519_is_zero(const field25519 *a);

/* Takes 255 bits, little end first, and ignores the highest bit of the last byte. Values from p on are taken too. */
void field25519_load(field25519 *a, const uint8_t bytes[32]);

/* Gives the one value from 0 to p - 1. a up to 8 units. */
void field25519_store(uint8_t bytes[32], const field25519 *a);

#endif
