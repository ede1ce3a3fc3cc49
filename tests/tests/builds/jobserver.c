/* A compiler driver that compiles only where it finds make's jobserver as make left it, then becomes the real one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_pipe(int fd, int way)
{
    struct stat found;
    int flags = fcntl(fd, F_GETFL);
    int closing = fcntl(fd, F_GETFD);
    return fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode) && flags >= 0 && closing == 0
        && ((flags & O_ACCMODE) == way || (flags & O_ACCMODE) == O_RDWR);
}

int main(int argc, char **argv)
{
    int compiles = 0, reads = -1, writes = -1;
    const char *flags = getenv("MAKEFLAGS");
    const char *auth = flags ? strstr(flags, "--jobserver-auth=") : NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-E") == 0 || strcmp(argv[i], "-###") == 0) {
            compiles = 0;
            break;
        }
        compiles |= strcmp(argv[i], "-c") == 0;
    }
    if (compiles) {
        int given = auth && sscanf(auth, "--jobserver-auth=%d,%d", &reads, &writes) == 2;
        if (!(auth && strncmp(auth, "--jobserver-auth=fifo:", 22) == 0)
            && !(given && is_pipe(reads, O_RDONLY) && is_pipe(writes, O_WRONLY))) {
            fprintf(stderr, "no jobserver: %s\n", flags ? flags : "no MAKEFLAGS");
            return 90;
        }
    }
    argv[0] = "gcc";
    execv("/usr/bin/gcc", argv);
    return 91;
}
