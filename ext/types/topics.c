#include "types/topics.h"

#include <pthread.h>
#include <stddef.h>
#include <structmember.h>

#include <cello/topics.h>

#include "convert/json_bytes.h"
#include "convert/json_decode.h"
#include "types/args.h"
#include "types/server.h"
#include "types/store.h"

enum { MAX_QUEUE = 1000, MAX_QUEUE_MOST = 1 << 20, QUEUE_MIN = 8 };
/* Of the messages in a queue: as many large ones as max_queue allows would be a lot of memory. */
enum { QUEUE_BYTES_MAX = 16 << 20 };

struct subscription;

struct topics {
    PyObject_HEAD PyObject *store; /* strong */
    struct cl_store *engine;       /* its own */
    pthread_mutex_t lock;          /* of the queues of its subscriptions, and of: */
    struct subscription *news;     /* those to be told that there is something */
};

struct subscription {
    PyObject_HEAD struct cello_subscriber super;
    PyObject *topics;             /* strong; NULL: closed */
    struct cello_message **queue; /* a ring */
    size_t room, first, count, max;
    size_t bytes; /* of the messages in it */
    uint64_t lost;
    bool waiting, has_news;
    struct subscription *next; /* in the list of news */
    PyObject *weakrefs;
};

struct cl_topics_watch {
    struct cl_watch *watch;
    struct cl_note note;
    struct cl_bridge *bridge;
    struct topics *topics; /* strong */
};

static struct topics *topics_of(PyObject *o) {
    return (struct topics *)(void *)o;
}

static struct subscription *subscription_of(PyObject *o) {
    return (struct subscription *)(void *)o;
}

/* ---- what comes in: any thread, with or without the GIL ---- */

/* Lock held. */
static void note_news(struct topics *t, struct subscription *s) {
    if (!s->waiting)
        return;
    s->waiting = false;
    s->has_news = true;
    s->next = t->news;
    t->news = s;
}

/* Lock held. False: out of memory. */
static bool make_room(struct subscription *s) {
    if (s->count < s->room)
        return true;
    size_t room = s->room ? 2 * s->room : QUEUE_MIN;
    struct cello_message **queue = PyMem_RawMalloc(room * sizeof *queue);
    if (!queue)
        return false;
    for (size_t i = 0; i < s->count; i++)
        queue[i] = s->queue[(s->first + i) % s->room];
    PyMem_RawFree(s->queue);
    s->queue = queue;
    s->room = room;
    s->first = 0;
    return true;
}

/* Lock held. The oldest message, no longer in the queue. */
static struct cello_message *take_first(struct subscription *s) {
    struct cello_message *m = s->queue[s->first];
    s->first = (s->first + 1) % s->room;
    s->count--;
    s->bytes -= m->bytes.len;
    return m;
}

/* Lock held. There is no room for a message of `n` bytes. */
static bool is_full(const struct subscription *s, size_t n) {
    return s->count == s->max || (s->count && s->bytes + n > QUEUE_BYTES_MAX);
}

static void on_message(struct cello_subscriber *subscriber, struct cello_message *m) {
    struct subscription *s = CL_OWNER_OF(subscriber, struct subscription, super);
    struct topics *t = topics_of(s->topics);
    pthread_mutex_lock(&t->lock);
    while (is_full(s, m->bytes.len)) {
        cello_message_unref(take_first(s));
        s->lost++;
    }
    if (make_room(s)) {
        s->queue[(s->first + s->count) % s->room] = cello_message_ref(m);
        s->count++;
        s->bytes += m->bytes.len;
        note_news(t, s);
    } else {
        s->lost++;
    }
    pthread_mutex_unlock(&t->lock);
}

static void on_lost(struct cello_subscriber *subscriber, uint64_t count) {
    struct subscription *s = CL_OWNER_OF(subscriber, struct subscription, super);
    struct topics *t = topics_of(s->topics);
    pthread_mutex_lock(&t->lock);
    s->lost += count;
    pthread_mutex_unlock(&t->lock);
}

