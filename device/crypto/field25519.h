/* Arithmetic modulo p = 2^255 - 19 (RFC 7748, section 4.1) in eight limbs of 32 bits.
 *
 * Any value below 2^256 stands for its residue; every operation takes any such value and gives any such value. So there
 * are no bounds to keep in mind, and 2^256 = 38 modulo p folds every carry back. A result may be one of the operands.
 * Products are of 32 by 32 bits, the largest that every target has. Time depends on the values: for public data only.
 */
#ifndef QUORATE_FIELD25519_H
#define QUORATE_FIELD25519_H

#include <stdint.h>

#define FIELD25519_LIMBS 8

typedef struct {
    uint32_t limb[FIELD25519_LIMBS]; /* least significant first */
} field25519;

extern const field25519 FIELD25519_ONE;

void field25519_add(field25519 *sum, const field25519 *a, const field25519 *b);
void field25519_subtract(field25519 *difference, const field25519 *a, const field25519 *b);
void field25519_multiply(field25519 *product, const field25519 *a, const field25519 *b);
void field25519_square(field25519 *square, const field25519 *a);

/* The power 2^252 - 3 = (p - 5) / 8, the core of square roots. */
void field25519_power_root(field25519 *power, const field25519 *a);

/* 1 / a; zero has the inverse zero. */
void field25519_invert(field25519 *inverse, const field25519 *a);

int field25519_is_zero(const field25519 *a);

/* Takes 255 bits, little end first, and ignores the highest bit of the last byte. Values from p on are taken too. */
void field25519_load(field25519 *a, const uint8_t bytes[32]);

/* Gives the one value below p. */
void field25519_store(uint8_t bytes[32], const field25519 *a);

#endif
