/* Loaded by LD_PRELOAD, so that a small merge has a middle: puts files of a result in place slowly, WKFAST_SLOW ms each.
   The task of an array that is named by WKFAST_GREEDY takes 400 MB instead, and goes on; "all" is every process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_greedy(void) {
    const char *named = getenv("WKFAST_GREEDY"), *task = getenv("SLURM_ARRAY_TASK_ID");
    return named && (!strcmp(named, "all") || (task && !strcmp(named, task)));
}

static void take(size_t bytes) {
    void *taken = malloc(bytes);
    if (taken) memset(taken, 1, bytes);
    /* Slurm looks once a second. */
    sleep(5);
}

int rename(const char *from, const char *to) {
    size_t length = strlen(to);
    if (length > 4 && !strcmp(to + length - 4, ".wkw") && !strstr(to, "header")) {
        const char *wanted = getenv("WKFAST_SLOW");
        usleep((wanted ? atoi(wanted) : 700) * 1000);
        if (is_greedy()) take(400 << 20);
    }
    return ((int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename"))(from, to);
}
