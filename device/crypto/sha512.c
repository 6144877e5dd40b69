/* SHA-512. Section numbers are those of FIPS 180-4. Written for size: signatures hash little. */
#include "sha512.h"

#include "bytes.h"

#define BLOCK_BYTES 128u
#define LENGTH_BYTES 16u
#define ROUNDS 80u

/* 5.3.5: the fractional parts of the square roots of the first eight primes. */
static const uint64_t INITIAL[8] = {
    0x6a09e667f3bcc908u, 0xbb67ae8584caa73bu, 0x3c6ef372fe94f82bu, 0xa54ff53a5f1d36f1u,
    0x510e527fade682d1u, 0x9b05688c2b3e6c1fu, 0x1f83d9abfb41bd6bu, 0x5be0cd19137e2179u
};

/* 4.2.3: the fractional parts of the cube roots of the first eighty primes. */
static const uint64_t CONSTANTS[ROUNDS] = {
    0x428a2f98d728ae22u, 0x7137449123ef65cdu, 0xb5c0fbcfec4d3b2fu, 0xe9b5dba58189dbbcu,
    0x3956c25bf348b538u, 0x59f111f1b605d019u, 0x923f82a4af194f9bu, 0xab1c5ed5da6d8118u,
    0xd807aa98a3030242u, 0x12835b0145706fbeu, 0x243185be4ee4b28cu, 0x550c7dc3d5ffb4e2u,
    0x72be5d74f27b896fu, 0x80deb1fe3b1696b1u, 0x9bdc06a725c71235u, 0xc19bf174cf692694u,
    0xe49b69c19ef14ad2u, 0xefbe4786384f25e3u, 0x0fc19dc68b8cd5b5u, 0x240ca1cc77ac9c65u,
    0x2de92c6f592b0275u, 0x4a7484aa6ea6e483u, 0x5cb0a9dcbd41fbd4u, 0x76f988da831153b5u,
    0x983e5152ee66dfabu, 0xa831c66d2db43210u, 0xb00327c898fb213fu, 0xbf597fc7beef0ee4u,
    0xc6e00bf33da88fc2u, 0xd5a79147930aa725u, 0x06ca6351e003826fu, 0x142929670a0e6e70u,
    0x27b70a8546d22ffcu, 0x2e1b21385c26c926u, 0x4d2c6dfc5ac42aedu, 0x53380d139d95b3dfu,
    0x650a73548baf63deu, 0x766a0abb3c77b2a8u, 0x81c2c92e47edaee6u, 0x92722c851482353bu,
    0xa2bfe8a14cf10364u, 0xa81a664bbc423001u, 0xc24b8b70d0f89791u, 0xc76c51a30654be30u,
    0xd192e819d6ef5218u, 0xd69906245565a910u, 0xf40e35855771202au, 0x106aa07032bbd1b8u,
    0x19a4c116b8d2d0c8u, 0x1e376c085141ab53u, 0x2748774cdf8eeb99u, 0x34b0bcb5e19b48a8u,
    0x391c0cb3c5c95a63u, 0x4ed8aa4ae3418acbu, 0x5b9cca4f7763e373u, 0x682e6ff3d6b2b8a3u,
    0x748f82ee5defb2fcu, 0x78a5636f43172f60u, 0x84c87814a1f0ab72u, 0x8cc702081a6439ecu,
    0x90befffa23631e28u, 0xa4506cebde82bde9u, 0xbef9a3f7b2c67915u, 0xc67178f2e372532bu,
    0xca273eceea26619cu, 0xd186b8c721c0c207u, 0xeada7dd6cde0eb1eu, 0xf57d4f7fee6ed178u,
    0x06f067aa72176fbau, 0x0a637dc5a2c898a6u, 0x113f9804bef90daeu, 0x1b710b35131c471bu,
    0x28db77f523047d84u, 0x32caab7b40c72493u, 0x3c9ebe0a15c9bebcu, 0x431d67c49c100d4cu,
    0x4cc5d4becb3e42b6u, 0x597f299cfc657e2au, 0x5fcb6fab3ad6faecu, 0x6c44198c4a475817u
};

static uint64_t rotate_right(uint64_t word, unsigned count)
{
    return word >> count | word << (64 - count);
}

/* The word of the message schedule, 6.4.2 step 1, from the sixteen before it; `w` is a ring of sixteen. */
static uint64_t next_word(const uint64_t w[16], unsigned t)
{
    uint64_t near = w[(t + 14) & 15], far = w[(t + 1) & 15];
    uint64_t sigma1 = rotate_right(near, 19) ^ rotate_right(near, 61) ^ near >> 6;
    uint64_t sigma0 = rotate_right(far, 1) ^ rotate_right(far, 8) ^ far >> 7;
    return sigma1 + w[(t + 9) & 15] + sigma0 + w[t & 15];
}

static void compress(uint64_t state[8], const uint8_t block[BLOCK_BYTES])
{
    uint64_t w[16];
    uint64_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint64_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (unsigned t = 0; t < 16; t++)
        w[t] = (uint64_t)load32_big(block + 8 * t) << 32 | load32_big(block + 8 * t + 4);
    for (unsigned t = 0; t < ROUNDS; t++) {
        uint64_t word = t < 16 ? w[t] : next_word(w, t);
        uint64_t one = h + (rotate_right(e, 14) ^ rotate_right(e, 18) ^ rotate_right(e, 41)) + (g ^ (e & (f ^ g)))
                       + CONSTANTS[t] + word;
        uint64_t two = (rotate_right(a, 28) ^ rotate_right(a, 34) ^ rotate_right(a, 39)) + ((a & b) | (c & (a | b)));
        w[t & 15] = word;
        h = g, g = f, f = e, e = d + one;
        d = c, c = b, b = a, a = one + two;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha512_begin(sha512 *hash)
{
    memcpy(hash->state, INITIAL, sizeof INITIAL);
    hash->size = 0;
}

void sha512_add(sha512 *hash, const uint8_t *data, uint32_t size)
{
    while (size != 0) {
        uint32_t filled = (uint32_t)hash->size & (BLOCK_BYTES - 1);
        uint32_t taken = size < BLOCK_BYTES - filled ? size : BLOCK_BYTES - filled;
        memcpy(hash->block + filled, data, taken);
        hash->size += taken;
        data += taken;
        size -= taken;
        if (filled + taken == BLOCK_BYTES)
            compress(hash->state, hash->block);
    }
}

/* 5.1.2: a one bit, zeros, and the length in bits in the last sixteen bytes of a block. */
void sha512_end(sha512 *hash, uint8_t digest[SHA512_BYTES])
{
    uint32_t filled = (uint32_t)hash->size & (BLOCK_BYTES - 1);
    hash->block[filled++] = 0x80;
    memset(hash->block + filled, 0, BLOCK_BYTES - filled);
    if (filled > BLOCK_BYTES - LENGTH_BYTES) {
        compress(hash->state, hash->block);
        memset(hash->block, 0, BLOCK_BYTES);
    }
    store32_big(hash->block + 120, (uint32_t)(hash->size >> 29));
    store32_big(hash->block + 124, (uint32_t)(hash->size << 3));
    compress(hash->state, hash->block);
    for (unsigned i = 0; i < 8; i++) {
        store32_big(digest + 8 * i, (uint32_t)(hash->state[i] >> 32));
        store32_big(digest + 8 * i + 4, (uint32_t)hash->state[i]);
    }
}
