// `mkfifo -m MODE -- PATH`, the one way in which src/forward/input/fifo.ts calls it. Node.js cannot make a named
// pipe, and the image has no other program that can.

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
  if (argc != 5) {
    fputs("usage: mkfifo -m MODE -- PATH\n", stderr);
    return 2;
  }
  umask(0); // as with coreutils, the mode that is asked for is the mode it gets
  if (mkfifo(argv[4], strtol(argv[2], NULL, 8)) == 0) return 0;
  perror("mkfifo");
  return 1;
}
