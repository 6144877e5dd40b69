/* Verification of ECVRF-EDWARDS25519-SHA512-TAI proofs (RFC 9381, section 5.5, suite 0x03), with the key validated.
 *
 * Points are decoded strictly, as RFC 9381 says by way of RFC 8032, 5.1.3. Handles public data only, so it does not run
 * in constant time.
 */
#ifndef QUORATE_ECVRF_H
#define QUORATE_ECVRF_H

#include <stdint.h>

#define ECVRF_KEY_BYTES 32
#define ECVRF_PROOF_BYTES 80
#define ECVRF_OUTPUT_BYTES 64

/* Returns 1 when the proof is valid, and its output in `beta`; else 0, and `beta` is untouched. */
int ecvrf_verify(uint8_t beta[ECVRF_OUTPUT_BYTES], const uint8_t *alpha, uint32_t size,
                 const uint8_t key[ECVRF_KEY_BYTES], const uint8_t proof[ECVRF_PROOF_BYTES]);

#endif
