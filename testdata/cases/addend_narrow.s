# Addresses in the addends of relocations of 32 bits: as if they stood in the instructions.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}],
#: map  "values": [{"name": "text", "address": "0x404100", "size": 8, "init": {"string": "value"}}]}
#: thunks 5
#: place .text symbol low+0 thunk
#: place .text symbol low+8 thunk
#: place .text symbol low+16 thunk
#: place .text symbol low+0 got
#: place .text symbol low+24 thunk
#: place .text value text+0 thunk
#: oracle no
#: driver
#: | #include <stdio.h>
#: | long low[8] = {1, 2, 30, 4};
#: | long *address(void), load(void), indexed(long), *wide(void), is(void *);
#: | const char *text(void);
#: | int main(void) {
#: |   printf("%d %ld %ld %d ", address() == low, load(), indexed(1), wide() == low);
#: |   printf("%ld%ld %s\n", is(low + 3), is(low), text());
#: | }
#: stdout 1 2 4 1 10 value
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function address
        .reloc  .+1, R_X86_64_32, SESSION(low)
        mov     $0, %eax
        ret
        end address
        function load
        .reloc  .+4, R_X86_64_32S, SESSION(low)+8
        mov     0, %rax
        ret
        end load
        function indexed
        .reloc  .+4, R_X86_64_32S, SESSION(low)+16
        mov     0(,%rdi,8), %rax
        ret
        end indexed
        function wide
        .reloc  .+3, R_X86_64_32S, SESSION(low)
        .byte   0x48, 0xc7, 0xc0, 0, 0, 0, 0
        ret
        end wide
        function is
        xor     %eax, %eax
        .reloc  .+3, R_X86_64_32S, SESSION(low)+24
        .byte   0x48, 0x81, 0xff, 0, 0, 0, 0
        sete    %al
        ret
        end is
        function text
        .reloc  .+1, R_X86_64_32, SESSION(text)
        mov     $0, %eax
        ret
        end text
