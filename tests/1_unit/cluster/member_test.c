/* What a worker inherits, and the packets at its start and its end. */
#include "cluster/member.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"

/* A supervisor of `workers`, and what it leaves for one. */
struct parent {
    struct cl_segment *segment;
    struct cl_members *members;
    int control; /* its end */
    char text[64];
};

static void begin(struct parent *p, uint32_t workers, uint32_t record) {
    const size_t sizes[CL_AREA_COUNT] = {[CL_AREA_MEMBERS] = cl_members_size(workers)};
    assert_int_equal(cl_segment_new(&p->segment, sizes), CELLO_OK);
    p->members = cl_members_of(p->segment, workers);
    atomic_store(&p->members->at[record].worker_id, record % workers);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    p->control = pair[0];
    snprintf(p->text, sizeof p->text, "%u,%d,%d", record, dup(cl_segment_fd(p->segment)), pair[1]);
}

static void end(struct parent *p) {
    if (p->control >= 0)
        close(p->control);
    cl_segment_del(p->segment);
}

static void tell(const struct parent *p, enum cl_control_kind kind) {
    const struct cl_control m = {.kind = (uint32_t)kind};
    assert_int_equal(send(p->control, &m, sizeof m, 0), sizeof m);
}

static uint32_t hear(const struct parent *p) {
    struct cl_control m;
    assert_int_equal(recv(p->control, &m, sizeof m, 0), sizeof m);
    return m.kind;
}

static void a_text_names_descriptors(void **state) {
    (void)state;
    struct cl_worker_text t;
    assert_int_equal(cl_worker_text_parse(&t, "0,3,4,2:5,6,1:7"), CELLO_OK);
    assert_int_equal(t.record, 0);
    assert_int_equal(t.segment, 3);
    assert_int_equal(t.control, 4);
    assert_int_equal(t.address_count, 2);
    assert_int_equal(t.addresses[0].count, 2);
    assert_int_equal(t.addresses[0].fds[1], 6);
    assert_int_equal(t.addresses[1].count, 1);
    assert_int_equal(t.addresses[1].fds[0], 7);
    cl_free(t.fds);
    assert_int_equal(cl_worker_text_parse(&t, "1,3,4"), CELLO_OK);
    assert_int_equal(t.address_count, 0);
    cl_free(t.fds);
}

static void other_texts_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "x",
        "0",
        "0,3",
        "0,3,",
        ",3,4",
        "0,3,4,5",
        "0,3,4,0:",
        "0,3,4,2:5",
        "0,3,4,1:",
        "0;3;4",
        "0,3,4,1:5,",
        "0,3,4,:5",
        "0,3,4,1:5 ",
        "0,-3,4",
        "99999,3,4",
        "0,99999999999,4",
        "0,3,4,99999:5",
        "0,3,4,1:5,6",
        "0,3,4,$:5",
    };
    for (size_t i = 0; i < CL_ARRAY_LEN(texts); i++) {
        struct cl_worker_text t;
        assert_int_equal(cl_worker_text_parse(&t, texts[i]), CELLO_EINVAL);
    }
    struct cl_worker_text t;
    assert_int_equal(cl_worker_text_parse(&t, "0,3,4,1:5,1:5,1:5,1:5,1:5,1:5,1:5,1:5,1:5,1:5,1:5,"
                                              "1:5,1:5,1:5,1:5,1:5,1:5"),
                     CELLO_ELIMIT);
}

