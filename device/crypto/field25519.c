/* Arithmetic modulo 2^255 - 19; see the header for the form of the numbers. */
#include "field25519.h"

#include "bytes.h"

#define LIMBS FIELD25519_LIMBS
#define FOLD 38u /* 2^256 modulo p */

const field25519 FIELD25519_ONE = {{1}};

/* Adds carry * 2^256. A second carry leaves a value so small that the third addition stays in the lowest limb. */
static void fold(field25519 *a, uint32_t carry)
{
    uint64_t sum = (uint64_t)carry * FOLD;
    for (int i = 0; sum != 0 && i < LIMBS; i++) {
        sum += a->limb[i];
        a->limb[i] = (uint32_t)sum;
        sum >>= 32;
    }
    a->limb[0] += (uint32_t)sum * FOLD;
}

void field25519_add(field25519 *sum, const field25519 *a, const field25519 *b)
{
    uint32_t carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        uint32_t partial = a->limb[i] + carry;
        carry = partial < carry;
        partial += b->limb[i];
        carry += partial < b->limb[i];
        sum->limb[i] = partial;
    }
    fold(sum, carry);
}

/* Subtracts `borrow`, then b from a in place of it, and says whether a borrow is left. */
static uint32_t subtract_limb(uint32_t *difference, uint32_t a, uint32_t b, uint32_t borrow)
{
    uint32_t partial = a - b;
    *difference = partial - borrow;
    return (uint32_t)(a < b) + (uint32_t)(partial < borrow);
}

void field25519_subtract(field25519 *difference, const field25519 *a, const field25519 *b)
{
    uint32_t borrow = 0;
    for (int i = 0; i < LIMBS; i++)
        borrow = subtract_limb(&difference->limb[i], a->limb[i], b->limb[i], borrow);
    borrow *= FOLD;
    for (int i = 0; borrow != 0 && i < LIMBS; i++)
        borrow = subtract_limb(&difference->limb[i], difference->limb[i], borrow, 0);
    difference->limb[0] -= borrow * FOLD;
}

/* One step of `multiply_add`, `back` limbs before the end. The sum fits: (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1. */
#define STEP(back)                                                                          \
    do {                                                                                    \
        uint64_t sum = (uint64_t)a_end[-(back)] * factor + row_end[-(back)] + carry;        \
        row_end[-(back)] = (uint32_t)sum;                                                   \
        carry = (uint32_t)(sum >> 32);                                                      \
    } while (0)

/* row += a * factor over the `count` limbs that end at `row_end` and `a_end`; returns the carry out of the row.
 * Nearly all the time of a verification is spent here, hence no loop. */
static uint32_t multiply_add(uint32_t *row_end, const uint32_t *a_end, uint32_t factor, int count)
{
    uint32_t carry = 0;
    switch (count) {
    case 8:
        STEP(8); /* fall through */
    case 7:
        STEP(7); /* fall through */
    case 6:
        STEP(6); /* fall through */
    case 5:
        STEP(5); /* fall through */
    case 4:
        STEP(4); /* fall through */
    case 3:
        STEP(3); /* fall through */
    case 2:
        STEP(2); /* fall through */
    default:
        STEP(1);
    }
    return carry;
}

/* Sixteen limbs to eight: the upper half counts 38 times. */
static void reduce(field25519 *a, uint32_t wide[2 * LIMBS])
{
    uint32_t carry = multiply_add(wide + LIMBS, wide + 2 * LIMBS, FOLD, LIMBS);
    memcpy(a->limb, wide, sizeof a->limb);
    fold(a, carry);
}

void field25519_multiply(field25519 *product, const field25519 *a, const field25519 *b)
{
    uint32_t wide[2 * LIMBS] = {0};
    for (int i = 0; i < LIMBS; i++)
        wide[i + LIMBS] = multiply_add(wide + i + LIMBS, a->limb + LIMBS, b->limb[i], LIMBS);
    reduce(product, wide);
}

/* The products of different limbs once, doubled, then the squares of the limbs. */
void field25519_square(field25519 *square, const field25519 *a)
{
    uint32_t wide[2 * LIMBS] = {0};
    uint32_t top = 0, carry = 0;
    for (int i = 0; i < LIMBS - 1; i++)
        wide[i + LIMBS] = multiply_add(wide + i + LIMBS, a->limb + LIMBS, a->limb[i], LIMBS - 1 - i);
    for (int i = 0; i < LIMBS; i++) {
        uint32_t low = wide[2 * i], high = wide[2 * i + 1];
        uint64_t sum = (uint64_t)a->limb[i] * a->limb[i] + (low << 1 | top) + carry;
        wide[2 * i] = (uint32_t)sum;
        sum = (sum >> 32) + (high << 1 | low >> 31);
        wide[2 * i + 1] = (uint32_t)sum;
        carry = (uint32_t)(sum >> 32);
        top = high >> 31;
    }
    reduce(square, wide);
}

static void square_times(field25519 *a, int times)
{
    while (times-- > 0)
        field25519_square(a, a);
}

/* Goes through the bits of 250 with a^(2^n - 1): doubling n takes n squarings and a product, adding one to it one each. */
void field25519_power_root(field25519 *power, const field25519 *a)
{
    field25519 base = *a, ones = *a;
    int n = 1;
    for (int bit = 6; bit >= 0; bit--) {
        field25519 shorter = ones;
        square_times(&ones, n);
        field25519_multiply(&ones, &ones, &shorter);
        n *= 2;
        if (250 >> bit & 1) {
            field25519_square(&ones, &ones);
            field25519_multiply(&ones, &ones, &base);
            n++;
        }
    }
    square_times(&ones, 2);
    field25519_multiply(power, &ones, &base);
}

/* Fermat: p - 2 = 8 (2^252 - 3) + 3. */
void field25519_invert(field25519 *inverse, const field25519 *a)
{
    field25519 cube, power;
    field25519_square(&cube, a);
    field25519_multiply(&cube, &cube, a);
    field25519_power_root(&power, a);
    square_times(&power, 3);
    field25519_multiply(inverse, &power, &cube);
}

void field25519_load(field25519 *a, const uint8_t bytes[32])
{
    for (int i = 0; i < LIMBS; i++)
        a->limb[i] = load32_little(bytes + 4 * i);
    a->limb[LIMBS - 1] &= 0x7fffffffu;
}

/* Adds `small` to the lower 255 bits of a; returns what stood or came above them. */
static uint32_t add_small(field25519 *a, uint32_t small)
{
    uint64_t sum = small;
    for (int i = 0; i < LIMBS; i++) {
        sum += a->limb[i];
        a->limb[i] = (uint32_t)sum;
        sum >>= 32;
    }
    return a->limb[LIMBS - 1] >> 31;
}

void field25519_store(uint8_t bytes[32], const field25519 *a)
{
    field25519 value = *a, above;
    uint32_t high = value.limb[LIMBS - 1] >> 31;
    value.limb[LIMBS - 1] &= 0x7fffffffu;
    add_small(&value, high * 19u);
    /* Now below 2^255 + 19, which is less than 2p: at least p exactly when adding 19 reaches bit 255. */
    above = value;
    if (add_small(&above, 19u))
        value = above;
    value.limb[LIMBS - 1] &= 0x7fffffffu;
    for (int i = 0; i < LIMBS; i++)
        store32_little(bytes + 4 * i, value.limb[i]);
}

int field25519_is_zero(const field25519 *a)
{
    uint8_t bytes[32];
    uint8_t any = 0;
    field25519_store(bytes, a);
    for (int i = 0; i < 32; i++)
        any |= bytes[i];
    return any == 0;
}
