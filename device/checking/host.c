/* The program for this machine: host FILE. Exit code 0 when all cases are right, 1 when not, 2 when there is no file.
 *
 * The file is copied into memory of exactly its size, so that a sanitizer notices a read beyond it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cases.h"

void print_text(const char *text)
{
    fputs(text, stdout);
}

uint32_t instructions_executed(void)
{
    return 0;
}

static uint8_t *read_file(const char *name, uint32_t *size)
{
    FILE *file = fopen(name, "rb");
    uint8_t *bytes = NULL;
    long length = -1;
    if (file == NULL)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0)
        length = ftell(file);
    if (length > 0 && length < 0x7fffffffL && fseek(file, 0, SEEK_SET) == 0)
        bytes = malloc((size_t)length);
    if (bytes != NULL && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = NULL;
    }
    fclose(file);
    *size = (uint32_t)length;
    return bytes;
}

int main(int count, char **arguments)
{
    uint32_t size = 0, wrong;
    uint8_t *file = count == 2 ? read_file(arguments[1], &size) : NULL;
    if (file == NULL) {
        fputs("usage: host FILE (a file of cases)\n", stderr);
        return 2;
    }
    wrong = run_cases(file, size);
    free(file);
    return wrong != 0;
}
