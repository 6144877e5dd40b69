/* Aggregates salaries: reads JSON from standard input, prints count, sum, mean, min and max as JSON.
 *
 * Input: an array of integers, or of objects with an integer member "salary" (other members are strings or integers and are
 * ignored), or an object whose only member "salaries" is such an array. The parser is strict: anything else ends with exit code 2
 * and one line on standard error that names the byte. All arithmetic is on 64-bit integers, so that every machine prints the same;
 * the mean is rounded half away from zero to two decimals.
 *
 * No libc beyond read, write and exit: the module stays small and needs one page of stack.
 */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define SALARY_MAX 1000000000000LL /* 10^12: 9 million of them fit into the sum */
#define KEY_MAX 32

static char buffer[16384];
static size_t filled, used;
static int64_t offset;
static int next; /* the byte under the cursor, -1 at the end */

static int64_t count, sum, smallest, largest;

static char line[160]; /* the result, written in one call: each call to the host costs fuel */
static size_t line_used;

static size_t length(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

static void append(const char *text, size_t size) {
    while (size-- && line_used < sizeof line) line[line_used++] = *text++;
}

static void flush(int descriptor) {
    for (size_t at = 0; at < line_used;) {
        ssize_t written = write(descriptor, line + at, line_used - at);
        if (written <= 0) _Exit(3);
        at += (size_t)written;
    }
}

static void append_number(int64_t value) {
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) digits[--at] = '-';
    append(digits + at, sizeof digits - at);
}

static void refuse(const char *why) {
    append("aggregation: byte ", 18);
    append_number(offset);
    append(": ", 2);
    append(why, length(why));
    append("\n", 1);
    flush(2);
    _Exit(2);
}

static void advance(void) {
    if (used == filled) {
        ssize_t size = read(0, buffer, sizeof buffer);
        filled = size > 0 ? (size_t)size : 0;
        used = 0;
    }
    if (next != -2) offset++;
    next = used < filled ? (unsigned char)buffer[used++] : -1;
}

static void skip_spaces(void) {
    while (next == ' ' || next == '\n' || next == '\r' || next == '\t') advance();
}

static int take(int byte) {
    skip_spaces();
    if (next != byte) return 0;
    advance();
    return 1;
}

static void expect(int byte, const char *why) {
    if (!take(byte)) refuse(why);
}

static int64_t read_integer(void) {
    skip_spaces();
    int negative = next == '-';
    if (negative) advance();
    if (next < '0' || next > '9') refuse("expected an integer");
    int leading_zero = next == '0';
    int64_t value = 0;
    for (int digits = 0; next >= '0' && next <= '9'; digits++) {
        if (digits && leading_zero) refuse("an integer has a leading zero");
        value = value * 10 + (next - '0');
        if (value > SALARY_MAX) refuse("an integer is above 10^12");
        advance();
    }
    if (next == '.' || next == 'e' || next == 'E') refuse("salaries are integers");
    return negative ? -value : value;
}

/* Reads a string; keeps its first bytes in `kept`. An escape keeps a byte that no wanted key contains. */
static void read_string(char *kept) {
    size_t size = 0;
    expect('"', "expected a string");
    while (next != '"') {
        if (next < 0x20) refuse("a string does not end");
        int byte = next;
        if (byte == '\\') {
            advance();
            if (next == 'u') {
                for (int i = 0; i < 4; i++) {
                    advance();
                    int letter = next | 0x20;
                    if (!(next >= '0' && next <= '9') && !(letter >= 'a' && letter <= 'f')) refuse("a bad escape");
                }
            } else if (next != '"' && next != '\\' && next != '/' && next != 'b' && next != 'f' && next != 'n' &&
                       next != 'r' && next != 't') {
                refuse("a bad escape");
            }
        }
        if (size < KEY_MAX - 1) kept[size++] = (char)byte;
        advance();
    }
    kept[size] = 0;
    advance();
}

static int same(const char *left, const char *right) {
    while (*left && *left == *right) left++, right++;
    return *left == *right;
}

static void add(int64_t salary) {
    if (__builtin_add_overflow(sum, salary, &sum)) refuse("the sum is too large");
    if (count == 0 || salary < smallest) smallest = salary;
    if (count == 0 || salary > largest) largest = salary;
    count++;
}

static void read_person(void) {
    char key[KEY_MAX], ignored[KEY_MAX];
    int found = 0;
    do {
        skip_spaces();
        read_string(key);
        expect(':', "expected a colon");
        skip_spaces();
        if (same(key, "salary")) {
            if (found++) refuse("a second salary in one object");
            add(read_integer());
        } else if (next == '"') {
            read_string(ignored);
        } else {
            read_integer();
        }
    } while (take(','));
    expect('}', "expected a comma or the end of the object");
    if (!found) refuse("an object has no salary");
}

static void read_salaries(void) {
    expect('[', "expected an array");
    if (take(']')) return;
    do {
        if (take('{'))
            read_person();
        else
            add(read_integer());
    } while (take(','));
    expect(']', "expected a comma or the end of the array");
}

static void append_member(const char *name, int64_t value) {
    append(name, length(name));
    append_number(value);
}

static void append_mean(void) {
    int64_t whole = sum / count, rest = sum % count;
    uint64_t part = (uint64_t)(rest < 0 ? -rest : rest);
    /* 200 * part stays below 2^63: part < count, and each item took at least two bytes of input. */
    uint64_t hundredths = (200 * part + (uint64_t)count) / (2 * (uint64_t)count);
    if (hundredths == 100) {
        hundredths = 0;
        whole += sum < 0 ? -1 : 1;
    }
    append(",\"mean\":", 8);
    if (sum < 0 && whole == 0 && hundredths) append("-", 1);
    append_number(whole);
    char decimals[3] = {'.', (char)('0' + hundredths / 10), (char)('0' + hundredths % 10)};
    append(decimals, 3);
}

int main(void) {
    next = -2;
    advance();
    if (take('{')) {
        char key[KEY_MAX];
        skip_spaces();
        read_string(key);
        if (!same(key, "salaries")) refuse("expected the member \"salaries\"");
        expect(':', "expected a colon");
        read_salaries();
        expect('}', "expected the end of the object");
    } else {
        read_salaries();
    }
    skip_spaces();
    if (next != -1) refuse("bytes follow the value");
    if (count == 0) refuse("there are no salaries");
    append_member("{\"count\":", count);
    append_member(",\"sum\":", sum);
    append_mean();
    append_member(",\"min\":", smallest);
    append_member(",\"max\":", largest);
    append("}\n", 2);
    flush(1);
    return 0;
}
