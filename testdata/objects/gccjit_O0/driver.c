/* What the map names, and what the functions of in.o make of it. */
#include <stdio.h>
#include <string.h>

long counter = 10, table[64];
struct node { long a, b, c, d; } N = {1, 2, 4, 8};
long hostfn(long x) { return x - 100; }

long callfn(long), bump(void), look(long), fields(void), statfields(void), sum(long), last(void);
double callcos(double);
int iseq(void *);
void store2(void **);
extern long gslot;

int main(void) {
    void *pair[2];
    for (long i = 0; i < 64; i++)
        table[i] = i * i;
    printf("callfn %ld\n", callfn(58));
    printf("callcos %.17g\n", callcos(0.5));
    printf("bump %ld\n", bump());
    printf("bump %ld\n", bump());
    printf("counter %ld\n", counter);
    printf("look %ld\n", look(7));
    printf("fields %lx\n", fields());
    printf("statfields %ld\n", statfields());
    printf("iseq %d %d\n", iseq(&N), iseq(table));
    store2(pair);
    printf("store2 %x %d\n", *(unsigned char *)pair[0], pair[1] == &N);
    printf("sum %ld\n", sum(64));
    printf("last %ld\n", last());
    printf("gslot %ld\n", gslot);
    return 0;
}
