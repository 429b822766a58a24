/* A file layer and a clock that fail on purpose, put in front of the C library (LD_PRELOAD) for the tests of faults.
 *
 * FAULT_DATA    the folder whose files are watched
 * FAULT_SHADOW  a folder with what would be left of them after a power cut: writes come there when they are synced
 * FAULT_FULL    while this file exists, nothing can be written below the watched folder (ENOSPC)
 * FAULT_CLOCK   a file with the seconds by which the wall clock is off
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct op {
  struct op *next;
  char path[512];
  off_t at;     /* where; for a truncation the new length */
  size_t count; /* 0: a truncation */
  char bytes[];
};

static struct op *first, **last = &first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The path of a watched file below the folder, or NULL. The shared index is rebuilt after a crash and never synced. */
static const char *watched(int fd, char *buffer, size_t size) {
  const char *data = getenv("FAULT_DATA");
  char link[64];
  if (!data) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, buffer, size - 1);
  if (length < 0) return NULL;
  buffer[length] = 0;
  size_t prefix = strlen(data);
  if (strncmp(buffer, data, prefix) != 0 || buffer[prefix] != '/') return NULL;
  if (length > 4 && strcmp(buffer + length - 4, "-shm") == 0) return NULL;
  return buffer + prefix + 1;
}

static int full(void) {
  const char *file = getenv("FAULT_FULL");
  return file && access(file, F_OK) == 0;
}

static void remember(const char *path, off_t at, const void *bytes, size_t count) {
  if (!getenv("FAULT_SHADOW")) return;
  struct op *op = malloc(sizeof *op + count);
  if (!op) abort();
  op->next = NULL;
  snprintf(op->path, sizeof op->path, "%s", path);
  op->at = at;
  op->count = count;
  if (count) memcpy(op->bytes, bytes, count);
  pthread_mutex_lock(&lock);
  *last = op;
  last = &op->next;
  pthread_mutex_unlock(&lock);
}

/* What was synced is on the disk. */
static void keep(const char *path) {
  const char *shadow = getenv("FAULT_SHADOW");
  char file[1024];
  if (!shadow) return;
  snprintf(file, sizeof file, "%s/%s", shadow, path);
  pthread_mutex_lock(&lock);
  int fd = open(file, O_CREAT | O_WRONLY, 0600);
  for (struct op **it = &first; *it;) {
    struct op *op = *it;
    if (strcmp(op->path, path) != 0) {
      it = &op->next;
      continue;
    }
    if (op->count) {
      if (syscall(SYS_pwrite64, fd, op->bytes, op->count, op->at) < 0) abort();
    } else if (syscall(SYS_ftruncate, fd, op->at) < 0) {
      abort();
    }
    *it = op->next;
    if (last == &op->next) last = it;
    free(op);
  }
  close(fd);
  pthread_mutex_unlock(&lock);
}

static ssize_t put(int fd, const void *bytes, size_t count, off_t at, int positioned) {
  char buffer[1024];
  const char *path = watched(fd, buffer, sizeof buffer);
  if (!path) return positioned ? syscall(SYS_pwrite64, fd, bytes, count, at) : syscall(SYS_write, fd, bytes, count);
  if (full()) {
    errno = ENOSPC;
    return -1;
  }
  if (!positioned) at = lseek(fd, 0, SEEK_CUR);
  ssize_t written =
      positioned ? syscall(SYS_pwrite64, fd, bytes, count, at) : syscall(SYS_write, fd, bytes, count);
  if (written > 0) remember(path, at, bytes, (size_t)written);
  return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { return put(fd, bytes, count, at, 1); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return put(fd, bytes, count, at, 1); }
ssize_t write(int fd, const void *bytes, size_t count) { return put(fd, bytes, count, 0, 0); }

static int cut(int fd, off_t length) {
  char buffer[1024];
  const char *path = watched(fd, buffer, sizeof buffer);
  int done = (int)syscall(SYS_ftruncate, fd, length);
  if (path && done == 0) remember(path, length, NULL, 0);
  return done;
}

int ftruncate64(int fd, off64_t length) { return cut(fd, length); }
int ftruncate(int fd, off_t length) { return cut(fd, length); }

static int flush(int fd, long call) {
  char buffer[1024];
  const char *path = watched(fd, buffer, sizeof buffer);
  struct stat of;
  int done = (int)syscall(call, fd);
  if (path && done == 0 && fstat(fd, &of) == 0 && S_ISREG(of.st_mode)) keep(path);
  return done;
}

int fsync(int fd) { return flush(fd, SYS_fsync); }
int fdatasync(int fd) { return flush(fd, SYS_fdatasync); }

/* SQLite syncs the folder after it removes a journal: a removal counts as synced. */
int unlink(const char *path) {
  const char *data = getenv("FAULT_DATA"), *shadow = getenv("FAULT_SHADOW");
  int done = (int)syscall(SYS_unlink, path);
  if (done == 0 && data && shadow && strncmp(path, data, strlen(data)) == 0) {
    char file[1024];
    snprintf(file, sizeof file, "%s%s", shadow, path + strlen(data));
    syscall(SYS_unlink, file);
  }
  return done;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int done = (int)syscall(SYS_clock_gettime, clock, now);
  const char *file = getenv("FAULT_CLOCK");
  if (clock != CLOCK_REALTIME || !file || done != 0) return done;
  char text[32] = {0};
  int fd = open(file, O_RDONLY);
  if (fd < 0) return done;
  if (read(fd, text, sizeof text - 1) > 0) now->tv_sec += strtol(text, NULL, 10);
  close(fd);
  return done;
}
