/* A program that knows addresses: functions of libc and libm, half of them indirect, variables, vtables, its own.

       knower

   prints a line `NAME ADDRESS` for each, then `ready`, and waits for the end of its input; `knower crash` ends by
   SIGABRT then. Names here are what the source calls things: what a linker calls them is for others to find. */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

long own_variable = 3;
long own_table[16];
__attribute__((noinline)) long own_function(long x) { return x + own_variable; }

/* libstdc++'s, as C++ mangles them. */
extern char vtable_of_exception[] __asm__("_ZTVSt9exception");
extern char vtable_of_bad_alloc[] __asm__("_ZTVSt9bad_alloc");
extern char typeinfo_of_int[] __asm__("_ZTIi");

#define FUNCTIONS(F)                                                                                                    \
    F(memcpy) F(memmove) F(memset) F(memcmp) F(memchr) F(memrchr) F(mempcpy) F(strlen) F(strnlen) F(strchr) F(strrchr)  \
    F(strcmp) F(strncmp) F(strcasecmp) F(strcpy) F(strncpy) F(strcat) F(strstr) F(strspn) F(strcspn) F(strpbrk)         \
    F(wcslen) F(wmemset) F(time) F(gettimeofday)                                                                        \
    F(puts) F(malloc) F(free) F(calloc) F(qsort) F(bsearch) F(getenv) F(atoi) F(strtol) F(snprintf) F(isalpha)          \
    F(fputs) F(abort) F(getpid) F(strdup) F(rand_r) F(labs) F(llabs)

/* Of libm by type: `sin` alone may be the compiler's. */
#define MATH(F)                                                                                                         \
    F(sin) F(cos) F(tan) F(atan) F(floor) F(ceil) F(rint) F(trunc) F(exp) F(log) F(sqrt) F(cbrt) F(fabs) F(log2) F(sinh)

int main(int argc, char **argv) {
#define SHOW(NAME) printf("%s %p\n", #NAME, (void *)NAME);
#define SHOW_MATH(NAME) printf("%s %p\n", #NAME, (void *)(double (*)(double))NAME);
    FUNCTIONS(SHOW)
    MATH(SHOW_MATH)
    printf("stdout %p\nstderr %p\nenviron %p\nsigabbrev %p\n", (void *)&stdout, (void *)&stderr, (void *)&environ,
           (void *)sigabbrev_np);
    printf("vtable %p\nvtable+16 %p\ntypeinfo %p\n", (void *)vtable_of_exception, (void *)(vtable_of_bad_alloc + 16),
           (void *)typeinfo_of_int);
    printf("own_function %p\nown_variable %p\nown_table+8 %p\n", (void *)own_function, (void *)&own_variable,
           (void *)&own_table[1]);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    if (argc > 1 && !strcmp(argv[1], "crash"))
        abort();
    return 0;
}
