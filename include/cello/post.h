/* A message to the thread that runs a server, owned by the sender until run() is called there. */
#ifndef CELLO_POST_H
#define CELLO_POST_H

struct cl_post {
    struct cl_post *next;
    void (*run)(struct cl_post *p);
};

#endif
