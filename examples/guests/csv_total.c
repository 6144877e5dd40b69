/* Adds up the columns of integers in CSV lines from standard input; prints one line of totals.
 *
 * Every line has the same number of columns. Arguments: the separator (default a comma). Exit code 2 with a message for anything
 * else. A command-profile guest: it shows arguments, stdio and malloc of an ordinary libc.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096

static long long *totals;
static size_t columns;

static int refuse(const char *why, size_t line) {
    char text[32];
    size_t at = sizeof text - 1;
    text[at] = 0;
    do text[--at] = (char)('0' + line % 10);
    while (line /= 10);
    fputs("csv_total: line ", stderr);
    fputs(text + at, stderr);
    fputs(": ", stderr);
    fputs(why, stderr);
    fputs("\n", stderr);
    return 2;
}

static const char *add_line(char *line, char separator) {
    size_t column = 0;
    for (char *cell = line; cell; column++) {
        char *after = strchr(cell, separator), *end;
        if (after) *after++ = 0;
        errno = 0;
        long long value = strtoll(cell, &end, 10);
        if (end == cell || *end || errno) return "not an integer";
        if (!columns || column >= columns) {
            if (columns) return "too many columns";
            long long *grown = realloc(totals, (column + 1) * sizeof *totals);
            if (!grown) return "out of memory";
            totals = grown;
            totals[column] = 0;
        }
        if (__builtin_add_overflow(totals[column], value, &totals[column])) return "a total is too large";
        cell = after;
    }
    if (columns && column != columns) return "too few columns";
    columns = column;
    return NULL;
}

static void print_number(long long value) {
    char digits[24];
    size_t at = sizeof digits - 1;
    unsigned long long rest = value < 0 ? -(unsigned long long)value : (unsigned long long)value;
    digits[at] = 0;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) digits[--at] = '-';
    fputs(digits + at, stdout);
}

int main(int argc, char **argv) {
    char line[LINE_MAX_BYTES];
    char separator = argc > 1 && argv[1][0] ? argv[1][0] : ',';
    for (size_t number = 1; fgets(line, sizeof line, stdin); number++) {
        size_t size = strcspn(line, "\n");
        if (size == sizeof line - 1) return refuse("too long", number);
        line[size] = 0;
        const char *fault = add_line(line, separator);
        if (fault) return refuse(fault, number);
    }
    if (!columns) return refuse("there is no input", 1);
    for (size_t column = 0; column < columns; column++) {
        if (column) putchar(separator);
        print_number(totals[column]);
    }
    putchar('\n');
    return 0;
}
