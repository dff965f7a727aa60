/* While the file that FAULT names is there, sendfile() fails with the number in
   it; if that is EIO, so does pread(). */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "fault.h"

ssize_t sendfile64(int to, int from, off64_t *offset, size_t count) {
    int error = (int)fault();
    if (error == 0)
        return syscall(SYS_sendfile, to, from, offset, count);
    errno = error;
    return -1;
}

ssize_t sendfile(int to, int from, off_t *offset, size_t count) {
    return sendfile64(to, from, (off64_t *)offset, count);
}

ssize_t pread64(int fd, void *into, size_t count, off64_t offset) {
    if (fault() != EIO)
        return syscall(SYS_pread64, fd, into, count, offset);
    errno = EIO;
    return -1;
}

ssize_t pread(int fd, void *into, size_t count, off_t offset) {
    return pread64(fd, into, count, (off64_t)offset);
}