/* ---- telling: GIL held ---- */

/* The next one, with a reference. One that is going (nobody has it any more, the GIL may have been
 * given up meanwhile) is not called. */
static struct subscription *take_news(struct topics *t) {
    struct subscription *s;
    pthread_mutex_lock(&t->lock);
    do {
        s = t->news;
        if (s) {
            t->news = s->next;
            s->has_news = false;
        }
    } while (s && Py_REFCNT(s) == 0);
    pthread_mutex_unlock(&t->lock);
    Py_XINCREF(s);
    return s;
}

static void tell_news(struct topics *t) {
    struct subscription *s;
    while ((s = take_news(t)) != NULL) {
        PyObject *done = PyObject_CallMethod((PyObject *)s, "_news", NULL);
        if (!done)
            PyErr_WriteUnraisable((PyObject *)s);
        Py_XDECREF(done);
        Py_DECREF(s);
    }
}

static void forget_news(struct topics *t, struct subscription *s) {
    pthread_mutex_lock(&t->lock);
    if (s->has_news) {
        struct subscription **at = &t->news;
        while (*at != s)
            at = &(*at)->next;
        *at = s->next;
        s->has_news = false;
    }
    pthread_mutex_unlock(&t->lock);
}

/* ---- a server that listens at the bell ---- */

static void tell_in_batch(struct cl_note *n, struct cl_bridge *b) {
    (void)b;
    struct cl_topics_watch *w = CL_OWNER_OF(n, struct cl_topics_watch, note);
    struct topics *t = w->topics;
    Py_INCREF(t); /* what is told may close the server */
    tell_news(t);
    Py_DECREF(t);
}

/* In a turn, without the GIL. */
static void on_bell(void *ctx) {
    struct cl_topics_watch *w = ctx;
    struct topics *t = w->topics;
    cello_topics_read(t->engine);
    pthread_mutex_lock(&t->lock);
    bool news = t->news != NULL;
    pthread_mutex_unlock(&t->lock);
    if (news)
        cl_bridge_note(w->bridge, &w->note);
}

void cl_topics_unwatch(struct cl_bridge *b) {
    struct cl_topics_watch *w = b->topics;
    b->topics = NULL;
    if (!w)
        return;
    cello_server_unwatch(w->watch);
    cl_bridge_unnote(b, &w->note);
    Py_DECREF(w->topics);
    PyMem_Free(w);
}

PyDoc_STRVAR(watch_doc, "watch($self, server, /)\n--\n\nThe Server listens for what other "
                        "processes publish, until it is closed. Before it runs.");

static PyObject *watch(PyObject *self, PyObject *server) {
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(self));
    struct cl_bridge *b = ext ? cl_server_bridge(ext, server) : NULL;
    if (!b)
        return NULL;
    if (!b->server || b->topics) {
        PyErr_SetString(PyExc_RuntimeError, "the server is closed, or listens already");
        return NULL;
    }
    struct cl_topics_watch *w = PyMem_Calloc(1, sizeof *w);
    if (!w)
        return PyErr_NoMemory();
    w->note.run = tell_in_batch;
    w->bridge = b;
    w->topics = topics_of(self);
    int err =
        cello_server_watch(b->server, &w->watch, cello_topics_bell(w->topics->engine), on_bell, w);
    if (err) {
        PyMem_Free(w);
        return err == CELLO_ENOMEM ? PyErr_NoMemory() : PyErr_SetFromErrno(PyExc_OSError);
    }
    Py_INCREF(self);
    b->topics = w;
    Py_RETURN_NONE;
}

/* ---- publishing ---- */

