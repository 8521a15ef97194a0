# Empty variables of Julia whose names say which symbol they hold: in .bss, .data, common and undefined, plain and mangled.
#: map {"globals": [{"symbol": "jl_global#1", "init": {"symbol": "cell"}},
#: map              {"symbol": "jl_sym#mapped#9", "init": {"symbol": "cell", "offset": 8}}],
#: map  "ready": [{"symbol": "cell"}]}
#: options --infer julia
#: place none
#: global jl_global#1+0 relocation
#: global jl_symYY.push_firstNOT.YY.3+0 init
#: global jl_sym#mapped#9+0 relocation
#: global jl_sym#foo#2+0 init
#: global jl_sym###s#12#4+0 init
#: global jl_sym#common#5+0 init
#: global jl_sym#elsewhere#6+0 init
#: calls 5
#: oracle no
#: driver
#: | #include <stdio.h>
#: | #include <string.h>
#: | char cell[16];
#: | int relocfix_init(void);
#: | const char *jl_symbol(const char *name) { return strdup(name); }
#: | extern long itself;
#: | const char *get(int);
#: | int main(void) {
#: |     int left = relocfix_init();
#: |     for (int i = 0; i < 5; i++) printf("%s ", get(i));
#: |     printf("%d %d %ld\n", get(5) == cell, get(6) == cell + 8, itself);
#: |     return left;
#: | }
#: stdout foo push_first! ##s#12 common elsewhere 1 1 0
        .data
        .balign 8
        .type   "jl_global#1", @object
"jl_global#1": .quad 0
        .size   "jl_global#1", 8
        .type   "jl_symYY.push_firstNOT.YY.3", @object
        .globl  "jl_symYY.push_firstNOT.YY.3"
"jl_symYY.push_firstNOT.YY.3": .quad 0
        .size   "jl_symYY.push_firstNOT.YY.3", 8
        .type   "jl_sym#mapped#9", @object
"jl_sym#mapped#9": .quad 0
        .size   "jl_sym#mapped#9", 8
        .bss
        .balign 8
        .type   "jl_sym#foo#2", @object
        .hidden "jl_sym#foo#2"
        .globl  "jl_sym#foo#2"
"jl_sym#foo#2": .zero 8
        .size   "jl_sym#foo#2", 8
        .type   "jl_sym###s#12#4", @object
"jl_sym###s#12#4": .zero 8
        .size   "jl_sym###s#12#4", 8
# These fill themselves.
        .globl  itself
        .type   itself, @object
        .type   "ccall_puts_7", @object
        .type   "ccalllib_libm_8", @object
        .type   "jlplt_memset_9", @object
itself:
"ccall_puts_7":
"ccalllib_libm_8":
"jlplt_memset_9": .zero 8
        .size   itself, 8
        .comm   "jl_sym#common#5", 8, 8
        .text
        .globl  get
        .type   get, @function
get:    lea     table(%rip), %rax
        movslq  %edi, %rdi
        mov     (%rax,%rdi,8), %rax
        mov     (%rax), %rax
        ret
        .size   get, . - get
        .section .data.rel.ro, "aw"
        .balign 8
table:  .quad   "jl_sym#foo#2", "jl_symYY.push_firstNOT.YY.3", "jl_sym###s#12#4", "jl_sym#common#5"
        .quad   "jl_sym#elsewhere#6", "jl_global#1", "jl_sym#mapped#9"
