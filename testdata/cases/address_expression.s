# An expression can ask the map itself what an address is.
#: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}],
#: map  "globals": [{"symbol": "pointer", "init": {"address": "0x7f1234560408"}}]}
#: global pointer+0 relocation
#: place none
#: calls 0
#: driver
#: | #include <stdio.h>
#: | char cell[64];
#: | extern char *pointer;
#: | int main(void) { printf("%d\n", (int)(pointer - cell)); }
#: stdout 8
        .data
        .globl  pointer
        .balign 8
        .type   pointer, @object
pointer:
        .quad   0
        .size   pointer, 8
