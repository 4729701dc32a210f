/* What the parts of the Linux guest share. Each service is a process of its own, so an idle one costs nothing. */

#pragma once

#include <stdint.h>

/* Says what failed and why, then ends the process. */
_Noreturn void fail(const char *what);

/* A socket that listens on `port`; accepted connections inherit TCP_NODELAY from it. `flags` go to socket(2). */
int listener(uint16_t port, int flags);

/* The services; none returns. */
_Noreturn void serve_http(uint16_t port);
_Noreturn void serve_echo(uint16_t port);
_Noreturn void serve_sink(uint16_t port);
_Noreturn void serve_source(uint16_t port);
_Noreturn void serve_disk(uint16_t port);
