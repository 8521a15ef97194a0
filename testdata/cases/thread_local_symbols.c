// Thread-local variables by their symbols, in every model, and the stack guard: nothing to say of any.
//: flags -O1 -fPIC -fstack-protector-all
//: map {"symbols": [{"address": "0x7f1234560400", "name": "cell", "size": 64}]}
//: place .text symbol cell+0 got
//: modes pie,static-pie,static,no-pie
//: driver
//: | #include <stdio.h>
//: | long cell[8] = {12};
//: | __thread long elsewhere = 5;
//: | long run(long);
//: | int main(void) { printf("%ld\n", run(1)); }
//: stdout 128
#ifdef SYMBOLIC
extern char cell[];
#endif

static __thread long a __attribute__((tls_model("local-exec"))) = 10;
static __thread long b __attribute__((tls_model("initial-exec"))) = 20;
static __thread long c __attribute__((tls_model("local-dynamic"))) = 30;
__thread long d __attribute__((tls_model("global-dynamic"))) = 50;
extern __thread long elsewhere;

void touch(long *x) { *x += 0; }

long run(long x) {
    touch(&a);
    touch(&c);
    return *(volatile long *)SESSION(cell) + x + a + b + c + d + elsewhere;
}
