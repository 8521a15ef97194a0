/* Tells where symbols are, in a process of its own: for each line `LIBRARY NAME` of its input, a line with how many
   bytes from the start of the file that its address lies in, and that file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

int main(void) {
    char library[256], name[256];
    while (scanf("%255s %255s", library, name) == 2) {
        Dl_info info;
        void *handle = dlopen(library, RTLD_NOW), *address = handle ? dlsym(handle, name) : NULL;
        if (!address || !dladdr(address, &info))
            printf("nowhere %s %s\n", library, name);
        else
            printf("%lx %s\n", (unsigned long)((char *)address - (char *)info.dli_fbase), info.dli_fname);
    }
    return 0;
}