static PyObject *publish_bytes(struct topics *t, PyObject *topic, enum cello_message_kind kind,
                               struct cl_str message) {
    struct cl_bytes_arg name;
    if (cl_bytes_arg(&name, topic, "a topic") < 0)
        return NULL;
    int err = cello_publish(t->engine, name.bytes, kind, message);
    if (err == CELLO_ELIMIT)
        PyErr_Format(PyExc_ValueError,
                     "a message has at most a quarter of StoreConfig.ring_size, "
                     "not %zu bytes",
                     message.len);
    else if (err)
        PyErr_Format(PyExc_ValueError, "a topic has 1 to %d bytes, not %zu", CELLO_TOPIC_MAX,
                     name.bytes.len);
    cl_bytes_release(&name);
    if (err)
        return NULL;
    tell_news(t);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(publish_doc,
             "publish($self, topic, message, default=None, /)\n--\n\nTo the subscribers of the "
             "topic in all workers. message: str, bytes, or what JSON knows; default(obj) for what "
             "it does not. ValueError: too long.");

static PyObject *publish(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(self));
    if (!ext || n < 2 || n > 3) {
        if (ext)
            PyErr_SetString(PyExc_TypeError, "publish takes a topic and a message");
        return NULL;
    }
    struct topics *t = topics_of(self);
    struct cl_bytes_arg message;
    PyObject *json = NULL;
    enum cello_message_kind kind = CELLO_MESSAGE_TEXT;
    if (!PyUnicode_Check(args[1]) && !PyObject_CheckBuffer(args[1])) {
        const struct cl_json_options opt = {
            .state = &ext->convert,
            .default_hook = n == 3 && args[2] != Py_None ? args[2] : NULL,
        };
        json = cl_json_encode_bytes(args[1], &opt);
        if (!json)
            return NULL;
        kind = CELLO_MESSAGE_JSON;
    } else if (!PyUnicode_Check(args[1])) {
        kind = CELLO_MESSAGE_BYTES;
    }
    PyObject *done = NULL;
    if (cl_bytes_arg(&message, json ? json : args[1], "a message") == 0) {
        done = publish_bytes(t, args[0], kind, message.bytes);
        cl_bytes_release(&message);
    }
    Py_XDECREF(json);
    return done;
}

/* ---- the type Topics ---- */

PyDoc_STRVAR(topics_doc, "Topics(store, /)\n--\n\nMessages to all workers, in the memory of a "
                         "Store.");

static PyObject *topics_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const struct cl_args_spec spec = {
        .function = "Topics", .required = 1, .positional = 1, .names = {"store"}};
    PyObject *given[1];
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext || cl_args_parse_tuple(&spec, args, kwargs, given) < 0)
        return NULL;
    struct cl_store *engine = cl_pystore_of(ext, given[0]);
    struct topics *t = engine ? topics_of(type->tp_alloc(type, 0)) : NULL;
    if (!t)
        return NULL;
    pthread_mutex_init(&t->lock, NULL);
    t->store = Py_NewRef(given[0]);
    t->engine = engine;
    return (PyObject *)t;
}

static void topics_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    struct topics *t = topics_of(self);
    if (t->store)
        pthread_mutex_destroy(&t->lock);
    Py_CLEAR(t->store);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef topics_methods[] = {
    {"publish", (PyCFunction)(void (*)(void))publish, METH_FASTCALL, publish_doc},
    {"watch", watch, METH_O, watch_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot topics_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)topics_doc},
    {Py_tp_new, (void *)topics_new},
    {Py_tp_dealloc, (void *)topics_dealloc},
    {Py_tp_methods, topics_methods},
    {0, NULL},
};

static PyType_Spec topics_spec = {
    .name = "cello._cello.Topics",
    .basicsize = sizeof(struct topics),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = topics_slots,
};

/* ---- the type Subscription ---- */

