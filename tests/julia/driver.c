// Starts the real runtime and calls what was compiled for another process.
// driver SCENARIO LIBJULIA IMAGE LIBRARY...
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *find(void *handle, const char *name) {
    void *symbol = dlsym(handle, name);
    if (!symbol) { printf("no %s\n", name); exit(3); }
    return symbol;
}
static void *open_library(const char *path) {
    void *handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!handle) { puts(dlerror()); exit(3); }
    return handle;
}
#define JULIA(name) find(RTLD_DEFAULT, #name)
#define CALL(type, name, ...) ((type(*)())JULIA(name))(__VA_ARGS__)
#define VARIABLE(name) (*(void **)JULIA(name))

static void *libraries[8];
static int count;
/// A function of the first library that has it.
static void *code(const char *name) {
    for (int i = 0; i < count; i++) {
        void *symbol = dlsym(libraries[i], name);
        if (symbol) return symbol;
    }
    return 0;
}
#define RUN(type, name, ...) ((type(*)())code(#name))(__VA_ARGS__)

static int initialize(void) {
    int left = 0;
    for (int i = 0; i < count; i++) {
        int (*init)(void) = dlsym(libraries[i], "relocfix_init");
        if (init) left += init();
    }
    return left;
}

static void *symbol(const char *name) { return CALL(void *, jl_symbol, name); }
static int wrong;
static void check(int good, const char *what) {
    if (!good) { printf("wrong: %s\n", what); wrong++; }
}

static void *tuple(void) {
    void *reference = CALL(void *, jl_apply_type1, VARIABLE(jl_ref_type), VARIABLE(jl_float64_type));
    void *one = CALL(void *, jl_box_int64, (int64_t)1);
    void *vector = CALL(void *, jl_apply_type2, VARIABLE(jl_array_type), reference, one);
    void *parameters[2] = {vector, VARIABLE(jl_int64_type)};
    return CALL(void *, jl_apply_tuple_type_v, parameters, (size_t)2);
}

static void check_all(void) {
    check(RUN(int64_t, julia_increment, (int64_t)41) == 42, "increment");
    check(CALL(int64_t, jl_unbox_int64, RUN(void *, julia_box, (int64_t)1 << 40)) == (int64_t)1 << 40, "box");
    check(RUN(void *, julia_symbol) == symbol("asymbol"), "symbol");
    check(RUN(int8_t, julia_is_symbol, symbol("asymbol")) == 1, "is symbol");
    check(RUN(int8_t, julia_is_symbol, symbol("another")) == 0, "is another symbol");
    check(!strcmp(CALL(const char *, jl_string_ptr, RUN(void *, julia_string)), "gr\u00fc\u00dfe"), "string");
    check(RUN(int64_t, julia_closure, (int64_t)11) == 123456789023, "closure");
    check(CALL(int, jl_types_equal, RUN(void *, julia_tuple), tuple()) && RUN(void *, julia_tuple) == tuple(), "tuple");
    check(RUN(void *, julia_module) == VARIABLE(jl_main_module), "module");
    check(RUN(void *, julia_binding) ==
          CALL(void *, jl_get_module_binding, VARIABLE(jl_main_module), symbol("relocfix_binding"), 1), "binding");
    check(RUN(void *, julia_nothing) == VARIABLE(jl_nothing), "nothing");
    check(RUN(int64_t, julia_ccall, (int64_t)-5) + RUN(int64_t, julia_ccall, (int64_t)-6) == 11, "ccall");
    if (code("julia_text")) check(RUN(int8_t, julia_text) == 'g', "text");
    if (code("julia_is_vector")) {
        check(RUN(int8_t, julia_is_vector, CALL(void *, jl_alloc_vec_any, (size_t)1)) == 1, "vector");
        check(RUN(int8_t, julia_is_vector, VARIABLE(jl_main_module)) == 0, "no vector");
    }
    if (code("julia_read")) {
        for (int hit = 0; hit < 2; hit++) {
            RUN(void, julia_mutate, symbol(hit ? "hit" : "other"));
            check(RUN(void *, julia_read) == symbol(hit ? "hit" : "miss"), hit ? "read hit" : "read miss");
        }
    }
}

/// Four full collections, and a million objects to lie where a lost one lay.
static void collect(void) {
    int64_t sum = 0;
    for (int round = 0; round < 4; round++) {
        CALL(void, jl_gc_collect, 1);
        for (int64_t i = 0; i < 250000; i++) sum += *(int64_t *)CALL(void *, jl_box_int64, i + ((int64_t)1 << 41));
    }
    check(sum > 0, "allocations");
}

static void start(const char *image) {
    void *handle = open_library(image);
    CALL(void, jl_init_with_image_handle, handle);
}

static void *unknown(void *left) {
    *(int *)left = initialize();
    return 0;
}
static void *known(void *left) {
    CALL(void *, jl_adopt_thread);
    *(int *)left = initialize();
    check(RUN(void *, julia_symbol) == symbol("asymbol"), "symbol in a thread");
    return 0;
}

int main(int arguments, char **argument) {
    setbuf(stdout, 0);
    const char *scenario = argument[1], *image = argument[3];
    open_library(argument[2]);
    int late = !strcmp(scenario, "late");
    if (late) start(image);
    for (int i = 4; i < arguments; i++) libraries[count++] = open_library(argument[i]);
    if (late) {
        // Everything was ready: there is nothing left to do.
        check_all();
        check(initialize() == 0, "late initialization");
    } else {
        int left = initialize();
        printf("%d left\n", left);
        check(!RUN(void *, julia_symbol), "early symbol");
        start(image);
        pthread_t threads[6];
        int answers[6], known_threads = !strcmp(scenario, "threads") ? 6 : 1;
        if (strcmp(scenario, "early")) {
            pthread_create(&threads[0], 0, unknown, &answers[0]);
            pthread_join(threads[0], 0);
            check(answers[0] == left, "a thread that Julia does not know");
            for (int i = 0; i < known_threads; i++) pthread_create(&threads[i], 0, known, &answers[i]);
            // A collection must not wait for this thread, which waits for others.
            int8_t state = CALL(int8_t, jl_gc_safe_enter);
            for (int i = 0; i < known_threads; i++) {
                pthread_join(threads[i], 0);
                check(answers[i] == 0, "a thread that Julia knows");
            }
            CALL(void, jl_gc_safe_leave, state);
        } else {
            check(initialize() == 0, "initialization");
        }
        check(initialize() == 0, "initialization again");
    }
    check_all();
    collect();
    check_all();
    puts(wrong ? "wrong" : "right");
    return wrong != 0;
}
