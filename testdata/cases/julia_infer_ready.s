# Who has variables filled by their names has them filled when Julia runs and knows the thread, and with the collector off,
# also if the session map says nothing of that.
#: map {"globals": [{"symbol": "jl_sym#named#9", "init": {"symbol": "cell"}}]}
#: options --infer julia
#: place none
#: global jl_sym#foo#2+0 init
#: global jl_sym#named#9+0 relocation
#: calls 5
#: oracle no
#: driver
#: | #include <stdio.h>
#: | #include <string.h>
#: | char cell[16];
#: | static int runs, thread, collects = 1, made_while;
#: | int relocfix_init(void);
#: | int jl_is_initialized(void) { return runs; }
#: | void *jl_get_pgcstack(void) { return thread ? &thread : 0; }
#: | int jl_gc_enable(int on) { int was = collects; collects = on; return was; }
#: | const char *jl_symbol(const char *name) { made_while = collects; return strdup(name); }
#: | const char *foo(void), *named(void);
#: | int main(void) {
#: |     int left = relocfix_init();
#: |     printf("%d %d ", left, foo() == 0);
#: |     runs = 1;
#: |     left = relocfix_init();
#: |     printf("%d %d ", left, foo() == 0);
#: |     thread = 1;
#: |     left = relocfix_init();
#: |     printf("%d %s %d%d ", left, foo(), made_while, collects);
#: |     printf("%d\n", named() == cell);
#: | }
#: stdout 1 1 1 1 0 foo 01 1
        .bss
        .balign 8
        .type   "jl_sym#foo#2", @object
"jl_sym#foo#2": .zero 8
        .size   "jl_sym#foo#2", 8
        .data
        .balign 8
        .type   "jl_sym#named#9", @object
"jl_sym#named#9": .quad 0
        .size   "jl_sym#named#9", 8
        .text
        .globl  foo, named
        .type   foo, @function
foo:    mov     "jl_sym#foo#2"(%rip), %rax
        ret
        .size   foo, . - foo
        .type   named, @function
named:  mov     "jl_sym#named#9"(%rip), %rax
        ret
        .size   named, . - named
