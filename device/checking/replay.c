/* Replays requests of the contract machine (flat.h) in place of cases, in the programs that cases.h describes.
 *
 * The file: "QREQ", a count, then the requests, each behind its size. Numbers have four bytes, little end first. For
 * each request a line is printed: "answer", its number, the instructions that it took, and the answer's bytes in
 * hexadecimal.
 */
#include "../crypto/bytes.h"
#include "../flat.h"
#include "cases.h"

#define FILE_HEADER_BYTES 8u
#define REQUEST_BYTES_MAX 0x80000u
#define RECORDS_SIZE_AT 32u

static uint8_t the_request[REQUEST_BYTES_MAX];
static int64_t the_area[REPLAY_AREA_BYTES / 8];

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

static void print_bytes(const uint8_t *bytes, uint32_t size)
{
    static const char DIGITS[] = "0123456789abcdef";
    char text[3] = {0, 0, 0};
    for (uint32_t i = 0; i < size; i++) {
        text[0] = DIGITS[bytes[i] >> 4];
        text[1] = DIGITS[bytes[i] & 15];
        print_text(text);
    }
}

static void run_request(uint32_t index, uint32_t size)
{
    uint32_t begun = instructions_executed(), spent;
    const uint8_t *answer = flat_answer(the_request, size, (uint8_t *)the_area, sizeof the_area);
    spent = instructions_executed() - begun;
    print_text("answer ");
    print_number(index);
    print_text(" ");
    print_number(spent);
    print_text(" ");
    print_bytes(answer, FLAT_ANSWER_BYTES + load32_little(answer + RECORDS_SIZE_AT));
    print_text("\n");
}

uint32_t run_cases(const uint8_t *file, uint32_t size_max)
{
    uint32_t count, offset = FILE_HEADER_BYTES;
    if (size_max < FILE_HEADER_BYTES || memcmp(file, "QREQ", 4) != 0) {
        print_text("not a file of requests\n");
        return 1;
    }
    count = load32_little(file + 4);
    for (uint32_t index = 0; index < count; index++) {
        uint32_t size = size_max - offset < 4 ? UINT32_MAX : load32_little(file + offset);
        if (size > size_max - offset - 4 || size > REQUEST_BYTES_MAX) {
            print_text("damaged request\n");
            return 1;
        }
        memcpy(the_request, file + offset + 4, size);
        run_request(index, size);
        offset += 4 + size;
    }
    print_text("requests ");
    print_number(count);
    print_text("\n");
    return 0;
}
