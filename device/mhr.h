/* The contract machine (docs/spec/bytecode.md) for hosts, WebAssembly and microcontrollers.
 *
 * Freestanding: no heap, no globals, no library but memcpy, memset and memcmp. The caller brings all memory. A contract
 * is loaded, verified, and then run any number of times; nothing of one run is there for the next.
 */
#ifndef QUORATE_MHR_H
#define QUORATE_MHR_H

#include <stdint.h>

#define MHR_ID_BYTES 16u
#define MHR_ADDRESS_BYTES 32u
#define MHR_RESULTS_MAX 16u
#define MHR_CELLS_MAX 1024u
#define MHR_BALANCE_BYTES 24u

/* Why a contract is refused, in the order of the names in docs/spec/bytecode.md, section 3. */
typedef enum {
    MHR_SOUND, MHR_OVERSIZE, MHR_TRUNCATED, MHR_BAD_MAGIC, MHR_BAD_VERSION, MHR_BAD_SCHEDULE, MHR_BAD_CHECK,
    MHR_WRONG_ADDRESS, MHR_LIMIT_CELLS, MHR_LIMIT_MEMORY, MHR_LIMIT_STATE, MHR_LIMIT_CYCLES, MHR_RESERVED_AREA,
    MHR_FUNCTION_COUNT, MHR_EXPORT_COUNT, MHR_TRAILING_BYTES, MHR_FUNCTION_START, MHR_FUNCTION_LOCALS,
    MHR_FUNCTION_RESULTS, MHR_FRAME_SIZE, MHR_EXPORT_ORDER, MHR_EXPORT_NAME, MHR_EXPORT_KIND, MHR_EXPORT_CELLS,
    MHR_UNKNOWN_OPCODE, MHR_TRUNCATED_CODE, MHR_LONG_IMMEDIATE, MHR_WIDE_IMMEDIATE, MHR_BAD_MODE, MHR_BAD_LOCAL,
    MHR_BAD_CALL, MHR_HEIGHT_MISMATCH, MHR_UNREACHABLE, MHR_UNDERFLOW, MHR_RETURN_HEIGHT, MHR_STACK_HEIGHT,
    MHR_JUMP_OUTSIDE, MHR_JUMP_INTO_INSTRUCTION, MHR_FALLS_OFF, MHR_MAX_STACK
} mhr_fault;

/* The numbers of section 7. */
typedef enum {
    MHR_NO_TRAP, MHR_OUT_OF_CYCLES, MHR_OVERFLOW, MHR_DIVISION_BY_ZERO, MHR_SHIFT_RANGE, MHR_MEMORY_RANGE,
    MHR_CALL_DEPTH, MHR_STACK_OVERFLOW, MHR_ABORTED, MHR_KEY_SIZE, MHR_STATE_SIZE, MHR_OUTPUT_LIMIT, MHR_AMOUNT_RANGE
} mhr_trap;

/* NO_ROOM is not an outcome: this machine has less memory than the run needs. The others say why a call did not start;
 * MHR_BAD_STATE is a state that is not in its one byte form. */
typedef enum {
    MHR_OK, MHR_TRAP, MHR_UNRESOLVED, MHR_NO_ROOM, MHR_NO_FUNCTION, MHR_WRONG_ARGUMENTS, MHR_LARGE_STATE, MHR_BAD_STATE
} mhr_status;

/* What a container declares. The pointers lead into its bytes, which must outlive this. */
typedef struct {
    const uint8_t *functions, *exports, *data, *code;
    uint64_t max_cycles;
    uint32_t max_memory, max_state_size, reserved;
    uint32_t max_cells, data_bytes, code_bytes, function_count, export_count;
    int32_t fault_at; /* after a refusal: the address in the code, -1 for the container */
} mhr_contract;

typedef enum { MHR_INT = 1, MHR_BYTES = 2 } mhr_kind;

/* Arguments one after the other: the kind (1 byte), then a cell (8 bytes), or a size (4 bytes) and that many bytes. */
typedef struct {
    const uint8_t *function, *arguments;
    uint32_t function_bytes, arguments_bytes, argument_count;
    uint64_t cycles_max;
} mhr_call;

/* `balances` in the order of the ids, each an id and 8 bytes of amount; a run changes them. `state` is the byte form of
 * section 8, NULL where it is not at hand. */
typedef struct {
    const uint8_t *self, *sender, *state;
    uint8_t *balances;
    uint32_t balance_count, state_bytes;
    int64_t epoch;
} mhr_context;

/* Memory for one run. `cells` and `memory` hold at least what the contract declares, `cells` MHR_CELLS_BELOW more. The
 * journal keeps outputs and changes of state; how much it needs depends on the run. */
#define MHR_CELLS_BELOW 1u
typedef struct {
    int64_t *cells;
    uint8_t *memory, *journal;
    uint32_t cell_count, memory_bytes, journal_bytes;
} mhr_room;

/* After MHR_OK the first `records_bytes` of the journal are records: size of the whole record (4 bytes), size of its
 * value (4), kind (1), size of its key (1), key, value, and unused bytes up to the size. LOG, EMIT and TRANSFER (the
 * key is the receiver, the value the amount) are in the order of the run. There is one ENTRY for each change of state,
 * in no order; MHR_REMOVED as the size of the value removes the key. DEAD records mean nothing. */
typedef enum { MHR_DEAD, MHR_LOG, MHR_EMIT, MHR_TRANSFER, MHR_ENTRY } mhr_record;
#define MHR_RECORD_BYTES 10u
#define MHR_REMOVED 0xffffffffu

typedef struct {
    mhr_status status;
    mhr_trap trap;
    uint32_t pc, result_count, records_bytes;
    uint64_t cycles;
    int64_t code;
    int64_t results[MHR_RESULTS_MAX];
} mhr_outcome;

/* Sections 3 and 4. `address` may be NULL. A contract may run after both have returned MHR_SOUND. `heights` has
 * `code_bytes` bytes and is not needed afterwards. */
mhr_fault mhr_load(mhr_contract *contract, const uint8_t *container, uint32_t size, const uint8_t *address);
mhr_fault mhr_verify(mhr_contract *contract, uint8_t *heights);

/* Section 5. */
void mhr_run(mhr_outcome *outcome, const mhr_contract *contract, const mhr_call *call, const mhr_context *context,
             const mhr_room *room);

#endif
