/* Runs random contracts where nothing can be reached: confined FOLDER SEED COUNT CYCLES. For Linux.
 *
 * Before the first run the process goes into namespaces of its own, with no network interface, makes the empty FOLDER
 * its root, and enters the kernel's strict mode of seccomp (prctl(2), SECCOMP_MODE_STRICT): read, write, exit and
 * sigreturn are all that is left, and any other system call kills it. From then on it makes one write, at the end.
 * So a run that asked for anything of the world would not be counted.
 *
 * opcodes.h, made from the reference's table, has one line for each opcode without an immediate: byte, pops, pushes.
 * With PLANTED one run makes a system call, to show that it is noticed.
 *
 * Exit code 0; 1 when a run used more cycles than it was given or the machine answered what it must not; 3 when this
 * machine does not grant the confinement. The line on standard output counts the endings by their number.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include "../crypto/blake3.h"
#include "../crypto/bytes.h"
#include "../flat.h"
#include "../mhr.h"
#include "opcodes.h"

#define CODE_BYTES_MAX 400u
#define HEADER_BYTES 68u
#define CHECK_BYTES 4u
#define MEMORY_BYTES 256u
#define LOCALS 4u
#define LABELS_MAX 8u
#define HEIGHT_MAX 20u
#define OPERATIONS (sizeof OPCODES / sizeof OPCODES[0])

enum { PUSH = 0x01, POP = 0x02, JMP = 0x40, JZ = 0x41, JNZ = 0x42, CALL = 0x43, RET = 0x44, LOAD = 0x66, STORE = 0x67 };
enum { STATE_MODE = 0x08, LOCAL_MODE = 0x40 };

static uint64_t dice;
static uint8_t request[4096];
static int64_t area[0x20000];
static uint64_t endings[64];

/* One function under construction: its code, the height of its stack, labels that backward jumps may go to. */
static uint8_t code[CODE_BYTES_MAX + 64];
static uint32_t size, height, highest, labels[LABELS_MAX], label_count;

/* xorshift64* (Marsaglia, 2003; Vigna, 2016). */
static uint32_t roll(uint32_t sides)
{
    dice ^= dice >> 12;
    dice ^= dice << 25;
    dice ^= dice >> 27;
    return (uint32_t)((dice * 0x2545f4914f6cdd1dull) >> 33) % sides;
}

static void moved(uint32_t pops, uint32_t pushes)
{
    height = height - pops + pushes;
    if (height > highest)
        highest = height;
}

/* Minimal signed LEB128. */
static void push(int64_t value)
{
    int more = 1;
    code[size++] = PUSH;
    while (more) {
        uint8_t low = (uint8_t)(value & 0x7f);
        value = value >= 0 ? value >> 7 : ~(~value >> 7);
        more = !((value == 0 && !(low & 0x40)) || (value == -1 && (low & 0x40)));
        code[size++] = more ? (uint8_t)(low | 0x80) : low;
    }
    moved(0, 1);
}

static void push_any(void)
{
    static const int64_t EDGES[] = {0, 1, -1, 2, 63, 64, 255, 256, INT32_MAX, INT64_MAX, INT64_MIN, -7};
    if (roll(3))
        push((int64_t)roll(MEMORY_BYTES));
    else
        push(EDGES[roll(sizeof EDGES / sizeof EDGES[0])]);
}

static void need(uint32_t cells)
{
    while (height < cells) {
        if (roll(2)) {
            push_any();
        } else {
            code[size++] = LOAD;
            code[size++] = (uint8_t)(LOCAL_MODE + roll(LOCALS));
            moved(0, 1);
        }
    }
}

static void operation(void)
{
    const uint8_t *chosen = OPCODES[roll(OPERATIONS)];
    need(chosen[1]);
    code[size++] = chosen[0];
    moved(chosen[1], chosen[2]);
}

/* LOAD and STORE in any of their modes. */
static void load_or_store(void)
{
    static const uint8_t MODES[] = {0, 1, 2, 3, STATE_MODE, LOCAL_MODE};
    uint8_t mode = MODES[roll(sizeof MODES)];
    int store = (int)roll(2);
    uint32_t pops = mode == STATE_MODE ? 4 : mode >= LOCAL_MODE ? 0 : 1, pushes = 1;
    if (store) {
        pops = mode == STATE_MODE ? 4 : mode >= LOCAL_MODE ? 1 : 2;
        pushes = 0;
    }
    need(pops);
    code[size++] = store ? STORE : LOAD;
    code[size++] = mode >= LOCAL_MODE ? (uint8_t)(mode + roll(LOCALS)) : mode;
    moved(pops, pushes);
}

static void drop_all(void)
{
    while (height) {
        code[size++] = POP;
        moved(1, 0);
    }
}

/* Backward, with an empty stack on both sides: loops that end by luck, by a trap, or by their cycles. */
static void jump_back(uint32_t start)
{
    uint32_t target;
    if (label_count == 0)
        return;
    target = start + labels[roll(label_count)];
    drop_all();
    need(1);
    code[size++] = roll(2) ? JZ : JNZ;
    code[size++] = (uint8_t)target;
    code[size++] = (uint8_t)(target >> 8);
    moved(1, 0);
}

