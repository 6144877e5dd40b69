/* Loader, verifier and interpreter of the contract machine. Section numbers are those of docs/spec/bytecode.md.
 *
 * One file, longer than 500 lines because a device takes the machine in as one piece and the interpreter's loop is one
 * function: compilers keep its four registers in registers only there. Nothing here depends on the order of bytes, on
 * alignment, on 128-bit types, or on behaviour that C99 leaves undefined.
 */
#include "mhr.h"

#include "crypto/blake3.h"
#include "crypto/bytes.h"
#include "crypto/ecvrf.h"
#include "crypto/ed25519.h"

/* ---- Numbers ---- */

#define HEADER_BYTES 68u
#define CHECK_BYTES 4u
#define CONTAINER_BYTES_MAX 262144u
#define FUNCTION_BYTES 6u
#define FUNCTIONS_MAX 256u
#define EXPORTS_MAX 64u
#define PARAMETERS_MAX 16u
#define NAME_BYTES_MAX 32u
#define LOCALS_MAX 128u
#define MEMORY_MAX 0x1000000u
#define HEIGHT_MAX 253
#define DEPTH_MAX 64u
#define KEY_BYTES_MAX 128
#define LOG_RECORDS_MAX 256u
#define LOG_BYTES_MAX 65536u
#define EMIT_BYTES_MAX 65536u
#define TRANSFERS_MAX 256u
#define ALIGNMENT 8u

enum {
    PUSH = 0x01, POP, DUP, SWAP, OVER, ROT,
    ADD = 0x10, SUB, MUL, DIV, MOD, NEG, ABS, MIN, MAX,
    AND = 0x20, OR, XOR, NOT, SHL, SHR,
    EQ = 0x30, NEQ, LT, GT, LTE, GTE,
    JMP = 0x40, JZ, JNZ, CALL, RET, HALT, ABORT,
    HASH = 0x50, VERIFY_SIG, VERIFY_VRF,
    BALANCE = 0x60, SENDER, SELF, EPOCH, TRANSFER, LOG, LOAD, STORE, MSIZE, EMIT,
    OPCODES
};

enum { U8 = 0x00, U16, U32, I64, STATE = 0x08, LOCAL = 0x40 };

static uint32_t load16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static uint64_t load64(const uint8_t *bytes)
{
    return (uint64_t)load32_little(bytes) | (uint64_t)load32_little(bytes + 4) << 32;
}

static void store64(uint8_t *bytes, uint64_t word)
{
    store32_little(bytes, (uint32_t)word);
    store32_little(bytes + 4, (uint32_t)(word >> 32));
}

/* memcpy and memcmp may not be given a null pointer, not even for no bytes. */
static void copy(uint8_t *to, const uint8_t *from, uint32_t size)
{
    if (size != 0)
        memcpy(to, from, size);
}

static int differ(const uint8_t *a, const uint8_t *b, uint32_t size)
{
    return size == 0 ? 0 : memcmp(a, b, size);
}

/* ---- Container, section 3 ---- */

/* What is left to read. After the first fault nothing more is read. */
typedef struct {
    const uint8_t *at;
    uint32_t left;
    mhr_fault fault;
} reader;

static const uint8_t *take(reader *in, uint32_t size)
{
    const uint8_t *taken = in->at;
    if (in->fault != MHR_SOUND)
        return NULL;
    if (size > in->left) {
        in->fault = MHR_TRUNCATED;
        return NULL;
    }
    in->at += size;
    in->left -= size;
    return taken;
}

static uint32_t take_byte(reader *in)
{
    const uint8_t *byte = take(in, 1);
    return byte == NULL ? 0 : *byte;
}

static int is_name(const uint8_t *name, uint32_t size)
{
    if (size == 0 || size > NAME_BYTES_MAX || (name[0] >= '0' && name[0] <= '9'))
        return 0;
    for (uint32_t i = 0; i < size; i++) {
        uint8_t lower = (uint8_t)(name[i] | 0x20);
        if (!(lower >= 'a' && lower <= 'z') && !(name[i] >= '0' && name[i] <= '9') && name[i] != '_')
            return 0;
    }
    return 1;
}

static void take_name(reader *in)
{
    uint32_t size = take_byte(in);
    const uint8_t *name = take(in, size);
    if (name != NULL && !is_name(name, size))
        in->fault = MHR_EXPORT_NAME;
}

static void take_export(reader *in)
{
    uint32_t count;
    take_byte(in);
    take_name(in);
    count = take_byte(in);
    if (in->fault == MHR_SOUND && count > PARAMETERS_MAX)
        in->fault = MHR_EXPORT_CELLS;
    for (uint32_t i = 0; i < count && in->fault == MHR_SOUND; i++) {
        uint32_t kind = take_byte(in);
        if (in->fault == MHR_SOUND && kind != MHR_INT && kind != MHR_BYTES)
            in->fault = MHR_EXPORT_KIND;
        take_name(in);
    }
}

static mhr_fault check_envelope(const uint8_t *container, uint32_t size, const uint8_t *address)
{
    uint8_t digest[BLAKE3_BYTES];
    if (size > CONTAINER_BYTES_MAX)
        return MHR_OVERSIZE;
    if (size < HEADER_BYTES + CHECK_BYTES)
        return MHR_TRUNCATED;
    if (memcmp(container, "MHRB", 4) != 0)
        return MHR_BAD_MAGIC;
    if (container[4] != 1)
        return MHR_BAD_VERSION;
    if (container[5] != 1)
        return MHR_BAD_SCHEDULE;
    blake3_hash(digest, container, size - CHECK_BYTES);
    if (memcmp(digest, container + size - CHECK_BYTES, CHECK_BYTES) != 0)
        return MHR_BAD_CHECK;
    if (address == NULL)
        return MHR_SOUND;
    blake3_hash(digest, container, size);
    return memcmp(digest, address, MHR_ADDRESS_BYTES) == 0 ? MHR_SOUND : MHR_WRONG_ADDRESS;
}

static mhr_fault check_limits(const mhr_contract *the)
{
    if (the->max_cells < 1 || the->max_cells > MHR_CELLS_MAX)
        return MHR_LIMIT_CELLS;
    if (the->max_memory > MEMORY_MAX)
        return MHR_LIMIT_MEMORY;
    if (the->max_state_size > MEMORY_MAX)
        return MHR_LIMIT_STATE;
    if (the->max_cycles < 1 || the->max_cycles > (uint64_t)INT64_MAX)
        return MHR_LIMIT_CYCLES;
    if (the->reserved % ALIGNMENT != 0 || the->reserved > the->max_memory || the->data_bytes > the->reserved)
        return MHR_RESERVED_AREA;
    if (the->function_count < 1 || the->function_count > FUNCTIONS_MAX)
        return MHR_FUNCTION_COUNT;
    return the->export_count < 1 || the->export_count > EXPORTS_MAX ? MHR_EXPORT_COUNT : MHR_SOUND;
}

typedef struct {
    uint32_t start, parameters, results, locals, stack;
} function;

static function function_at(const mhr_contract *the, uint32_t index)
{
    const uint8_t *bytes = the->functions + FUNCTION_BYTES * index;
    function found;
    found.start = load16(bytes);
    found.parameters = bytes[2];
    found.results = bytes[3];
    found.locals = bytes[4];
    found.stack = bytes[5];
    return found;
}

static uint32_t end_of(const mhr_contract *the, uint32_t index)
{
    return index + 1 < the->function_count ? function_at(the, index + 1).start : the->code_bytes;
}

static mhr_fault check_functions(const mhr_contract *the)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < the->function_count; i++) {
        function one = function_at(the, i);
        if (one.start < first || (i == 0 && one.start != 0) || one.start >= the->code_bytes)
            return MHR_FUNCTION_START;
        if (one.parameters > one.locals || one.locals > LOCALS_MAX)
            return MHR_FUNCTION_LOCALS;
        if (one.results > MHR_RESULTS_MAX)
            return MHR_FUNCTION_RESULTS;
        if (one.locals + one.stack > the->max_cells)
            return MHR_FRAME_SIZE;
        first = one.start + 1;
    }
    return MHR_SOUND;
}

