/* A call of the contract machine as one range of bytes, and what became of it as another. Hosts, WebAssembly and the
 * test programs for boards all go through here. Numbers have the little end first.
 *
 * Request:                                          Answer:
 *    0 size of the container            4              0 verdict: an mhr_status or FLAT_REFUSED    4
 *    4 size of the function's name      4              4 trap, or fault of the refusal             4
 *    8 size of the arguments            4              8 pc, or address of the fault               4
 *   12 count of arguments               4             12 count of results                          4
 *   16 count of balances                4             16 cycles; after MHR_NO_ROOM the bytes of    8
 *   20 size of the state                4                area that will do, or twice what was given
 *   24 cycles_max                       8             24 code                                      8
 *   32 epoch                            8             32 size of the records                       4
 *   40 own id                          16             36 zero                                      4
 *   56 sender                          16             40 results                              16 x 8
 *   72 1 if the address is asked for    4            168 records, see mhr.h
 *   76 address                         32
 *  108 container, name, arguments (see mhr.h), balances, state
 *
 * FLAT_NO_STATE as the size of the state: it is not at hand.
 */
#ifndef QUORATE_FLAT_H
#define QUORATE_FLAT_H

#include <stdint.h>

#define FLAT_REQUEST_BYTES 108u
#define FLAT_ANSWER_BYTES 168u
#define FLAT_NO_STATE 0xffffffffu
enum { FLAT_REFUSED = 8, FLAT_MALFORMED = 9 };

/* Runs a request. `area`, at an address that is a multiple of 8 and of at least FLAT_ANSWER_BYTES bytes, is working
 * memory; the answer lies in it. The balances in the request are changed. */
const uint8_t *flat_answer(uint8_t *request, uint32_t request_bytes, uint8_t *area, uint32_t area_bytes);

#endif
