// Writes COUNT alerts from FILE, over and over, into PIPE, as MODE says:
//   burst    as fast as they are read, 64 KiB a write
//   rate:N   N a second, each in one write
//   bytes    one byte a write, as Falco does with keep_alive: true
//   reopen   open, write, close for each, as Falco does with keep_alive: false
//   reopen:N so N a second
// Prints how many, their sum, and when it began and ended.

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alert.h"

enum { CHUNK = 64 * 1024 };

typedef struct {
  char *start;
  size_t length;  // with the newline
  uint32_t before;
} Line;

static const char *path;
static int pipe_fd;
static char chunk[CHUNK];
static size_t filled;

static void write_all(const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(pipe_fd, bytes, length);
    if (written < 0 && errno != EINTR) fail("write");
    if (written > 0) bytes += written, length -= written;
  }
}

static void burst(const Line *line) {
  for (size_t at = 0; at < line->length;) {
    size_t left = line->length - at, room = CHUNK - filled, part = left < room ? left : room;
    memcpy(chunk + filled, line->start + at, part);
    filled += part, at += part;
    if (filled == CHUNK) write_all(chunk, CHUNK), filled = 0;
  }
}

static void whole(const Line *line) { write_all(line->start, line->length); }

static void bytes(const Line *line) {
  for (size_t at = 0; at < line->length; at++) write_all(line->start + at, 1);
}

static void open_pipe(void) {
  pipe_fd = open(path, O_WRONLY);
  if (pipe_fd < 0) fail(path);
}

static void reopen(const Line *line) {
  close(pipe_fd);
  open_pipe();
  whole(line);
}

static Line *read_lines(const char *file, size_t *count) {
  int fd = open(file, O_RDONLY);
  struct stat stat;
  if (fd < 0 || fstat(fd, &stat) < 0) fail(file);
  char *text = malloc(stat.st_size);
  for (off_t at = 0, part; at < stat.st_size; at += part)
    if ((part = read(fd, text + at, stat.st_size - at)) <= 0) fail(file);
  Line *lines = NULL;
  *count = 0;
  for (char *at = text, *end; at < text + stat.st_size; at = end + 1) {
    end = memchr(at, '\n', text + stat.st_size - at);
    if (*count % 1024 == 0) lines = realloc(lines, (*count + 1024) * sizeof *lines);
    lines[(*count)++] = (Line){at, end - at + 1, hash(at, end - at - TAIL)};
  }
  return lines;
}

static void wait_until(uint64_t due) {
  struct timespec at = {due / 1000000000, due % 1000000000};
  if (due > now()) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  path = argv[1];
  size_t lines_count, count = strtoul(argv[3], NULL, 10);
  Line *lines = read_lines(argv[2], &lines_count);
  const char *mode = argv[4];
  const char *rate = strchr(mode, ':');
  double pause = rate ? 1e9 / atof(rate + 1) : 0;
  void (*put)(const Line *) = strncmp(mode, "rate", 4) == 0     ? whole
                              : strncmp(mode, "reopen", 6) == 0 ? reopen
                              : strcmp(mode, "bytes") == 0      ? bytes
                                                                : burst;
  // Else a sleep may be 50 µs too long.
  prctl(PR_SET_TIMERSLACK, 1);
  open_pipe();
  uint64_t sum = 0, started = now();
  for (size_t i = 0; i < count; i++) {
    Line *line = &lines[i % lines_count];
    char *tail = line->start + line->length - 1 - TAIL;
    if (pause > 0) wait_until(started + (uint64_t)(i * pause));
    stamp(tail, now());
    sum += sum_of(line->before, tail);
    put(line);
  }
  write_all(chunk, filled);
  printf("{\"count\":%zu,\"sum\":\"%lu\",\"startNs\":%lu,\"endNs\":%lu}\n", count, sum, started, now());
}