/* An export that is known to be sound: its name's length, its parameters, and what comes after it. */
typedef struct {
    uint32_t function, parameter_count;
    const uint8_t *name, *parameters;
} export;

static export read_export(const uint8_t *bytes)
{
    export found;
    found.function = bytes[0];
    found.name = bytes + 1;
    bytes += 2 + bytes[1];
    found.parameter_count = bytes[0];
    found.parameters = bytes + 1;
    return found;
}

static const uint8_t *after_parameter(const uint8_t *parameter)
{
    return parameter + 2 + parameter[1];
}

static const uint8_t *after_export(const export *the)
{
    const uint8_t *at = the->parameters;
    for (uint32_t i = 0; i < the->parameter_count; i++)
        at = after_parameter(at);
    return at;
}

static int same_name(const uint8_t *one, const uint8_t *other)
{
    return memcmp(one, other, 1u + one[0]) == 0;
}

static mhr_fault check_parameters(const export *the, uint32_t expected)
{
    uint32_t cells = 0;
    const uint8_t *at = the->parameters;
    for (uint32_t i = 0; i < the->parameter_count; i++, at = after_parameter(at)) {
        const uint8_t *later = after_parameter(at);
        for (uint32_t j = i + 1; j < the->parameter_count; j++, later = after_parameter(later))
            if (same_name(at + 1, later + 1))
                return MHR_EXPORT_NAME;
        cells += at[0] == MHR_INT ? 1 : 2;
    }
    return cells == expected ? MHR_SOUND : MHR_EXPORT_CELLS;
}

