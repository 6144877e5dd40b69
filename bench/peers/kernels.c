/* The kernels of bench/translation.py as a C programmer would write them: no checks, no metering. */
#include <stdint.h>

int64_t loop(int64_t rounds) {
    int64_t a = 0, b = 1;
    while (rounds-- > 0) {
        int64_t next = (a + b) % 1000000007;
        a = b;
        b = next;
    }
    return a;
}

static unsigned char marks[60000];

int64_t sieve(int64_t rounds) {
    int64_t count = 0;
    for (int64_t round = 1; round <= rounds; round++) {
        count = 0;
        for (int64_t i = 2; i < 60000; i++) {
            if (marks[i] == round) continue;
            count++;
            for (int64_t j = i + i; j < 60000; j += i) marks[j] = (unsigned char)round;
        }
    }
    return count;
}

int64_t recursion(int64_t n) { return n < 2 ? n : recursion(n - 1) + recursion(n - 2); }
