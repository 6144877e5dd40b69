/* Points of edwards25519 and scalars modulo its order; formulas of Hisil, Wong, Carter and Dawson, 2008, for a = -1. */
#include "edwards25519.h"

#include "bytes.h"

#define SCALAR_BITS 256
#define WINDOW 4                              /* digits are odd and below 8 in size, one among four at most */
#define ODD_MULTIPLES (1 << (WINDOW - 2))     /* 1, 3, 5 and 7 times the point */

/* RFC 8032, 5.1: d = -121665/121666, and the base point with y = 4/5 and x even. */
static const field25519 TWO_D = {{-21827239, -5839606, -30745221, 13898782, 229458,
                                  15978800, -12551817, -6495438, 29715968, 9444199}};
static const field25519 D = {{-10913610, 13857413, -15372611, 6949391, 114729,
                              -8787816, -6275908, -3247719, -18696448, -12055116}};
static const field25519 ROOT_OF_MINUS_ONE = {{-32595792, -7943725, 9377950, 3500415, 12389472,
                                              -272473, -25146209, -2005654, 326686, 11406482}};
const edwards25519 EDWARDS25519_BASE = {
    {{-14297830, -7645148, 16144683, -16471763, 27570974,
      -2696100, -26142465, 8378389, 20764389, 8758491}},
    {{-26843541, -6710886, 13421773, -13421773, 26843546,
      6710886, -13421773, 13421773, -26843546, -6710886}},
    {{1}},
    {{28827062, -6116119, -27349572, 244363, 8635006,
      11264893, 19351346, 13413597, 16611511, -6414980}}};

static const uint32_t ORDER[8] = {0x5cf5d3edu, 0x5812631au, 0xa2f79cd6u, 0x14def9deu, 0, 0, 0, 0x10000000u};

/* A point prepared to be added many times. */
typedef struct {
    field25519 sum, difference, two_z, two_dt; /* y + x, y - x, 2z, 2dt */
} addend;

static void prepare(addend *prepared, const edwards25519 *p)
{
    field25519_add(&prepared->sum, &p->y, &p->x);
    field25519_subtract(&prepared->difference, &p->y, &p->x);
    field25519_add(&prepared->two_z, &p->z, &p->z);
    field25519_multiply(&prepared->two_dt, &p->t, &TWO_D);
}

/* The last step of addition and doubling: x = fe, y = gh, z = fg. `f` may be larger than a second factor may.
 * t = eh is apart, because a point that is doubled next needs none. */
static void complete(edwards25519 *p, const field25519 *e, const field25519 *f, const field25519 *g,
                     const field25519 *h)
{
    field25519_multiply(&p->x, f, e);
    field25519_multiply(&p->y, g, h);
    field25519_multiply(&p->z, f, g);
}

/* p += q, or p -= q. The negative of a point has the signs of x and t changed. */
static void add_prepared(edwards25519 *p, const addend *q, int negative)
{
    field25519 a, b, c, d, e, h;
    field25519_subtract(&a, &p->y, &p->x);
    field25519_multiply(&a, &a, negative ? &q->sum : &q->difference);
    field25519_add(&b, &p->y, &p->x);
    field25519_multiply(&b, &b, negative ? &q->difference : &q->sum);
    field25519_multiply(&c, &p->t, &q->two_dt);
    field25519_multiply(&d, &p->z, &q->two_z);
    field25519_subtract(&e, &b, &a);
    field25519_add(&h, &b, &a);
    field25519_subtract(&a, &d, &c);
    field25519_add(&b, &d, &c);
    field25519_multiply(&p->t, &e, &h);
    complete(p, &e, negative ? &b : &a, negative ? &a : &b, &h);
}

/* All four results have the opposite sign of the published ones: the same point, and no negations. */
static void twice(edwards25519 *p, int with_t)
{
    field25519 e, f, g, h;
    field25519_square(&f, &p->x);
    field25519_square(&g, &p->y);
    field25519_add(&h, &f, &g);
    field25519_subtract(&g, &g, &f);
    field25519_square(&f, &p->z);
    field25519_add(&f, &f, &f);
    field25519_subtract(&f, &f, &g);
    field25519_add(&e, &p->x, &p->y);
    field25519_square(&e, &e);
    field25519_subtract(&e, &e, &h);
    if (with_t)
        field25519_multiply(&p->t, &e, &h);
    complete(p, &e, &f, &g, &h);
}

