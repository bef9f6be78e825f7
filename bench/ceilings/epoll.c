/* The ceiling of one core with epoll: one recv, one send, a constant in between.
 *
 *   epoll PORT */
#include "epoll_loop.h"

static struct answers answers;

static void answer_input(int fd) {
    struct conn *c = &conns[fd];
    buffer_drop(&c->in, answer_all(&answers, c->in.bytes, c->in.len, &c->out));
}

static void forget(int fd) {
    (void)fd;
}

static int before_wait(void) {
    return -1;
}

int main(int argc, char **argv) {
    answers_init(&answers);
    serve_for_ever(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 8000);
}
