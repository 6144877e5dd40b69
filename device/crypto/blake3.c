/* BLAKE3-256, one shot. Section numbers are those of the BLAKE3 specification. */
#include "blake3.h"

#include "bytes.h"

#define BLOCK_BYTES 64u
#define CHUNK_BYTES 1024u
#define ROUNDS 7

/* A size below 2^32 has at most 2^22 chunks; before the last one, at most 22 complete subtrees wait for their right
 * half. */
#define SUBTREES_MAX 22

enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static const uint32_t INITIAL[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                    0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};

static inline uint32_t rotate_right(uint32_t word, unsigned count)
{
    return word >> count | word << (32 - count);
}

/* The quarter round of 2.2. */
#define MIX(a, b, c, d, x, y)           \
    do {                                \
        a = a + b + (x);                \
        d = rotate_right(d ^ a, 16);    \
        c = c + d;                      \
        b = rotate_right(b ^ c, 12);    \
        a = a + b + (y);                \
        d = rotate_right(d ^ a, 8);     \
        c = c + d;                      \
        b = rotate_right(b ^ c, 7);     \
    } while (0)

#ifdef QUORATE_BLAKE3_UNROLLED

/* The permutation of message words between rounds is two cycles of eight; the words move along each. */
static inline void permute(uint32_t m[16])
{
    uint32_t first = m[0];
    m[0] = m[2], m[2] = m[3], m[3] = m[10], m[10] = m[12], m[12] = m[9], m[9] = m[11], m[11] = m[5], m[5] = first;
    first = m[1];
    m[1] = m[6], m[6] = m[4], m[4] = m[7], m[7] = m[13], m[13] = m[14], m[14] = m[15], m[15] = m[8], m[8] = first;
}

static void mix_all(uint32_t v[16], uint32_t m[16])
{
    uint32_t v0 = v[0], v1 = v[1], v2 = v[2], v3 = v[3], v4 = v[4], v5 = v[5], v6 = v[6], v7 = v[7];
    uint32_t v8 = v[8], v9 = v[9], va = v[10], vb = v[11], vc = v[12], vd = v[13], ve = v[14], vf = v[15];
    for (int round = 1;; round++) {
        MIX(v0, v4, v8, vc, m[0], m[1]);
        MIX(v1, v5, v9, vd, m[2], m[3]);
        MIX(v2, v6, va, ve, m[4], m[5]);
        MIX(v3, v7, vb, vf, m[6], m[7]);
        MIX(v0, v5, va, vf, m[8], m[9]);
        MIX(v1, v6, vb, vc, m[10], m[11]);
        MIX(v2, v7, v8, vd, m[12], m[13]);
        MIX(v3, v4, v9, ve, m[14], m[15]);
        if (round == ROUNDS)
            break;
        permute(m);
    }
    v[0] = v0, v[1] = v1, v[2] = v2, v[3] = v3, v[4] = v4, v[5] = v5, v[6] = v6, v[7] = v7;
    v[8] = v8, v[9] = v9, v[10] = va, v[11] = vb, v[12] = vc, v[13] = vd, v[14] = ve, v[15] = vf;
}

#else

static void permute(uint32_t m[16])
{
    static const uint8_t FROM[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};
    uint32_t old[16];
    memcpy(old, m, sizeof old);
    for (int i = 0; i < 16; i++)
        m[i] = old[FROM[i]];
}

/* Columns first, then diagonals: in the second half of a round the rows are shifted by 0, 1, 2 and 3. */
static void mix_all(uint32_t v[16], uint32_t m[16])
{
    for (int round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < 8; i++) {
            unsigned shift = i >> 2;
            uint32_t *a = v + (i & 3), *b = v + 4 + ((i + shift) & 3);
            uint32_t *c = v + 8 + ((i + 2 * shift) & 3), *d = v + 12 + ((i + 3 * shift) & 3);
            MIX(*a, *b, *c, *d, m[2 * i], m[2 * i + 1]);
        }
        permute(m);
    }
}

#endif

/* The compression function, 2.2, cut to the eight words that a chaining value or a 32-byte digest takes. */
static void compress(uint32_t chain[8], uint32_t message[16], uint32_t counter, uint32_t size, uint32_t flags)
{
    uint32_t v[16];
    memcpy(v, chain, 32);
    memcpy(v + 8, INITIAL, 16);
    v[12] = counter;
    v[13] = 0;
    v[14] = size;
    v[15] = flags;
    mix_all(v, message);
    for (int i = 0; i < 8; i++)
        chain[i] = v[i] ^ v[i + 8];
}

/* The chaining value of one chunk, 2.4. `root` is ROOT for the only chunk of a short input, else 0. */
static void hash_chunk(uint32_t chain[8], const uint8_t *data, uint32_t size, uint32_t counter, uint32_t root)
{
    uint32_t flags = CHUNK_START;
    memcpy(chain, INITIAL, sizeof INITIAL);
    for (;;) {
        uint8_t block[BLOCK_BYTES] = {0};
        uint32_t message[16];
        uint32_t taken = size < BLOCK_BYTES ? size : BLOCK_BYTES;
        if (taken != 0)
            memcpy(block, data, taken);
        for (int i = 0; i < 16; i++)
            message[i] = load32_little(block + 4 * i);
        if (size <= BLOCK_BYTES)
            flags |= CHUNK_END | root;
        compress(chain, message, counter, taken, flags);
        if (size <= BLOCK_BYTES)
            return;
        data += taken;
        size -= taken;
        flags = 0;
    }
}

/* Replaces `right` by the chaining value of the parent of `left` and `right`, 2.5. */
static void join(const uint32_t left[8], uint32_t right[8], uint32_t root)
{
    uint32_t message[16];
    memcpy(message, left, 32);
    memcpy(message + 8, right, 32);
    memcpy(right, INITIAL, 32);
    compress(right, message, 0, BLOCK_BYTES, PARENT | root);
}

void blake3_hash(uint8_t digest[BLAKE3_BYTES], const uint8_t *data, uint32_t size)
{
    uint32_t waiting[SUBTREES_MAX][8];
    uint32_t chain[8];
    uint32_t done = 0;
    int depth = 0;
    while (size > CHUNK_BYTES) {
        hash_chunk(chain, data, CHUNK_BYTES, done, 0);
        data += CHUNK_BYTES;
        size -= CHUNK_BYTES;
        done++;
        /* As many subtrees are complete as the count of chunks has zero bits at its end. */
        for (uint32_t count = done; (count & 1) == 0; count >>= 1)
            join(waiting[--depth], chain, 0);
        memcpy(waiting[depth++], chain, 32);
    }
    hash_chunk(chain, data, size, done, depth == 0 ? ROOT : 0);
    while (depth > 0) {
        depth--;
        join(waiting[depth], chain, depth == 0 ? ROOT : 0);
    }
    for (int i = 0; i < 8; i++)
        store32_little(digest + 4 * i, chain[i]);
}
