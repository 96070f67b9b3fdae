// LD_PRELOAD: a disk that fails. While the file at EIO_FLAG exists, it names what fails on files whose path
// has EIO_PATH in it: "read", "write", "sync", each with EIO; with "full", writes fail with ENOSPC.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* By system calls of its own, so that it does not meet itself. */
static int failing(int fd, const char *what) {
  const char *flag = getenv("EIO_FLAG"), *part = getenv("EIO_PATH");
  if (!flag || !part) return 0;
  int file = syscall(SYS_openat, AT_FDCWD, flag, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char words[128] = {0}, link[64], path[4096] = {0};
  syscall(SYS_read, file, words, sizeof words - 1);
  syscall(SYS_close, file);
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  if (readlink(link, path, sizeof path - 1) < 0 || !strstr(path, part)) return 0;
  int full = !strcmp(what, "write") && strstr(words, "full");
  if (!full && !strstr(words, what)) return 0;
  errno = full ? ENOSPC : EIO;
  return 1;
}

#define INSTEAD(type, name, what, parameters, arguments)                  \
  type name parameters {                                                  \
    static type(*real) parameters;                                        \
    if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name);         \
    int before = errno;                                                   \
    if (failing(fd, what)) return -1;                                     \
    errno = before;                                                       \
    return real arguments;                                                \
  }

INSTEAD(ssize_t, read, "read", (int fd, void *to, size_t size), (fd, to, size))
INSTEAD(ssize_t, pread, "read", (int fd, void *to, size_t size, off_t at), (fd, to, size, at))
INSTEAD(ssize_t, pread64, "read", (int fd, void *to, size_t size, off64_t at), (fd, to, size, at))
INSTEAD(ssize_t, write, "write", (int fd, const void *from, size_t size), (fd, from, size))
INSTEAD(ssize_t, pwrite, "write", (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
INSTEAD(ssize_t, pwrite64, "write", (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
INSTEAD(int, ftruncate64, "write", (int fd, off64_t size), (fd, size))
INSTEAD(int, fsync, "sync", (int fd), (fd))
INSTEAD(int, fdatasync, "sync", (int fd), (fd))