static PyObject *value_of(struct cl_ext *ext, const struct cello_message *m) {
    const char *p = m->bytes.ptr;
    Py_ssize_t n = (Py_ssize_t)m->bytes.len;
    if (m->kind == CELLO_MESSAGE_BYTES)
        return PyBytes_FromStringAndSize(p, n);
    if (m->kind == CELLO_MESSAGE_TEXT)
        return PyUnicode_DecodeUTF8(p, n, NULL);
    const struct cl_json_options opt = {.state = &ext->convert};
    struct cl_json_error error = {0};
    PyObject *value = cl_json_decode(p, (size_t)n, &opt, &error);
    if (!value && error.err)
        cl_json_raise(&error, ext->json_error);
    return value;
}

PyDoc_STRVAR(take_doc,
             "_take($self)\n--\n\nThe oldest message that was not taken yet, (topic, value). None: "
             "there is none; _news() is called once when there is one.");

static PyObject *take(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct subscription *s = subscription_of(self);
    struct cl_ext *ext = cl_ext_of_type(Py_TYPE(self));
    if (!ext || !s->topics)
        return ext ? Py_NewRef(Py_None) : NULL;
    struct topics *t = topics_of(s->topics);
    pthread_mutex_lock(&t->lock);
    struct cello_message *m = s->count ? take_first(s) : NULL;
    s->waiting = !m;
    pthread_mutex_unlock(&t->lock);
    if (!m)
        Py_RETURN_NONE;
    PyObject *topic = PyUnicode_DecodeUTF8(m->topic.ptr, (Py_ssize_t)m->topic.len, "replace");
    PyObject *value = topic ? value_of(ext, m) : NULL;
    cello_message_unref(m);
    PyObject *pair = value ? PyTuple_Pack(2, topic, value) : NULL;
    Py_XDECREF(topic);
    Py_XDECREF(value);
    return pair;
}

PyDoc_STRVAR(has_news_doc, "_has_news($self)\n--\n\nbool: there is something to take, or it is "
                           "closed.");

static PyObject *has_news(PyObject *self, PyObject *ignored) {
    (void)ignored;
    struct subscription *s = subscription_of(self);
    if (!s->topics)
        Py_RETURN_TRUE;
    struct topics *t = topics_of(s->topics);
    pthread_mutex_lock(&t->lock);
    bool news = s->count > 0;
    pthread_mutex_unlock(&t->lock);
    return PyBool_FromLong(news);
}

static void close_subscription(struct subscription *s) {
    if (!s->topics)
        return;
    struct topics *t = topics_of(s->topics);
    /* Whoever delivers holds the store's lock and never takes the GIL. */
    cello_unsubscribe_all(t->engine, &s->super);
    forget_news(t, s);
    while (s->count)
        cello_message_unref(take_first(s));
    PyMem_RawFree(s->queue);
    s->queue = NULL;
    s->room = 0;
    Py_CLEAR(s->topics);
}

PyDoc_STRVAR(end_doc, "_end($self)\n--\n\nSubscribe no more; what was not taken is dropped.");

static PyObject *end(PyObject *self, PyObject *ignored) {
    (void)ignored;
    close_subscription(subscription_of(self));
    Py_RETURN_NONE;
}

static int subscribe_to(struct subscription *s, PyObject *topic) {
    struct cl_bytes_arg name;
    if (cl_bytes_arg(&name, topic, "a topic") < 0)
        return -1;
    int err = cello_subscribe(topics_of(s->topics)->engine, &s->super, name.bytes);
    if (err == CELLO_ENOMEM)
        PyErr_NoMemory();
    else if (err)
        PyErr_Format(PyExc_ValueError, "a topic has 1 to %d bytes, not %zu", CELLO_TOPIC_MAX,
                     name.bytes.len);
    cl_bytes_release(&name);
    return err ? -1 : 0;
}

