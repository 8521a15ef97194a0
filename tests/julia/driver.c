// Starts the real runtime and calls what was compiled for another process.
// driver SCENARIO LIBJULIA IMAGE LIBRARY... where `-` is the driver itself
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
/// The object whose functions RUN calls: of a library, the one with that number.
static int library, variant;
static void *code_of(const char *name, int number) {
    char whole[64];
    snprintf(whole, sizeof whole, "%s_%d", name, number);
    return dlsym(libraries[library], whole);
}
static void *code(const char *name) { return code_of(name, variant); }
#define RUN(type, name, ...) ((type(*)())code(#name))(__VA_ARGS__)
enum { VARIANTS = 100 };
/// All objects of all libraries that have that function.
#define EACH(name) \
    for (library = 0; library < count; library++) \
        for (variant = 0; variant < VARIANTS; variant++) \
            if (code(#name))

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
    if (!good) { printf("wrong: %s of %d in library %d\n", what, variant, library); wrong++; }
}

static void *tuple(void) {
    void *reference = CALL(void *, jl_apply_type1, VARIABLE(jl_ref_type), VARIABLE(jl_float64_type));
    void *one = CALL(void *, jl_box_int64, (int64_t)1);
    void *vector = CALL(void *, jl_apply_type2, VARIABLE(jl_array_type), reference, one);
    void *parameters[2] = {vector, VARIABLE(jl_int64_type)};
    return CALL(void *, jl_apply_tuple_type_v, parameters, (size_t)2);
}

static void check_object(void) {
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
}

/// What every reader of a library finds.
static void check_readers(int of, const char *name) {
    EACH(julia_read)
        if (library == of) check(RUN(void *, julia_read) == symbol(name), name);
}

static void check_all(void) {
    EACH(julia_symbol) check_object();
    EACH(julia_empty) check(RUN(int64_t, julia_empty) == 0, "no variable is empty");
    EACH(julia_choice) check(RUN(void *, julia_choice) == symbol("choice"), "choice");
    EACH(julia_named) check(RUN(void *, julia_named) == symbol(RUN(const char *, julia_spelled)), "name");
    EACH(julia_word) check(RUN(void *, julia_word) == VARIABLE(jl_nothing), "word");
    EACH(julia_pointer) {
        void **boxed = RUN(void **, julia_pointer);
        check(boxed[-1] == VARIABLE(jl_voidpointer_type) && boxed[0] == (void *)42, "pointer");
    }
    // What one object of a library writes all of it read, and no other library.
    EACH(julia_mutate) {
        int writer = library, number = variant;
        RUN(void, julia_mutate, symbol("hit"));
        for (int other = 0; other < count; other++) check_readers(other, other == writer ? "hit" : "miss");
        library = writer, variant = number;
        RUN(void, julia_mutate, symbol("other"));
        check_readers(writer, "miss");
        library = writer, variant = number;
    }
}

/// What is right at any time.
static void check_plain(void) {
    EACH(julia_plain) check(!strcmp(RUN(const char *, julia_plain), "plain"), "plain");
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

/// A user's constants. `Base.RefValue` is not in this image, so here it is again:
/// `mutable struct RefValue{T} <: Ref{T}; x::T; end`.
static void define(void) {
    void *none = VARIABLE(jl_emptysvec), *main = VARIABLE(jl_main_module);
    void *variable = CALL(void *, jl_new_typevar, symbol("T"), VARIABLE(jl_bottom_type), VARIABLE(jl_any_type));
    void *parameters = CALL(void *, jl_svec1, variable), *names = CALL(void *, jl_svec1, symbol("x"));
    void *super = CALL(void *, jl_apply_type1, VARIABLE(jl_ref_type), variable);
    void *type = CALL(void *, jl_new_datatype, symbol("RefValue"), main, super, parameters, names, parameters, none, 0, 1, 0);
    // A type's first word is its name, which knows the type before it is applied.
    CALL(void, jl_set_const, main, symbol("RefValue"), CALL(void *, jl_get_field, *(void **)type, "wrapper"));
}

static void start(const char *image) {
    void *handle = open_library(image);
    CALL(void, jl_init_with_image_handle, handle);
    int collects = CALL(int, jl_gc_enable, 0);
    define();
    CALL(int, jl_gc_enable, collects);
}

static void *unknown(void *left) {
    *(int *)left = initialize();
    return 0;
}
static void *(*first)(void);
static void *known(void *left) {
    CALL(void *, jl_adopt_thread);
    *(int *)left = initialize();
    check(first() == symbol("asymbol"), "symbol in a thread");
    return 0;
}

static void *opened(void *paths) {
    for (char **path = paths; *path; path++)
        libraries[count++] = strcmp(*path, "-") ? open_library(*path) : dlopen(0, RTLD_NOW);
    return 0;
}

/// Libraries that a thread loads which Julia does not know, although it is started.
static void foreign(const char *image, char **paths) {
    pthread_t thread;
    start(image);
    int8_t state = CALL(int8_t, jl_gc_safe_enter);
    pthread_create(&thread, 0, opened, paths);
    pthread_join(thread, 0);
    CALL(void, jl_gc_safe_leave, state);
    EACH(julia_symbol) check(!RUN(void *, julia_symbol), "a symbol that a foreign thread made");
    check(initialize() == 0, "initialization behind a foreign thread");
}

int main(int arguments, char **argument) {
    setbuf(stdout, 0);
    const char *scenario = argument[1], *image = argument[3];
    open_library(argument[2]);
    int late = !strcmp(scenario, "late");
    int is_foreign = !strcmp(scenario, "foreign");
    if (late) start(image);
    if (is_foreign) foreign(image, argument + 4);
    else opened(argument + 4);
    check_plain();
    if (is_foreign) {
        // Here all is done as well.
    } else if (late) {
        // Everything was ready: there is nothing left to do.
        check_all();
        check(initialize() == 0, "late initialization");
    } else {
        int left = initialize();
        printf("%d left\n", left);
        EACH(julia_symbol) {
            first = code("julia_symbol");
            check(!first(), "early symbol");
        }
        EACH(julia_empty) check(RUN(int64_t, julia_empty) > 1, "all variables are empty");
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
    check_plain();
    puts(wrong ? "wrong" : "right");
    return wrong != 0;
}
