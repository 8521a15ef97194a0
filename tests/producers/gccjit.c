/* A program that compiles in-process with libgccjit, and bakes addresses of itself into what it compiles.

       gccjit LEVEL OUT.o OUT.session.json

   builds the functions of gccjit_answers.h at optimization level LEVEL, writes them as an object together with what
   their addresses meant, and prints what they answer here. */
#define _GNU_SOURCE
#include "gccjit_answers.h"

#include <elf.h>
#include <inttypes.h>
#include <libgccjit.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

long counter, table[72];
struct node N;
long hostfn(long x) { return x * 3 - 7; }

/* A block that has no name a linker could know. */
static struct node *block;

static gcc_jit_context *ctx;
static gcc_jit_type *t_long, *t_int, *t_double, *t_void, *t_ptr, *t_plong, *t_pptr, *t_node, *t_pnode;
static gcc_jit_field *f_a, *f_b, *f_next, *f_c;

static gcc_jit_rvalue *address(gcc_jit_type *type, const void *p) {
    return gcc_jit_context_new_rvalue_from_ptr(ctx, type, (void *)(uintptr_t)p);
}

static gcc_jit_rvalue *number(long n) { return gcc_jit_context_new_rvalue_from_long(ctx, t_long, n); }

static gcc_jit_rvalue *binary(enum gcc_jit_binary_op op, gcc_jit_rvalue *a, gcc_jit_rvalue *b) {
    return gcc_jit_context_new_binary_op(ctx, NULL, op, t_long, a, b);
}

static gcc_jit_rvalue *plus(gcc_jit_rvalue *a, gcc_jit_rvalue *b) { return binary(GCC_JIT_BINARY_OP_PLUS, a, b); }

static gcc_jit_lvalue *element(gcc_jit_rvalue *array, gcc_jit_rvalue *index) {
    return gcc_jit_context_new_array_access(ctx, NULL, array, index);
}

static gcc_jit_rvalue *field(gcc_jit_rvalue *node, gcc_jit_field *f) {
    return gcc_jit_lvalue_as_rvalue(gcc_jit_rvalue_dereference_field(node, NULL, f));
}

static gcc_jit_function *function(const char *name, gcc_jit_type *returns, gcc_jit_type *takes, gcc_jit_block **body,
                                  gcc_jit_rvalue **argument) {
    gcc_jit_param *x = takes ? gcc_jit_context_new_param(ctx, NULL, takes, "x") : NULL;
    gcc_jit_function *f =
        gcc_jit_context_new_function(ctx, NULL, GCC_JIT_FUNCTION_EXPORTED, returns, name, takes ? 1 : 0, &x, 0);
    *body = gcc_jit_function_new_block(f, "entry");
    if (argument)
        *argument = gcc_jit_param_as_rvalue(x);
    return f;
}

static gcc_jit_rvalue *call(gcc_jit_type *type, const void *callee, gcc_jit_rvalue *argument) {
    gcc_jit_type *pointer = gcc_jit_context_new_function_ptr_type(ctx, NULL, type, 1, &type, 0);
    return gcc_jit_context_new_call_through_ptr(ctx, NULL, address(pointer, callee), 1, &argument);
}

/* for (i = 0; i < limit; i += step) total += table[i]; */
static void loop(gcc_jit_function *f, gcc_jit_block *entry, gcc_jit_rvalue *limit, long step) {
    gcc_jit_lvalue *i = gcc_jit_function_new_local(f, NULL, t_long, "i");
    gcc_jit_lvalue *total = gcc_jit_function_new_local(f, NULL, t_long, "total");
    gcc_jit_block *test = gcc_jit_function_new_block(f, "test"), *body = gcc_jit_function_new_block(f, "body"),
                  *end = gcc_jit_function_new_block(f, "end");
    gcc_jit_block_add_assignment(entry, NULL, i, number(0));
    gcc_jit_block_add_assignment(entry, NULL, total, number(0));
    gcc_jit_block_end_with_jump(entry, NULL, test);
    gcc_jit_block_end_with_conditional(
        test, NULL,
        gcc_jit_context_new_comparison(ctx, NULL, GCC_JIT_COMPARISON_LT, gcc_jit_lvalue_as_rvalue(i), limit), body,
        end);
    gcc_jit_block_add_assignment_op(
        body, NULL, total, GCC_JIT_BINARY_OP_PLUS,
        gcc_jit_lvalue_as_rvalue(element(address(t_plong, table), gcc_jit_lvalue_as_rvalue(i))));
    gcc_jit_block_add_assignment_op(body, NULL, i, GCC_JIT_BINARY_OP_PLUS, number(step));
    gcc_jit_block_end_with_jump(body, NULL, test);
    gcc_jit_block_end_with_return(end, NULL, gcc_jit_lvalue_as_rvalue(total));
}

