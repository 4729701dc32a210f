/* Echo, sink and source: blocking services for one connection at a time, in large pieces. */

#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

/* The largest piece that one system call moves. A guess: other sizes were not measured. */
#define PIECE (256 * 1024)

static char *piece(void)
{
    char *bytes = calloc(1, PIECE);
    if (!bytes)
        fail("memory");
    return bytes;
}

static int next(int door)
{
    int fd = accept(door, NULL, NULL);
    if (fd < 0)
        fail("accept");
    return fd;
}

void serve_echo(uint16_t port)
{
    char *bytes = piece();
    for (int door = listener(port, 0);;) {
        int fd = next(door);
        ssize_t got;
        /* A blocking socket takes the whole piece, or the connection is over. */
        while ((got = recv(fd, bytes, PIECE, 0)) > 0 && send(fd, bytes, got, MSG_NOSIGNAL) == got)
            ;
        close(fd);
    }
}

void serve_sink(uint16_t port)
{
    char *bytes = piece();
    for (int door = listener(port, 0);;) {
        int fd = next(door);
        while (recv(fd, bytes, PIECE, 0) > 0)
            ;
        close(fd);
    }
}

void serve_source(uint16_t port)
{
    char *bytes = piece();
    for (int door = listener(port, 0);;) {
        int fd = next(door);
        while (send(fd, bytes, PIECE, MSG_NOSIGNAL) > 0)
            ;
        close(fd);
    }
}
