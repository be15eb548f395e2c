/* Makes the nth call of a kind fail with an error of the system: only calls on files below one folder, only while armed.
 *
 * Names that are looked up from an open folder are opened and removed as asked for: so whole folders go, and what cannot
 * be removed cannot be tidied up.
 * Compiled by the tests with `cc -shared -fPIC` and loaded by LD_PRELOAD. Calls that go past libc are not seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static char kind[32], root[4096];
static atomic_long left, seen, failed;
static atomic_int fault, armed;

/* From now on the call number `number` (from 1) of `call` on a file below `folder` fails with `error`. */
void wkfast_fault_arm(const char *call, const char *folder, int error, long number) {
    snprintf(kind, sizeof kind, "%s", call);
    snprintf(root, sizeof root, "%s", folder);
    atomic_store(&left, number);
    atomic_store(&fault, error);
    atomic_store(&seen, 0);
    atomic_store(&failed, 0);
    atomic_store(&armed, 1);
}

void wkfast_fault_disarm(void) { atomic_store(&armed, 0); }

/* Calls of that kind since it was armed, and how many were made to fail. */
long wkfast_fault_seen(void) { return atomic_load(&seen); }
long wkfast_fault_failed(void) { return atomic_load(&failed); }

/* Whether a path that is looked up from an open folder lies below ours: folders are held open, and named by their number. */
static int is_ours(int folder, const char *path) {
    char link[64], whole[8192];
    int end = 0;
    if (sscanf(path, "/proc/self/fd/%d%n", &folder, &end) == 1) path += end;
    else if (*path == '/') return !strncmp(path, root, strlen(root));
    if (folder == AT_FDCWD) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, sizeof whole - 1);
    return length >= 0 && !strncmp(whole, root, strlen(root));
}

static int fails_in(const char *call, int folder, const char *path) {
    if (!atomic_load(&armed) || strcmp(call, kind) || !is_ours(folder, path)) return 0;
    atomic_fetch_add(&seen, 1);
    if (atomic_fetch_sub(&left, 1) != 1) return 0;
    atomic_fetch_add(&failed, 1);
    errno = atomic_load(&fault);
    return 1;
}

static int fails(const char *call, const char *path) { return fails_in(call, AT_FDCWD, path); }

static int fails_at(const char *call, int file) {
    char link[64], path[4096];
    if (!atomic_load(&armed) || strcmp(call, kind)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t count) {
    return fails_at("write", file) ? -1 : NEXT(write)(file, bytes, count);
}
ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    return fails_at("pwrite", file) ? -1 : NEXT(pwrite)(file, bytes, count, at);
}
ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    return fails_at("pwrite", file) ? -1 : NEXT(pwrite64)(file, bytes, count, at);
}
int fsync(int file) { return fails_at("fsync", file) ? -1 : NEXT(fsync)(file); }
int fdatasync(int file) { return fails_at("fsync", file) ? -1 : NEXT(fdatasync)(file); }
int ftruncate(int file, off_t size) { return fails_at("ftruncate", file) ? -1 : NEXT(ftruncate)(file, size); }
int ftruncate64(int file, off64_t size) { return fails_at("ftruncate", file) ? -1 : NEXT(ftruncate64)(file, size); }
int rename(const char *from, const char *to) { return fails("rename", to) ? -1 : NEXT(rename)(from, to); }
int renameat(int from, const char *old, int to, const char *new) {
    return fails_in("rename", to, new) ? -1 : NEXT(renameat)(from, old, to, new);
}
int mkdirat(int folder, const char *path, mode_t mode) {
    return fails_in("mkdir", folder, path) ? -1 : NEXT(mkdirat)(folder, path, mode);
}
int mkdir(const char *path, mode_t mode) { return fails("mkdir", path) ? -1 : NEXT(mkdir)(path, mode); }
int unlink(const char *path) { return fails("unlink", path) ? -1 : NEXT(unlink)(path); }
ssize_t copy_file_range(int from, off64_t *at, int to, off64_t *there, size_t count, unsigned flags) {
    return fails_at("copy_file_range", to) ? -1 : NEXT(copy_file_range)(from, at, to, there, count, flags);
}
void *mmap(void *address, size_t size, int protection, int flags, int file, off_t at) {
    return file >= 0 && fails_at("mmap", file) ? MAP_FAILED : NEXT(mmap)(address, size, protection, flags, file, at);
}
void *mmap64(void *address, size_t size, int protection, int flags, int file, off64_t at) {
    return file >= 0 && fails_at("mmap", file) ? MAP_FAILED : NEXT(mmap64)(address, size, protection, flags, file, at);
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}
#define OPEN(name)                                                       \
    int name(const char *path, int flags, ...) {                         \
        va_list rest;                                                    \
        va_start(rest, flags);                                           \
        mode_t mode = mode_of(flags, rest);                              \
        va_end(rest);                                                    \
        return fails("open", path) ? -1 : NEXT(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)
#define OPENAT(name)                                                             \
    int name(int folder, const char *path, int flags, ...) {                     \
        va_list rest;                                                            \
        va_start(rest, flags);                                                   \
        mode_t mode = mode_of(flags, rest);                                      \
        va_end(rest);                                                            \
        return fails("open", path) ? -1 : NEXT(name)(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)
