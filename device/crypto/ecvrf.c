/* ECVRF verification; section numbers are those of RFC 9381. */
#include "ecvrf.h"

#include "bytes.h"
#include "edwards25519.h"
#include "sha512.h"

#define CHALLENGE_BYTES 16u

enum { SUITE = 3 };
enum { ENCODE_TO_CURVE = 1, CHALLENGE = 2, PROOF_TO_HASH = 3, END = 0 };

static void begin(sha512 *hash, uint8_t purpose)
{
    uint8_t front[2] = {SUITE, 0};
    front[1] = purpose;
    sha512_begin(hash);
    sha512_add(hash, front, sizeof front);
}

static void end(sha512 *hash, uint8_t digest[SHA512_BYTES])
{
    static const uint8_t back[1] = {END};
    sha512_add(hash, back, sizeof back);
    sha512_end(hash, digest);
}

/* Try and increment, 5.4.1.1: the first counter whose hash is a point, times the cofactor. What comes before the
 * counter is hashed once. About every second try succeeds; 256 failures in a row would take 2^256 inputs to find. */
static int encode_to_curve(edwards25519 *h, const uint8_t *alpha, uint32_t size, const uint8_t *key)
{
    sha512 prefix;
    begin(&prefix, ENCODE_TO_CURVE);
    sha512_add(&prefix, key, ECVRF_KEY_BYTES);
    sha512_add(&prefix, alpha, size);
    for (unsigned counter = 0; counter < 256; counter++) {
        sha512 hash = prefix;
        uint8_t digest[SHA512_BYTES];
        uint8_t byte = (uint8_t)counter;
        sha512_add(&hash, &byte, 1);
        end(&hash, digest);
        if (!edwards25519_decode(h, digest))
            continue;
        edwards25519_times_cofactor(h, h);
        if (!edwards25519_is_identity(h))
            return 1;
    }
    return 0;
}

/* 5.4.5: a key of small order would prove any output. */
static int decode_key(edwards25519 *y, const uint8_t *key)
{
    edwards25519 multiple;
    if (!edwards25519_decode(y, key))
        return 0;
    edwards25519_times_cofactor(&multiple, y);
    return !edwards25519_is_identity(&multiple);
}

/* 5.4.3. The key and Gamma were decoded strictly, so their encodings are those given. */
static int challenge_agrees(const uint8_t *key, const uint8_t *proof, uint8_t encoded[3][EDWARDS25519_BYTES])
{
    sha512 hash;
    uint8_t digest[SHA512_BYTES];
    begin(&hash, CHALLENGE);
    sha512_add(&hash, key, ECVRF_KEY_BYTES);
    sha512_add(&hash, encoded[0], EDWARDS25519_BYTES);
    sha512_add(&hash, proof, EDWARDS25519_BYTES);
    sha512_add(&hash, encoded[1], 2 * EDWARDS25519_BYTES);
    end(&hash, digest);
    return memcmp(digest, proof + EDWARDS25519_BYTES, CHALLENGE_BYTES) == 0;
}

int ecvrf_verify(uint8_t beta[ECVRF_OUTPUT_BYTES], const uint8_t *alpha, uint32_t size,
                 const uint8_t key[ECVRF_KEY_BYTES], const uint8_t proof[ECVRF_PROOF_BYTES])
{
    const uint8_t *s = proof + EDWARDS25519_BYTES + CHALLENGE_BYTES;
    edwards25519 y, gamma, points[4]; /* H, U, V and 8 Gamma, in the order in which they are hashed */
    uint8_t c[SCALAR25519_BYTES] = {0};
    uint8_t encoded[4][EDWARDS25519_BYTES];
    sha512 hash;
    if (!scalar25519_is_reduced(s) || !decode_key(&y, key) || !edwards25519_decode(&gamma, proof)
        || !encode_to_curve(&points[0], alpha, size, key))
        return 0;
    memcpy(c, proof + EDWARDS25519_BYTES, CHALLENGE_BYTES);
    edwards25519_combine(&points[1], s, &EDWARDS25519_BASE, c, &y);
    edwards25519_combine(&points[2], s, &points[0], c, &gamma);
    edwards25519_times_cofactor(&points[3], &gamma);
    edwards25519_encode(encoded, points, 4);
    if (!challenge_agrees(key, proof, encoded))
        return 0;
    begin(&hash, PROOF_TO_HASH);
    sha512_add(&hash, encoded[3], EDWARDS25519_BYTES);
    end(&hash, beta);
    return 1;
}
