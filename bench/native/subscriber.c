#define _GNU_SOURCE
// Subscribes to SUBJECT at PORT and takes COUNT alerts. Says "ready" when the server knows; then, when
// they have come, or none for SILENCE seconds: how many, their sum, when the first and the last came,
// and the latencies in microseconds of all but the first tenth.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "alert.h"

enum { ROOM = 4 << 20 };

static int server;
static char bytes[ROOM];
static size_t wanted, count;
static uint64_t sum, first, last, *latencies;

static void say(const char *text) {
  if (write(server, text, strlen(text)) < 0) fail("write");
}

// So long is waited for more: for the rest of what is wanted, or to see that no more come.
static void listen_for(long seconds, long microseconds) {
  struct timeval limit = {seconds, microseconds};
  setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static void take(const char *alert, size_t length, uint64_t at) {
  if (count == 0) first = at;
  if (count < wanted) last = at;
  if (length >= TAIL) {
    const char *tail = alert + length - TAIL;
    if (count < wanted) latencies[count] = at - stamped(tail);
    sum += sum_of(hash(alert, length - TAIL), tail);
  }
  if (++count == wanted) listen_for(0, 200000);
}

// Takes what is whole, and gives how many bytes that was.
static size_t parse(size_t length, uint64_t at) {
  size_t used = 0;
  for (char *end; (end = memchr(bytes + used, '\n', length - used)); ) {
    char *start = bytes + used;
    size_t next = end - bytes + 1;
    if (strncmp(start, "MSG ", 4) == 0) {
      char *space = memrchr(start, ' ', end - start);
      size_t size = strtoul(space, NULL, 10);
      if (next + size + 2 > length) break;
      take(bytes + next, size, at);
      next += size + 2;
    } else if (strncmp(start, "PING", 4) == 0) {
      say("PONG\r\n");
    } else if (strncmp(start, "PONG", 4) == 0) {
      puts("ready");
      fflush(stdout);
    } else if (strncmp(start, "-ERR", 4) == 0) {
      fprintf(stderr, "subscriber: %.*s\n", (int)(end - start), start);
    }
    used = next;
  }
  return used;
}

static int by_size(const void *a, const void *b) {
  uint64_t x = *(uint64_t *)a, y = *(uint64_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  wanted = strtoul(argv[3], NULL, 10);
  latencies = calloc(wanted, sizeof *latencies);
  server = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(server, (struct sockaddr *)&address, sizeof address) < 0) fail("connect");
  char hello[512];
  snprintf(hello, sizeof hello, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB %s 1\r\nPING\r\n",
           argv[2]);
  say(hello);
  listen_for(atol(argv[4]), 0);
  size_t held = 0;
  for (ssize_t got; (got = recv(server, bytes + held, ROOM - held, 0)) > 0;) {
    held += got;
    size_t used = parse(held, now());
    memmove(bytes, bytes + used, held -= used);
  }
  size_t known = count < wanted ? count : wanted, skipped = known / 10;
  uint64_t *sorted = latencies + skipped;
  known -= skipped;
  qsort(sorted, known, sizeof *sorted, by_size);
  printf("{\"count\":%zu,\"sum\":\"%lu\",\"firstNs\":%lu,\"lastNs\":%lu,\"latencies\":[", count, sum, first, last);
  const double shares[] = {0.5, 0.9, 0.99, 1};
  for (int i = 0; i < 4 && known > 0; i++)
    printf("%s%.1f", i ? "," : "", sorted[(size_t)(shares[i] * (known - 1))] / 1e3);
  puts("]}");
}
