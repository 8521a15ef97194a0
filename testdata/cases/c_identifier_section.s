# Linkers bound such a section with symbols made of its name.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
#: place my_table+0x0 symbol cell+0 direct
#: place my_table+0x8 symbol cell+16 direct
#: section my_table my_table
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | void **start(void), **stop(void);
#: | int main(void) {
#: |     for (void **p = start(); p < stop(); p++) printf("%d\n", (int)((char *)*p - cell));
#: | }
#: stdout 0
#: stdout 16
        .globl  start, stop
        .hidden __start_my_table, __stop_my_table
        .type   start, @function
        .type   stop, @function
start:  lea     __start_my_table(%rip), %rax
        ret
        .size   start, . - start
stop:   lea     __stop_my_table(%rip), %rax
        ret
        .size   stop, . - stop
        .section my_table, "a", @progbits
        .balign 8
        .quad   SESSION(cell), SESSION(cell)+16
