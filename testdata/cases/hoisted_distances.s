# LLVM's constant hoisting, and gcc's reload, reach one object from the address of another. A witness in which they moved by different
# distances shows that; each instruction then takes the distance from a slot, wherever both are in the new process.
#: map {"mappings": [{"start": "0x7f1234560000", "end": "0x7f1234570000", "perms": "rw-p"},
#: map              {"start": "0x7f1244560000", "end": "0x7f1244570000", "perms": "rw-p"},
#: map              {"start": "0x7f5091560000", "end": "0x7f5091570000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x7f1234560400", "name": "table", "size": 16, "align": 16},
#: map              {"address": "0x7f1244560840", "name": "other", "size": 64, "align": 16},
#: map              {"address": "0x7f12445609c0", "name": "add_one", "size": 0}, {"address": "0x7f5091560480", "name": "far", "size": 16}],
#: map  "values": [{"name": "heap", "address": "0x7f1244560a00", "size": 16, "init": {"call": "make"}}]}
#: witness
#: oracle no
#: place .text symbol table+0 got
#: place .text expression other - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression other + 8 - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression other - table+0 thunk
#: place .text symbol table+8 slot
#: place .text expression other - 8 - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression other - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression other - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression far - table+0 slot
#: place .text symbol far+0 got
#: place .text expression table - far+0 slot
#: place .text symbol table+0 got
#: place .text expression other + 16 - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression other + 32 - table+0 thunk
#: place .text expression other + 48 - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression other + 24 - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression add_one - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression heap + 8 - table+0 thunk
#: place .text symbol table+0 got
#: place .text expression other + 64 - table+0 thunk
#: place .text symbol other+16 slot
#: place .text expression other + 16 - table+0 thunk
#: place .text symbol other+0 got
#: place .text expression table - 24 - other+0 thunk
#: driver
#: | #include <stdint.h>
#: | #include <stdio.h>
#: | long table[2] = {5}, far[2] = {70, 71};
#: | static long heap[2] = {80, 81};
#: | long *make(void) { return heap; }
#: | __attribute__((aligned(16))) long other[8] = {10, 11, 12, 100, 14, 15, 16, 17};
#: | static long plus_one(long x) { return x + 1; }
#: | long (*add_one)(long) = plus_one;
#: | long load(void), store(long), indexed(long), *address(void), *sum(void), *through(void), wide(void), *wide_back(void);
#: | long flags(long), exchange(long), call(long), of_heap(void), *past(void);
#: | long *back(void), from_three(long);
#: | void vectors(void);
#: | int main(void) {
#: |   printf("%ld %ld ", load(), store(42)); printf("%ld\n", other[1]);
#: |   printf("%ld %d %d %d\n", indexed(3), address() == other, sum() == other, through() == other);
#: |   printf("%ld %d %ld %ld\n", wide(), wide_back() == table, flags(12), flags(13));
#: |   vectors(); printf("%ld %ld\n", other[6], other[7]);
#: |   printf("%ld ", exchange(5)); printf("%ld %ld %ld %d\n", other[3], call(6), of_heap(), past() == other + 8);
#: |   printf("%d %ld\n", back() == table, from_three(3));
#: | }
#: stdout 10 42 42
#: stdout 100 1 1 1
#: stdout 71 1 1 0
#: stdout 28 30
#: stdout 100 105 7 81 1
#: stdout 1 5
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        function load
        movabs  $SESSION(table), %rax
        mov     SESSION(other)-SESSION(table)(%rax), %rax
        ret
        end load
        # With a base that takes longer forms.
        function store
        mov     %r13, -16(%rsp)
        movabs  $SESSION(table), %r13
        mov     %rdi, SESSION(other)+8-SESSION(table)(%r13)
        mov     -16(%rsp), %r13
        mov     %rdi, %rax
        ret
        end store
        function indexed
        movabs  $SESSION(table), %rcx
        mov     SESSION(other)-SESSION(table)(%rcx,%rdi,8), %rax
        ret
        end indexed
        function address
        movabs  $SESSION(table)+8, %rdx
        lea     SESSION(other)-SESSION(table)-8(%rdx), %rax
        ret
        end address
        function sum
        movabs  $SESSION(table), %rax
        add     $SESSION(other)-SESSION(table), %rax
        ret
        end sum
        function through
        movabs  $SESSION(table), %rax
        mov     $SESSION(other)-SESSION(table), %ecx
        add     %rcx, %rax
        ret
        end through
        # Farther than 2 GiB, and backwards.
        function wide
        movabs  $SESSION(table), %rax
        movabs  $SESSION(far)-SESSION(table), %rcx
        mov     8(%rax,%rcx), %rax
        ret
        end wide
        function wide_back
        movabs  $SESSION(far), %rax
        movabs  $SESSION(table)-SESSION(far), %rcx
        add     %rcx, %rax
        ret
        end wide_back
        function flags
        movabs  $SESSION(table), %r8
        xor     %eax, %eax
        cmp     %rdi, SESSION(other)+16-SESSION(table)(%r8)
        sete    %al
        ret
        end flags
        function vectors
        movabs  $SESSION(table), %rsi
        movaps  SESSION(other)+32-SESSION(table)(%rsi), %xmm0
        paddq   %xmm0, %xmm0
        movaps  %xmm0, SESSION(other)+48-SESSION(table)(%rsi)
        ret
        end vectors
        function exchange
        mov     %rdi, %rax
        movabs  $SESSION(table), %rdi
        lock xadd %rax, SESSION(other)+24-SESSION(table)(%rdi)
        ret
        end exchange
        function call
        push    %rbp
        .cfi_adjust_cfa_offset 8
        movabs  $SESSION(table), %rbp
        call    *SESSION(add_one)-SESSION(table)(%rbp)
        pop     %rbp
        .cfi_adjust_cfa_offset -8
        ret
        end call
        function of_heap
        movabs  $SESSION(table), %rax
        mov     SESSION(heap)+8-SESSION(table)(%rax), %rax
        ret
        end of_heap
        function past
        movabs  $SESSION(table), %rax
        lea     SESSION(other)+64-SESSION(table)(%rax), %rax
        ret
        end past
        # As gcc makes one constant from what a register holds of another, and of an index that does not begin at 0.
        function back
        movabs  $SESSION(other)+16, %rax
        sub     $SESSION(other)+16-SESSION(table), %rax
        ret
        end back
        function from_three
        movabs  $SESSION(other), %rax
        lea     SESSION(table)-24-SESSION(other)(%rax), %rax
        mov     (%rax,%rdi,8), %rax
        ret
        end from_three
