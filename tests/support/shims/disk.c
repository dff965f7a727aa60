/* No file without a name can be made (EROFS), or none can be written to
   (ENOSPC), while the file that FAULT names says "none" or "full". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

static int is(const char *fault) {
    const char *name = getenv("FAULT");
    char said[8] = "";
    FILE *file = name ? fopen(name, "r") : NULL;
    if (file) {
        if (!fgets(said, sizeof said, file)) said[0] = 0;
        fclose(file);
    }
    return strncmp(said, fault, 4) == 0;
}

static int fails(int error) {
    errno = error;
    return -1;
}

static int open_by(const char *name, const char *path, int flags, mode_t mode) {
    if ((flags & O_TMPFILE) == O_TMPFILE && is("none")) return fails(EROFS);
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    return real(path, flags, mode);
}

#define OPEN(name)                                     \
    int name(const char *path, int flags, ...) {       \
        va_list rest;                                  \
        va_start(rest, flags);                         \
        mode_t mode = va_arg(rest, mode_t);            \
        va_end(rest);                                  \
        return open_by(#name, path, flags, mode);      \
    }

OPEN(open)
OPEN(open64)

int fallocate(int fd, int mode, off_t offset, off_t length) {
    if (is("full")) return fails(ENOSPC);
    int (*real)(int, int, off_t, off_t) =
        (int (*)(int, int, off_t, off_t))dlsym(RTLD_NEXT, "fallocate");
    return real(fd, mode, offset, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    if (is("full")) return fails(ENOSPC);
    ssize_t (*real)(int, const void *, size_t, off_t) =
        (ssize_t (*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    return real(fd, bytes, count, offset);
}