static int fill(struct subscription *s, struct cl_ext *ext, PyObject **given) {
    int64_t max = MAX_QUEUE;
    if (!PyObject_TypeCheck(given[0], ext->topics_type) || !PyTuple_Check(given[1])) {
        PyErr_SetString(PyExc_TypeError, "Subscription takes Topics and a tuple of topics");
        return -1;
    }
    if (cl_args_int64("max_queue", given[2], &max) < 0)
        return -1;
    if (max < 1 || max > MAX_QUEUE_MOST || !PyTuple_GET_SIZE(given[1])) {
        PyErr_SetString(PyExc_ValueError, max < 1 || max > MAX_QUEUE_MOST
                                              ? "max_queue is a number of messages, 1 to 1048576"
                                              : "subscribe to one topic or more");
        return -1;
    }
    s->max = (size_t)max;
    s->super.on_message = on_message;
    s->super.on_lost = on_lost;
    s->topics = Py_NewRef(given[0]);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(given[1]); i++)
        if (subscribe_to(s, PyTuple_GET_ITEM(given[1], i)) < 0)
            return -1;
    return 0;
}

static PyObject *subscription_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static const struct cl_args_spec spec = {.function = "Subscription",
                                             .required = 2,
                                             .positional = 3,
                                             .names = {"hub", "topics", "max_queue"}};
    PyObject *given[3];
    struct cl_ext *ext = cl_ext_of_type(type);
    if (!ext || cl_args_parse_tuple(&spec, args, kwargs, given) < 0)
        return NULL;
    PyObject *self = type->tp_alloc(type, 0);
    if (self && fill(subscription_of(self), ext, given) < 0)
        Py_CLEAR(self);
    return self;
}

static int traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(Py_TYPE(self));
    (void)arg;
    return 0;
}

static void subscription_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (subscription_of(self)->weakrefs)
        PyObject_ClearWeakRefs(self);
    close_subscription(subscription_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *get_lost(PyObject *self, void *closure) {
    (void)closure;
    struct subscription *s = subscription_of(self);
    if (!s->topics)
        return PyLong_FromUnsignedLongLong(s->lost);
    struct topics *t = topics_of(s->topics);
    pthread_mutex_lock(&t->lock);
    uint64_t lost = s->lost;
    pthread_mutex_unlock(&t->lock);
    return PyLong_FromUnsignedLongLong(lost);
}

static PyObject *get_closed(PyObject *self, void *closure) {
    (void)closure;
    return PyBool_FromLong(!subscription_of(self)->topics);
}

static PyMethodDef subscription_methods[] = {
    {"_end", end, METH_NOARGS, end_doc},
    {"_has_news", has_news, METH_NOARGS, has_news_doc},
    {"_take", take, METH_NOARGS, take_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef subscription_getset[] = {
    {"closed", get_closed, NULL, "bool: close() was called", NULL},
    {"lost", get_lost, NULL,
     "int: messages dropped since they were not read in time; where the worker was too slow for "
     "all of them, those of other topics too",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef subscription_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(struct subscription, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(subscription_doc, "Subscription(hub, topics, max_queue=1000)\n--\n\nThe messages of a "
                               "tuple of topics; the base of cello.Subscription.");

static PyType_Slot subscription_slots[] = {
    {Py_tp_doc, (void *)(uintptr_t)subscription_doc},
    {Py_tp_new, (void *)subscription_new},
    {Py_tp_dealloc, (void *)subscription_dealloc},
    {Py_tp_traverse, (void *)traverse},
    {Py_tp_methods, subscription_methods},
    {Py_tp_getset, subscription_getset},
    {Py_tp_members, subscription_members},
    {0, NULL},
};

static PyType_Spec subscription_spec = {
    .name = "cello._cello.Subscription",
    .basicsize = sizeof(struct subscription),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = subscription_slots,
};

int cl_topics_setup_types(PyObject *module, struct cl_ext *ext) {
    ext->topics_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &topics_spec, NULL);
    if (!ext->topics_type || PyModule_AddType(module, ext->topics_type) < 0)
        return -1;
    PyTypeObject *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &subscription_spec, NULL);
    int err = type ? PyModule_AddType(module, type) : -1;
    Py_XDECREF(type);
    return err;
}
