/* The one function of the WebAssembly module. It takes no parameters: hosts pay for each that crosses the border.
 *
 * At __heap_base the host writes the size of the request and that of the area, 4 bytes each, then the request; the area
 * begins at the next multiple of 8. Returns the place of the answer.
 */
#include "../crypto/bytes.h"
#include "../flat.h"

extern uint8_t __heap_base[];
const uint8_t *answer(void);

#define HEAD_BYTES 8u

const uint8_t *answer(void)
{
    uint32_t request_bytes = load32_little(__heap_base), area_bytes = load32_little(__heap_base + 4);
    uint8_t *request = __heap_base + HEAD_BYTES;
    uint8_t *area = __heap_base + ((HEAD_BYTES + request_bytes + 7u) & ~7u);
    return flat_answer(request, request_bytes, area, area_bytes);
}
