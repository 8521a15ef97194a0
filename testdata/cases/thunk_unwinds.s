# A handler that walks the stack at every instruction on the way through thunks finds the same callers as outside: the
# place in the function, then the function that called it.
#: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
#: map  "symbols": [{"address": "0x404040", "name": "low", "size": 64}, {"address": "0x404080", "name": "own", "size": 64},
#: map              {"address": "0x4040c0", "name": "back", "size": 64}]}
#: place .text symbol low+0 thunk
#: place .text symbol own+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol own+0 thunk
#: place .text symbol low+8 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+16 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+0 thunk
#: place .text symbol low+24 thunk
#: thunks 14
#: driver
#: | #define _GNU_SOURCE
#: | #include <signal.h>
#: | #include <stdio.h>
#: | #include <stdlib.h>
#: | #include <string.h>
#: | #include <ucontext.h>
#: | #include <unwind.h>
#: | void no_frame(void), with_frame(void), with_pushes(void), aligned_frame(void);
#: | long step(void (*function)(void));
#: | extern char code_begin[], code_end[], stepped[], behind_call[];
#: | static long nothing(void) { return 0; }
#: | long low[8] __attribute__((aligned(16)));
#: | static long instructions, outside, calls, wrong;
#: | struct walk { unsigned long from; int found; int frames; unsigned long caller; unsigned long kept; };
#: | static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *argument) {
#: |   struct walk *walk = argument;
#: |   unsigned long ip = _Unwind_GetIP(context);
#: |   if (walk->found == 1) {
#: |     walk->caller = ip; walk->kept = _Unwind_GetGR(context, 3);
#: |     return _URC_END_OF_STACK;
#: |   }
#: |   if (ip == walk->from) walk->found = 1;
#: |   return ++walk->frames > 64 ? _URC_END_OF_STACK : _URC_NO_REASON;
#: | }
#: | static void trap(int number, siginfo_t *info, void *data) {
#: |   ucontext_t *context = data;
#: |   unsigned long ip = context->uc_mcontext.gregs[REG_RIP];
#: |   struct walk walk = {ip, 0, 0, 0, 0};
#: |   if (ip - (unsigned long)step < (unsigned long)(code_begin - (char *)step)) return;
#: |   /* Of what they call, the walk is the callee's own matter. */
#: |   if (ip - (unsigned long)nothing < 32) return;
#: |   instructions++;
#: |   outside += !(ip - (unsigned long)code_begin < (unsigned long)(code_end - code_begin));
#: |   _Unwind_Backtrace(frame, &walk);
#: |   /* What a call's place calls has that place for its caller. */
#: |   int called = walk.caller == (unsigned long)behind_call;
#: |   calls += called;
#: |   if (walk.found != 1 || !called && (walk.caller != (unsigned long)stepped || walk.kept != 0x5eed)) {
#: |     wrong++;
#: |     fprintf(stderr, "%#lx (%#lx in the code): caller %#lx, kept %#lx\n", ip, ip - (unsigned long)code_begin, walk.caller, walk.kept);
#: |   }
#: | }
#: | int main(void) {
#: |   struct sigaction action; memset(&action, 0, sizeof action);
#: |   static char stack[1 << 17];
#: |   stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
#: |   sigaltstack(&alternate, 0);
#: |   action.sa_sigaction = trap; action.sa_flags = SA_SIGINFO | SA_ONSTACK;
#: |   sigaction(SIGTRAP, &action, 0);
#: |   low[3] = (long)nothing;
#: |   step(no_frame); step(with_frame); step(with_pushes); step(aligned_frame);
#: | #ifdef ORACLE
#: |   /* No thunk, but the same answer. */
#: |   outside += 61; calls += 2;
#: | #endif
#: |   printf("%d %d %ld %ld\n", instructions > 30, outside > 60, calls, wrong);
#: | }
#: stdout 1 1 2 0
        .globl  code_begin, code_end, stepped, behind_call
        # Linkers warn of what is shared and has no type or size.
        .irp    label code_begin, code_end, stepped, behind_call
        .type   \label, @function
        .size   \label, 1
        .endr
        .macro  function name
        .globl  \name
        .type   \name, @function
\name:  .cfi_startproc
        .endm
        .macro  end name
        .cfi_endproc
        .size   \name, . - \name
        .endm

        # Calls a function with the trap flag set, %rbx as a mark for who looks at it from below.
        function step
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rbx, -16
        mov     $0x5eed, %ebx
        pushf
        .cfi_adjust_cfa_offset 8
        orq     $0x100, (%rsp)
        popf
        .cfi_adjust_cfa_offset -8
        call    *%rdi
stepped: pushf
        .cfi_adjust_cfa_offset 8
        andq    $~0x100, (%rsp)
        popf
        .cfi_adjust_cfa_offset -8
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        ret
        end step

code_begin:
        # The frame counts from the stack pointer.
        function no_frame
        movq    $SESSION(low), -8(%rsp)
        movq    $SESSION(own), -8(%rsp)
        mov     $SESSION(low), %eax
        mov     (%rax), %rcx
        cmp     $SESSION(own), %rcx
        mov     SESSION(low)+8, %rax
        ret
        end no_frame

        # From the frame pointer.
        function with_frame
        push    %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset %rbp, -16
        mov     %rsp, %rbp
        .cfi_def_cfa_register %rbp
        push    %rbx
        .cfi_offset %rbx, -24
        mov     $1, %ebx
        sub     $8, %rsp
        cmp     $SESSION(low), %rbx
        push    $SESSION(low)
        push    $SESSION(low)
        add     $24, %rsp
        pop     %rbx
        .cfi_restore %rbx
        pop     %rbp
        .cfi_def_cfa %rsp, 8
        ret
        end with_frame

        # The stack pointer moves at the place itself, and a call comes back.
        function with_pushes
        push    %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_offset %rbx, -16
        xor     %ebx, %ebx
        add     %rax, SESSION(low)+16
        push    $SESSION(low)
        .cfi_adjust_cfa_offset 8
        pop     %rax
        .cfi_adjust_cfa_offset -8
        lea     SESSION(low)(,%rbx,8), %rax
        call    *SESSION(low)+24
behind_call:
        pop     %rbx
        .cfi_adjust_cfa_offset -8
        .cfi_restore %rbx
        ret
        end with_pushes

        # As gcc aligns a stack: the frame's address lies in memory.
        function aligned_frame
        lea     8(%rsp), %r10
        .cfi_def_cfa %r10, 0
        mov     %rax, SESSION(low)
        and     $-32, %rsp
        push    -8(%r10)
        push    %rbp
        mov     %rsp, %rbp
        # DW_CFA_expression: %rbp lies at %rbp+0.
        .cfi_escape 0x10, 0x6, 0x2, 0x76, 0
        push    %r10
        # DW_CFA_def_cfa_expression: what %rbp-8 holds.
        .cfi_escape 0xf, 0x3, 0x76, 0x78, 0x6
        add     SESSION(low), %rax
        pop     %r10
        .cfi_def_cfa %r10, 0
        pop     %rbp
        .cfi_restore %rbp
        lea     -8(%r10), %rsp
        .cfi_def_cfa %rsp, 8
        ret
        end aligned_frame
code_end:
        nop

        .bss
        .balign 16
        .local  own
own:    .zero   64
