/* A program that knows addresses: functions of libc and libm, half of them indirect, variables, vtables, its own.

       knower [OBJECT.o]

   prints a line `NAME ADDRESS` for each, then `ready`, and waits for the end of its input; a first line `crash` ends it
   by SIGABRT. Names here are what the source calls things: what a linker calls them is for others to find. With an
   object it makes code while it runs, and says so to debuggers and profilers as compilers do: OBJECT.o through GDB's
   interface, two functions more in a jitdump file and in a perf map; and starts a thread, which waits. Compiled with
   -DPRIVATE it also knows what a library keeps to itself, which the library tells it. */
#define _GNU_SOURCE
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "jit_interface.h"

long own_variable = 3;
long own_table[16];
__attribute__((noinline)) long own_function(long x) { return x + own_variable; }

#ifdef PRIVATE
void *private_function(void), *private_table(void);
#endif

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


/* mov $number, %eax; ret */
static char *make(int number) {
    unsigned char code[] = {0xb8, number, 0, 0, 0, 0xc3};
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page + 64, code, sizeof code);
    return page + 64;
}

/* Loads the object's code, and registers a copy of the object that knows where. */
static void register_object(const char *path) {
    static struct jit_code_entry entry, empty;
    static char object[1 << 16];
    FILE *file = fopen(path, "r");
    if (!file)
        exit(1);
    entry.size = fread(object, 1, sizeof object, file);
    fclose(file);
    Elf64_Ehdr *header = (void *)object;
    Elf64_Shdr *sections = (void *)(object + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_flags & SHF_EXECINSTR && sections[i].sh_size) {
            char *code = make(0);
            memcpy(code, object + sections[i].sh_offset, sections[i].sh_size);
            sections[i].sh_addr = (uint64_t)code;
            printf("jit_debugger %p\njit_debugger_too %p\n", (void *)code, (void *)(code + 16));
        }
    entry.object = object;
    entry.next = &empty;
    /* An object without code is registered first by some. */
    static Elf64_Ehdr nothing;
    nothing = *header;
    nothing.e_shoff = sizeof nothing, nothing.e_shnum = 0;
    empty.object = (char *)&nothing, empty.size = sizeof nothing;
    __jit_debug_descriptor.first = &entry;
}

/* Linux source, tools/perf/Documentation: jitdump-specification.txt and jit-interface.txt. */
static void tell_profilers(void) {
    char path[64], *first = make(1), *second = make(2);
    snprintf(path, sizeof path, "jit-%d.dump", getpid());
    int file = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
    uint32_t start[] = {0x4a695444, 1, 40, EM_X86_64, 0, getpid(), 0, 0, 0, 0};
    char name[] = "jit_profiler";
    uint32_t head[] = {0, 56 + sizeof name + 6, 0, 0, getpid(), getpid()};
    uint64_t body[] = {(uint64_t)first, (uint64_t)first, 6, 0};
    if (write(file, start, sizeof start) < 0 || write(file, head, sizeof head) < 0 ||
        write(file, body, sizeof body) < 0 || write(file, name, sizeof name) < 0 || write(file, first, 6) < 0)
        exit(1);
    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    printf("jit_profiler %p\n", (void *)first);

    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "w");
    char *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fprintf(map, "%lx 6 jit_map\n%lx 6 of_no_code\n%lx 6 of_no_code\n", (long)second, (long)&own_function, (long)data);
    fclose(map);
    printf("jit_map %p\n", (void *)second);
}

static void *wait_for_nothing(void *nothing) {
    for (;;)
        pause();
    return nothing;
}

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
#ifdef PRIVATE
    printf("private_function %p\nprivate_table %p\n", private_function(), private_table());
#endif
    if (argc > 1) {
        register_object(argv[1]);
        tell_profilers();
        pthread_t thread;
        if (pthread_create(&thread, NULL, wait_for_nothing, NULL))
            return 1;
    }
    puts("ready");
    fflush(stdout);
    char line[16] = "";
    if (fgets(line, sizeof line, stdin) && !strcmp(line, "crash\n"))
        abort();
    return 0;
}
