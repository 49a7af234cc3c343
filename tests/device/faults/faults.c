/* Makes the k-th write, fsync or the disk fail for files under one folder. Loaded before libc (LD_PRELOAD);
   armed by the process itself through faults_arm(), so that only what is looked at is hit. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { NONE, WRITE, SYNC, FULL, TORN };

static int kind = NONE;
static long left, fired;
static char under[4096];

void faults_arm(int which, long at, const char *folder) {
    strncpy(under, folder, sizeof under - 1);
    left = at;
    fired = 0;
    kind = which;
}

long faults_fired(void) { return fired; }

static int ours(int fd) {
    char name[64], path[4096];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return !strncmp(path, under, strlen(under));
}

/* 1 when this call has to fail with errno set; kills the process in the middle of a torn write. */
static int fails(int fd, int syncing) {
    if (kind == NONE || (syncing != (kind == SYNC)) || !ours(fd)) return 0;
    if (--left > 0) return 0;
    if (left < 0 && kind != FULL) return 0;
    fired++;
    errno = kind == FULL ? ENOSPC : EIO;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    if (fails(fd, 0)) {
        if (kind != TORN) return -1;
        REAL(write)(fd, data, size / 2);
        kill(getpid(), SIGKILL);
    }
    return REAL(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    if (fails(fd, 0)) {
        if (kind != TORN) return -1;
        REAL(pwrite)(fd, data, size / 2, at);
        kill(getpid(), SIGKILL);
    }
    return REAL(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (fails(fd, 0)) {
        if (kind != TORN) return -1;
        REAL(pwrite64)(fd, data, size / 2, at);
        kill(getpid(), SIGKILL);
    }
    return REAL(pwrite64)(fd, data, size, at);
}

int ftruncate(int fd, off_t size) { return fails(fd, 0) ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return fails(fd, 0) ? -1 : REAL(ftruncate64)(fd, size); }
int fsync(int fd) { return fails(fd, 1) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd, 1) ? -1 : REAL(fdatasync)(fd); }
