/* The program for QEMU's `mps2-an386` board with a Cortex-M4. Cases lie in RAM at CASES. */
#include "cases.h"

#define CASES ((const uint8_t *)0x21000000u)
#define CASES_BYTES_MAX 0x01000000u
#define SERIAL_PORT ((volatile uint32_t *)0x40004000u)
enum { DATA, STATE, CONTROL, UNUSED, DIVIDER };
#define SERIAL_FULL 1u
#define SERIAL_SEND 1u
#define SEMIHOSTING_EXIT 0x18u
#define EXIT_PASSED 0x20026u
#define EXIT_FAILED 0x20023u

extern uint32_t stack_top[];
void begin(void);

/* Where the core finds its stack and its first instruction. */
__attribute__((section(".start"), used)) static const struct {
    uint32_t *stack;
    void (*entry)(void);
} VECTORS = {stack_top, begin};

void print_text(const char *text)
{
    for (; *text != 0; text++) {
        while (SERIAL_PORT[STATE] & SERIAL_FULL)
            continue;
        SERIAL_PORT[DATA] = (uint32_t)*text;
    }
}

uint32_t instructions_executed(void)
{
    return 0;
}

static void leave(uint32_t reason)
{
    register uint32_t operation __asm__("r0") = SEMIHOSTING_EXIT;
    register uint32_t argument __asm__("r1") = reason;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
}

void begin(void)
{
    uint32_t wrong;
    SERIAL_PORT[DIVIDER] = 16;
    SERIAL_PORT[CONTROL] = SERIAL_SEND;
    wrong = run_cases(CASES, CASES_BYTES_MAX);
    for (;;)
        leave(wrong == 0 ? EXIT_PASSED : EXIT_FAILED);
}
