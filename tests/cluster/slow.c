/* Puts files of a result in place slowly, so that a small merge has a middle: WKFAST_SLOW ms each. Loaded by LD_PRELOAD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int rename(const char *from, const char *to) {
    size_t length = strlen(to);
    if (length > 4 && !strcmp(to + length - 4, ".wkw") && !strstr(to, "header")) {
        const char *wanted = getenv("WKFAST_SLOW");
        usleep((wanted ? atoi(wanted) : 700) * 1000);
    }
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}
