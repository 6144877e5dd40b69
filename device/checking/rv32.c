/* The program for QEMU's `virt` machine with a 32-bit RISC-V core and no firmware. Cases lie in RAM at CASES. */
#include "cases.h"

#define CASES ((const uint8_t *)0x81000000u)
#define CASES_BYTES_MAX 0x01000000u
#define SERIAL_PORT ((volatile uint8_t *)0x10000000u)
#define SERIAL_READY 0x20
#define TEST_DEVICE ((volatile uint32_t *)0x00100000u)
#define TEST_PASSED 0x5555u
#define TEST_FAILED 0x13333u

void start(void);
void begin(void);

/* The first instruction of the image: a stack, then C. */
__asm__(".section .start\n.globl start\nstart:\n la sp, stack_top\n j begin\n.text\n");

void print_text(const char *text)
{
    for (; *text != 0; text++) {
        while ((SERIAL_PORT[5] & SERIAL_READY) == 0)
            continue;
        SERIAL_PORT[0] = (uint8_t)*text;
    }
}

uint32_t instructions_executed(void)
{
    uint32_t count;
    __asm__ volatile("rdinstret %0" : "=r"(count));
    return count;
}

void begin(void)
{
    uint32_t wrong = run_cases(CASES, CASES_BYTES_MAX);
    for (;;)
        *TEST_DEVICE = wrong == 0 ? TEST_PASSED : TEST_FAILED;
}