/* A function of no results whose code begins at `start` of the contract. The first may call the second. */
static uint32_t function(uint32_t start, int may_call)
{
    uint32_t length = 10 + roll(CODE_BYTES_MAX / 2 - 40);
    size = height = highest = label_count = 0;
    while (size < length) {
        uint32_t kind = roll(16);
        if (height >= HEIGHT_MAX)
            drop_all();
        if (height == 0 && label_count < LABELS_MAX && roll(4) == 0)
            labels[label_count++] = size;
        if (kind < 9) {
            operation();
        } else if (kind < 13) {
            load_or_store();
        } else if (kind == 13) {
            jump_back(start);
        } else if (kind == 14 && may_call) {
            code[size++] = CALL;
            code[size++] = 1;
        } else {
            push_any();
        }
    }
    drop_all();
    code[size++] = RET;
    return size;
}

static uint8_t *put(uint8_t *at, uint64_t value, uint32_t bytes)
{
    while (bytes--) {
        *at++ = (uint8_t)value;
        value >>= 8;
    }
    return at;
}

/* docs/spec/bytecode.md, section 3. The state key is not looked at by a run. */
static uint32_t container(uint8_t *begin, uint64_t max_cycles)
{
    static uint8_t body[2 * CODE_BYTES_MAX + 128];
    uint32_t first = function(0, 1), first_stack = highest, second, second_stack;
    uint8_t digest[32], *at = begin;
    memcpy(body, code, first);
    second = function(first, 0);
    second_stack = highest;
    memcpy(body + first, code, second);
    memcpy(at, "MHRB\1\1", 6);
    at = put(at + 6, 256, 2);           /* cells */
    at = put(at, MEMORY_BYTES, 4);
    at = put(at, 64, 4);                /* state */
    at = put(at, max_cycles, 8);
    at = put(at, 0, 4);                 /* reserved */
    at = put(at, 0, 2);                 /* data */
    at = put(at, first + second, 2);
    memset(at, 0, 32);
    at = put(at + 32, 2, 2);
    at = put(at, 1, 2);
    at = put(at, 0, 2), at = put(at, 0, 1), at = put(at, 0, 1), at = put(at, LOCALS, 1), at = put(at, first_stack, 1);
    at = put(at, first, 2), at = put(at, 0, 1), at = put(at, 0, 1), at = put(at, LOCALS, 1);
    at = put(at, second_stack, 1);
    memcpy(at, "\0\1f\0", 4);           /* export: function 0, named f, without parameters */
    at += 4;
    memcpy(at, body, first + second);
    at += first + second;
    blake3_hash(digest, begin, (uint32_t)(at - begin));
    memcpy(at, digest, CHECK_BYTES);
    return (uint32_t)(at - begin) + CHECK_BYTES;
}

/* One random contract and a call of it. Nonzero when the answer breaks a promise. */
static int run(uint64_t limit)
{
    uint32_t length = container(request + FLAT_REQUEST_BYTES, limit + 1 - roll(2)), verdict, detail;
    uint8_t *at = request;
    const uint8_t *answer;
    at = put(at, length, 4), at = put(at, 1, 4), at = put(at, 0, 4), at = put(at, 0, 4), at = put(at, 1, 4);
    at = put(at, 1, 4);                 /* a state of one byte: the empty map */
    at = put(at, limit, 8);
    at = put(at, 7, 8);
    memset(at, 0, 16 + 16 + 4 + 32);
    at = request + FLAT_REQUEST_BYTES + length;
    *at++ = 'f';
    memset(at, 0, 16);
    at = put(at + 16, 1000, 8);
    *at++ = 0xa0;
    answer = flat_answer(request, (uint32_t)(at - request), (uint8_t *)area, sizeof area);
    verdict = load32_little(answer);
    detail = load32_little(answer + 4);
    endings[verdict == FLAT_REFUSED ? 63 : verdict * 16 + (detail & 15)]++;
    if (verdict == FLAT_REFUSED)
        return 1; /* the contracts made here are sound */
    if (verdict > MHR_UNRESOLVED)
        return 1;
    return load32_little(answer + 16) > limit || load32_little(answer + 20) != 0;
}

static int confined(const char *folder)
{
    int spaces = CLONE_NEWNET | CLONE_NEWNS;
    if (unshare(spaces) != 0 && unshare(CLONE_NEWUSER | spaces) != 0)
        return 0;
    return chdir(folder) == 0 && chroot(".") == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0;
}

/* Strict mode knows exit, and not exit_group, which is what the C library would call. */
static void leave(int status)
{
    for (;;)
        syscall(SYS_exit, status);
}

static void report(void)
{
    char text[64 * 24];
    uint32_t at = 0;
    for (uint32_t ending = 0; ending < 64; ending++) {
        char digits[24];
        int count = 0;
        uint64_t left = endings[ending];
        do
            digits[count++] = (char)('0' + left % 10);
        while (left /= 10);
        while (count)
            text[at++] = digits[--count];
        text[at++] = ending == 63 ? '\n' : ' ';
    }
    if (write(1, text, at) != (ssize_t)at)
        leave(1);
}

int main(int count, char **words)
{
    uint64_t runs, limit, number;
    if (count != 5)
        return 2;
    dice = strtoull(words[2], NULL, 10) * 0x9e3779b97f4a7c15ull | 1;
    runs = strtoull(words[3], NULL, 10);
    limit = strtoull(words[4], NULL, 10);
    if (!confined(words[1])) {
        fprintf(stderr, "not confined: error %d\n", errno);
        return 3;
    }
    for (number = 0; number < runs; number++) {
        if (run(limit))
            leave(1);
#ifdef PLANTED
        if (number == runs / 2)
            syscall(SYS_getppid);
#endif
    }
    report();
    leave(0);
    return 0;
}
