# The initializer runs before the constructors of the link, those with a priority included.
#: map {"globals": [{"symbol": "filled", "init": {"call": "make"}}]}
#: place none
#: driver
#: | #include <stdio.h>
#: | static long made = 3;
#: | static int early, ordinary;
#: | long *make(void) { return &made; }
#: | extern long *filled;
#: | __attribute__((constructor(102))) static void first(void) { early = filled == &made; }
#: | __attribute__((constructor)) static void second(void) { ordinary = filled == &made; }
#: | int main(void) { printf("%d %d\n", early, ordinary); }
#: stdout 1 1
        .bss
        .globl  filled
        .balign 8
        .type   filled, @object
filled: .zero   8
        .size   filled, 8
