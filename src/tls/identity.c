#include "base/alloc.h"
#include "tls/tls_internal.h"

struct cl_tls_identity {
    struct cello_client_cert cert;
};

void cl_tls_identity_del(struct cl_tls_identity *i) {
    cl_free(i);
}

const struct cello_client_cert *cl_tls_client_cert(struct cl_tls *t) {
    (void)t;
    return NULL;
}
