/* Calls the two functions of demo.o. */
#include <stdio.h>

int greet(void);
long distance(long, long);

int main(void) {
    greet();
    printf("%ld\n", distance(2, 44));
    return 0;
}
