/* A process that compiles with libgccjit and holds what it has compiled.

       gccjit_process

   compiles `square`, keeps the address that it got of it, and compiles `caller` with that address, libraries' and its
   own in it. Both are also written as objects, square.o and caller.o. Prints a line `NAME ADDRESS` for each address,
   then `ready`, and waits for the end of its input. */
#include <libgccjit.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

long own_table[4] = {1, 2, 3, 4};

static gcc_jit_context *ctx;
static gcc_jit_type *t_long, *t_double;
static gcc_jit_block *body;

static gcc_jit_rvalue *function(const char *name) {
    ctx = gcc_jit_context_acquire();
    t_long = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_LONG);
    t_double = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_DOUBLE);
    gcc_jit_param *x = gcc_jit_context_new_param(ctx, NULL, t_long, "x");
    body = gcc_jit_function_new_block(
        gcc_jit_context_new_function(ctx, NULL, GCC_JIT_FUNCTION_EXPORTED, t_long, name, 1, &x, 0), "entry");
    return gcc_jit_param_as_rvalue(x);
}

static gcc_jit_rvalue *binary(enum gcc_jit_binary_op op, gcc_jit_rvalue *a, gcc_jit_rvalue *b) {
    return gcc_jit_context_new_binary_op(ctx, NULL, op, t_long, a, b);
}

static gcc_jit_rvalue *call(gcc_jit_type *type, const void *callee, gcc_jit_rvalue *argument) {
    gcc_jit_type *pointer = gcc_jit_context_new_function_ptr_type(ctx, NULL, type, 1, &type, 0);
    gcc_jit_rvalue *address = gcc_jit_context_new_rvalue_from_ptr(ctx, pointer, (void *)(uintptr_t)callee);
    return gcc_jit_context_new_call_through_ptr(ctx, NULL, address, 1, &argument);
}

/* Writes the function as an object, and loads it. */
static void *finish(const char *name, const char *object, gcc_jit_rvalue *result) {
    gcc_jit_block_end_with_return(body, NULL, result);
    gcc_jit_context_compile_to_file(ctx, GCC_JIT_OUTPUT_KIND_OBJECT_FILE, object);
    gcc_jit_result *compiled = gcc_jit_context_compile(ctx);
    gcc_jit_context_release(ctx);
    return compiled ? gcc_jit_result_get_code(compiled, name) : NULL;
}

int main(void) {
    gcc_jit_rvalue *x = function("square");
    void *square = finish("square", "square.o", binary(GCC_JIT_BINARY_OP_MULT, x, x));

    x = function("caller");
    gcc_jit_rvalue *cosine = call(t_double, (double (*)(double))cos, gcc_jit_context_new_cast(ctx, NULL, x, t_double));
    gcc_jit_rvalue *table =
        gcc_jit_context_new_rvalue_from_ptr(ctx, gcc_jit_type_get_pointer(t_long), own_table);
    gcc_jit_lvalue *element = gcc_jit_context_new_array_access(
        ctx, NULL, table, gcc_jit_context_new_rvalue_from_long(ctx, t_long, 2));
    gcc_jit_rvalue *sum = binary(GCC_JIT_BINARY_OP_PLUS, call(t_long, square, call(t_long, labs, x)),
                                 gcc_jit_context_new_cast(ctx, NULL, cosine, t_long));
    void *caller = finish("caller", "caller.o",
                          binary(GCC_JIT_BINARY_OP_PLUS, sum, gcc_jit_lvalue_as_rvalue(element)));
    if (!square || !caller)
        return 1;
    printf("square %p\ncaller %p\nlabs %p\ncos %p\nown_table %p\nready\n", square, caller, (void *)labs,
           (void *)(double (*)(double))cos, (void *)own_table);
    fflush(stdout);
    return getchar() == 0;
}