static void build(void) {
    t_long = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_LONG);
    t_int = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_INT);
    t_double = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_DOUBLE);
    t_void = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_VOID);
    t_ptr = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_VOID_PTR);
    t_plong = gcc_jit_type_get_pointer(t_long);
    t_pptr = gcc_jit_type_get_pointer(t_ptr);
    f_a = gcc_jit_context_new_field(ctx, NULL, t_long, "a");
    f_b = gcc_jit_context_new_field(ctx, NULL, t_long, "b");
    f_next = gcc_jit_context_new_field(ctx, NULL, t_ptr, "next");
    f_c = gcc_jit_context_new_field(ctx, NULL, t_long, "c");
    t_node = gcc_jit_struct_as_type(
        gcc_jit_context_new_struct_type(ctx, NULL, "node", 4, (gcc_jit_field *[]){f_a, f_b, f_next, f_c}));
    t_pnode = gcc_jit_type_get_pointer(t_node);

    gcc_jit_block *b;
    gcc_jit_rvalue *x;
    gcc_jit_function *f;

    function("callfn", t_long, t_long, &b, &x);
    gcc_jit_block_end_with_return(b, NULL, plus(call(t_long, labs, call(t_long, hostfn, x)), number(1)));

    function("callcos", t_double, t_double, &b, &x);
    gcc_jit_block_end_with_return(b, NULL, call(t_double, (double (*)(double))cos, x));

    gcc_jit_lvalue *c = gcc_jit_rvalue_dereference(address(t_plong, &counter), NULL);
    function("bump", t_long, NULL, &b, NULL);
    gcc_jit_block_add_assignment_op(b, NULL, c, GCC_JIT_BINARY_OP_PLUS, number(1));
    gcc_jit_block_end_with_return(b, NULL, gcc_jit_lvalue_as_rvalue(c));

    function("peek", t_long, NULL, &b, NULL);
    gcc_jit_block_end_with_return(b, NULL, gcc_jit_lvalue_as_rvalue(c));

    function("look", t_long, t_long, &b, &x);
    gcc_jit_block_end_with_return(b, NULL, gcc_jit_lvalue_as_rvalue(element(address(t_plong, table), x)));

    gcc_jit_rvalue *heap = address(t_pnode, block), *n = address(t_pnode, &N);
    function("heapfields", t_long, NULL, &b, NULL);
    gcc_jit_block_end_with_return(b, NULL, plus(field(heap, f_a), plus(field(heap, f_b), field(heap, f_c))));

    function("statfields", t_long, NULL, &b, NULL);
    gcc_jit_block_end_with_return(b, NULL, plus(field(n, f_a), plus(field(n, f_b), field(n, f_c))));

    function("iseq", t_int, t_ptr, &b, &x);
    gcc_jit_block_end_with_return(
        b, NULL,
        gcc_jit_context_new_cast(
            ctx, NULL, gcc_jit_context_new_comparison(ctx, NULL, GCC_JIT_COMPARISON_EQ, x, address(t_ptr, &N)), t_int));

    function("store2", t_void, t_pptr, &b, &x);
    gcc_jit_block_add_assignment(b, NULL, element(x, number(0)), address(t_ptr, &N));
    gcc_jit_block_add_assignment(b, NULL, element(x, number(1)), address(t_ptr, block));
    gcc_jit_block_end_with_void_return(b, NULL);

    f = function("sum", t_long, t_long, &b, &x);
    loop(f, b, x, 1);

    f = function("strided", t_long, NULL, &b, NULL);
    loop(f, b, number(64), 3);

    function("last", t_long, NULL, &b, NULL);
    gcc_jit_block_end_with_return(b, NULL, gcc_jit_lvalue_as_rvalue(element(address(t_plong, table), number(63))));

    /* A variable of the object, with an address as its initial value. */
    gcc_jit_lvalue *pointer =
        gcc_jit_context_new_global(ctx, NULL, GCC_JIT_GLOBAL_EXPORTED, t_pnode, "node_pointer");
    gcc_jit_global_set_initializer_rvalue(pointer, address(t_pnode, &N));
    function("through", t_long, NULL, &b, NULL);
    gcc_jit_block_end_with_return(b, NULL, field(gcc_jit_lvalue_as_rvalue(pointer), f_b));

    f = function("pick", t_long, t_int, &b, &x);
    gcc_jit_block *yes = gcc_jit_function_new_block(f, "yes"), *no = gcc_jit_function_new_block(f, "no");
    gcc_jit_block_end_with_conditional(
        b, NULL, gcc_jit_context_new_comparison(ctx, NULL, GCC_JIT_COMPARISON_NE, x, gcc_jit_context_zero(ctx, t_int)),
        yes, no);
    gcc_jit_block_end_with_return(yes, NULL, field(heap, f_b));
    gcc_jit_block_end_with_return(no, NULL, field(n, f_b));
}

/* The build-id of the loaded object that an address lies in, as hexadecimal digits; empty if it has none. */
struct build_id {
    uintptr_t address;
    char digits[2 * 64 + 1];
};

