/* What a machine can do at the most: an FTP server of canned answers around a bare sendfile loop and a bare recv+write loop.
 *
 *   bare DIR [piece=BYTES]        serves DIR on a port of 127.0.0.1 that the kernel chooses
 *
 * Prints "listening on 127.0.0.1:PORT" and serves until it is killed, so that the generator (load.c: noop, pipe, login, retr, stor) runs
 * against it as against any server. It is no server: it believes every name, checks nothing, forgets errors, and answers only what the
 * generator says. One thread, one level-triggered epoll loop; a turn of a transfer is one call of `piece` bytes (default 1 MiB).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20, LINES = 8192, EVENTS = 256, DESCRIPTORS = 1 << 16 };

/* A descriptor's part: a control connection, or the data connection of one. */
struct part {
    enum { NONE, CONTROL, DOWN, UP } kind;
    int control, listener, port; /* of CONTROL: where its data connections arrive */
    int file;
    off_t at, size;
    size_t held;
    char lines[512];
};

static struct part parts[DESCRIPTORS];
static int poller;
static size_t piece = PIECE;
static char *buffer;

static void say(int fd, const char *text) {
    if (write(fd, text, strlen(text)) < 0)
        return; /* its end of file comes through the poller */
}

static void watch(int fd, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
}

static int listener(int *port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* inherited by what is accepted */
    if (bind(fd, (void *)&address, sizeof address) || listen(fd, 4096) || getsockname(fd, (void *)&address, &length)) {
        perror("listen");
        exit(1);
    }
    *port = ntohs(address.sin_port);
    return fd;
}

/* The data connection, which the generator has made by now. */
static int arrived(struct part *control) {
    return accept4(control->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static void end(int fd) {
    struct part *part = &parts[fd];
    int control = part->control;
    close(part->file);
    close(fd);
    part->kind = NONE;
    say(control, "226 Done.\r\n");
}

static void begin(int control, int kind, const char *path) {
    int fd = arrived(&parts[control]);
    struct part *part = &parts[fd];
    struct stat found = {0};
    *part = (struct part){.kind = kind, .control = control};
    part->file = kind == DOWN ? open(path, O_RDONLY | O_CLOEXEC) : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    fstat(part->file, &found);
    part->size = found.st_size;
    say(control, "150 Here it comes.\r\n");
    watch(fd, kind == DOWN ? EPOLLOUT : EPOLLIN);
}

static void down(int fd) {
    struct part *part = &parts[fd];
    ssize_t sent = sendfile(fd, part->file, &part->at, piece);
    if (sent < 0 ? errno != EAGAIN : part->at >= part->size)
        end(fd);
}

static void up(int fd) {
    struct part *part = &parts[fd];
    ssize_t got = recv(fd, buffer, piece, 0);
    if (got < 0 ? errno != EAGAIN : got == 0)
        end(fd);
    else if (got > 0 && pwrite(part->file, buffer, got, part->at) == got)
        part->at += got;
}

static void obey(int fd, char *line) {
    struct part *part = &parts[fd];
    char *argument = strchr(line, ' ');
    char answer[64];
    argument = argument ? argument + 1 + (argument[1] == '/') : line + strlen(line);
    if (!strncmp(line, "RETR", 4))
        return begin(fd, DOWN, argument);
    if (!strncmp(line, "STOR", 4))
        return begin(fd, UP, argument);
    if (!strncmp(line, "EPSV", 4)) {
        if (!part->listener)
            part->listener = listener(&part->port);
        snprintf(answer, sizeof answer, "229 Entering (|||%d|)\r\n", part->port);
        return say(fd, answer);
    }
    say(fd, !strncmp(line, "USER", 4)   ? "331 Password?\r\n"
            : !strncmp(line, "PASS", 4) ? "230 Welcome.\r\n"
            : !strncmp(line, "QUIT", 4) ? "221 Goodbye.\r\n"
                                        : "200 Fine.\r\n");
}

static void hang_up(int fd) {
    if (parts[fd].listener)
        close(parts[fd].listener);
    parts[fd].kind = NONE;
    close(fd);
}

/* Replies of one read leave in one segment, as a server's would. */
static void converse(int fd) {
    struct part *part = &parts[fd];
    char lines[LINES], *line = lines, *stop;
    memcpy(lines, part->lines, part->held);
    ssize_t got = recv(fd, lines + part->held, sizeof lines - part->held - 1, 0);
    if (got <= 0)
        return hang_up(fd);
    int on = 1, off = 0;
    lines[part->held + got] = 0;
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
    while ((stop = strstr(line, "\r\n"))) {
        *stop = 0;
        obey(fd, line);
        line = stop + 2;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_CORK, &off, sizeof off);
    part->held = strnlen(line, sizeof part->lines - 1);
    memcpy(part->lines, line, part->held);
}

int main(int count, char **words) {
    if (count < 2 || chdir(words[1])) {
        fprintf(stderr, "usage: bare DIR [piece=BYTES]\n");
        return 2;
    }
    if (count > 2 && !strncmp(words[2], "piece=", 6))
        piece = strtoul(words[2] + 6, NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    buffer = malloc(piece);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int port, door = listener(&port);
    watch(door, EPOLLIN);
    printf("listening on 127.0.0.1:%d\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == door) {
                int control = accept4(door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (control < 0 || control >= DESCRIPTORS)
                    continue;
                parts[control] = (struct part){.kind = CONTROL};
                say(control, "220 Bare.\r\n");
                watch(control, EPOLLIN);
            } else if (parts[fd].kind == CONTROL) {
                converse(fd);
            } else if (parts[fd].kind == DOWN) {
                down(fd);
            } else if (parts[fd].kind == UP) {
                up(fd);
            }
        }
    }
}
