# What an instruction has beside an address in an immediate: another address in a displacement, of something that only the
# initializer knows, or in an addend; or a relocation that stays what it is and goes with the instruction.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "cell", "size": 64}, {"address": "0x4040c0", "name": "other", "size": 64}],
#: map  "values": [{"name": "text", "address": "0x404100", "size": 8, "init": {"string": "value"}},
#: map             {"name": "block", "address": "0x404200", "size": 64, "init": {"call": "find"}}]}
#: thunks 9
#: place .text symbol cell+16 thunk
#: place .text value text+0 thunk
#: place .text value block+8 thunk
#: place .text symbol other+0 thunk
#: place .text value block+16 thunk
#: place .text value text+0 thunk
#: place .text symbol cell+8 thunk
#: place .text symbol other+0 thunk
#: place .text symbol cell+24 thunk
#: place .text value text+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol other+0 thunk
#: place .text symbol other+0 thunk
# A shared library cannot count from the thread pointer like that.
#: modes pie,static-pie,static,no-pie
#: driver
#: | #include <stdio.h>
#: | char *cell[8], *made[8], other[64];
#: | char **find(void) { return made; }
#: | void all(void);
#: | long in_table(void), in_own(void), in_text(void);
#: | char *own_word(void), *of_thread(void);
#: | int main(void) {
#: |   all();
#: |   printf("%s %d %s\n", cell[2], made[1] == other, made[2]);
#: |   printf("%d %s\n", cell[1] == other, cell[3]);
#: |   printf("%ld %d %d %ld\n", in_table(), own_word() == other, of_thread() == other, in_text());
#: | }
#: stdout value 1 value
#: stdout 1 value
#: stdout 1 1 1 0
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function all
        movq    $SESSION(text), SESSION(cell)+16
        movq    $SESSION(other), SESSION(block)+8
        movq    $SESSION(text), SESSION(block)+16
        # movq  $SESSION(other), cell+8(%rip)
        .reloc  .+3, R_X86_64_PC32, SESSION(cell)+8-8
        .byte   0x48, 0xc7, 0x05, 0, 0, 0, 0
        .long   SESSION(other)
        # movq  $SESSION(text), cell+24(%rip)
        .reloc  .+3, R_X86_64_PC32, SESSION(cell)+24-8
        .byte   0x48, 0xc7, 0x05, 0, 0, 0, 0
        .long   SESSION(text)
        ret
        end all
        function in_table
        xor     %eax, %eax
        cmpq    $SESSION(other), other@GOTPCREL(%rip)
        sete    %al
        ret
        end in_table
        function own_word
        movq    $SESSION(other), own+8(%rip)
        mov     own+8(%rip), %rax
        ret
        end own_word
        function of_thread
        movq    $SESSION(other), %fs:word@tpoff
        mov     %fs:word@tpoff, %rax
        ret
        end of_thread
        # Among the code, without a relocation; and one right before, of another instruction.
        function in_text
        xor     %eax, %eax
        cmpq    $SESSION(other), 1f(%rip)
        sete    %al
        ret
        end in_text
        .balign 8
1:      .quad   7

        .data
        .balign 8
        .local  own
own:    .zero   64
        .section .tbss, "awT", @nobits
        .balign 8
        .local  word
word:   .zero   8