static void a_worker_finds_its_record(void **state) {
    (void)state;
    struct parent p;
    begin(&p, 2, 3);
    struct cl_cluster *c;
    assert_int_equal(cello_cluster_join(&c, p.text), CELLO_OK);
    assert_true(cello_cluster_is_worker(c));
    assert_int_equal(cello_cluster_worker_id(c), 1);
    assert_int_equal(cello_cluster_workers(c), 2);
    assert_int_equal(cello_cluster_record(c), 3);
    assert_true(fcntl(c->inherited.control, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(c->inherited.segment, F_GETFD) & FD_CLOEXEC);
    cello_cluster_del(c);
    end(&p);
}

static void descriptors_of_something_else_are_refused(void **state) {
    (void)state;
    struct parent p;
    begin(&p, 1, 0);
    struct cl_cluster *c;
    int other = open("/dev/null", O_RDONLY);
    char text[64];
    snprintf(text, sizeof text, "0,%d,%d", other, other);
    assert_int_equal(cello_cluster_join(&c, text), CELLO_ESYS);
    snprintf(text, sizeof text, "0,%d,%d", dup(other), p.control);
    assert_int_equal(cello_cluster_join(&c, text), CELLO_EINVAL);
    snprintf(text, sizeof text, "2,%d,%d", dup(cl_segment_fd(p.segment)), p.control);
    assert_int_equal(cello_cluster_join(&c, text), CELLO_EINVAL);
    close(other);
    end(&p);
}

static void a_process_without_a_supervisor_is_alone(void **state) {
    (void)state;
    struct cl_cluster *c;
    assert_int_equal(cello_cluster_alone(&c, NULL), CELLO_OK);
    assert_false(cello_cluster_is_worker(c));
    assert_int_equal(cello_cluster_worker_id(c), 0);
    assert_int_equal(cello_cluster_workers(c), 1);
    assert_non_null(cello_cluster_segment(c));
    assert_true(cello_cluster_starts(c));
    assert_int_equal(cello_cluster_await_start(c, 0), CELLO_EAGAIN);
    cello_cluster_started(c);
    assert_false(cello_cluster_starts(c));
    assert_int_equal(cello_cluster_await_start(c, 0), CELLO_OK);
    assert_int_equal(cello_cluster_await_end(c, 0), CELLO_OK);
    cello_cluster_del(c);
}

static void others_wait_for_what_the_first_does(void **state) {
    (void)state;
    struct parent p;
    begin(&p, 2, 1);
    struct cl_cluster *c;
    assert_int_equal(cello_cluster_join(&c, p.text), CELLO_OK);
    assert_false(cello_cluster_starts(c));
    assert_int_equal(cello_cluster_await_start(c, 0), CELLO_EAGAIN);
    assert_false(c->moved_logs);
    tell(&p, CL_CONTROL_REOPEN);
    assert_int_equal(cello_cluster_await_start(c, 0), CELLO_EAGAIN);
    assert_true(c->moved_logs); /* for when there is something to open */
    atomic_store(&p.members->cluster_started, 1);
    assert_int_equal(cello_cluster_await_start(c, UINT64_MAX / 2), CELLO_OK);
    atomic_store(&p.members->cluster_started, 0);
    tell(&p, CL_CONTROL_STOP);
    assert_int_equal(cello_cluster_await_start(c, UINT64_MAX / 2), CELLO_ECANCELED);
    cello_cluster_del(c);
    end(&p);
}

/* What the first worker is told, and whether it then ends for all. */
static void end_of_the_first(enum cl_control_kind told, enum cl_control_kind then, int expected) {
    struct parent p;
    begin(&p, 2, 0);
    struct cl_cluster *c;
    assert_int_equal(cello_cluster_join(&c, p.text), CELLO_OK);
    struct cl_control m;
    if (told) {
        tell(&p, told);
        assert_int_equal(cl_cluster_receive(c, &m), CELLO_OK);
    }
    assert_int_equal(cello_cluster_await_end(c, 0), CELLO_EAGAIN);
    assert_int_equal(hear(&p), CL_CONTROL_ENDED);
    if (then) {
        tell(&p, then);
    } else {
        close(p.control);
        p.control = -1;
    }
    assert_int_equal(cello_cluster_await_end(c, UINT64_MAX / 2), expected);
    cello_cluster_del(c);
    end(&p);
}

static void the_last_one_ends_for_all(void **state) {
    (void)state;
    end_of_the_first(CL_CONTROL_STOP, CL_CONTROL_LAST, CELLO_OK);
    end_of_the_first(CL_CONTROL_RETIRE, CL_CONTROL_LAST, CELLO_OK); /* an upgrade */
    end_of_the_first(CL_CONTROL_STOP, 0, CELLO_OK);                 /* the supervisor was killed */
    end_of_the_first(CL_CONTROL_RETIRE, 0, CELLO_ECANCELED);        /* it has a successor */
    end_of_the_first(0, 0, CELLO_ECANCELED);                        /* it will have one */
}

/* There is no first one: the supervisor says who stands in. */
static void another_one_ends_for_all(void **state) {
    (void)state;
    struct parent p;
    begin(&p, 2, 1);
    struct cl_cluster *c;
    assert_int_equal(cello_cluster_join(&c, p.text), CELLO_OK);
    const struct cl_control stop = {.kind = CL_CONTROL_STOP, .value = 1};
    assert_int_equal(send(p.control, &stop, sizeof stop, 0), sizeof stop);
    struct cl_control m;
    assert_int_equal(cl_cluster_receive(c, &m), CELLO_OK);
    assert_int_equal(cello_cluster_await_end(c, 0), CELLO_EAGAIN);
    tell(&p, CL_CONTROL_LAST);
    assert_int_equal(cello_cluster_await_end(c, UINT64_MAX / 2), CELLO_OK);
    cello_cluster_del(c);
    end(&p);
}

static void the_others_do_not(void **state) {
    (void)state;
    struct parent p;
    begin(&p, 2, 1);
    struct cl_cluster *c;
    assert_int_equal(cello_cluster_join(&c, p.text), CELLO_OK);
    assert_int_equal(cello_cluster_await_end(c, UINT64_MAX / 2), CELLO_ECANCELED);
    assert_int_equal(hear(&p), CL_CONTROL_ENDED);
    cello_cluster_del(c);
    end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_names_descriptors),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(a_worker_finds_its_record),
        cmocka_unit_test(descriptors_of_something_else_are_refused),
        cmocka_unit_test(a_process_without_a_supervisor_is_alone),
        cmocka_unit_test(others_wait_for_what_the_first_does),
        cmocka_unit_test(the_last_one_ends_for_all),
        cmocka_unit_test(another_one_ends_for_all),
        cmocka_unit_test(the_others_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
