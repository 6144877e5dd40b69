/* Ed25519 verification by ZIP-215; the rules are in the header. */
#include "ed25519.h"

#include "edwards25519.h"
#include "sha512.h"

/* k of the equation: the hash of R, A and the message, modulo L. */
static void challenge(uint8_t k[SCALAR25519_BYTES], const uint8_t *message, uint32_t size, const uint8_t *key,
                      const uint8_t *signature)
{
    sha512 hash;
    uint8_t digest[SHA512_BYTES];
    sha512_begin(&hash);
    sha512_add(&hash, signature, EDWARDS25519_BYTES);
    sha512_add(&hash, key, ED25519_KEY_BYTES);
    sha512_add(&hash, message, size);
    sha512_end(&hash, digest);
    scalar25519_reduce(k, digest);
}

int ed25519_verify(const uint8_t *message, uint32_t size, const uint8_t key[ED25519_KEY_BYTES],
                   const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    const uint8_t *s = signature + EDWARDS25519_BYTES;
    edwards25519 a, r, rest;
    uint8_t k[SCALAR25519_BYTES];
    if (!scalar25519_is_reduced(s) || !edwards25519_decode_any(&a, key) || !edwards25519_decode_any(&r, signature))
        return 0;
    challenge(k, message, size, key, signature);
    edwards25519_combine(&rest, s, &EDWARDS25519_BASE, k, &a);
    edwards25519_subtract(&rest, &rest, &r);
    edwards25519_times_cofactor(&rest, &rest);
    return edwards25519_is_identity(&rest);
}