void edwards25519_subtract(edwards25519 *difference, const edwards25519 *p, const edwards25519 *q)
{
    addend prepared;
    prepare(&prepared, q);
    *difference = *p;
    add_prepared(difference, &prepared, 1);
}

void edwards25519_times_cofactor(edwards25519 *multiple, const edwards25519 *p)
{
    *multiple = *p;
    for (int i = 0; i < 3; i++)
        twice(multiple, i == 2);
}

int edwards25519_is_identity(const edwards25519 *p)
{
    field25519 difference;
    field25519_subtract(&difference, &p->y, &p->z);
    return field25519_is_zero(&p->x) && field25519_is_zero(&difference);
}

static void odd_multiples(addend multiples[ODD_MULTIPLES], const edwards25519 *p)
{
    edwards25519 odd = *p, doubled = *p;
    addend step;
    twice(&doubled, 1);
    prepare(&step, &doubled);
    prepare(&multiples[0], p);
    for (int i = 1; i < ODD_MULTIPLES; i++) {
        add_prepared(&odd, &step, 0);
        prepare(&multiples[i], &odd);
    }
}

/* Signed digits of the scalar with at least three zeros between two that are not zero. */
static void recode(int8_t digits[SCALAR_BITS + 1], const uint8_t scalar[SCALAR25519_BYTES])
{
    unsigned carry = 0;
    memset(digits, 0, SCALAR_BITS + 1);
    for (unsigned i = 0; i <= SCALAR_BITS; i++) {
        unsigned byte = i >> 3, shift = i & 7, bits = 0;
        if (byte < SCALAR25519_BYTES)
            bits = scalar[byte];
        if (byte + 1 < SCALAR25519_BYTES)
            bits |= (unsigned)scalar[byte + 1] << 8;
        bits >>= shift;
        if (((bits ^ carry) & 1) == 0)
            continue; /* a carry over a one bit is a zero, with the same carry */
        int digit = (int)((bits & ((1u << WINDOW) - 1)) + carry);
        carry = digit > (1 << (WINDOW - 1));
        digits[i] = (int8_t)(carry ? digit - (1 << WINDOW) : digit);
        i += WINDOW - 1;
    }
}

static void add_digit(edwards25519 *p, const addend multiples[ODD_MULTIPLES], int digit)
{
    if (digit > 0)
        add_prepared(p, &multiples[digit >> 1], 0);
    if (digit < 0)
        add_prepared(p, &multiples[-digit >> 1], 1);
}

/* Both scalars share the doublings (Straus). */
void edwards25519_combine(edwards25519 *result, const uint8_t m[SCALAR25519_BYTES], const edwards25519 *p,
                          const uint8_t n[SCALAR25519_BYTES], const edwards25519 *q)
{
    addend of_p[ODD_MULTIPLES], of_q[ODD_MULTIPLES];
    int8_t m_digits[SCALAR_BITS + 1], n_digits[SCALAR_BITS + 1];
    int i = SCALAR_BITS;
    odd_multiples(of_p, p);
    odd_multiples(of_q, q);
    recode(m_digits, m);
    recode(n_digits, n);
    memset(result, 0, sizeof *result);
    result->y = FIELD25519_ONE;
    result->z = FIELD25519_ONE;
    while (i > 0 && m_digits[i] == 0 && n_digits[i] == 0)
        i--;
    for (;; i--) {
        add_digit(result, of_p, m_digits[i]);
        add_digit(result, of_q, -n_digits[i]);
        if (i == 0)
            return;
        twice(result, i == 1 || m_digits[i - 1] != 0 || n_digits[i - 1] != 0);
    }
}