static int find_build_id(struct dl_phdr_info *info, size_t size, void *data) {
    struct build_id *wanted = data;
    int inside = 0;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        inside |= p->p_type == PT_LOAD && wanted->address - (info->dlpi_addr + p->p_vaddr) < p->p_memsz;
    }
    if (!inside)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_NOTE)
            continue;
        const char *at = (const char *)(info->dlpi_addr + p->p_vaddr), *end = at + p->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            const ElfW(Nhdr) *note = (const void *)at;
            const unsigned char *bytes = (const void *)(at + sizeof *note + ((note->n_namesz + 3) & ~3u));
            if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && note->n_descsz <= 64)
                for (unsigned k = 0; k < note->n_descsz; k++)
                    sprintf(wanted->digits + 2 * k, "%02x", bytes[k]);
            at = (const char *)bytes + ((note->n_descsz + 3) & ~3u);
        }
    }
    return 1;
}

static void write_mappings(FILE *out) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096], *separator = "";
    fprintf(out, "  \"mappings\": [");
    while (maps && fgets(line, sizeof line, maps)) {
        uintptr_t start, end, offset;
        char perms[5], path[4096] = "";
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %" SCNxPTR " %*s %*s %4095[^\n]", &start, &end, perms, &offset,
                   path) < 4)
            continue;
        fprintf(out, "%s\n    {\"start\": \"0x%" PRIxPTR "\", \"end\": \"0x%" PRIxPTR "\", \"perms\": \"%s\"", separator,
                start, end, perms);
        struct build_id id = {start, ""};
        if (path[0] == '/') {
            dl_iterate_phdr(find_build_id, &id);
            fprintf(out, ", \"offset\": \"0x%" PRIxPTR "\"", offset);
        }
        if (path[0])
            fprintf(out, ", \"path\": \"%s\"", path);
        if (id.digits[0])
            fprintf(out, ", \"build_id\": \"%s\"", id.digits);
        fprintf(out, "}");
        separator = ",";
    }
    if (maps)
        fclose(maps);
    fprintf(out, "\n  ],\n");
}

static void write_map(const char *path) {
    FILE *out = fopen(path, "w");
    if (!out) {
        perror(path);
        exit(1);
    }
    fprintf(out, "{\n  \"relocfix\": 1,\n  \"machine\": \"x86_64\",\n");
    write_mappings(out);
    /* `labs` is not listed: libc's symbol table has it. `cos` is an indirect function, and what the session
       called is an implementation without a name. */
    fprintf(out, "  \"symbols\": [\n");
    fprintf(out, "    {\"address\": \"%p\", \"name\": \"hostfn\"},\n", (void *)hostfn);
    fprintf(out, "    {\"address\": \"%p\", \"name\": \"counter\", \"size\": %zu},\n", (void *)&counter, sizeof counter);
    fprintf(out, "    {\"address\": \"%p\", \"name\": \"table\", \"size\": %zu},\n", (void *)table, sizeof table);
    fprintf(out, "    {\"address\": \"%p\", \"name\": \"N\", \"size\": %zu},\n", (void *)&N, sizeof N);
    fprintf(out, "    {\"address\": \"%p\", \"name\": \"cos\", \"library\": \"libm.so.6\"}\n  ],\n",
            (void *)(double (*)(double))cos);
    fprintf(out, "  \"values\": [\n    {\"name\": \"block\", \"address\": \"%p\", \"size\": %zu, \"init\": {\"bytes\": \"",
            (void *)block, sizeof *block);
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const void *)block;
    for (size_t i = 0; i < sizeof *block; i += 3) {
        unsigned long left = sizeof *block - i, group = bytes[i] << 16;
        group |= left > 1 ? bytes[i + 1] << 8 : 0;
        group |= left > 2 ? bytes[i + 2] : 0;
        fprintf(out, "%c%c%c%c", digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
                left > 2 ? digits[group & 63] : '=');
    }
    fprintf(out, "\", \"writable\": true}}\n  ],\n");
    /* The loop of `strided` and `sum` counts in table + 8 i: at -O2 gcc keeps its start or end as address >> 3. */
    fprintf(out, "  \"constants\": [\n    {\"constant\": \"0x%" PRIxPTR "\", \"init\": {\"shr\": [{\"symbol\": \"table\"}, 3]}}\n  ]\n}\n",
            (uintptr_t)table >> 3);
    fclose(out);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    block = malloc(sizeof *block);
    *block = (struct node){11, 22, NULL, 33};
    ctx = gcc_jit_context_acquire();
    gcc_jit_context_set_int_option(ctx, GCC_JIT_INT_OPTION_OPTIMIZATION_LEVEL, atoi(argv[1]));
    build();
    gcc_jit_result *result = gcc_jit_context_compile(ctx);
    if (!result)
        return 1;
#define FIND(TYPE, NAME, ARGUMENTS) TYPE(*NAME) ARGUMENTS = (TYPE(*) ARGUMENTS)gcc_jit_result_get_code(result, #NAME);
    FUNCTIONS(FIND)
    gcc_jit_context_compile_to_file(ctx, GCC_JIT_OUTPUT_KIND_OBJECT_FILE, argv[2]);
    write_map(argv[3]);
    ANSWERS();
    gcc_jit_context_release(ctx);
    return 0;
}
