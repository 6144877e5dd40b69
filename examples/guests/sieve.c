/* Counts the primes below 1,000,000 with a sieve: a pure-profile guest of the value shape, without libc or imports.
 *
 * `run` takes nothing and returns the count (78,498). It touches about 1 MB and uses about 50 million units of fuel.
 */
#include <stdint.h>

#define LIMIT 1000000

static uint8_t composite[LIMIT];

__attribute__((export_name("run"))) int64_t run(void) {
    int64_t count = 0;
    for (uint32_t candidate = 2; candidate < LIMIT; candidate++) {
        if (composite[candidate]) continue;
        count++;
        for (uint64_t multiple = (uint64_t)candidate * candidate; multiple < LIMIT; multiple += candidate)
            composite[multiple] = 1;
    }
    return count;
}
