/* Arithmetic modulo 2^255 - 19; see the header for the form of the numbers and for what is a unit. */
#include "field25519.h"

#include "bytes.h"

#define LIMBS FIELD25519_LIMBS
#define FOLD 19 /* 2^255 modulo p */

/* C99 leaves the right shift of a negative number to the compiler; this code needs the usual one, which rounds down. */
typedef char arithmetic_shift[(-3 >> 1) == -2 ? 1 : -1];

const field25519 FIELD25519_ONE = {{1}};

static int bits_of(int limb)
{
    return 26 - (limb & 1);
}

void field25519_add(field25519 *sum, const field25519 *a, const field25519 *b)
{
    for (int i = 0; i < LIMBS; i++)
        sum->limb[i] = a->limb[i] + b->limb[i];
}

void field25519_subtract(field25519 *difference, const field25519 *a, const field25519 *b)
{
    for (int i = 0; i < LIMBS; i++)
        difference->limb[i] = a->limb[i] - b->limb[i];
}

/* Rounds `from` to a multiple of 2^bits and moves that to the next limb, `fold` times. Written so that only the lower
 * half of what stays is computed. */
#define CARRY(from, to, bits, fold)                                                       \
    do {                                                                                  \
        int64_t rounded = h[from] + (1 << ((bits) - 1));                                  \
        h[from] = (int32_t)((uint32_t)rounded & ((1u << (bits)) - 1)) - (1 << ((bits) - 1)); \
        h[to] += (rounded >> (bits)) * (fold);                                            \
    } while (0)

/* Makes the sum tight. Two chains, from limb 0 and from limb 5, so that a processor can do both at once; each ends by
 * carrying once more out of the limb that the other one began with. */
static void carry(field25519 *tight, int64_t h[LIMBS])
{
    CARRY(0, 1, 26, 1);
    CARRY(5, 6, 25, 1);
    CARRY(1, 2, 25, 1);
    CARRY(6, 7, 26, 1);
    CARRY(2, 3, 26, 1);
    CARRY(7, 8, 25, 1);
    CARRY(3, 4, 25, 1);
    CARRY(8, 9, 26, 1);
    CARRY(4, 5, 26, 1);
    CARRY(9, 0, 25, FOLD);
    CARRY(5, 6, 25, 1);
    CARRY(0, 1, 26, 1);
    for (int i = 0; i < LIMBS; i++)
        tight->limb[i] = (int32_t)h[i];
}

#define TIMES(a, b) ((int64_t)(a) * (b))

/* Limb k of a product: x[i] * b[k - i] for all i, where an index below zero means 19 * b[k - i + 10]. */
#define COLUMN(x, k)                                                                                        \
    (TIMES((x)[0], w[10 + (k)]) + TIMES((x)[1], w[9 + (k)]) + TIMES((x)[2], w[8 + (k)])                     \
     + TIMES((x)[3], w[7 + (k)]) + TIMES((x)[4], w[6 + (k)]) + TIMES((x)[5], w[5 + (k)])                    \
     + TIMES((x)[6], w[4 + (k)]) + TIMES((x)[7], w[3 + (k)]) + TIMES((x)[8], w[2 + (k)])                    \
     + TIMES((x)[9], w[1 + (k)]))

/* Two odd limbs have half a bit each less than their index says, so in even columns their product counts twice. */
void field25519_multiply(field25519 *product, const field25519 *a, const field25519 *b)
{
    int64_t h[LIMBS];
    int32_t w[2 * LIMBS], doubled[LIMBS];
    for (int i = 0; i < LIMBS; i += 2) {
        w[i] = (w[i + LIMBS] = b->limb[i]) * FOLD;
        w[i + 1] = (w[i + 1 + LIMBS] = b->limb[i + 1]) * FOLD;
        doubled[i] = a->limb[i];
        doubled[i + 1] = a->limb[i + 1] * 2;
    }
    for (int k = 0; k < LIMBS; k += 2) {
        h[k] = COLUMN(doubled, k);
        h[k + 1] = COLUMN(a->limb, k + 1);
    }
    carry(product, h);
}

