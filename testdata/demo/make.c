/* A program that compiles two functions for itself with libgccjit, and writes down what it put into them.

       make OUT.o OUT.session.json */
#include <libgccjit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static gcc_jit_rvalue *address(gcc_jit_context *ctx, gcc_jit_type *type, const void *p) {
    return gcc_jit_context_new_rvalue_from_ptr(ctx, type, (void *)p);
}

/* The mapping that an address lies in, as the session map has it. */
static void mapping(FILE *out, const void *wanted, const char *end) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096], perms[5], path[4096];
    unsigned long start, stop, offset;
    while (maps && fgets(line, sizeof line, maps)) {
        path[0] = 0;
        if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %4095s", &start, &stop, perms, &offset, path) >= 4 &&
            start <= (unsigned long)wanted && (unsigned long)wanted < stop)
            fprintf(out,
                    "    {\"start\": \"0x%lx\", \"end\": \"0x%lx\", \"offset\": \"0x%lx\", \"perms\": \"%s\", \"path\": "
                    "\"%s\"}%s\n",
                    start, stop, offset, perms, path, end);
    }
    if (maps)
        fclose(maps);
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    /* Of this process: a text on its heap, libc's stream for standard output, and two functions of libc. */
    const char *greeting = strdup("hello from another process\n");

    gcc_jit_context *ctx = gcc_jit_context_acquire();
    gcc_jit_type *t_int = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_INT);
    gcc_jit_type *t_long = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_LONG);
    gcc_jit_type *t_ptr = gcc_jit_context_get_type(ctx, GCC_JIT_TYPE_VOID_PTR);
    gcc_jit_context_set_int_option(ctx, GCC_JIT_INT_OPTION_OPTIMIZATION_LEVEL, 2);

    /* int greet(void) { return fputs(greeting, stdout); } */
    gcc_jit_function *greet =
        gcc_jit_context_new_function(ctx, NULL, GCC_JIT_FUNCTION_EXPORTED, t_int, "greet", 0, NULL, 0);
    gcc_jit_type *t_fputs =
        gcc_jit_context_new_function_ptr_type(ctx, NULL, t_int, 2, (gcc_jit_type *[]){t_ptr, t_ptr}, 0);
    gcc_jit_block_end_with_return(
        gcc_jit_function_new_block(greet, NULL), NULL,
        gcc_jit_context_new_call_through_ptr(
            ctx, NULL, address(ctx, t_fputs, (void *)fputs), 2,
            (gcc_jit_rvalue *[]){address(ctx, t_ptr, greeting), address(ctx, t_ptr, stdout)}));

    /* long distance(long a, long b) { return labs(a - b); } */
    gcc_jit_param *a = gcc_jit_context_new_param(ctx, NULL, t_long, "a");
    gcc_jit_param *b = gcc_jit_context_new_param(ctx, NULL, t_long, "b");
    gcc_jit_function *distance = gcc_jit_context_new_function(ctx, NULL, GCC_JIT_FUNCTION_EXPORTED, t_long, "distance",
                                                              2, (gcc_jit_param *[]){a, b}, 0);
    gcc_jit_rvalue *difference = gcc_jit_context_new_binary_op(
        ctx, NULL, GCC_JIT_BINARY_OP_MINUS, t_long, gcc_jit_param_as_rvalue(a), gcc_jit_param_as_rvalue(b));
    gcc_jit_type *t_labs = gcc_jit_context_new_function_ptr_type(ctx, NULL, t_long, 1, &t_long, 0);
    gcc_jit_block_end_with_return(
        gcc_jit_function_new_block(distance, NULL), NULL,
        gcc_jit_context_new_call_through_ptr(ctx, NULL, address(ctx, t_labs, (void *)labs), 1, &difference));

    gcc_jit_context_compile_to_file(ctx, GCC_JIT_OUTPUT_KIND_OBJECT_FILE, argv[1]);
    gcc_jit_context_release(ctx);

    FILE *out = fopen(argv[2], "w");
    if (!out)
        return 1;
    fprintf(out, "{\n  \"relocfix\": 1,\n  \"machine\": \"x86_64\",\n  \"mappings\": [\n");
    mapping(out, (void *)fputs, ",");
    mapping(out, stdout, ",");
    mapping(out, greeting, "");
    fprintf(out, "  ],\n  \"symbols\": [\n");
    fprintf(out, "    {\"address\": \"%p\", \"name\": \"fputs\", \"library\": \"libc.so.6\"},\n", (void *)fputs);
    fprintf(out, "    {\"address\": \"%p\", \"name\": \"labs\", \"library\": \"libc.so.6\"}\n", (void *)labs);
    fprintf(out, "  ],\n  \"values\": [\n");
    fprintf(out,
            "    {\"name\": \"greeting\", \"address\": \"%p\", \"size\": %zu, \"init\": {\"string\": \"hello from "
            "another process\\n\"}},\n",
            (void *)greeting, strlen(greeting) + 1);
    fprintf(out,
            "    {\"name\": \"output\", \"address\": \"%p\", \"init\": {\"load\": {\"symbol\": \"stdout\"}}}\n  ]\n}\n",
            (void *)stdout);
    return fclose(out) != 0;
}
