/*
 * The HTTP server of the Linux guest: one thread, epoll, three system calls for a keep-alive request.
 *
 * TCP_DEFER_ACCEPT wakes the server when a request is there, not
 * when a connection is, so the first request is read at once after accept4(2), and a connection that carries one
 * request is never registered with epoll. Requests may be pipelined or come in pieces; a head is at most 4 KiB.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest.h"

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n";

#define CONNECTIONS 4096
#define HEAD 4096

/* The bytes of an unfinished request of each connection; most are always empty. */
static struct {
    size_t length;
    char bytes[HEAD + 1];
} *pending;

/* Answers all whole requests in `bytes`. Returns how many bytes they took; `*close_after` if one asked to close. */
static size_t answer(int fd, char *bytes, size_t length, bool *close_after)
{
    char *at = bytes, *end;
    bytes[length] = 0;
    while (!*close_after && (end = memmem(at, length - (at - bytes), "\r\n\r\n", 4))) {
        *end = 0;
        *close_after = strcasestr(at, "\r\nconnection: close") != NULL;
        if (send(fd, ANSWER, sizeof ANSWER - 1, MSG_NOSIGNAL) < 0)
            *close_after = true;
        at = end + 4;
    }
    return at - bytes;
}

/* Reads what came. Whether the connection stays open. */
static bool serve(int fd)
{
    char *bytes = pending[fd].bytes;
    size_t had = pending[fd].length;
    ssize_t got = recv(fd, bytes + had, HEAD - had, 0);
    if (got < 0 && errno == EAGAIN)
        return true;
    if (got <= 0)
        return false;
    bool close_after = false;
    size_t length = had + got, used = answer(fd, bytes, length, &close_after);
    pending[fd].length = length - used;
    if (used && used < length)
        memmove(bytes, bytes + used, length - used);
    return !close_after && pending[fd].length < HEAD;
}

void serve_http(uint16_t port)
{
    pending = calloc(CONNECTIONS, sizeof *pending);
    int door = listener(port, SOCK_NONBLOCK), seconds = 1;
    setsockopt(door, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    int epoll = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = door }, ready[64];
    if (!pending || epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, door, &event))
        fail("http");
    for (;;) {
        int count = epoll_wait(epoll, ready, 64, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd != door) {
                if (!serve(fd))
                    close(fd);
                continue;
            }
            fd = accept4(door, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0)
                continue;
            if (fd >= CONNECTIONS) {
                close(fd);
                continue;
            }
            pending[fd].length = 0;
            event.data.fd = fd;
            if (!serve(fd) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
                close(fd);
        }
    }
}