/* As a product, with equal terms taken once and doubled: d is 2 a, w is 19 a (even limbs) or 38 a (odd limbs). */
void field25519_square(field25519 *square, const field25519 *operand)
{
    const int32_t *a = operand->limb;
    int64_t h[LIMBS];
    int32_t d[LIMBS], w[LIMBS];
    for (int i = 0; i < LIMBS; i++) {
        d[i] = a[i] * 2;
        w[i] = a[i] * (FOLD * (1 + (i & 1)));
    }
    h[0] = TIMES(a[0], a[0]) + TIMES(d[1], w[9]) + TIMES(d[2], w[8]) + TIMES(d[3], w[7]) + TIMES(d[4], w[6])
           + TIMES(a[5], w[5]);
    h[1] = TIMES(d[0], a[1]) + TIMES(a[2], w[9]) + TIMES(d[3], w[8]) + TIMES(a[4], w[7]) + TIMES(d[5], w[6]);
    h[2] = TIMES(d[0], a[2]) + TIMES(d[1], a[1]) + TIMES(d[3], w[9]) + TIMES(d[4], w[8]) + TIMES(d[5], w[7])
           + TIMES(a[6], w[6]);
    h[3] = TIMES(d[0], a[3]) + TIMES(d[1], a[2]) + TIMES(a[4], w[9]) + TIMES(d[5], w[8]) + TIMES(a[6], w[7]);
    h[4] = TIMES(d[0], a[4]) + TIMES(d[1], d[3]) + TIMES(a[2], a[2]) + TIMES(d[5], w[9]) + TIMES(d[6], w[8])
           + TIMES(a[7], w[7]);
    h[5] = TIMES(d[0], a[5]) + TIMES(d[1], a[4]) + TIMES(d[2], a[3]) + TIMES(a[6], w[9]) + TIMES(d[7], w[8]);
    h[6] = TIMES(d[0], a[6]) + TIMES(d[1], d[5]) + TIMES(d[2], a[4]) + TIMES(d[3], a[3]) + TIMES(d[7], w[9])
           + TIMES(a[8], w[8]);
    h[7] = TIMES(d[0], a[7]) + TIMES(d[1], a[6]) + TIMES(d[2], a[5]) + TIMES(d[3], a[4]) + TIMES(a[8], w[9]);
    h[8] = TIMES(d[0], a[8]) + TIMES(d[1], d[7]) + TIMES(d[2], a[6]) + TIMES(d[3], d[5]) + TIMES(a[4], a[4])
           + TIMES(a[9], w[9]);
    h[9] = TIMES(d[0], a[9]) + TIMES(d[1], a[8]) + TIMES(d[2], a[7]) + TIMES(d[3], a[6]) + TIMES(d[4], a[5]);
    carry(square, h);
}

static void square_times(field25519 *a, int times)
{
    while (times-- > 0)
        field25519_square(a, a);
}

/* Goes through the bits of 250 with a^(2^n - 1): doubling n takes n squarings and a product, adding one one each. */
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

/* The bit with which limb i begins: 25.5 i, rounded up. */
static int first_bit(int limb)
{
    return (51 * limb + 1) / 2;
}

/* Every limb lies within four bytes. */
void field25519_load(field25519 *a, const uint8_t bytes[32])
{
    int64_t h[LIMBS];
    for (int i = 0; i < LIMBS; i++) {
        int bit = first_bit(i);
        h[i] = load32_little(bytes + (bit >> 3)) >> (bit & 7) & ((1u << bits_of(i)) - 1);
    }
    carry(a, h);
}

/* Carries so that every limb lies from 0 to its 2^bits - 1; returns what is left above 255 bits, below zero too. */
static int32_t carry_down(int32_t h[LIMBS])
{
    int32_t carried = 0;
    for (int i = 0; i < LIMBS; i++) {
        int32_t sum = h[i] + carried;
        carried = sum >> bits_of(i);
        h[i] = sum - carried * ((int32_t)1 << bits_of(i));
    }
    return carried;
}

/* Folding what is above 255 bits once leaves at most one such bit above or below, and folding that leaves none. The
 * third pass only carries. Then the value is p or more exactly when adding 19 reaches bit 255. */
void field25519_store(uint8_t bytes[32], const field25519 *a)
{
    field25519 value = *a, above;
    uint64_t pending = 0;
    int pending_bits = 0, byte = 0;
    for (int pass = 0; pass < 3; pass++)
        value.limb[0] += carry_down(value.limb) * FOLD;
    above = value;
    above.limb[0] += FOLD;
    if (carry_down(above.limb))
        value = above;
    for (int i = 0; i < LIMBS; i++) {
        pending += (uint64_t)(uint32_t)value.limb[i] * (1u << pending_bits);
        pending_bits += bits_of(i);
        for (; pending_bits >= 8; pending_bits -= 8, pending >>= 8)
            bytes[byte++] = (uint8_t)pending;
    }
    bytes[31] = (uint8_t)pending;
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
