/* What the functions of gccjit.c work on, and what is asked of them: the same in the session that builds them and
   in the program that links the rewritten object. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct node {
    long a, b;
    struct node *next;
    long c;
};

/* The session's own things, which the map calls by their names. */
/* Longer than the loops over it run: gcc keeps their end as an address, and one past the table would be the address
   of whatever comes next. */
extern long counter, table[72];
extern struct node N;
extern long hostfn(long);

/* The functions: address in the session, symbol in the linked program. */
#define FUNCTIONS(F)                                                                                                   \
    F(long, callfn, (long))                                                                                            \
    F(double, callcos, (double))                                                                                       \
    F(long, bump, (void))                                                                                              \
    F(long, peek, (void))                                                                                              \
    F(long, look, (long))                                                                                              \
    F(long, heapfields, (void))                                                                                        \
    F(long, statfields, (void))                                                                                        \
    F(int, iseq, (void *))                                                                                             \
    F(void, store2, (void **))                                                                                         \
    F(long, sum, (long))                                                                                               \
    F(long, strided, (void))                                                                                           \
    F(long, last, (void))                                                                                              \
    F(long, through, (void))                                                                                           \
    F(long, pick, (int))

static void fill(void) {
    for (int i = 0; i < 64; i++)
        table[i] = i * i + 1;
    N = (struct node){3, 4, &N, 5};
    counter = 1000;
}

#define ANSWERS()                                                                                                      \
    do {                                                                                                               \
        void *pair[2] = {0, 0};                                                                                        \
        fill();                                                                                                        \
        printf("callfn %ld %ld\n", callfn(5), callfn(-50));                                                            \
        printf("callcos %.17g\n", callcos(0.5));                                                                       \
        printf("bump %ld\n", bump());                                                                                  \
        printf("bump %ld\n", bump());                                                                                  \
        printf("peek %ld %ld\n", peek(), counter);                                                                     \
        printf("look %ld %ld\n", look(0), look(9));                                                                    \
        printf("heapfields %ld\n", heapfields());                                                                      \
        printf("statfields %ld\n", statfields());                                                                      \
        printf("iseq %d %d\n", iseq(&N), iseq(table));                                                                 \
        store2(pair);                                                                                                  \
        printf("store2 %d %ld\n", pair[0] == (void *)&N, ((struct node *)pair[1])->a);                                 \
        printf("sum %ld %ld\n", sum(64), sum(3));                                                                      \
        printf("strided %ld\n", strided());                                                                            \
        printf("last %ld\n", last());                                                                                  \
        printf("through %ld\n", through());                                                                            \
        printf("pick %ld %ld\n", pick(0), pick(1));                                                                    \
    } while (0)
