/*
 * The Linux guest's /init: loads the drivers, gives eth0 its address, starts the services.
 *
 * There is no shell and no C library on the disk: this one static program is everything that runs. The modules
 * lie in /modules, named so that alphabetical order is loading order. The address comes from `ip=` on the
 * command line, in the kernel's own form, which Debian's kernel does not read by itself (CONFIG_IP_PNP is off).
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

void fail(const char *what)
{
    printf("guest: %s: %s\n", what, strerror(errno));
    _exit(1);
}

int listener(uint16_t port, int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(port) };
    if (bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 1024))
        fail("listen");
    return fd;
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        printf("guest: %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static void load_modules(void)
{
    struct dirent **names;
    int count = scandir("/modules", &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[300];
        if (names[i]->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        /* Without this, each packet that was sent brings an interrupt of its own. NAPI=1 on the command line keeps it. */
        const char *parameters = strstr(path, "virtio_net.ko") && !getenv("NAPI") ? "napi_tx=0" : "";
        if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0))
            fail(path);
        close(fd);
    }
}

/* The field of `ip=client:server:gateway:netmask:…` with this number, or an empty text. */
static void ip_field(const char *line, int number, char *out, size_t size)
{
    const char *at = strstr(line, "ip=");
    if (!at)
        fail("no ip= on the command line");
    at += strlen("ip=");
    for (; number > 0; number--)
        at += strcspn(at, ":") + 1;
    snprintf(out, size, "%.*s", (int)strcspn(at, ": \n"), at);
}

static void set_up_network(void)
{
    char line[2048] = "", address[32], mask[32];
    int file = open("/proc/cmdline", O_RDONLY);
    if (file < 0 || read(file, line, sizeof line - 1) < 0)
        fail("/proc/cmdline");
    close(file);
    ip_field(line, 0, address, sizeof address);
    ip_field(line, 3, mask, sizeof mask);

    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request = { .ifr_name = "eth0" };
    struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;
    in->sin_family = AF_INET;
    inet_pton(AF_INET, address, &in->sin_addr);
    if (ioctl(fd, SIOCSIFADDR, &request))
        fail("the address of eth0");
    inet_pton(AF_INET, mask, &in->sin_addr);
    if (ioctl(fd, SIOCSIFNETMASK, &request))
        fail("the mask of eth0");
    strcpy(request.ifr_name, "eth0");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request))
        fail("eth0 up");
    close(fd);
}

static void start(void (*service)(uint16_t), uint16_t port)
{
    if (fork() == 0)
        service(port);
}

static void print_file(const char *name, const char *path)
{
    char text[256] = "";
    int fd = open(path, O_RDONLY);
    if (fd >= 0 && read(fd, text, sizeof text - 1) >= 0)
        printf("%s %s", name, text);
    if (fd >= 0)
        close(fd);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    if (mount("proc", "/proc", "proc", 0, "") || mount("sysfs", "/sys", "sysfs", 0, "")
        || mount("dev", "/dev", "devtmpfs", 0, ""))
        fail("mount");
    /* Debian's default, fq_codel, keeps flows and times each packet. What this saves was not measured. */
    write_file("/proc/sys/net/core/default_qdisc", "pfifo_fast");
    /* A server that closes first would run out of room for waiting connections at 100,000 in a row. */
    write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "200000");
    write_file("/proc/sys/net/core/somaxconn", "4096");
    load_modules();
    set_up_network();
    /* No scheduler between the reader and the device, and no statistics nor random bits from each request. */
    if (access("/sys/block/vda", F_OK) == 0) {
        write_file("/sys/block/vda/queue/scheduler", "none");
        write_file("/sys/block/vda/queue/iostats", "0");
        write_file("/sys/block/vda/queue/add_random", "0");
        write_file("/sys/block/vda/queue/nomerges", "2");
        start(serve_disk, 5003);
    }
    print_file("clock", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
    start(serve_http, 80);
    start(serve_echo, 7);
    start(serve_sink, 5001);
    start(serve_source, 5002);
    /* The children reach their listen(2) before the parent sleeps a tenth of a second away. */
    usleep(100000);
    puts("listening");
    for (;;)
        if (wait(NULL) < 0)
            pause();
}
