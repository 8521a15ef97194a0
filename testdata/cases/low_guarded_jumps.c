// Jumps through memory below 2 GiB where returns must match calls: the address comes through %r11, which belongs to nobody
// on the way to a function.
//: map {"mappings": [{"start": "0x400000", "end": "0x500000", "perms": "rw-p"}],
//: map  "symbols": [{"address": "0x404040", "name": "hook", "size": 8}, {"address": "0x404080", "name": "hooks", "size": 32}]}
//: flags -O2 -fno-pic -fcf-protection=full
//: thunks 2
//: place .text symbol hook+0 thunk
//: place .text symbol hooks+0 thunk
//: driver
//: | #include <stdio.h>
//: | static long twice(long x) { return 2 * x; }
//: | static long thrice(long x) { return 3 * x; }
//: | long (*hook)(long) = twice, (*hooks[4])(long) = {twice, thrice};
//: | long tail(long), one_of(long, long);
//: | int main(void) { printf("%ld %ld %ld\n", tail(4), one_of(5, 0), one_of(5, 1)); }
//: stdout 10 12 18
#ifdef SYMBOLIC
extern char hook[], hooks[];
#endif
#define HOOK (*(long (**)(long))SESSION(hook))
#define HOOKS ((long (**)(long))SESSION(hooks))
long tail(long x) { return HOOK(x + 1); }
long one_of(long x, long i) { return HOOKS[i](x + 1); }
