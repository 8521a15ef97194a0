# Addresses in a file without any symbol are found by its build-id, here in the program itself and in its library, which
# are given that one: what lies there is what every such file begins with.
#: options --private anchor
#: libs -Wl,--build-id=0x00112233445566778899aabbccddeeff
#: map {"mappings": [{"start": "0x7f1234000000", "end": "0x7f1234002000", "perms": "r-xp", "path": "/nowhere/libx.so",
#: map  "build_id": "00112233445566778899aabbccddeeff"}],
#: map  "globals": [{"symbol": "magic", "init": {"load": {"address": "0x7f1234000000"}}}],
#: map  "values": [{"name": "twice", "address": "0x7f2234000000", "size": 1, "init": {"add": [{"address": "0x7f1234000001"}, 1]}}]}
#: place .text file libx.so+0 slot
#: place .text file libx.so+1 thunk
#: place .text value twice+0 slot
#: place .text file libx.so+3 slot
#: place .text.once file libx.so+2 slot
#: place .data file libx.so+2 init
#: global magic+0 init
#: calls 1
#: oracle no
#: driver
#: | #include <stdio.h>
#: | void letters(char *to);
#: | char once(void);
#: | char store(char);
#: | extern char *word;
#: | extern unsigned long magic;
#: | int main(void) {
#: |     char text[5] = "";
#: |     letters(text);
#: |     printf("%x %s %c %c %x\n", text[0], text + 1, once(), *word, (unsigned)magic);
#: | }
#: stdout 7f ELF L L 464c457f
        .text
        .globl  letters
        .type   letters, @function
letters: movabs $SESSION(libx.so), %rax
        mov     (%rax), %cl
        mov     %cl, (%rdi)
        movabs  SESSION(libx.so)+1, %al
        mov     %al, 1(%rdi)
        movabs  $SESSION(twice), %rax
        mov     (%rax), %cl
        mov     %cl, 2(%rdi)
        movabs  $SESSION(libx.so)+3, %rax
        mov     (%rax), %cl
        mov     %cl, 3(%rdi)
        ret
        .size   letters, . - letters
        .section .text.once, "axG", @progbits, once, comdat
        .weak   once
        .type   once, @function
once:   movabs  $SESSION(libx.so)+2, %rax
        movzbl  (%rax), %eax
        ret
        .size   once, . - once
        .data
        .globl  word
        .balign 8
        .type   word, @object
word:   .quad   SESSION(libx.so)+2
        .size   word, 8
        .bss
        .globl  magic
        .balign 8
        .type   magic, @object
magic:  .zero   8
        .size   magic, 8
