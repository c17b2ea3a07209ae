// Holds src/musl.c to the C library: see musl.rs.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *our_memcpy(void *to, const void *from, size_t n);
void *our_memmove(void *to, const void *from, size_t n);
int our_memcmp(const void *one, const void *other, size_t n);
int our_bcmp(const void *one, const void *other, size_t n);

enum { MOST = 420, ROOM = 3 * MOST };

static unsigned char source[ROOM], ours[ROOM], theirs[ROOM];

static void hold(int same, const char *what, int n, int at) {
  if (same) return;
  fprintf(stderr, "%s of %d bytes, case %d: not the C library's\n", what, n, at);
  exit(1);
}

static int sign(int order) { return (order > 0) - (order < 0); }

static void copies(int n) {
  for (int at = 0; at < 17; at++) {
    memset(ours, 1, ROOM), memset(theirs, 1, ROOM);
    hold(our_memcpy(ours + at, source + 16 - at, n) == ours + at, "memcpy's result", n, at);
    memcpy(theirs + at, source + 16 - at, n);
    hold(memcmp(ours, theirs, ROOM) == 0, "memcpy", n, at);
  }
}

static void moves(int n) {
  for (int distance = -n - 1; distance <= n + 1; distance++) {
    memcpy(ours, source, ROOM), memcpy(theirs, source, ROOM);
    our_memmove(ours + MOST + distance, ours + MOST, n);
    memmove(theirs + MOST + distance, theirs + MOST, n);
    hold(memcmp(ours, theirs, ROOM) == 0, "memmove", n, distance);
  }
}

static void comparisons(int n) {
  memcpy(ours, source, ROOM);
  hold(our_memcmp(ours, source, n) == 0 && our_bcmp(ours, source, n) == 0, "memcmp", n, -1);
  for (int at = 0; at < n; at++) {
    for (int other = at; other < n; other += 5) {
      ours[at] ^= 0x80, ours[other] ^= 1;
      int expected = sign(memcmp(ours, source, n));
      hold(sign(our_memcmp(ours, source, n)) == expected, "memcmp", n, at);
      hold((our_bcmp(ours, source, n) != 0) == (expected != 0), "bcmp", n, at);
      ours[at] ^= 0x80, ours[other] ^= 1;
    }
  }
}

int main(void) {
  for (int at = 0; at < ROOM; at++) source[at] = (unsigned char)(at * 167 + at / 251);
  for (int n = 0; n < MOST; n++) copies(n), moves(n);
  for (int n = 0; n < 70; n++) comparisons(n);
}
