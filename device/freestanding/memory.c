/* The functions of <string.h> that compilers call on their own, for targets without a C library.
 *
 * Build with -fno-builtin (and -fno-tree-loop-distribute-patterns with gcc), or the compiler makes each call itself.
 */
#include <stddef.h>
#include <stdint.h>

/* Words that may lie over objects of any type. */
typedef uint32_t __attribute__((may_alias)) any_word;
#define WORD_BYTES sizeof(any_word)

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *one, const void *other, size_t size);

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    unsigned char *out = to;
    const unsigned char *in = from;
    if ((((uintptr_t)to | (uintptr_t)from) & (WORD_BYTES - 1)) == 0)
        for (; size >= WORD_BYTES; size -= WORD_BYTES, out += WORD_BYTES, in += WORD_BYTES)
            *(any_word *)(void *)out = *(const any_word *)(const void *)in;
    while (size-- != 0)
        *out++ = *in++;
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *out = to;
    const unsigned char *in = from;
    if (out <= in)
        for (size_t i = 0; i < size; i++)
            out[i] = in[i];
    else
        while (size-- != 0)
            out[size] = in[size];
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    unsigned char *out = to;
    while (size-- != 0)
        *out++ = (unsigned char)byte;
    return to;
}

int memcmp(const void *one, const void *other, size_t size)
{
    const unsigned char *a = one, *b = other;
    for (; size != 0; size--, a++, b++)
        if (*a != *b)
            return *a < *b ? -1 : 1;
    return 0;
}
