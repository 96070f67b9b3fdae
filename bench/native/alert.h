// What writer and subscriber have to agree on: where an alert carries its time, and what its sum is.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Each alert ends with the time of its write, in nanoseconds: …,"bench.at":"00000012345678901234"}
enum { DIGITS = 20, TAIL = DIGITS + 2 };

static inline uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void stamp(char *digits, uint64_t at) {
  for (int i = DIGITS - 1; i >= 0; i--, at /= 10) digits[i] = '0' + at % 10;
}

static inline uint64_t stamped(const char *digits) {
  uint64_t at = 0;
  for (int i = 0; i < DIGITS; i++) at = at * 10 + (digits[i] - '0');
  return at;
}

// Four lanes, so that it runs at the speed of memory; each step can be undone, so a change shows.
static inline uint32_t hash(const char *bytes, size_t length) {
  uint32_t lanes[4] = {1, 2, 3, length}, words[4];
  size_t at = 0;
  for (; at + 16 <= length; at += 16) {
    memcpy(words, bytes + at, 16);
    for (int i = 0; i < 4; i++) lanes[i] = (lanes[i] ^ words[i]) * 0x9e3779b1u;
  }
  for (; at < length; at++) lanes[0] = (lanes[0] ^ (uint8_t)bytes[at]) * 0x01000193u;
  uint32_t mixed = 0;
  for (int i = 0; i < 4; i++) mixed = (mixed ^ lanes[i] ^ (lanes[i] >> 15)) * 0x85ebca6bu;
  return mixed;
}

// What stands before the time never changes, so the writer works its part out once. The sum over
// all alerts does not depend on their order.
static inline uint64_t sum_of(uint32_t before, const char *tail) {
  return ((uint64_t)before << 32) + hash(tail, TAIL) * 0x9e3779b97f4a7c15u;
}

static inline void fail(const char *what) {
  perror(what);
  exit(1);
}
