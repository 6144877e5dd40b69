/* Runs a file of cases; see the header. */
#include "cases.h"

#include "../crypto/blake3.h"
#include "../crypto/bytes.h"
#include "../crypto/ecvrf.h"
#include "../crypto/ed25519.h"
#include "../crypto/sha512.h"

#define FILE_HEADER_BYTES 8u
#define CASE_HEADER_BYTES 8u

enum { BLAKE3 = 1, SHA512 = 2, ED25519 = 3, ECVRF = 4, KINDS };

static const uint32_t OPERAND_BYTES[KINDS] = {0, BLAKE3_BYTES, SHA512_BYTES,
                                              ED25519_KEY_BYTES + ED25519_SIGNATURE_BYTES,
                                              ECVRF_KEY_BYTES + ECVRF_PROOF_BYTES + ECVRF_OUTPUT_BYTES};

typedef struct {
    uint32_t kind, size;
    int expected;
    const uint8_t *message, *operands;
} one_case;

static void print_number(uint32_t number)
{
    char text[11];
    int at = 10;
    text[at] = 0;
    do
        text[--at] = (char)('0' + number % 10);
    while (number /= 10);
    print_text(text + at);
}

static void print_pair(const char *name, uint32_t number)
{
    print_text(name);
    print_number(number);
}

static int hash_is(const one_case *the)
{
    uint8_t digest[SHA512_BYTES];
    sha512 hash;
    if (the->kind == BLAKE3) {
        blake3_hash(digest, the->message, the->size);
        return memcmp(digest, the->operands, BLAKE3_BYTES) == 0;
    }
    /* In two parts, so that the seam between calls is tried as well. */
    sha512_begin(&hash);
    sha512_add(&hash, the->message, the->size / 3);
    sha512_add(&hash, the->message + the->size / 3, the->size - the->size / 3);
    sha512_end(&hash, digest);
    return memcmp(digest, the->operands, SHA512_BYTES) == 0;
}

static int proof_is(const one_case *the)
{
    uint8_t beta[ECVRF_OUTPUT_BYTES] = {0};
    const uint8_t *proof = the->operands + ECVRF_KEY_BYTES;
    if (!ecvrf_verify(beta, the->message, the->size, the->operands, proof))
        return 0;
    return memcmp(beta, proof + ECVRF_PROOF_BYTES, ECVRF_OUTPUT_BYTES) == 0;
}

static int verdict_of(const one_case *the)
{
    if (the->kind == ED25519)
        return ed25519_verify(the->message, the->size, the->operands, the->operands + ED25519_KEY_BYTES);
    return the->kind == ECVRF ? proof_is(the) : hash_is(the);
}

/* Returns the bytes that the case takes, 0 when it is damaged. */
static uint32_t read_case(one_case *the, const uint8_t *bytes, uint32_t left)
{
    if (left < CASE_HEADER_BYTES || bytes[0] == 0 || bytes[0] >= KINDS)
        return 0;
    the->kind = bytes[0];
    the->expected = bytes[1];
    the->size = load32_little(bytes + 4);
    left -= CASE_HEADER_BYTES;
    if (the->size > left || left - the->size < OPERAND_BYTES[the->kind])
        return 0;
    the->message = bytes + CASE_HEADER_BYTES;
    the->operands = the->message + the->size;
    return CASE_HEADER_BYTES + the->size + OPERAND_BYTES[the->kind];
}

static int run_case(const one_case *the, uint32_t index)
{
    uint32_t begun = instructions_executed();
    int right = verdict_of(the) == the->expected;
    uint32_t spent = instructions_executed() - begun;
    print_pair("case ", index);
    print_pair(" kind ", the->kind);
    print_pair(" size ", the->size);
    print_pair(right ? " right " : " wrong ", spent);
    print_text("\n");
    return right;
}

uint32_t run_cases(const uint8_t *file, uint32_t size_max)
{
    uint32_t count, wrong = 0, offset = FILE_HEADER_BYTES;
    if (size_max < FILE_HEADER_BYTES || memcmp(file, "QCAS", 4) != 0) {
        print_text("not a file of cases\n");
        return 1;
    }
    count = load32_little(file + 4);
    for (uint32_t index = 0; index < count; index++) {
        one_case the;
        uint32_t taken = read_case(&the, file + offset, size_max - offset);
        if (taken == 0) {
            print_text("damaged case\n");
            return wrong + 1;
        }
        wrong += !run_case(&the, index);
        offset += taken;
    }
    print_pair("cases ", count);
    print_pair(" wrong ", wrong);
    print_text("\n");
    return wrong;
}
