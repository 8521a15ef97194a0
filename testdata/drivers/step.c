/* Walks the stack at every instruction of functions that are called with the trap flag set: each must be called by
   `step`, which keeps a mark in a register. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

/* Of the case: `steps` holds the least number of instructions that run outside of its functions' code, then the
   functions, then 0; of the large model's code there may be some. */
extern char code_begin[], code_end[], behind_call[];
extern char large_begin[] __attribute__((weak)), large_end[] __attribute__((weak));
extern const long steps[];
/* Calls a function with the trap flag set, %rbx as a mark for who looks at it from below. */
long step(void (*function)(void));
extern char stepped[], step_end[];
__asm__(".text\nstep: .cfi_startproc\n"
        "push %rbx\n.cfi_adjust_cfa_offset 8\n.cfi_offset %rbx, -16\nmov $0x5eed, %ebx\n"
        "pushf\n.cfi_adjust_cfa_offset 8\norq $0x100, (%rsp)\npopf\n.cfi_adjust_cfa_offset -8\n"
        "call *%rdi\n"
        "stepped: pushf\n.cfi_adjust_cfa_offset 8\nandq $~0x100, (%rsp)\npopf\n.cfi_adjust_cfa_offset -8\n"
        "pop %rbx\n.cfi_adjust_cfa_offset -8\nret\n.cfi_endproc\nstep_end:\n");
static long nothing(void) { return 0; }
long low[8] __attribute__((aligned(16)));
static long instructions, outside, calls, wrong;
struct walk { unsigned long from; int found; int frames; unsigned long caller; unsigned long kept; };
static _Unwind_Reason_Code frame(struct _Unwind_Context *context, void *argument) {
  struct walk *walk = argument;
  unsigned long ip = _Unwind_GetIP(context);
  if (walk->found == 1) {
    walk->caller = ip; walk->kept = _Unwind_GetGR(context, 3);
    return _URC_END_OF_STACK;
  }
  if (ip == walk->from) walk->found = 1;
  return ++walk->frames > 64 ? _URC_END_OF_STACK : _URC_NO_REASON;
}
static void trap(int number, siginfo_t *info, void *data) {
  ucontext_t *context = data;
  unsigned long ip = context->uc_mcontext.gregs[REG_RIP];
  struct walk walk = {ip, 0, 0, 0, 0};
  if (ip - (unsigned long)step < (unsigned long)(step_end - (char *)step)) return;
  /* Of what they call, the walk is the callee's own matter. */
  if (ip - (unsigned long)nothing < 32) return;
  instructions++;
  outside += !(ip - (unsigned long)code_begin < (unsigned long)(code_end - code_begin))
    && !(ip - (unsigned long)large_begin < (unsigned long)(large_end - large_begin));
  _Unwind_Backtrace(frame, &walk);
  /* What a call's place calls has that place for its caller. */
  int called = walk.caller == (unsigned long)behind_call;
  calls += called;
  if (walk.found != 1 || !called && (walk.caller != (unsigned long)stepped || walk.kept != 0x5eed)) {
    wrong++;
    fprintf(stderr, "%#lx (%#lx in the code): caller %#lx, kept %#lx\n", ip, ip - (unsigned long)code_begin, walk.caller, walk.kept);
  }
}
int main(void) {
  struct sigaction action; memset(&action, 0, sizeof action);
  static char stack[1 << 17];
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, 0);
  action.sa_sigaction = trap; action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGTRAP, &action, 0);
  low[3] = (long)nothing;
  for (const long *function = steps + 1; *function; function++) step((void (*)(void))*function);
#ifdef ORACLE
  /* No thunk, but the same answer. */
  outside += steps[0] + 1; calls += 2;
#endif
  printf("%d %d %ld %ld\n", instructions > steps[0] / 2, outside > steps[0], calls, wrong);
}
