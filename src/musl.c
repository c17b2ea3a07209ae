// Copying and comparing, where musl's own is slow (x86-64).
//
// musl copies by `rep movsq`, whose start costs more than all the work on the few dozen bytes of a
// header, and compares byte by byte: a fifth of the proxy's time. These take small sizes in a few
// overlapping moves, which is what glibc does too, without its choice among processors. `build.rs`
// links them before musl's.

#include <stddef.h>
#include <stdint.h>

// Values as they lie in memory, at any address.
typedef uint16_t u16 __attribute__((aligned(1), may_alias));
typedef uint32_t u32 __attribute__((aligned(1), may_alias));
typedef uint64_t u64 __attribute__((aligned(1), may_alias));
typedef long long v16 __attribute__((vector_size(16), aligned(1), may_alias));

#define AT(type, p, offset) (*(type *)((char *)(p) + (offset)))
#define FROM(type, p, offset) (*(const type *)((const char *)(p) + (offset)))

// Bytes that one turn of a loop moves.
enum { TURN = 64 };

// From 1 to 16 bytes: everything is read before anything is written, so that they may overlap.
static inline void move_small(void *to, const void *from, size_t n) {
  if (n >= 8) {
    u64 first = FROM(u64, from, 0), last = FROM(u64, from, n - 8);
    AT(u64, to, 0) = first, AT(u64, to, n - 8) = last;
  } else if (n >= 4) {
    u32 first = FROM(u32, from, 0), last = FROM(u32, from, n - 4);
    AT(u32, to, 0) = first, AT(u32, to, n - 4) = last;
  } else if (n >= 2) {
    u16 first = FROM(u16, from, 0), last = FROM(u16, from, n - 2);
    AT(u16, to, 0) = first, AT(u16, to, n - 2) = last;
  } else {
    AT(char, to, 0) = FROM(char, from, 0);
  }
}

// From 17 to 128 bytes, likewise: as many from the front as from the back.
static inline void move_medium(void *to, const void *from, size_t n) {
  v16 a = FROM(v16, from, 0), z = FROM(v16, from, n - 16);
  if (n > 32) {
    v16 b = FROM(v16, from, 16), y = FROM(v16, from, n - 32);
    if (n > 64) {
      v16 c = FROM(v16, from, 32), d = FROM(v16, from, 48);
      v16 w = FROM(v16, from, n - 64), x = FROM(v16, from, n - 48);
      AT(v16, to, 32) = c, AT(v16, to, 48) = d;
      AT(v16, to, n - 64) = w, AT(v16, to, n - 48) = x;
    }
    AT(v16, to, 16) = b, AT(v16, to, n - 32) = y;
  }
  AT(v16, to, 0) = a, AT(v16, to, n - 16) = z;
}

static inline void move_turn(void *to, const void *from, size_t offset) {
  v16 a = FROM(v16, from, offset), b = FROM(v16, from, offset + 16);
  v16 c = FROM(v16, from, offset + 32), d = FROM(v16, from, offset + 48);
  AT(v16, to, offset) = a, AT(v16, to, offset + 16) = b;
  AT(v16, to, offset + 32) = c, AT(v16, to, offset + 48) = d;
}

// Over 128 bytes, from the front; what the last turn does not reach is read before it may be
// overwritten.
static void move_up(void *to, const void *from, size_t n) {
  v16 w = FROM(v16, from, n - 64), x = FROM(v16, from, n - 48);
  v16 y = FROM(v16, from, n - 32), z = FROM(v16, from, n - 16);
  for (size_t done = 0; done < n - TURN; done += TURN) move_turn(to, from, done);
  AT(v16, to, n - 64) = w, AT(v16, to, n - 48) = x;
  AT(v16, to, n - 32) = y, AT(v16, to, n - 16) = z;
}

// The same from the back, for a target that begins inside of what is moved.
static void move_down(void *to, const void *from, size_t n) {
  v16 a = FROM(v16, from, 0), b = FROM(v16, from, 16);
  v16 c = FROM(v16, from, 32), d = FROM(v16, from, 48);
  for (size_t left = n; left > TURN; left -= TURN) move_turn(to, from, left - TURN);
  AT(v16, to, 0) = a, AT(v16, to, 16) = b;
  AT(v16, to, 32) = c, AT(v16, to, 48) = d;
}

static inline void move(void *to, const void *from, size_t n) {
  if (n <= 16) {
    if (n > 0) move_small(to, from, n);
  } else if (n <= 128) {
    move_medium(to, from, n);
  } else if ((uintptr_t)to - (uintptr_t)from >= n) {
    move_up(to, from, n);
  } else {
    move_down(to, from, n);
  }
}

void *memcpy(void *restrict to, const void *restrict from, size_t n) {
  move(to, from, n);
  return to;
}

void *memmove(void *to, const void *from, size_t n) {
  move(to, from, n);
  return to;
}

// The order of two words by their first byte that differs.
static inline int order(uint64_t a, uint64_t b) {
  a = __builtin_bswap64(a), b = __builtin_bswap64(b);
  return (a > b) - (a < b);
}

int memcmp(const void *one, const void *other, size_t n) {
  if (n < 8) {
    for (size_t i = 0; i < n; i++) {
      int difference = FROM(unsigned char, one, i) - FROM(unsigned char, other, i);
      if (difference != 0) return difference;
    }
    return 0;
  }
  for (size_t i = 0; i < n - 8; i += 8) {
    uint64_t a = FROM(u64, one, i), b = FROM(u64, other, i);
    if (a != b) return order(a, b);
  }
  return order(FROM(u64, one, n - 8), FROM(u64, other, n - 8));
}

int bcmp(const void *one, const void *other, size_t n) {
  return memcmp(one, other, n);
}
