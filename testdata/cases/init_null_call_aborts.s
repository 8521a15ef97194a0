# A null pointer where none was allowed: the program ends, and says what was missing.
#: map {"globals": [{"symbol": "wanted", "init": {"call": "nothing_made"}}]}
#: place none
#: global wanted+0 init
#: driver
#: | void *empty_variable;
#: | void *nothing_made(void) { return 0; }
#: | extern void *wanted;
#: | int main(void) { return wanted == 0; }
#: aborts wanted
        .bss
        .globl  wanted
        .balign 8
        .type   wanted, @object
wanted: .zero   8
        .size   wanted, 8
