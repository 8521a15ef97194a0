/* What debuggers read of a process that makes code (GDB manual, "JIT Compilation Interface"). */
#include <stddef.h>
#include <stdint.h>

struct jit_code_entry {
    struct jit_code_entry *next, *previous;
    const char *object;
    uint64_t size;
};
struct {
    uint32_t version, action;
    struct jit_code_entry *relevant, *first;
} __jit_debug_descriptor = {1, 0, NULL, NULL};
