// Writes to a pipe as Falco does without its webserver: SIGPIPE has its default action, and it opens the pipe for each
// alert, made as a file where it is missing. Run as `falco-writer PATH COUNT GAP_US HOLD_US BYTES KEEP WRITTEN`: COUNT
// numbered alerts of at least BYTES, GAP_US between two of them, HOLD_US between open and write; KEEP 1 opens once. The
// number of alerts that are written and closed is in the first eight bytes of the file WRITTEN.

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int open_pipe(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (fd < 0) {
    perror(path);
    exit(1);
  }
  return fd;
}

int main(int argc, char **argv) {
  if (argc != 8) return 2;
  signal(SIGPIPE, SIG_DFL);
  const char *path = argv[1];
  long count = atol(argv[2]), gap = atol(argv[3]), hold = atol(argv[4]), bytes = atol(argv[5]);
  int keep = atoi(argv[6]), file = open(argv[7], O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, 8)) return 1;
  volatile long *written = mmap(0, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  char *line = malloc(bytes + 256), *padding = calloc(1, bytes + 1);
  memset(padding, 'x', bytes);
  int fd = keep ? open_pipe(path) : -1;
  for (long n = 0; n < count; n++) {
    int length = sprintf(line,
                         "{\"output_fields\":{\"n\":%ld,\"evt.time\":1,\"padding\":\"%s\"},\"priority\":\"Notice\","
                         "\"rule\":\"Terminal shell in container\",\"source\":\"syscall\"}\n",
                         n, padding);
    if (!keep) fd = open_pipe(path);
    if (hold) usleep(hold);
    for (int at = 0; at < length;) {
      ssize_t done = write(fd, line + at, length - at);
      if (done < 0) {
        perror("write");
        return 1;
      }
      at += done;
    }
    if (!keep) close(fd);
    *written = n + 1;
    if (gap) usleep(gap);
  }
  return 0;
}
