// An object for processors that check where indirect calls lead: what startup code calls begins with a landing pad,
// and so does a stub; linkers that insist on the property find it.
//: flags -O1 -fPIC -fcf-protection=full
//: map {"globals": [{"symbol": "filled", "init": {"call": "make"}}],
//: map  "imports": [{"symbol": "entry", "init": {"load": {"symbol": "entry_pointer"}}}]}
//: place none
//: landing-pads 1
//: driver
//: | #include <stdio.h>
//: | static long made = 4;
//: | long *make(void) { return &made; }
//: | static long hidden(long x) { return x + 1; }
//: | long (*entry_pointer)(long) = hidden;
//: | long run(void);
//: | int main(void) { printf("%ld\n", run()); }
//: stdout 5
long entry(long);
long *filled;

long run(void) { return entry(*filled); }