/* x from y: the root of u/v with u = y^2 - 1 and v = d y^2 + 1 (RFC 8032, 5.1.3, step 2). */
static int recover_x(field25519 *x, const field25519 *y)
{
    field25519 u, v, power, check;
    field25519_square(&u, y);
    field25519_multiply(&v, &u, &D);
    field25519_subtract(&u, &u, &FIELD25519_ONE);
    field25519_add(&v, &v, &FIELD25519_ONE);
    field25519_square(&power, &v);
    field25519_multiply(&power, &power, &v);
    field25519_multiply(x, &power, &u); /* u v^3 */
    field25519_square(&power, &power);
    field25519_multiply(&power, &power, &v);
    field25519_multiply(&power, &power, &u); /* u v^7 */
    field25519_power_root(&power, &power);
    field25519_multiply(x, x, &power);

    field25519_square(&check, x);
    field25519_multiply(&check, &check, &v);
    field25519_subtract(&power, &check, &u);
    if (field25519_is_zero(&power))
        return 1;
    field25519_multiply(x, x, &ROOT_OF_MINUS_ONE);
    field25519_add(&power, &check, &u);
    return field25519_is_zero(&power);
}

static void encode_affine(uint8_t bytes[EDWARDS25519_BYTES], const field25519 *x, const field25519 *y)
{
    uint8_t x_bytes[32];
    field25519_store(x_bytes, x);
    field25519_store(bytes, y);
    bytes[31] = (uint8_t)(bytes[31] | x_bytes[0] << 7);
}

int edwards25519_decode_any(edwards25519 *point, const uint8_t bytes[EDWARDS25519_BYTES])
{
    static const field25519 ZERO = {{0}};
    uint8_t x_bytes[32];
    field25519_load(&point->y, bytes);
    if (!recover_x(&point->x, &point->y))
        return 0;
    field25519_store(x_bytes, &point->x);
    if ((x_bytes[0] & 1) != bytes[31] >> 7)
        field25519_subtract(&point->x, &ZERO, &point->x);
    point->z = FIELD25519_ONE;
    field25519_multiply(&point->t, &point->x, &point->y);
    return 1;
}

int edwards25519_decode(edwards25519 *point, const uint8_t bytes[EDWARDS25519_BYTES])
{
    uint8_t canonical[EDWARDS25519_BYTES];
    if (!edwards25519_decode_any(point, bytes))
        return 0;
    encode_affine(canonical, &point->x, &point->y);
    return memcmp(canonical, bytes, sizeof canonical) == 0;
}

/* Inverts the product of all z; going back, each z is divided out of what is left (Montgomery). */
void edwards25519_encode(uint8_t (*bytes)[EDWARDS25519_BYTES], const edwards25519 *points, int count)
{
    field25519 before[EDWARDS25519_ENCODE_MAX]; /* before[i]: the product of the z of the points before i */
    field25519 inverse = FIELD25519_ONE;
    for (int i = 0; i < count; i++) {
        before[i] = inverse;
        field25519_multiply(&inverse, &inverse, &points[i].z);
    }
    field25519_invert(&inverse, &inverse);
    for (int i = count - 1; i >= 0; i--) {
        field25519 one_by_z, x, y;
        field25519_multiply(&one_by_z, &inverse, &before[i]);
        field25519_multiply(&inverse, &inverse, &points[i].z);
        field25519_multiply(&x, &points[i].x, &one_by_z);
        field25519_multiply(&y, &points[i].y, &one_by_z);
        encode_affine(bytes[i], &x, &y);
    }
}

/* words -= L when that leaves no negative number; says whether it did. */
static int subtract_order(uint32_t words[8])
{
    uint32_t left[8];
    uint64_t borrow = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t difference = (uint64_t)words[i] - ORDER[i] - borrow;
        left[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
    if (borrow)
        return 0;
    memcpy(words, left, sizeof left);
    return 1;
}

int scalar25519_is_reduced(const uint8_t scalar[SCALAR25519_BYTES])
{
    uint32_t words[8];
    for (int i = 0; i < 8; i++)
        words[i] = load32_little(scalar + 4 * i);
    return !subtract_order(words);
}

/* Long division, bit by bit: one hundredth of the time of a verification, and short. */
void scalar25519_reduce(uint8_t scalar[SCALAR25519_BYTES], const uint8_t wide[64])
{
    uint32_t rest[8] = {0};
    for (int bit = 511; bit >= 0; bit--) {
        uint32_t in = (uint32_t)wide[bit >> 3] >> (bit & 7) & 1u;
        for (int i = 0; i < 8; i++) {
            uint32_t out = rest[i] >> 31;
            rest[i] = rest[i] << 1 | in;
            in = out;
        }
        if (rest[7] >= ORDER[7])
            subtract_order(rest);
    }
    for (int i = 0; i < 8; i++)
        store32_little(scalar + 4 * i, rest[i]);
}
