/* Loads a library as a program does that has no Python, or has one (the second argument) that it did not start. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **arguments) {
    if (count > 2 && !dlopen(arguments[2], RTLD_NOW | RTLD_GLOBAL))
        return 2;
    if (dlopen(arguments[1], RTLD_NOW))
        return 0;
    fprintf(stderr, "%s\n", dlerror());
    return 1;
}
