/* Requests and answers as bytes; see the header. */
#include "flat.h"

#include "crypto/bytes.h"
#include "mhr.h"

enum {
    CONTAINER_SIZE = 0, FUNCTION_SIZE = 4, ARGUMENTS_SIZE = 8, ARGUMENT_COUNT = 12, BALANCE_COUNT = 16, STATE_SIZE = 20,
    CYCLES_MAX = 24, EPOCH = 32, SELF = 40, SENDER = 56, HAS_ADDRESS = 72, ADDRESS = 76
};
enum { VERDICT = 0, DETAIL = 4, PLACE = 8, RESULT_COUNT = 12, CYCLES = 16, CODE = 24, RECORDS_SIZE = 32, RESULTS = 40 };

static uint64_t read64(const uint8_t *bytes)
{
    return (uint64_t)load32_little(bytes) | (uint64_t)load32_little(bytes + 4) << 32;
}

static void write64(uint8_t *bytes, uint64_t number)
{
    store32_little(bytes, (uint32_t)number);
    store32_little(bytes + 4, (uint32_t)(number >> 32));
}

typedef struct {
    uint8_t *container;
    uint32_t container_bytes;
    mhr_call call;
    mhr_context context;
} question;

/* Returns 0 unless the parts fill the request exactly. */
static int read_question(question *the, uint8_t *request, uint32_t size)
{
    uint32_t state;
    uint64_t total;
    if (size < FLAT_REQUEST_BYTES)
        return 0;
    the->container = request + FLAT_REQUEST_BYTES;
    the->container_bytes = load32_little(request + CONTAINER_SIZE);
    the->call.function_bytes = load32_little(request + FUNCTION_SIZE);
    the->call.arguments_bytes = load32_little(request + ARGUMENTS_SIZE);
    the->call.argument_count = load32_little(request + ARGUMENT_COUNT);
    the->context.balance_count = load32_little(request + BALANCE_COUNT);
    state = load32_little(request + STATE_SIZE);
    the->context.state_bytes = state == FLAT_NO_STATE ? 0 : state;
    total = (uint64_t)FLAT_REQUEST_BYTES + the->container_bytes + the->call.function_bytes + the->call.arguments_bytes +
            (uint64_t)the->context.balance_count * MHR_BALANCE_BYTES + the->context.state_bytes;
    if (total != size)
        return 0;
    the->call.function = the->container + the->container_bytes;
    the->call.arguments = the->call.function + the->call.function_bytes;
    the->context.balances = the->container + (the->call.arguments - the->container) + the->call.arguments_bytes;
    the->context.state = the->context.balances + MHR_BALANCE_BYTES * the->context.balance_count;
    if (state == FLAT_NO_STATE)
        the->context.state = NULL;
    the->call.cycles_max = read64(request + CYCLES_MAX);
    the->context.epoch = (int64_t)read64(request + EPOCH);
    the->context.self = request + SELF;
    the->context.sender = request + SENDER;
    return 1;
}

static const uint8_t *answer(uint8_t *at, uint32_t verdict, uint32_t detail, uint32_t place)
{
    memset(at, 0, FLAT_ANSWER_BYTES);
    store32_little(at + VERDICT, verdict);
    store32_little(at + DETAIL, detail);
    store32_little(at + PLACE, place);
    return at;
}

static const uint8_t *ask_for(uint8_t *at, uint64_t bytes)
{
    answer(at, MHR_NO_ROOM, 0, 0);
    write64(at + CYCLES, bytes);
    return at;
}

static const uint8_t *answer_outcome(uint8_t *at, const mhr_outcome *outcome)
{
    answer(at, (uint32_t)outcome->status, (uint32_t)outcome->trap, outcome->pc);
    store32_little(at + RESULT_COUNT, outcome->result_count);
    write64(at + CYCLES, outcome->cycles);
    write64(at + CODE, (uint64_t)outcome->code);
    store32_little(at + RECORDS_SIZE, outcome->records_bytes);
    for (uint32_t i = 0; i < outcome->result_count; i++)
        write64(at + RESULTS + 8 * i, (uint64_t)outcome->results[i]);
    return at;
}

/* The area: cells, memory, answer, journal. The verifier's heights lie where cells and memory will be. */
static const uint8_t *run_in(const mhr_contract *contract, question *the, uint8_t *area, uint32_t area_bytes)
{
    mhr_room room;
    mhr_outcome outcome;
    uint32_t cells = (contract->max_cells + MHR_CELLS_BELOW) * (uint32_t)sizeof(int64_t), memory = (contract->max_memory + 7u) & ~7u;
    uint64_t wanted = (uint64_t)cells + memory + FLAT_ANSWER_BYTES;
    uint8_t *at;
    if (wanted > area_bytes)
        return ask_for(area, wanted + wanted / 8);
    at = area + cells + memory;
    room.cells = (int64_t *)(void *)area;
    room.cell_count = contract->max_cells + MHR_CELLS_BELOW;
    room.memory = area + cells;
    room.memory_bytes = contract->max_memory;
    room.journal = at + FLAT_ANSWER_BYTES;
    room.journal_bytes = area_bytes - (uint32_t)wanted;
    mhr_run(&outcome, contract, &the->call, &the->context, &room);
    return outcome.status == MHR_NO_ROOM ? ask_for(at, 2 * (uint64_t)area_bytes) : answer_outcome(at, &outcome);
}

const uint8_t *flat_answer(uint8_t *request, uint32_t request_bytes, uint8_t *area, uint32_t area_bytes)
{
    question the;
    mhr_contract contract;
    mhr_fault fault;
    if (!read_question(&the, request, request_bytes))
        return answer(area, FLAT_MALFORMED, 0, 0);
    fault = mhr_load(&contract, the.container, the.container_bytes,
                     load32_little(request + HAS_ADDRESS) != 0 ? request + ADDRESS : NULL);
    if (fault == MHR_SOUND && contract.code_bytes > area_bytes)
        return ask_for(area, 2 * (uint64_t)contract.code_bytes);
    if (fault == MHR_SOUND)
        fault = mhr_verify(&contract, area);
    if (fault != MHR_SOUND)
        return answer(area, FLAT_REFUSED, (uint32_t)fault, (uint32_t)contract.fault_at);
    return run_in(&contract, &the, area, area_bytes);
}