static mhr_fault check_exports(const mhr_contract *the)
{
    const uint8_t *names[EXPORTS_MAX], *at = the->exports;
    uint32_t least = 0;
    for (uint32_t i = 0; i < the->export_count; i++) {
        export one = read_export(at);
        mhr_fault fault;
        if (one.function < least || one.function >= the->function_count)
            return MHR_EXPORT_ORDER;
        fault = check_parameters(&one, function_at(the, one.function).parameters);
        if (fault != MHR_SOUND)
            return fault;
        least = one.function + 1;
        names[i] = one.name;
        at = after_export(&one);
    }
    for (uint32_t i = 0; i < the->export_count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (same_name(names[i], names[j]))
                return MHR_EXPORT_NAME;
    return MHR_SOUND;
}

static mhr_fault read_parts(mhr_contract *the, reader *in)
{
    the->functions = take(in, FUNCTION_BYTES * the->function_count);
    the->exports = in->at;
    for (uint32_t i = 0; i < the->export_count && in->fault == MHR_SOUND; i++)
        take_export(in);
    the->data = take(in, the->data_bytes);
    the->code = take(in, the->code_bytes);
    if (in->fault == MHR_SOUND && in->left != 0)
        return MHR_TRAILING_BYTES;
    return in->fault;
}

mhr_fault mhr_load(mhr_contract *contract, const uint8_t *container, uint32_t size, const uint8_t *address)
{
    reader in;
    mhr_fault fault = check_envelope(container, size, address);
    memset(contract, 0, sizeof *contract);
    contract->fault_at = -1;
    if (fault != MHR_SOUND)
        return fault;
    contract->max_cells = load16(container + 6);
    contract->max_memory = load32_little(container + 8);
    contract->max_state_size = load32_little(container + 12);
    contract->max_cycles = load64(container + 16);
    contract->reserved = load32_little(container + 24);
    contract->data_bytes = load16(container + 28);
    contract->code_bytes = load16(container + 30);
    contract->function_count = load16(container + 64);
    contract->export_count = load16(container + 66);
    fault = check_limits(contract);
    if (fault != MHR_SOUND)
        return fault;
    in.at = container + HEADER_BYTES;
    in.left = size - HEADER_BYTES - CHECK_BYTES;
    in.fault = MHR_SOUND;
    fault = read_parts(contract, &in);
    if (fault == MHR_SOUND)
        fault = check_functions(contract);
    return fault == MHR_SOUND ? check_exports(contract) : fault;
}

/* ---- Verification, section 4 ---- */

/* In `heights`, beside heights up to HEIGHT_MAX: not the first byte of an instruction; one that is not reached yet. */
#define INSIDE 0xfeu
#define UNKNOWN 0xffu

/* KNOWN, cells taken (3 bits), cells left (4 bits). Those of CALL, RET, LOAD and STORE depend on the immediate. */
#define KNOWN 0x80u
#define EFFECT(before, after) (KNOWN | (before) << 4 | (after))

static const uint8_t EFFECTS[OPCODES] = {
    [PUSH] = EFFECT(0, 1), [POP] = EFFECT(1, 0), [DUP] = EFFECT(1, 2), [SWAP] = EFFECT(2, 2), [OVER] = EFFECT(2, 3),
    [ROT] = EFFECT(3, 3), [ADD] = EFFECT(2, 1), [SUB] = EFFECT(2, 1), [MUL] = EFFECT(2, 1), [DIV] = EFFECT(2, 1),
    [MOD] = EFFECT(2, 1), [NEG] = EFFECT(1, 1), [ABS] = EFFECT(1, 1), [MIN] = EFFECT(2, 1), [MAX] = EFFECT(2, 1),
    [AND] = EFFECT(2, 1), [OR] = EFFECT(2, 1), [XOR] = EFFECT(2, 1), [NOT] = EFFECT(1, 1), [SHL] = EFFECT(2, 1),
    [SHR] = EFFECT(2, 1), [EQ] = EFFECT(2, 1), [NEQ] = EFFECT(2, 1), [LT] = EFFECT(2, 1), [GT] = EFFECT(2, 1),
    [LTE] = EFFECT(2, 1), [GTE] = EFFECT(2, 1), [JMP] = EFFECT(0, 0), [JZ] = EFFECT(1, 0), [JNZ] = EFFECT(1, 0),
    [CALL] = EFFECT(0, 0), [RET] = EFFECT(0, 0), [HALT] = EFFECT(0, 0), [ABORT] = EFFECT(1, 0), [HASH] = EFFECT(3, 0),
    [VERIFY_SIG] = EFFECT(4, 1), [VERIFY_VRF] = EFFECT(5, 1), [BALANCE] = EFFECT(1, 1), [SENDER] = EFFECT(1, 0),
    [SELF] = EFFECT(1, 0), [EPOCH] = EFFECT(0, 1), [TRANSFER] = EFFECT(2, 1), [LOG] = EFFECT(2, 0),
    [LOAD] = EFFECT(0, 0), [STORE] = EFFECT(0, 0), [MSIZE] = EFFECT(0, 1), [EMIT] = EFFECT(2, 0)};

#define SLEB_BYTES_MAX 10u

/* The bytes of the immediate of PUSH. */
static mhr_fault measure_cell(const uint8_t *code, uint32_t end, uint32_t from, uint32_t *size)
{
    uint32_t count = 0;
    uint8_t byte, before = 0;
    do {
        if (count == SLEB_BYTES_MAX)
            return MHR_WIDE_IMMEDIATE;
        if (from + count >= end)
            return MHR_TRUNCATED_CODE;
        before = count == 0 ? 0 : code[from + count - 1];
        byte = code[from + count++];
    } while (byte & 0x80);
    *size = count;
    if (count == SLEB_BYTES_MAX && byte != 0x00 && byte != 0x7f)
        return MHR_WIDE_IMMEDIATE;
    if (count > 1 && ((byte == 0x00 && !(before & 0x40)) || (byte == 0x7f && (before & 0x40))))
        return MHR_LONG_IMMEDIATE;
    return MHR_SOUND;
}

static uint32_t immediate_bytes(uint8_t op)
{
    if (op == JMP || op == JZ || op == JNZ)
        return 2;
    return op == CALL || op == LOAD || op == STORE;
}

static mhr_fault check_mode(uint8_t mode, uint32_t locals)
{
    if (mode <= I64 || mode == STATE)
        return MHR_SOUND;
    if (mode < LOCAL || mode >= LOCAL + LOCALS_MAX)
        return MHR_BAD_MODE;
    return (uint32_t)(mode - LOCAL) < locals ? MHR_SOUND : MHR_BAD_LOCAL;
}

/* The first pass over one instruction; gives its size. */
static mhr_fault measure(const mhr_contract *the, uint32_t pc, uint32_t end, uint32_t locals, uint32_t *size)
{
    const uint8_t *code = the->code;
    uint8_t op = code[pc];
    uint32_t width = 0;
    mhr_fault fault = MHR_SOUND;
    if (op >= OPCODES || EFFECTS[op] == 0)
        return MHR_UNKNOWN_OPCODE;
    if (op == PUSH)
        fault = measure_cell(code, end, pc + 1, &width);
    else
        width = immediate_bytes(op);
    *size = 1 + width;
    if (fault != MHR_SOUND)
        return fault;
    if (pc + 1 + width > end)
        return MHR_TRUNCATED_CODE;
    if (op == CALL && code[pc + 1] >= the->function_count)
        return MHR_BAD_CALL;
    return op == LOAD || op == STORE ? check_mode(code[pc + 1], locals) : MHR_SOUND;
}

static mhr_fault measure_all(mhr_contract *the, uint8_t *heights)
{
    memset(heights, INSIDE, the->code_bytes);
    for (uint32_t i = 0; i < the->function_count; i++) {
        function one = function_at(the, i);
        uint32_t size = 0, end = end_of(the, i);
        for (uint32_t pc = one.start; pc < end; pc += size) {
            mhr_fault fault = measure(the, pc, end, one.locals, &size);
            if (fault != MHR_SOUND) {
                the->fault_at = (int32_t)pc;
                return fault;
            }
            heights[pc] = UNKNOWN;
        }
    }
    return MHR_SOUND;
}

static void effect_of(const mhr_contract *the, const function *own, uint32_t pc, int *before, int *after)
{
    uint8_t op = the->code[pc], mode = the->code[pc + (op == LOAD || op == STORE)];
    function callee;
    *before = EFFECTS[op] >> 4 & 7;
    *after = EFFECTS[op] & 15;
    if (op == CALL) {
        callee = function_at(the, the->code[pc + 1]);
        *before = (int)callee.parameters;
        *after = (int)callee.results;
    } else if (op == RET) {
        *before = (int)own->results;
    } else if (op == LOAD) {
        *before = mode == STATE ? 4 : mode < STATE;
        *after = 1;
    } else if (op == STORE) {
        *before = mode == STATE ? 4 : 1 + (mode < STATE);
    }
}

static mhr_fault check_jump(const mhr_contract *the, uint8_t *heights, uint32_t pc, uint32_t start, uint32_t end,
                            int height)
{
    uint32_t target = load16(the->code + pc + 1);
    if (target < start || target >= end)
        return MHR_JUMP_OUTSIDE;
    if (heights[target] == INSIDE)
        return MHR_JUMP_INTO_INSTRUCTION;
    if (heights[target] == UNKNOWN)
        heights[target] = (uint8_t)height;
    return heights[target] == height ? MHR_SOUND : MHR_HEIGHT_MISMATCH;
}

#define NOWHERE (-1) /* the height after an instruction that does not go on */

static int goes_on(uint8_t op)
{
    return op != JMP && op != RET && op != HALT && op != ABORT;
}

/* One instruction of the second pass. `height` is what the one before left, then what this one leaves. */
static mhr_fault walk_instruction(const mhr_contract *the, const function *own, uint8_t *heights, uint32_t pc,
                                  int *height)
{
    int before, after, here = heights[pc];
    if (here == (int)UNKNOWN) {
        if (*height == NOWHERE)
            return MHR_UNREACHABLE;
        here = *height;
    } else if (*height != NOWHERE && *height != here) {
        return MHR_HEIGHT_MISMATCH;
    }
    heights[pc] = (uint8_t)here;
    effect_of(the, own, pc, &before, &after);
    if (the->code[pc] == RET && here != before)
        return MHR_RETURN_HEIGHT;
    if (here < before)
        return MHR_UNDERFLOW;
    *height = here - before + after;
    return *height > HEIGHT_MAX ? MHR_STACK_HEIGHT : MHR_SOUND;
}

static mhr_fault walk(mhr_contract *the, uint32_t index, uint8_t *heights)
{
    function own = function_at(the, index);
    uint32_t pc = own.start, end = end_of(the, index), size = 0;
    int height = 0, highest = 0;
    for (; pc < end; pc += size) {
        uint8_t op = the->code[pc];
        mhr_fault fault = walk_instruction(the, &own, heights, pc, &height);
        the->fault_at = (int32_t)pc;
        if (fault == MHR_SOUND && height > highest)
            highest = height;
        if (fault == MHR_SOUND && immediate_bytes(op) == 2)
            fault = check_jump(the, heights, pc, own.start, end, height);
        if (fault != MHR_SOUND)
            return fault;
        if (!goes_on(op))
            height = NOWHERE;
        for (size = 1; pc + size < end && heights[pc + size] == INSIDE; size++)
            continue;
    }
    if (height != NOWHERE)
        return MHR_FALLS_OFF;
    the->fault_at = (int32_t)own.start;
    return highest == (int)own.stack ? MHR_SOUND : MHR_MAX_STACK;
}

mhr_fault mhr_verify(mhr_contract *contract, uint8_t *heights)
{
    mhr_fault fault = measure_all(contract, heights);
    for (uint32_t i = 0; i < contract->function_count && fault == MHR_SOUND; i++)
        fault = walk(contract, i, heights);
    if (fault == MHR_SOUND)
        contract->fault_at = -1;
    return fault;
}

/* ---- Journal: outputs and changes of state, section 8 ---- */

/* How an instruction ends a run that is neither MHR_NO_TRAP nor another trap. */
enum { UNRESOLVED = 100, NO_ROOM };

enum { RECORD_SIZE = 0, VALUE_SIZE = 4, RECORD_KIND = 8, KEY_SIZE = 9 };
enum { NODE_RECORD = 0, NODE_LEFT = 4, NODE_RIGHT = 8, NODE_LEVEL = 12, NODE_BYTES = 16 };
#define NO_RECORD 0xffffffffu

/* Records grow upwards from the beginning of the room. At its end lie the places of the entries of the given state, in
 * order; below them the nodes of a search tree over the ENTRY records, which grows downwards. Node 0 is none. */
typedef struct {
    uint8_t *room;
    uint32_t size, used, index, nodes, root, last_emit;
    const uint8_t *state;
    uint32_t entries, state_size, state_size_max;
    uint32_t log_records, log_bytes, emit_bytes, transfers;
} journal;

typedef struct {
    const uint8_t *bytes;
    uint32_t size;
} span;

/* By length, then by bytes. */
static int compare(span one, span other)
{
    if (one.size != other.size)
        return one.size < other.size ? -1 : 1;
    return differ(one.bytes, other.bytes, one.size);
}

/* The head of a CBOR item in its shortest form at `*at`, which moves behind it. Returns 0 when it is something else. */
static int read_head(const uint8_t *bytes, uint32_t size, uint32_t *at, uint32_t major, uint32_t *value)
{
    static const uint32_t LEAST[3] = {24, 0x100, 0x10000};
    uint32_t low, width, number = 0;
    if (*at >= size || (bytes[*at] & 0xe0u) != major)
        return 0;
    low = bytes[(*at)++] & 0x1fu;
    *value = low;
    if (low < 24)
        return 1;
    if (low > 26)
        return 0;
    width = 1u << (low - 24);
    if (size - *at < width)
        return 0;
    for (uint32_t i = 0; i < width; i++)
        number = number << 8 | bytes[(*at)++];
    *value = number;
    return number >= LEAST[low - 24];
}

/* A byte string at `*at`. */
static int read_string(const uint8_t *bytes, uint32_t size, uint32_t *at, span *string)
{
    if (!read_head(bytes, size, at, 0x40, &string->size) || string->size > size - *at)
        return 0;
    string->bytes = bytes + *at;
    *at += string->size;
    return 1;
}

static span entry_at(const journal *j, uint32_t position, span *value)
{
    uint32_t at = load32_little(j->room + j->index + 4 * position);
    span key = {NULL, 0};
    read_string(j->state, UINT32_MAX, &at, &key);
    read_string(j->state, UINT32_MAX, &at, value);
    return key;
}

/* Checks the whole of the given state and notes the place of each entry. */
static mhr_status open_state(journal *j, const uint8_t *state, uint32_t size)
{
    uint32_t at = 0, count;
    span key, value, before = {NULL, 0};
    if (!read_head(state, size, &at, 0xa0, &count) || count > size / 2)
        return MHR_BAD_STATE;
    if (count > j->size / 4)
        return MHR_NO_ROOM;
    j->state = state;
    j->entries = count;
    j->index = j->size - 4 * count;
    for (uint32_t i = 0; i < count; i++) {
        store32_little(j->room + j->index + 4 * i, at);
        if (!read_string(state, size, &at, &key) || !read_string(state, size, &at, &value))
            return MHR_BAD_STATE;
        if (i > 0 && compare(before, key) >= 0)
            return MHR_BAD_STATE;
        before = key;
        j->state_size += key.size + value.size;
    }
    return at == size ? MHR_OK : MHR_BAD_STATE;
}

/* The value that the given state has for `key`; 0 when it has none. */
static int find_given(const journal *j, span key, span *value)
{
    uint32_t low = 0, high = j->entries;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(entry_at(j, middle, value), key);
        if (order == 0)
            return 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static uint8_t *node_at(const journal *j, uint32_t node)
{
    return j->room + j->index - NODE_BYTES * node;
}

static uint32_t field(const journal *j, uint32_t node, uint32_t which)
{
    return node == 0 ? 0 : load32_little(node_at(j, node) + which);
}

static void set_field(journal *j, uint32_t node, uint32_t which, uint32_t value)
{
    store32_little(node_at(j, node) + which, value);
}

static span key_of(const uint8_t *record)
{
    span key;
    key.bytes = record + MHR_RECORD_BYTES;
    key.size = record[KEY_SIZE];
    return key;
}

static span value_of(const uint8_t *record)
{
    span value;
    value.bytes = record + MHR_RECORD_BYTES + record[KEY_SIZE];
    value.size = load32_little(record + VALUE_SIZE);
    return value;
}

static uint32_t find_node(const journal *j, span key)
{
    uint32_t node = j->root;
    while (node != 0) {
        int order = compare(key, key_of(j->room + field(j, node, NODE_RECORD)));
        if (order == 0)
            break;
        node = field(j, node, order < 0 ? NODE_LEFT : NODE_RIGHT);
    }
    return node;
}

/* Moves the child on the side `from` above `tree`. */
static uint32_t rotate(journal *j, uint32_t tree, uint32_t from, uint32_t to)
{
    uint32_t child = field(j, tree, from);
    set_field(j, tree, from, field(j, child, to));
    set_field(j, child, to, tree);
    return child;
}

/* An AA tree (A. Andersson, Balanced Search Trees Made Simple, 1993): its depth is at most twice the logarithm of its
 * size whatever the keys are, so nobody can choose keys that are slow to find. */
static uint32_t insert(journal *j, uint32_t tree, uint32_t node)
{
    uint32_t side, level, next;
    span key = key_of(j->room + field(j, node, NODE_RECORD));
    if (tree == 0)
        return node;
    side = compare(key, key_of(j->room + field(j, tree, NODE_RECORD))) < 0 ? NODE_LEFT : NODE_RIGHT;
    set_field(j, tree, side, insert(j, field(j, tree, side), node));
    level = field(j, tree, NODE_LEVEL);
    if (field(j, field(j, tree, NODE_LEFT), NODE_LEVEL) == level)
        tree = rotate(j, tree, NODE_LEFT, NODE_RIGHT);
    next = field(j, tree, NODE_RIGHT);
    if (field(j, field(j, next, NODE_RIGHT), NODE_LEVEL) == level) {
        tree = rotate(j, tree, NODE_RIGHT, NODE_LEFT);
        set_field(j, tree, NODE_LEVEL, level + 1);
    }
    return tree;
}

static void add_node(journal *j, uint32_t record)
{
    uint32_t node = ++j->nodes;
    set_field(j, node, NODE_RECORD, record);
    set_field(j, node, NODE_LEFT, 0);
    set_field(j, node, NODE_RIGHT, 0);
    set_field(j, node, NODE_LEVEL, 1);
    j->root = insert(j, j->root, node);
}

static int is_needed(const journal *j, const uint8_t *record)
{
    span value;
    if (record[RECORD_KIND] == MHR_DEAD)
        return 0;
    if (record[RECORD_KIND] != MHR_ENTRY || load32_little(record + VALUE_SIZE) != MHR_REMOVED)
        return 1;
    return find_given(j, key_of(record), &value);
}

static uint32_t needed_bytes(const uint8_t *record)
{
    uint32_t value = load32_little(record + VALUE_SIZE);
    return MHR_RECORD_BYTES + record[KEY_SIZE] + (value == MHR_REMOVED ? 0 : value);
}

/* Drops what is dead and builds the tree again. */
static void compact(journal *j)
{
    uint32_t end = j->used;
    j->used = j->nodes = j->root = 0;
    j->last_emit = NO_RECORD;
    for (uint32_t from = 0; from < end;) {
        uint8_t *record = j->room + from;
        uint32_t needed = is_needed(j, record) ? needed_bytes(record) : 0, to = j->used;
        from += load32_little(record + RECORD_SIZE);
        if (needed == 0)
            continue;
        for (uint32_t i = 0; i < needed; i++)
            j->room[to + i] = record[i];
        store32_little(j->room + to + RECORD_SIZE, needed);
        j->used += needed;
        if (j->room[to + RECORD_KIND] == MHR_ENTRY)
            add_node(j, to);
    }
}

static uint32_t free_bytes(const journal *j)
{
    return j->index - NODE_BYTES * j->nodes - j->used;
}

/* An eighth must be free after compaction, or it would soon have to be done again. */
static int make_room(journal *j, uint32_t value_bytes)
{
    uint32_t wanted = MHR_RECORD_BYTES + KEY_BYTES_MAX + NODE_BYTES + value_bytes;
    if (free_bytes(j) >= wanted)
        return MHR_NO_TRAP;
    compact(j);
    return free_bytes(j) >= wanted && free_bytes(j) >= j->size / 8 ? MHR_NO_TRAP : NO_ROOM;
}

/* Needs room that was made. Returns the place of the record. */
static uint32_t append(journal *j, mhr_record kind, span key, span value)
{
    uint32_t at = j->used;
    uint8_t *record = j->room + at;
    record[RECORD_KIND] = (uint8_t)kind;
    record[KEY_SIZE] = (uint8_t)key.size;
    store32_little(record + VALUE_SIZE, value.size);
    store32_little(record + RECORD_SIZE, needed_bytes(record));
    copy(record + MHR_RECORD_BYTES, key.bytes, key.size);
    if (value.size != MHR_REMOVED)
        copy(record + MHR_RECORD_BYTES + key.size, value.bytes, value.size);
    j->used += needed_bytes(record);
    return at;
}

/* What the state has for `key` now; 0 when it has nothing. */
static int find_value(const journal *j, span key, span *value)
{
    uint32_t node = find_node(j, key);
    if (node == 0)
        return find_given(j, key, value);
    *value = value_of(j->room + field(j, node, NODE_RECORD));
    return value->size != MHR_REMOVED;
}

static void put_value(journal *j, span key, span value)
{
    uint32_t node = find_node(j, key), fresh;
    if (node != 0) {
        uint8_t *old = j->room + field(j, node, NODE_RECORD);
        uint32_t room = load32_little(old + RECORD_SIZE) - MHR_RECORD_BYTES - key.size;
        if (value.size == MHR_REMOVED || value.size <= room) {
            store32_little(old + VALUE_SIZE, value.size);
            if (value.size != MHR_REMOVED)
                copy(old + MHR_RECORD_BYTES + key.size, value.bytes, value.size);
            return;
        }
        old[RECORD_KIND] = MHR_DEAD;
    }
    fresh = append(j, MHR_ENTRY, key, value);
    if (node != 0)
        set_field(j, node, NODE_RECORD, fresh);
    else
        add_node(j, fresh);
}

/* Sets an entry, or removes it with MHR_REMOVED as the size of the value. */
static int write_state(journal *j, span key, span value)
{
    span old;
    int end, present = find_value(j, key, &old);
    uint32_t before = present ? key.size + old.size : 0;
    uint32_t after = value.size == MHR_REMOVED ? 0 : key.size + value.size;
    if (!present && value.size == MHR_REMOVED)
        return MHR_NO_TRAP;
    if (j->state_size - before + after > j->state_size_max)
        return MHR_STATE_SIZE;
    end = make_room(j, value.size == MHR_REMOVED ? 0 : value.size);
    if (end != MHR_NO_TRAP)
        return end;
    j->state_size = j->state_size - before + after;
    put_value(j, key, value);
    return MHR_NO_TRAP;
}

static int write_log(journal *j, span record)
{
    span none = {NULL, 0};
    if (j->log_records == LOG_RECORDS_MAX || record.size > LOG_BYTES_MAX - j->log_bytes)
        return MHR_OUTPUT_LIMIT;
    if (make_room(j, record.size) != MHR_NO_TRAP)
        return NO_ROOM;
    j->log_records++;
    j->log_bytes += record.size;
    append(j, MHR_LOG, none, record);
    return MHR_NO_TRAP;
}

/* Goes on with the last record if that was an EMIT too. */
static int write_emit(journal *j, span bytes)
{
    span none = {NULL, 0};
    if (bytes.size > EMIT_BYTES_MAX - j->emit_bytes)
        return MHR_OUTPUT_LIMIT;
    if (make_room(j, bytes.size) != MHR_NO_TRAP)
        return NO_ROOM;
    j->emit_bytes += bytes.size;
    if (j->last_emit != NO_RECORD && j->last_emit + load32_little(j->room + j->last_emit) == j->used) {
        uint8_t *record = j->room + j->last_emit;
        copy(j->room + j->used, bytes.bytes, bytes.size);
        j->used += bytes.size;
        store32_little(record + VALUE_SIZE, load32_little(record + VALUE_SIZE) + bytes.size);
        store32_little(record + RECORD_SIZE, needed_bytes(record));
    } else if (bytes.size != 0) {
        j->last_emit = append(j, MHR_EMIT, none, bytes);
    }
    return MHR_NO_TRAP;
}

/* Marks as dead what is no change: written over by itself, or removed without having been there. */
static void drop_unchanged(journal *j)
{
    for (uint32_t at = 0; at < j->used; at += load32_little(j->room + at)) {
        uint8_t *record = j->room + at;
        span given, value;
        int was, is;
        if (record[RECORD_KIND] != MHR_ENTRY)
            continue;
        value = value_of(record);
        is = value.size != MHR_REMOVED;
        was = find_given(j, key_of(record), &given);
        if (was == is && (!is || compare(given, value) == 0))
            record[RECORD_KIND] = MHR_DEAD;
    }
}

/* ---- Instructions that reach beyond the cells, section 6 ---- */

typedef struct {
    const uint8_t *back;
    int64_t *locals, *stack;
} frame;

/* A run under way, but for what the interpreter's loop holds itself. */
typedef struct {
    const mhr_contract *contract;
    const mhr_context *context;
    uint8_t *memory;
    uint64_t left;
    int64_t code;
    /* after the run: where it ended, its results from the first to the top */
    const uint8_t *at;
    int64_t *results, *top;
    frame frames[DEPTH_MAX], *now;
    journal journal;
} machine;

static int pay(machine *m, uint64_t cycles)
{
    if (m->left < cycles)
        return MHR_OUT_OF_CYCLES;
    m->left -= cycles;
    return MHR_NO_TRAP;
}

/* How many units are begun by the bytes beyond the free ones. The length is that of a range in memory. */
static uint64_t begun(int64_t length, uint32_t free, uint32_t unit)
{
    uint64_t size = (uint64_t)length;
    return size <= free ? 0 : (size - free + unit - 1) / unit;
}

/* Negative cells are huge without their sign. */
static int in_bytes(uint64_t end, int64_t pointer, int64_t size)
{
    return (uint64_t)pointer <= end && (uint64_t)size <= end - (uint64_t)pointer;
}

static int in_memory(const machine *m, int64_t pointer, int64_t size)
{
    return in_bytes(m->contract->max_memory, pointer, size);
}

static span bytes_at(const machine *m, int64_t pointer, int64_t size)
{
    span found;
    found.bytes = m->memory + pointer;
    found.size = (uint32_t)size;
    return found;
}

static int hash_bytes(machine *m, const int64_t *cell)
{
    uint8_t digest[BLAKE3_BYTES];
    int end = pay(m, 500);
    if (end != MHR_NO_TRAP)
        return end;
    if (!in_memory(m, cell[0], cell[1]) || !in_memory(m, cell[2], BLAKE3_BYTES))
        return MHR_MEMORY_RANGE;
    end = pay(m, 12 * begun(cell[1], 1024, 64));
    if (end != MHR_NO_TRAP)
        return end;
    blake3_hash(digest, m->memory + cell[0], (uint32_t)cell[1]);
    memcpy(m->memory + cell[2], digest, BLAKE3_BYTES);
    return MHR_NO_TRAP;
}

static int verify_signature(machine *m, int64_t *cell)
{
    int end = pay(m, 1000);
    if (end != MHR_NO_TRAP)
        return end;
    if (!in_memory(m, cell[0], cell[1]) || !in_memory(m, cell[2], ED25519_KEY_BYTES) ||
        !in_memory(m, cell[3], ED25519_SIGNATURE_BYTES))
        return MHR_MEMORY_RANGE;
    end = pay(m, 12 * begun(cell[1], 1024, 64));
    if (end == MHR_NO_TRAP)
        cell[0] = ed25519_verify(m->memory + cell[0], (uint32_t)cell[1], m->memory + cell[2], m->memory + cell[3]);
    return end;
}

static int verify_random(machine *m, int64_t *cell)
{
    uint8_t beta[ECVRF_OUTPUT_BYTES];
    int end = pay(m, 2000), holds;
    if (end != MHR_NO_TRAP)
        return end;
    if (!in_memory(m, cell[0], cell[1]) || !in_memory(m, cell[2], ECVRF_KEY_BYTES) ||
        !in_memory(m, cell[3], ECVRF_PROOF_BYTES) || !in_memory(m, cell[4], ECVRF_OUTPUT_BYTES))
        return MHR_MEMORY_RANGE;
    end = pay(m, 12 * begun(cell[1], 1024, 64));
    if (end != MHR_NO_TRAP)
        return end;
    holds = ecvrf_verify(beta, m->memory + cell[0], (uint32_t)cell[1], m->memory + cell[2], m->memory + cell[3]);
    if (holds)
        memcpy(m->memory + cell[4], beta, ECVRF_OUTPUT_BYTES);
    cell[0] = holds;
    return MHR_NO_TRAP;
}

/* The place of an account in the context, NULL when it is not listed. */
static uint8_t *find_account(const machine *m, const uint8_t *account)
{
    uint32_t low = 0, high = m->context->balance_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        uint8_t *found = m->context->balances + MHR_BALANCE_BYTES * middle;
        int order = memcmp(found, account, MHR_ID_BYTES);
        if (order == 0)
            return found;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int tell_balance(machine *m, int64_t *cell)
{
    const uint8_t *account;
    if (pay(m, 10) != MHR_NO_TRAP)
        return MHR_OUT_OF_CYCLES;
    if (!in_memory(m, cell[0], MHR_ID_BYTES))
        return MHR_MEMORY_RANGE;
    account = find_account(m, m->memory + cell[0]);
    if (account == NULL)
        return UNRESOLVED;
    cell[0] = (int64_t)load64(account + MHR_ID_BYTES);
    return MHR_NO_TRAP;
}

static int tell_id(machine *m, const uint8_t *id, int64_t pointer)
{
    if (pay(m, 2) != MHR_NO_TRAP)
        return MHR_OUT_OF_CYCLES;
    if (!in_memory(m, pointer, MHR_ID_BYTES))
        return MHR_MEMORY_RANGE;
    memcpy(m->memory + pointer, id, MHR_ID_BYTES);
    return MHR_NO_TRAP;
}

static void add_amount(uint8_t *account, uint64_t amount)
{
    if (account != NULL)
        store64(account + MHR_ID_BYTES, load64(account + MHR_ID_BYTES) + amount);
}

static int move_amount(machine *m, span to, uint64_t amount, int64_t *moved)
{
    uint8_t bytes[8], *own = find_account(m, m->context->self);
    span value = {bytes, sizeof bytes};
    if (own == NULL)
        return UNRESOLVED;
    *moved = amount <= load64(own + MHR_ID_BYTES);
    if (!*moved)
        return MHR_NO_TRAP;
    if (m->journal.transfers == TRANSFERS_MAX)
        return MHR_OUTPUT_LIMIT;
    if (make_room(&m->journal, sizeof bytes) != MHR_NO_TRAP)
        return NO_ROOM;
    m->journal.transfers++;
    add_amount(own, 0 - amount);
    add_amount(find_account(m, to.bytes), amount);
    store64(bytes, amount);
    append(&m->journal, MHR_TRANSFER, to, value);
    return MHR_NO_TRAP;
}

static int transfer(machine *m, int64_t *cell)
{
    if (pay(m, 50) != MHR_NO_TRAP)
        return MHR_OUT_OF_CYCLES;
    if (cell[1] < 0)
        return MHR_AMOUNT_RANGE;
    if (!in_memory(m, cell[0], MHR_ID_BYTES))
        return MHR_MEMORY_RANGE;
    return move_amount(m, bytes_at(m, cell[0], MHR_ID_BYTES), (uint64_t)cell[1], cell);
}

static int put_out(machine *m, uint8_t op, const int64_t *cell)
{
    span bytes;
    if (pay(m, 10) != MHR_NO_TRAP)
        return MHR_OUT_OF_CYCLES;
    if (!in_memory(m, cell[0], cell[1]))
        return MHR_MEMORY_RANGE;
    if (pay(m, begun(cell[1], 0, 32)) != MHR_NO_TRAP)
        return MHR_OUT_OF_CYCLES;
    bytes = bytes_at(m, cell[0], cell[1]);
    return op == LOG ? write_log(&m->journal, bytes) : write_emit(&m->journal, bytes);
}

/* The key of a LOAD or STORE of state, after its checks. */
static int take_key(const machine *m, const int64_t *cell, span *key)
{
    if (cell[1] < 0 || cell[1] > KEY_BYTES_MAX)
        return MHR_KEY_SIZE;
    if (!in_memory(m, cell[0], cell[1]))
        return MHR_MEMORY_RANGE;
    *key = bytes_at(m, cell[0], cell[1]);
    return MHR_NO_TRAP;
}

static int load_state(machine *m, int64_t *cell)
{
    span key, value;
    int end = pay(m, 3);
    if (end == MHR_NO_TRAP)
        end = take_key(m, cell, &key);
    if (end == MHR_NO_TRAP && !in_memory(m, cell[2], cell[3]))
        end = MHR_MEMORY_RANGE;
    if (end == MHR_NO_TRAP)
        end = pay(m, begun(cell[3], 0, 32));
    if (end != MHR_NO_TRAP)
        return end;
    if (m->context->state == NULL)
        return UNRESOLVED;
    cell[0] = -1;
    if (find_value(&m->journal, key, &value)) {
        copy(m->memory + cell[2], value.bytes, (uint64_t)cell[3] < value.size ? (uint32_t)cell[3] : value.size);
        cell[0] = value.size;
    }
    return MHR_NO_TRAP;
}

static int store_state(machine *m, const int64_t *cell)
{
    span key, value = {NULL, MHR_REMOVED};
    int end = pay(m, 3);
    if (end == MHR_NO_TRAP)
        end = take_key(m, cell, &key);
    if (end != MHR_NO_TRAP)
        return end;
    if (cell[3] != -1) {
        if (!in_memory(m, cell[2], cell[3]))
            return MHR_MEMORY_RANGE;
        if (pay(m, 2 * begun(cell[3], 0, 32)) != MHR_NO_TRAP)
            return MHR_OUT_OF_CYCLES;
        value = bytes_at(m, cell[2], cell[3]);
    }
    return m->context->state == NULL ? UNRESOLVED : write_state(&m->journal, key, value);
}

/* A function that is not inlined: the variables of others would crowd those of the interpreter's loop out of registers. */
#ifdef __GNUC__
#define APART __attribute__((noinline))
#else
#define APART
#endif

/* `cell` is the lowest that the instruction takes or leaves. */
static APART int reach_out(machine *m, uint8_t op, int64_t *cell)
{
    switch (op) {
    case HASH:
        return hash_bytes(m, cell);
    case VERIFY_SIG:
        return verify_signature(m, cell);
    case VERIFY_VRF:
        return verify_random(m, cell);
    case BALANCE:
        return tell_balance(m, cell);
    case SENDER:
        return tell_id(m, m->context->sender, cell[0]);
    case SELF:
        return tell_id(m, m->context->self, cell[0]);
    case EPOCH:
        cell[0] = m->context->epoch;
        return pay(m, 5);
    case TRANSFER:
        return transfer(m, cell);
    case LOAD:
        return load_state(m, cell);
    case STORE:
        return store_state(m, cell);
    case MSIZE:
        cell[0] = (int64_t)m->contract->max_memory;
        return pay(m, 2);
    default:
        return put_out(m, op, cell);
    }
}

/* ---- Arithmetic without what C leaves undefined ---- */

static uint64_t magnitude(int64_t cell)
{
    return cell < 0 ? 0 - (uint64_t)cell : (uint64_t)cell;
}

/* Each returns 0 when the result does not fit. */
static int add(int64_t a, int64_t b, int64_t *sum)
{
    uint64_t bits = (uint64_t)a + (uint64_t)b;
    *sum = (int64_t)bits;
    return (((uint64_t)a ^ bits) & ((uint64_t)b ^ bits)) >> 63 == 0;
}

static int subtract(int64_t a, int64_t b, int64_t *difference)
{
    uint64_t bits = (uint64_t)a - (uint64_t)b;
    *difference = (int64_t)bits;
    return (((uint64_t)a ^ (uint64_t)b) & ((uint64_t)a ^ bits)) >> 63 == 0;
}

static int multiply(int64_t a, int64_t b, int64_t *product)
{
    uint64_t x = magnitude(a), y = magnitude(b), cross, low;
    uint64_t limit = (uint64_t)INT64_MAX + ((a < 0) != (b < 0));
    *product = (int64_t)((uint64_t)a * (uint64_t)b);
    if (((x | y) >> 31) == 0)
        return 1;
    if (x >> 32 != 0 && y >> 32 != 0)
        return 0;
    cross = (x >> 32) * (y & 0xffffffffu) + (y >> 32) * (x & 0xffffffffu);
    low = (x & 0xffffffffu) * (y & 0xffffffffu);
    return cross >> 32 == 0 && low <= limit && cross << 32 <= limit - low;
}

static int64_t quotient(int64_t a, int64_t b)
{
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

/* ---- The interpreter, section 5 ---- */

/* An immediate of PUSH of more than one byte. */
static int64_t long_cell(const uint8_t *bytes)
{
    uint64_t value = 0;
    unsigned shift = 0;
    do {
        value |= (uint64_t)(*bytes & 0x7f) << shift;
        shift += 7;
    } while (*bytes++ & 0x80);
    if (shift < 64 && (bytes[-1] & 0x40))
        value |= UINT64_MAX << shift;
    return (int64_t)value;
}

static int64_t load_memory(const uint8_t *bytes, uint8_t mode)
{
    if (mode < U16)
        return bytes[0];
    if (mode > U32)
        return (int64_t)load64(bytes);
    return mode == U16 ? load16(bytes) : load32_little(bytes);
}

static void store_memory(uint8_t *bytes, uint8_t mode, uint64_t value)
{
    if (mode < U16) {
        bytes[0] = (uint8_t)value;
    } else if (mode > U32) {
        store64(bytes, value);
    } else if (mode == U16) {
        bytes[0] = (uint8_t)value;
        bytes[1] = (uint8_t)(value >> 8);
    } else {
        store32_little(bytes, (uint32_t)value);
    }
}

#define PAY(cycles)       \
    do {                  \
        left -= (cycles); \
        if (left < 0)     \
            goto broke;   \
    } while (0)
#define TRAP_UNLESS(condition, trap) \
    do {                             \
        if (!(condition)) {          \
            end = (trap);            \
            goto ended;              \
        }                            \
    } while (0)
#define TARGET (m->contract->code + load16(ip + 1))
#define BRANCH_IF(condition)                \
    do {                                    \
        PAY(2);                             \
        ip = (condition) ? TARGET : ip + 3; \
        top = *--sp;                        \
    } while (0)
/* `top` and what was below it, `*sp`, give the new top. */
#define BINARY(expression) \
    PAY(1);                \
    sp--;                  \
    top = (expression);    \
    ip++;                  \
    continue
/* Most often a JZ follows. It is done at once, at its own price and its own place. */
#define COMPARISON(expression) \
    PAY(1);                    \
    sp--;                      \
    top = (expression);        \
    ip++;                      \
    if (*ip == JZ)             \
        BRANCH_IF(top == 0);   \
    continue

/* Runs from the function's start; its arguments are the first of `cells`. Verification has made sure of heights, jumps
 * and immediates.
 *
 * `top` is the highest cell, whose place in memory is `sp`; what lies there is old. With an empty stack it is the last
 * local, or the cell below all. What changes seldom is read through `m`, which leaves the registers to what each
 * instruction changes: ip, sp, top, left. */
static APART int interpret(machine *m, const function *first, int64_t *cells)
{
    const uint8_t *ip = m->contract->code + first->start;
    int64_t *sp = cells + first->locals - 1, top = *sp, left = (int64_t)m->left;
    int end = MHR_NO_TRAP;
    m->now = m->frames;
    m->now->locals = cells;
    m->now->stack = sp + 1;
    for (;;) {
        switch (*ip) {
        case PUSH:
            PAY(1);
            *sp++ = top;
            ip++;
            top = *ip & 0x80 ? long_cell(ip) : (int64_t)((*ip & 0x3f) - (*ip & 0x40));
            while (*ip++ & 0x80)
                continue;
            continue;
        case POP:
            PAY(1);
            top = *--sp;
            ip++;
            continue;
        case DUP:
            PAY(1);
            *sp++ = top;
            ip++;
            continue;
        case SWAP: {
            int64_t under = sp[-1];
            PAY(1);
            sp[-1] = top;
            top = under;
            ip++;
            continue;
        }
        case OVER: {
            int64_t under = sp[-1];
            PAY(1);
            *sp++ = top;
            top = under;
            ip++;
            continue;
        }
        case ROT: {
            int64_t third = sp[-2];
            PAY(1);
            sp[-2] = sp[-1];
            sp[-1] = top;
            top = third;
            ip++;
            continue;
        }
        case ADD:
            PAY(1);
            sp--;
            TRAP_UNLESS(add(*sp, top, &top), MHR_OVERFLOW);
            ip++;
            continue;
        case SUB:
            PAY(1);
            sp--;
            TRAP_UNLESS(subtract(*sp, top, &top), MHR_OVERFLOW);
            ip++;
            continue;
        case MUL:
            PAY(2);
            sp--;
            TRAP_UNLESS(multiply(*sp, top, &top), MHR_OVERFLOW);
            ip++;
            continue;
        case DIV:
            PAY(3);
            sp--;
            TRAP_UNLESS(top != 0, MHR_DIVISION_BY_ZERO);
            TRAP_UNLESS(*sp != INT64_MIN || top != -1, MHR_OVERFLOW);
            top = quotient(*sp, top);
            ip++;
            continue;
        case MOD:
            PAY(3);
            sp--;
            TRAP_UNLESS(top != 0, MHR_DIVISION_BY_ZERO);
            top = top == -1 ? 0 : *sp % top;
            ip++;
            continue;
        case NEG:
            PAY(1);
            TRAP_UNLESS(top != INT64_MIN, MHR_OVERFLOW);
            top = -top;
            ip++;
            continue;
        case ABS:
            PAY(1);
            TRAP_UNLESS(top != INT64_MIN, MHR_OVERFLOW);
            top = top < 0 ? -top : top;
            ip++;
            continue;
        case MIN:
            BINARY(*sp < top ? *sp : top);
        case MAX:
            BINARY(*sp > top ? *sp : top);
        case AND:
            BINARY(*sp & top);
        case OR:
            BINARY(*sp | top);
        case XOR:
            BINARY(*sp ^ top);
        case NOT:
            PAY(1);
            top = ~top;
            ip++;
            continue;
        case SHL:
            PAY(1);
            sp--;
            TRAP_UNLESS(top >= 0 && top <= 63, MHR_SHIFT_RANGE);
            top = (int64_t)((uint64_t)*sp << top);
            ip++;
            continue;
        case SHR:
            PAY(1);
            sp--;
            TRAP_UNLESS(top >= 0 && top <= 63, MHR_SHIFT_RANGE);
            top = (int64_t)((uint64_t)*sp >> top);
            ip++;
            continue;
        case EQ:
            COMPARISON(*sp == top);
        case NEQ:
            COMPARISON(*sp != top);
        case LT:
            COMPARISON(*sp < top);
        case GT:
            COMPARISON(*sp > top);
        case LTE:
            COMPARISON(*sp <= top);
        case GTE:
            COMPARISON(*sp >= top);
        case JMP:
            PAY(2);
            ip = TARGET;
            continue;
        case JZ:
            BRANCH_IF(top == 0);
            continue;
        case JNZ:
            BRANCH_IF(top != 0);
            continue;
        case CALL: {
            function callee = function_at(m->contract, ip[1]);
            int64_t *locals = sp + 1 - callee.parameters, *stack;
            frame *now = m->now;
            PAY(5);
            TRAP_UNLESS(now < m->frames + DEPTH_MAX - 1, MHR_CALL_DEPTH);
            TRAP_UNLESS((uint32_t)(locals - cells) + callee.locals + callee.stack <= m->contract->max_cells,
                        MHR_STACK_OVERFLOW);
            stack = locals + callee.locals;
            *sp++ = top;
            while (sp < stack)
                *sp++ = 0;
            top = *--sp;
            now->back = ip + 2;
            now++;
            now->locals = locals;
            now->stack = stack;
            m->now = now;
            ip = m->contract->code + callee.start;
            continue;
        }
        case RET: {
            frame *now = m->now;
            int64_t *result = now->stack, *to = now->locals;
            PAY(3);
            *sp++ = top;
            if (now == m->frames)
                goto finished;
            /* the arguments, then the results, are where this function's locals were */
            while (result < sp)
                *to++ = *result++;
            sp = to - 1;
            top = *sp;
            m->now = --now;
            ip = now->back;
            continue;
        }
        case HALT:
            PAY(2);
            m->now->stack = sp;
            goto finished;
        case ABORT:
            PAY(2);
            m->code = top;
            end = MHR_ABORTED;
            goto ended;
        case LOAD:
            if (ip[1] >= LOCAL) {
                PAY(3);
                *sp++ = top;
                top = m->now->locals[ip[1] - LOCAL];
                ip += 2;
                continue;
            }
            if (ip[1] > I64)
                break;
            PAY(3);
            TRAP_UNLESS(in_bytes(m->contract->max_memory, top, 1 << ip[1]), MHR_MEMORY_RANGE);
            top = load_memory(m->memory + top, ip[1]);
            ip += 2;
            continue;
        case STORE:
            if (ip[1] >= LOCAL) {
                PAY(3);
                m->now->locals[ip[1] - LOCAL] = top;
                top = *--sp;
                ip += 2;
                continue;
            }
            if (ip[1] > I64)
                break;
            PAY(3);
            sp--;
            TRAP_UNLESS(in_bytes(m->contract->max_memory, *sp, 1 << ip[1]), MHR_MEMORY_RANGE);
            store_memory(m->memory + *sp, ip[1], (uint64_t)top);
            top = *--sp;
            ip += 2;
            continue;
        default:
            break;
        }
        /* only what reaches beyond the cells comes here */
        int on_state = *ip == LOAD || *ip == STORE;
        int64_t *cell = sp + 1 - (on_state ? 4 : EFFECTS[*ip] >> 4 & 7);
        *sp = top;
        m->left = (uint64_t)left;
        end = reach_out(m, *ip, cell);
        left = (int64_t)m->left;
        if (end != MHR_NO_TRAP)
            goto ended;
        sp = cell + (*ip == LOAD ? 1 : EFFECTS[*ip] & 15) - 1;
        top = *sp;
        ip += on_state ? 2 : 1;
    }
broke:
    m->at = ip;
    return MHR_OUT_OF_CYCLES;
finished:
    m->results = m->now->stack;
    m->top = sp;
ended:
    m->at = ip;
    m->left = (uint64_t)left;
    return end;
}

/* ---- A call ---- */

static int find_export(export *found, const mhr_contract *the, const mhr_call *call)
{
    const uint8_t *at = the->exports;
    for (uint32_t i = 0; i < the->export_count; i++) {
        *found = read_export(at);
        if (found->name[0] == call->function_bytes &&
            differ(found->name + 1, call->function, call->function_bytes) == 0)
            return 1;
        at = after_export(found);
    }
    return 0;
}

/* The next argument: its kind, and the cell or the bytes. Returns 0 when there is none or it is cut off. */
static int take_argument(reader *in, uint32_t *kind, const uint8_t **cell, span *bytes)
{
    const uint8_t *size;
    *kind = take_byte(in);
    if (*kind == MHR_INT) {
        *cell = take(in, 8);
    } else if (*kind == MHR_BYTES) {
        size = take(in, 4);
        bytes->size = size == NULL ? 0 : load32_little(size);
        bytes->bytes = take(in, bytes->size);
    }
    return in->fault == MHR_SOUND;
}

static reader read_arguments(const mhr_call *call)
{
    reader in;
    in.at = call->arguments;
    in.left = call->arguments_bytes;
    in.fault = MHR_SOUND;
    return in;
}

static int arguments_fit(const export *the, const mhr_call *call)
{
    reader in = read_arguments(call);
    const uint8_t *cell, *parameter = the->parameters;
    span bytes;
    uint32_t kind;
    if (call->argument_count != the->parameter_count)
        return 0;
    for (uint32_t i = 0; i < the->parameter_count; i++, parameter = after_parameter(parameter))
        if (!take_argument(&in, &kind, &cell, &bytes) || kind != parameter[0])
            return 0;
    return in.left == 0;
}

/* Fills the first cells. Returns 0 when the bytes do not fit the memory. */
static int place_arguments(const mhr_contract *the, const mhr_call *call, uint8_t *memory, int64_t *cells)
{
    reader in = read_arguments(call);
    uint64_t place = the->reserved;
    for (uint32_t i = 0; i < call->argument_count; i++) {
        const uint8_t *cell = NULL;
        span bytes = {NULL, 0};
        uint32_t kind;
        take_argument(&in, &kind, &cell, &bytes);
        if (kind == MHR_INT) {
            *cells++ = (int64_t)load64(cell);
            continue;
        }
        if (place + bytes.size > the->max_memory)
            return 0;
        copy(memory + place, bytes.bytes, bytes.size);
        *cells++ = (int64_t)place;
        *cells++ = bytes.size;
        place = (place + bytes.size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
    return 1;
}

static void open_journal(journal *j, const mhr_room *room, uint32_t state_size_max)
{
    memset(j, 0, sizeof *j);
    j->room = room->journal;
    j->size = j->index = room->journal_bytes;
    j->last_emit = NO_RECORD;
    j->state_size_max = state_size_max;
}

/* Everything before the first instruction. */
static mhr_status prepare(machine *m, const mhr_call *call, const mhr_room *room, function *entry)
{
    const mhr_contract *the = m->contract;
    export found;
    mhr_status status = MHR_OK;
    if (!find_export(&found, the, call))
        return MHR_NO_FUNCTION;
    if (!arguments_fit(&found, call))
        return MHR_WRONG_ARGUMENTS;
    if (room->cell_count < the->max_cells + MHR_CELLS_BELOW || room->memory_bytes < the->max_memory)
        return MHR_NO_ROOM;
    open_journal(&m->journal, room, the->max_state_size);
    if (m->context->state != NULL)
        status = open_state(&m->journal, m->context->state, m->context->state_bytes);
    if (status != MHR_OK)
        return status;
    if (m->journal.state_size > the->max_state_size)
        return MHR_LARGE_STATE;
    *entry = function_at(the, found.function);
    if (the->max_memory != 0)
        memset(m->memory, 0, the->max_memory);
    copy(m->memory, the->data, the->data_bytes);
    for (uint32_t i = 0; i < entry->locals; i++)
        room->cells[MHR_CELLS_BELOW + i] = 0;
    return place_arguments(the, call, m->memory, room->cells + MHR_CELLS_BELOW) ? MHR_OK : MHR_WRONG_ARGUMENTS;
}

static void succeed(mhr_outcome *outcome, machine *m)
{
    for (const int64_t *result = m->results; result < m->top; result++)
        outcome->results[outcome->result_count++] = *result;
    drop_unchanged(&m->journal);
    outcome->records_bytes = m->journal.used;
}

void mhr_run(mhr_outcome *outcome, const mhr_contract *contract, const mhr_call *call, const mhr_context *context,
             const mhr_room *room)
{
    machine m;
    function entry;
    uint64_t limit = call->cycles_max < contract->max_cycles ? call->cycles_max : contract->max_cycles;
    int end;
    memset(outcome, 0, sizeof *outcome);
    m.contract = contract;
    m.context = context;
    m.memory = room->memory;
    m.left = limit;
    m.code = 0;
    outcome->status = prepare(&m, call, room, &entry);
    if (outcome->status != MHR_OK)
        return;
    end = interpret(&m, &entry, room->cells + MHR_CELLS_BELOW);
    outcome->pc = (uint32_t)(m.at - contract->code);
    outcome->cycles = end == MHR_OUT_OF_CYCLES ? limit : limit - m.left;
    outcome->code = m.code;
    if (end == MHR_NO_TRAP) {
        succeed(outcome, &m);
    } else if (end == UNRESOLVED || end == NO_ROOM) {
        outcome->status = end == UNRESOLVED ? MHR_UNRESOLVED : MHR_NO_ROOM;
    } else {
        outcome->status = MHR_TRAP;
        outcome->trap = (mhr_trap)end;
    }
}
