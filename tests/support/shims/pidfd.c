/* pidfd_open(2) fails, as on a kernel that does not have it, while the file that
   FAULT names exists. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...) {
    const char *fault = getenv("FAULT");
    if (number == SYS_pidfd_open && fault && access(fault, F_OK) == 0) {
        errno = ENOSYS;
        return -1;
    }
    long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    long words[6];
    va_list rest;
    va_start(rest, number);
    for (int at = 0; at < 6; at++)
        words[at] = va_arg(rest, long);
    va_end(rest);
    return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
